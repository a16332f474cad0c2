"""A declarative manifest made whole: references resolved, parameters handed down, types filled in, then checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.builtin.airbyte_components import COMPONENTS, DeclarativeSource
from connectors.builtin.document_text import document_of
from connectors.errors import Misconfigured
from rules.text import Message, msg

_REFERENCE = re.compile(r"^(?:\*ref\((?P<old>[^()]+)\)|#/(?P<new>.+))$")
_MOST = 200_000
_PARAMETERS = "$parameters"

_DEFAULT_TYPES: Mapping[str, str] = {
    "streams": "DeclarativeStream", "stream": "DeclarativeStream", "check": "CheckStream",
    "retriever": "SimpleRetriever", "requester": "HttpRequester", "login_requester": "HttpRequester",
    "record_selector": "RecordSelector", "extractor": "DpathExtractor", "record_filter": "RecordFilter",
    "error_handler": "DefaultErrorHandler", "error_handlers": "DefaultErrorHandler",
    "response_filters": "HttpResponseFilter", "paginator": "DefaultPaginator", "schema_loader": "InlineSchemaLoader",
    "incremental_sync": "DatetimeBasedCursor", "parent_stream_configs": "ParentStreamConfig",
    "page_size_option": "RequestOption", "page_token_option": "RequestOption", "request_option": "RequestOption",
    "start_time_option": "RequestOption", "end_time_option": "RequestOption", "inject_into": "RequestOption",
    "start_datetime": "MinMaxDatetime", "end_datetime": "MinMaxDatetime",
}  # fmt: skip
"""The type that a component has where the manifest does not say it, by the member it stands in."""

_PLAIN = ("schema", "spec", "definitions", "metadata", "schemas", "request_parameters", "request_headers",
          "request_body_json", "request_body_data", "refresh_request_body", "state_migrations")  # fmt: skip
"""Members that hold values, not components."""

_UNUSED = ("definitions", "schemas", "metadata")
"""Members of the manifest that others refer to."""


def source_of(text: str) -> DeclarativeSource:
    """Return the manifest that a text holds; raises `Misconfigured` with the path of what is not supported."""
    root = document_of(text)
    whole = _Whole(root)
    made = {name: whole.made(value, name, {}) for name, value in root.items() if name not in _UNUSED}
    made["type"] = "DeclarativeSource"
    if root.get("type", "DeclarativeSource") != "DeclarativeSource":
        raise _refuse(msg("'type' has to be DeclarativeSource"))
    try:
        return msgspec.convert(made, DeclarativeSource)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).rpartition(" - at ")
        place = path.strip("`").removeprefix("$.") or "-"
        raise _refuse(
            msg("{path}: {problem}", path=place, problem=_named(made, place, problem or str(error)))
        ) from None


class _Whole:
    """Resolves references and hands parameters down."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._count = 0

    def made(self, value: Any, member: str, given: Mapping[str, Any], under: tuple[str, ...] = ()) -> Any:
        """Return a value with all that it refers to.

        Args:
            value: The value as it stands in the document.
            member: The member it stands in, which tells the type where it is not said.
            given: The parameters from above.
            under: The references that led here.
        """
        self._count += 1
        if self._count > _MOST:
            raise _refuse(msg("its references unfold into too many parts"))
        value, under = self._resolved(value, under)
        if isinstance(value, list):
            return [self.made(inner, member, given, under) for inner in value]
        if not isinstance(value, Mapping):
            return value
        if member in _PLAIN:
            return {name: self._plain(inner, under) for name, inner in value.items()}
        return self._component(value, member, given, under)

    def _component(
        self, value: Mapping[str, Any], member: str, given: Mapping[str, Any], under: tuple[str, ...]
    ) -> dict[str, Any]:
        kind = value.get("type") or _DEFAULT_TYPES.get(member)
        own = value.get(_PARAMETERS)
        parameters = {**given, **own} if isinstance(own, Mapping) else dict(given)
        filled = dict(value)
        cls = COMPONENTS.get(str(kind))
        if cls is not None:
            names = set(cls.__struct_encode_fields__) - {"description", _PARAMETERS}
            filled |= {n: v for n, v in parameters.items() if n in names and not filled.get(n)}
        made = {n: self.made(v, n, parameters, under) for n, v in filled.items() if n != _PARAMETERS}
        if kind:
            made["type"] = kind
        return {**made, _PARAMETERS: parameters} if cls is not None else made

    def _plain(self, value: Any, under: tuple[str, ...]) -> Any:
        value, under = self._resolved(value, under)
        self._count += 1
        if self._count > _MOST:
            raise _refuse(msg("its references unfold into too many parts"))
        if isinstance(value, list):
            return [self._plain(inner, under) for inner in value]
        if isinstance(value, Mapping):
            return {name: self._plain(inner, under) for name, inner in value.items()}
        return value

    def _resolved(self, value: Any, under: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
        """Return what a reference leads to; members beside it take the place of those there."""
        beside: dict[str, Any] = {}
        while (reference := _reference(value)) is not None:
            if reference in under:
                raise _refuse(msg("the reference {reference} leads back to itself", reference=reference))
            under = (*under, reference)
            if isinstance(value, Mapping):
                more = {name: inner for name, inner in value.items() if name != "$ref"}
                beside = _merged(more, beside)
            value = self._target(reference)
        return (_merged(value, beside) if beside and isinstance(value, Mapping) else value), under

    def _target(self, reference: str) -> Any:
        value: Any = self.root
        for part in reference.split("/"):
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise _refuse(msg("the reference {reference} leads nowhere", reference=reference))
        return value


def _reference(value: Any) -> str | None:
    text = value.get("$ref") if isinstance(value, Mapping) else value
    found = _REFERENCE.match(text) if isinstance(text, str) else None
    if found is None:
        return None
    return found["new"] or found["old"].replace(".", "/")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return both together; of parameters each, of all else what is above."""
    found = {**below, **above}
    if isinstance(below.get(_PARAMETERS), Mapping) and isinstance(above.get(_PARAMETERS), Mapping):
        found[_PARAMETERS] = {**below[_PARAMETERS], **above[_PARAMETERS]}
    return found


def _named(made: Any, place: str, problem: str) -> str:
    """Return the problem with the type of the component where that says more."""
    value = made
    for part in re.findall(r"[^.\[\]]+", place):
        value = _below(value, part)
    if isinstance(value, str) and value not in COMPONENTS and place.endswith(".type"):
        return f"{value} is not supported"
    return problem


def _below(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return None


def _refuse(problem: Message) -> Misconfigured:
    return Misconfigured(
        msg("The manifest cannot be used: {problem}.", problem=problem),
        msg("Change it, or leave the stream out."),
    )
