"""An OpenAPI 3.0, 3.1 or Swagger 2 document, asked in one way: references are followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urljoin

from connectors.errors import Misconfigured
from rules.text import msg

METHODS = ("get", "post", "put", "patch", "delete")
_JSON = re.compile(r"^(application|text)/([\w.-]+\+)?json(;|$)|^\*/\*$", re.IGNORECASE)
_MOST_HOPS = 32

Node = Mapping[str, Any]


@dataclass(frozen=True)
class Operation:
    """One call that the document describes."""

    path: str
    method: str
    node: Node
    parameters: tuple[Node, ...] = ()

    @property
    def place(self) -> str:
        """Return how a person finds it in the document."""
        return f"{self.method.upper()} {self.path}"

    def queries(self) -> dict[str, Node]:
        """Return the parameters that stand in the address behind the question mark."""
        return {str(p["name"]): p for p in self.parameters if p.get("in") == "query" and p.get("name")}


@dataclass
class Document:
    """The document; `strange` collects references that lead nowhere or elsewhere."""

    root: Node
    strange: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no document of these formats."""
        version = str(self.root.get("openapi") or self.root.get("swagger") or "")
        if not re.match(r"^(3\.[0-9]|2\.0)", version):
            raise Misconfigured(
                msg("This is not an OpenAPI 3 or Swagger 2 document: it has no member 'openapi' or 'swagger' that "
                    "says so."),
                msg("Look for a file called openapi.json, openapi.yaml or swagger.json at the maker of the service."),
            )  # fmt: skip

    @property
    def old(self) -> bool:
        """Tell whether this is Swagger 2."""
        return "openapi" not in self.root

    def resolved(self, node: Any) -> Node:
        """Return what a node stands for, references followed; an empty one where they lead nowhere."""
        for _ in range(_MOST_HOPS):
            if not isinstance(node, Mapping):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            beside = {name: value for name, value in node.items() if name != "$ref"}
            target = self._target(reference)
            node = {**target, **beside} if beside and "$ref" not in target else target
        self.strange[str(reference)] = None
        return {}

    def address(self, source: str = "") -> str:
        """Return the address that all paths begin with, "" where the document does not say."""
        found = self._old_address(source) if self.old else self._server(source)
        return found.rstrip("/") if found.startswith(("http://", "https://")) else ""

    def operations(self) -> Iterator[Operation]:
        """Yield every operation."""
        for path, given in part(self.root, "paths").items():
            item = self.resolved(given)
            for method in METHODS:
                node = item.get(method)
                if isinstance(node, Mapping):
                    yield Operation(path, method, node, self._parameters(item, node))

    def answer(self, operation: Operation) -> tuple[Node | None, str]:
        """Return the schema of the good answer and the kind of content; None where it is not JSON or not said."""
        responses = part(operation.node, "responses")
        good = [self.resolved(responses[code]) for code in sorted(responses) if re.match(r"^2(\d\d|XX)$", code)]
        good = good or [self.resolved(responses.get("default"))]
        kinds = self._produced(operation.node)
        for response in good:
            if self.old and "schema" in response:
                return (self.resolved(response["schema"]), "") if _speaks_json(kinds) else (None, ", ".join(kinds))
            schema, kind = self._content(response)
            if schema is not None or kind:
                return schema, kind
        return None, ""

    def headers(self, operation: Operation) -> set[str]:
        """Return the names of the headers of good answers, in small letters."""
        responses = part(operation.node, "responses")
        return {
            name.lower()
            for code, response in responses.items()
            if code.startswith("2")
            for name in part(self.resolved(response), "headers")
        }

    def sent(self, operation: Operation) -> tuple[Node | None, str]:
        """Return the schema of what a call sends and the kind of content; None where it is not JSON."""
        if not self.old:
            return self._content(self.resolved(operation.node.get("requestBody")))
        body = next((p for p in operation.parameters if p.get("in") == "body"), None)
        if body is not None:
            return self.resolved(body.get("schema")), ""
        form = any(p.get("in") == "formData" for p in operation.parameters)
        return None, "application/x-www-form-urlencoded" if form else ""

    def _content(self, node: Node) -> tuple[Node | None, str]:
        kinds = part(node, "content")
        for kind, media in kinds.items():
            if _JSON.match(kind):
                return self.resolved(self.resolved(media).get("schema")), kind
        return None, ", ".join(kinds)

    def _produced(self, node: Node) -> list[str]:
        given = node.get("produces", self.root.get("produces"))
        return [str(kind) for kind in given] if isinstance(given, list) else []

    def _parameters(self, item: Node, node: Node) -> tuple[Node, ...]:
        found: dict[tuple[str, str], Node] = {}
        for given in (*listed(item, "parameters"), *listed(node, "parameters")):
            parameter = self.resolved(given)
            found[str(parameter.get("in")), str(parameter.get("name"))] = parameter
        return tuple(found.values())

    def _target(self, reference: str) -> Node:
        place, _, pointer = reference.partition("#")
        value: Any = None if place else self.root
        for name in filter(None, pointer.split("/")):
            key = unquote(name).replace("~1", "/").replace("~0", "~")
            value = value.get(key) if isinstance(value, Mapping) else _item(value, key)
        if isinstance(value, Mapping):
            return value
        self.strange[reference] = None
        return {}

    def _server(self, source: str) -> str:
        server = next((s for s in listed(self.root, "servers") if isinstance(s, Mapping)), {})
        variables = part(server, "variables")

        def fill(found: re.Match[str]) -> str:
            return str(part(variables, found[1]).get("default", found[0]))

        return urljoin(source, re.sub(r"\{([^{}]+)\}", fill, str(server.get("url") or "/")))

    def _old_address(self, source: str) -> str:
        base = str(self.root.get("basePath") or "/")
        host = self.root.get("host")
        if not host:
            return urljoin(source, base)
        schemes = [str(scheme) for scheme in listed(self.root, "schemes")]
        usable = [scheme for scheme in ("https", "http") if scheme in schemes]
        return f"{(usable or ['https'])[0]}://{host}{base}"


def part(node: Any, name: str) -> Node:
    """Return a member that holds names and values, an empty one where there is none."""
    found = node.get(name) if isinstance(node, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def listed(node: Any, name: str) -> list[Any]:
    """Return a member that holds a list, an empty one where there is none."""
    found = node.get(name) if isinstance(node, Mapping) else None
    return found if isinstance(found, list) else []


def _item(value: Any, key: str) -> Any:
    if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
        return value[int(key)]
    return None


def _speaks_json(kinds: list[str]) -> bool:
    return not kinds or any(_JSON.match(kind) for kind in kinds)
