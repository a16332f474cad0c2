"""Queries and mutations of a GraphQL service: one address, one POST each, and errors that stand in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.builtin.rest_answers import value_of
from connectors.builtin.rest_calls import Calls, Request
from connectors.errors import AuthFailed, ConnectorError, Fatal, Misconfigured, RateLimited
from connectors.json_records import encode
from rules.text import msg

_AUTH = frozenset({"UNAUTHENTICATED", "FORBIDDEN", "ACCESS_DENIED", "UNAUTHORIZED"})
_BUSY = frozenset({"THROTTLED", "RATE_LIMITED", "TOO_MANY_REQUESTS", "MAX_COST_EXCEEDED"})
_SHORTLY = 10.0
"""Seconds to wait where a service does not say for how long."""


@dataclass(frozen=True)
class GraphError:
    """One entry of the errors in an answer: the service's words, the place in the data, a code."""

    said: str
    path: tuple[str | int, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class GraphAnswer:
    """The data of an answer and its errors."""

    data: Any
    errors: tuple[GraphError, ...] = ()


class GraphCalls:
    """Asks one GraphQL service."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.url = calls.options.base_url

    def ask(self, query: str, variables: Mapping[str, Any], name: str, *, changes: bool = False) -> GraphAnswer:
        """Return the answer to a query or, with `changes`, a mutation, which is never sent twice.

        Raises:
            ConnectorError: No answer, no JSON, or errors that are about all calls: credentials, too many calls.
        """
        body = encode({"query": query, "variables": dict(variables)})
        request = Request(self.url, "POST", body=body, object_name=name, repeatable=not changes)
        response = self.calls.response(request)
        told = self.calls.told(response, request)
        if not told.good and b'"errors"' not in response.content:
            raise told.error()
        value = value_of(response, request)
        if not isinstance(value, dict) or not value.keys() & {"data", "errors"}:
            raise Misconfigured(
                msg("{url} answers, but not as GraphQL does: there is no 'data'.", url=told.url),
                msg("Check the address; it usually ends with /graphql."),
                object_name=name,
            )
        errors = tuple(self._error(one) for one in value.get("errors") or [])
        self._stop(errors, name)
        return GraphAnswer(value.get("data"), errors)

    def _error(self, entry: Any) -> GraphError:
        found = entry if isinstance(entry, dict) else {"message": str(entry)}
        extensions = found.get("extensions")
        code = extensions.get("code") or extensions.get("type") if isinstance(extensions, dict) else ""
        path = tuple(part for part in found.get("path") or () if isinstance(part, (str, int)))
        said = self.calls.credentials.hide(str(found.get("message") or "-"))[:300]
        return GraphError(said, path, str(code or "").upper())

    def _stop(self, errors: Sequence[GraphError], name: str) -> None:
        """Raise where an error is about all calls."""
        for error in errors:
            if error.code in _AUTH and not error.path:
                raise AuthFailed(
                    msg("The service refuses our credentials: {said}", said=error.said),
                    msg("Check the token or key of the connection, and what it may do."),
                    object_name=name,
                )
            if error.code in _BUSY:
                self.calls.asked_to_wait(_SHORTLY)
                said = msg("The service asks to wait: {said}", said=error.said)
                raise RateLimited(said, after=_SHORTLY, object_name=name)


def failed(errors: Sequence[GraphError], name: str) -> ConnectorError:
    """Return the error for an answer whose errors are not about single records."""
    said = "; ".join(error.said for error in errors[:3]) or "-"
    return Fatal(
        msg("The service cannot answer the query of '{name}': {said}", name=name, said=said),
        msg("Correct the query in the connection's settings."),
        object_name=name,
    )


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return variables with the texts in braces replaced by values."""
    if isinstance(template, dict):
        return {name: filled(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [filled(inner, values) for inner in template]
    if isinstance(template, str) and template.startswith("{") and template.endswith("}"):
        return values.get(template[1:-1], template)
    return template


def placed(variables: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return variables with a value at a path such as `filter.updatedAfter`."""
    name, _, rest = path.partition(".")
    inner = variables.get(name)
    below = inner if isinstance(inner, Mapping) else {}
    return {**variables, name: placed(below, rest, value) if rest else value}
