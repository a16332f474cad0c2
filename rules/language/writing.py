"""From the syntax tree to text: the shortest form that is read back as the same tree.

Chains of `&&` and of `||` are written without brackets, since their order does not change what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rules.language.checked import RECORD, field_of
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Macro, MapOf, Node, Operator, Select

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
_LEVELS = {"?:": 0, "||": 1, "&&": 2, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "!": 6, "[]": 7}
_RELATION, _UNARY, _MEMBER, _ATOM = 3, 6, 7, 8
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def field_text(name: str) -> str:
    """Return how a field is written in an expression."""
    if _NAME.fullmatch(name) and name not in _RESERVED:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'{RECORD}["{escaped}"]'


def text_of(node: Node) -> str:
    """Return the expression that is read as this tree."""
    named = field_of(node)
    if named is not None:
        return f"{RECORD}.{named}" if field_text(named) == named else field_text(named)
    return _FORMS[type(node)](node)


def quoted(text: str) -> str:
    """Return a text as the language writes it."""
    return "'" + "".join(_ESCAPES.get(c) or (c if c.isprintable() or ord(c) > 0xFF else _code(c)) for c in text) + "'"


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}"


def _level(node: Node) -> int:
    if isinstance(node, Operator) and field_of(node) is None:
        return _UNARY if len(node.operands) == 1 else _LEVELS.get(node.symbol, _RELATION)
    if isinstance(node, Literal) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return _UNARY
    return _ATOM if isinstance(node, (Literal, Ident, ListOf, MapOf)) else _MEMBER


def _at_least(level: int, node: Node) -> str:
    text = text_of(node)
    return text if _level(node) >= level else f"({text})"


def _literal(node: Literal) -> str:
    value = node.value
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bytes):
        return "b'" + "".join(f"\\x{byte:02x}" for byte in value) + "'"
    return {None: "null", True: "true", False: "false"}[value] if isinstance(value, (bool, type(None))) else repr(value)


def _operator(node: Operator) -> str:
    parts, symbol = node.operands, node.symbol
    if len(parts) == 1:
        return symbol + _at_least(_MEMBER, parts[0])
    if symbol == "[]":
        return f"{_at_least(_MEMBER, parts[0])}[{text_of(parts[1])}]"
    if symbol == "?:":
        return f"{_at_least(1, parts[0])} ? {_at_least(1, parts[1])} : {text_of(parts[2])}"
    level = _LEVELS.get(symbol, _RELATION)
    right = level if symbol in {"&&", "||"} else level + 1
    return f"{_at_least(level, parts[0])} {symbol} {_at_least(right, parts[1])}"


def _call(node: Call) -> str:
    args = [text_of(arg) for arg in node.args]
    if node.member:
        return f"{_at_least(_MEMBER, node.args[0])}.{node.name}({', '.join(args[1:])})"
    return f"{node.name}({', '.join(args)})"


def _has(node: Has) -> str:
    if isinstance(node.operand, Ident) and node.operand.name == RECORD and "." in node.field:
        return f"has({node.field})"
    return f"has({_at_least(_MEMBER, node.operand)}.{node.field})"


def _map(node: MapOf) -> str:
    pairs = zip(node.keys, node.values, strict=True)
    return "{" + ", ".join(f"{text_of(key)}: {text_of(value)}" for key, value in pairs) + "}"


def _macro(node: Macro) -> str:
    parts = [part for part in (node.guard, node.body) if part is not None]
    inside = ", ".join([node.variable, *map(text_of, parts)])
    return f"{_at_least(_MEMBER, node.source)}.{node.name.value}({inside})"


_FORMS: dict[type, Callable[[Any], str]] = {
    Literal: _literal,
    Ident: lambda node: node.name,
    Select: lambda node: f"{_at_least(_MEMBER, node.operand)}.{node.field}",
    Has: _has,
    Call: _call,
    Operator: _operator,
    ListOf: lambda node: f"[{', '.join(text_of(item) for item in node.items)}]",
    MapOf: _map,
    Macro: _macro,
}
