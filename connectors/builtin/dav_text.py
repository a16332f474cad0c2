"""iCalendar (RFC 5545) and vCard (RFC 6350) as they are written: content lines inside of components. No I/O.

Only what is changed is written anew: all other lines, also those of programs that we do not know, stay byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from connectors.errors import RecordRejected
from rules.text import msg

_NAME = re.compile(r"(?:(?P<group>[A-Za-z0-9-]+)\.)?(?P<name>[A-Za-z0-9-]+)", re.ASCII)
_PARAM = re.compile(r';(?P<name>[A-Za-z0-9-]+)(?:=(?P<values>(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*))?')
_VALUE = re.compile(r'"([^"]*)"|([^",]+)')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_DEEPEST = 10
_WIDTH = 75
_CARETS = {"^n": "\n", "^'": '"', "^^": "^"}


@dataclass
class Line:
    """One property: its name in capitals, its parameters, its value as it is written; `raw` are its lines."""

    name: str
    value: str
    params: dict[str, list[str]] = field(default_factory=dict)
    group: str = ""
    raw: str = ""

    @property
    def text(self) -> str:
        """Return the value as text."""
        return unescaped(self.value)

    def param(self, name: str) -> str:
        """Return the first value of a parameter, empty where it has none."""
        return next(iter(self.params.get(name, [])), "")

    @property
    def types(self) -> list[str]:
        """Return what kind of value it is (TYPE), in small letters; `pref` is told apart."""
        given = [word.strip().lower() for value in self.params.get("TYPE", []) for word in value.split(",")]
        return sorted({word for word in given if word and word != "pref"})

    @property
    def preferred(self) -> bool:
        """Tell whether it is the preferred one of several."""
        return bool(self.param("PREF")) or any(
            "pref" in value.lower().split(",") for value in self.params.get("TYPE", [])
        )

    def written(self) -> str:
        """Return its lines, folded."""
        if self.raw:
            return self.raw
        params = "".join(f";{name}={','.join(map(_param, values))}" for name, values in self.params.items())
        group = f"{self.group}." if self.group else ""
        return folded(f"{group}{self.name}{params}:{self.value}")


@dataclass
class Component:
    """What stands between BEGIN and END, in its order."""

    name: str
    items: list[Line | Component] = field(default_factory=list)

    @property
    def lines(self) -> Iterator[Line]:
        """Yield its own properties."""
        return (item for item in self.items if isinstance(item, Line))

    def parts(self, name: str) -> list[Component]:
        """Return the components of a kind in it."""
        return [item for item in self.items if isinstance(item, Component) and item.name == name]

    def all(self, name: str) -> list[Line]:
        """Return its properties with a name."""
        return [line for line in self.lines if line.name == name]

    def first(self, name: str) -> Line | None:
        """Return its first property with a name; in vCards the preferred one."""
        found = self.all(name)
        return next((line for line in found if line.preferred), found[0] if found else None)

    def put(self, name: str, lines: Iterable[Line]) -> None:
        """Let its properties with a name be these, where the first of them stood before."""
        place = next((n for n, i in enumerate(self.items) if isinstance(i, Line) and i.name == name), None)
        kept: list[Line | Component] = [i for i in self.items if not (isinstance(i, Line) and i.name == name)]
        if place is None:
            place = next((n for n, i in enumerate(kept) if isinstance(i, Component)), len(kept))
        self.items = [*kept[:place], *lines, *kept[place:]]

    def set(self, name: str, value: str | None, params: Mapping[str, list[str]] | None = None) -> None:
        """Let it have one property with a name, or none."""
        self.put(name, [] if value is None else [Line(name, value, dict(params or {}))])

    def written(self) -> str:
        """Return it as text."""
        inner = "".join(item.written() for item in self.items)
        return f"BEGIN:{self.name}\r\n{inner}END:{self.name}\r\n"


def parsed(text: str) -> Component:
    """Return the only component of a text; raises `RecordRejected` where it is none."""
    top = Component("")
    stack = [top]
    for raw in _raw_lines(text):
        line = _line(raw)
        if line is None:
            raise _broken()
        if line.name == "BEGIN":
            inner = Component(line.value.strip().upper())
            stack[-1].items.append(inner)
            stack.append(inner)
            if len(stack) > _DEEPEST:
                raise _broken()
        elif line.name != "END":
            stack[-1].items.append(line)
        elif len(stack) > 1 and stack.pop().name == line.value.strip().upper():
            continue
        else:
            raise _broken()
    found = [item for item in top.items if isinstance(item, Component)]
    if len(stack) > 1 or len(found) != 1:
        raise _broken()
    return found[0]


def escaped(text: str) -> str:
    """Return a text as it stands in a value."""
    text = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return text.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")


def unescaped(value: str) -> str:
    """Return a value as text."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def parts_of(value: str, mark: str) -> list[str]:
    """Return the parts of a value that has several, separated by `;` or `,`, each still as it is written."""
    parts, part, after = [], "", False
    for character in value:
        if character == mark and not after:
            parts.append(part)
            part = ""
            continue
        part += character
        after = character == "\\" and not after
    return [*parts, part]


def folded(line: str) -> str:
    """Return a line as it is written: at most 75 bytes each, and no character is cut."""
    made, size = [""], 0
    for character in line:
        length = len(character.encode())
        if size + length > _WIDTH:
            made.append(" ")
            size = 1
        made[-1] += character
        size += length
    return "\r\n".join(made) + "\r\n"


def _raw_lines(text: str) -> Iterator[str]:
    """Yield the lines as they are written, those that go on together."""
    waiting = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):  # str.splitlines cuts at characters that a text may hold
        if line.startswith((" ", "\t")) and waiting:
            waiting += line
            continue
        if waiting.strip():
            yield waiting
        waiting = line
    if waiting.strip():
        yield waiting


def _line(raw: str) -> Line | None:
    text = re.sub(r"\r?\n[ \t]", "", raw).rstrip("\r\n")
    head = _NAME.match(text)
    if head is None:
        return None
    place, params = head.end(), dict[str, list[str]]()
    while text[place : place + 1] == ";":
        found = _PARAM.match(text, place)
        if found is None:
            return None
        name = found["name"].upper() if found["values"] is not None else "TYPE"
        values = [a or b for a, b in _VALUE.findall(found["values"] or found["name"])]
        params.setdefault(name, []).extend(_caret(value) for value in values)
        place = found.end()
    if text[place : place + 1] != ":":
        return None
    written = raw if raw.endswith("\r\n") else raw.rstrip("\r\n") + "\r\n"
    return Line(head["name"].upper(), text[place + 1 :], params, head["group"] or "", written)


def _caret(text: str) -> str:
    return re.sub(r"\^[n'^]", lambda found: _CARETS[found[0]], text)


def _param(text: str) -> str:
    safe = text.replace("^", "^^").replace("\n", "^n").replace('"', "^'")
    return f'"{safe}"' if re.search(r"[;:,]", safe) else safe


def _broken() -> RecordRejected:
    return RecordRejected(msg("The text is no calendar entry and no address card, or breaks off."))
