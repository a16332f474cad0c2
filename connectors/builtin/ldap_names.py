"""Distinguished names (RFC 4514): taking apart, putting together, comparing. No I/O."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r'([,+"\\<>;=])')
_ESCAPED = re.compile(r"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)


def escaped(value: str) -> str:
    """Return a value as it stands in a name."""
    text = _SPECIAL.sub(r"\\\1", value).replace("\x00", "\\00")
    if value.endswith(" ") and len(value) > 1:
        text = text[:-1] + "\\ "
    return "\\" + text if value.startswith((" ", "#")) else text


def split(name: str) -> tuple[str, str]:
    """Return the first part of a name and the name of what it lies in."""
    first, _, rest = _cut(name, ",;")
    return first.lstrip(" "), rest.lstrip(" ")


def parts(first: str) -> list[tuple[str, str]]:
    """Return attribute and value of each part of a name's first part; it has several only where it says `+`."""
    found = []
    while first:
        part, _, first = _cut(first, "+")
        attribute, _, value = part.partition("=")
        found.append((attribute.strip(), _plain(value)))
    return found


def normal(name: str) -> str:
    """Return a name in a form in which two names of one entry are equal, as far as that can be known without schema."""
    found = []
    while name:
        first, name = split(name)
        pairs = sorted((attribute.lower(), " ".join(value.lower().split())) for attribute, value in parts(first))
        found.append("+".join(f"{attribute}={escaped(value)}" for attribute, value in pairs))
    return ",".join(found)


def below(name: str, base: str) -> bool:
    """Tell whether an entry is the base or lies in it."""
    inner, outer = normal(name), normal(base)
    return inner == outer or not outer or inner.endswith("," + outer)


def _cut(text: str, ends: str) -> tuple[str, str, str]:
    """Return what stands before the first of some characters that is neither escaped nor quoted, it, and the rest."""
    quoted, at = False, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            quoted = not quoted
        elif text[at] in ends and not quoted:
            return text[:at], text[at], text[at + 1 :]
        at += 1
    return text, "", ""


def _plain(value: str) -> str:
    """Return what a value in a name stands for."""
    text = value.lstrip(" ")
    if text.startswith('"') and text.rstrip(" ").endswith('"'):
        text = text.rstrip(" ")[1:-1]
    else:
        bare = text.rstrip(" ")
        escapes = len(bare) - len(bare.rstrip("\\"))
        text = bare + " " * (escapes % 2 and bare != text)  # the first blank is escaped
    raw, at = bytearray(), 0
    for found in _ESCAPED.finditer(text):
        raw += text[at : found.start()].encode()
        raw += bytes.fromhex(found[1]) if found[1] else found[2].encode()
        at = found.end()
    raw += text[at:].encode()
    return raw.decode(errors="replace")
