"""How a described service knows who asks, as settings of the connector `rest`; keys and passwords are entered later."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connectors.builtin.openapi_document import Document, Node, listed, part
from connectors.builtin.rest import Rest
from rules.text import Message, msg


def authentication(document: Document) -> tuple[dict[str, Any], list[Message]]:
    """Return the settings for the first way that we know, and what to say about it."""
    schemes = part(document.root, "securityDefinitions" if document.old else "securitySchemes")
    if not document.old:
        schemes = part(part(document.root, "components"), "securitySchemes")
    unknown: list[str] = []
    for name in _in_order(document, schemes):
        settings = _settings(document.resolved(schemes[name]))
        if settings and _known(settings):
            return settings, []
        unknown.append(name)
    if not unknown:
        return {"authentication": "none"}, []
    names = ", ".join(unknown)
    return {"authentication": "none"}, [
        msg("The service asks for an authentication that could not be taken over: {names}. Choose one in the form.",
            names=names)
    ]  # fmt: skip


def _in_order(document: Document, schemes: Node) -> list[str]:
    """Return the names of the schemes: those that the whole document asks for, then those of calls, then others."""
    asked = [*_asked(document.root)]
    for operation in document.operations():
        asked += _asked(operation.node)
    return [name for name in dict.fromkeys([*asked, *schemes]) if name in schemes]


def _asked(node: Node) -> Iterator[str]:
    for requirement in listed(node, "security"):
        if isinstance(requirement, Mapping):
            yield from requirement


def _settings(scheme: Node) -> dict[str, Any]:
    kind = str(scheme.get("type"))
    return _KINDS[kind](scheme) if kind in _KINDS else {}


def _http(scheme: Node) -> dict[str, Any]:
    how = str(scheme.get("scheme") or "basic").lower()
    return {"authentication": how} if how in ("basic", "bearer") else {}


def _key(scheme: Node) -> dict[str, Any]:
    place = {"header": "key_header", "query": "key_query"}.get(str(scheme.get("in")))
    return {"authentication": place, "key_name": str(scheme.get("name") or "")} if place else {}


def _oauth(scheme: Node) -> dict[str, Any]:
    flows = part(scheme, "flows") or {str(scheme.get("flow")): scheme}
    for names, how in _FLOWS:
        flow = next((flows[name] for name in names if isinstance(flows.get(name), Mapping)), None)
        if flow is not None:
            return {
                "authentication": how,
                "token_url": str(flow.get("tokenUrl") or ""),
                "scope": " ".join(part(flow, "scopes")),
            } | ({"authorize_url": str(flow.get("authorizationUrl") or "")} if how == "oauth2_code" else {})
    return {}


def _known(settings: Mapping[str, Any]) -> bool:
    """Tell whether the connector has these settings."""
    choices = {value for s in Rest.spec.settings if s.name == "authentication" for value, _ in s.choices}
    return settings["authentication"] in choices and settings.keys() <= {s.name for s in Rest.spec.settings}


_FLOWS = (
    (("clientCredentials", "application"), "oauth2_client"),
    (("authorizationCode", "accessCode"), "oauth2_code"),
)
_KINDS: Mapping[str, Callable[[Node], dict[str, Any]]] = {
    "http": _http,
    "basic": _http,
    "apiKey": _key,
    "oauth2": _oauth,
}
