"""The folders of a mail server: signing in, opening, searching, fetching, and changing what lies in them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.builtin.mail_imap import Answered, Imap, Literal, Part, quoted
from connectors.builtin.mail_server import MailServer, bearer
from connectors.errors import AuthFailed, Fatal, Forbidden, ObjectMissing, Unavailable
from rules.text import msg

_AT_ONCE = 500
"""So many numbers stand in one command, as lines have a length."""
_SHIFTED = re.compile(r"&([^-]*)-")
_BUSY = ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG")


@dataclass(frozen=True)
class Opened:
    """A folder that is open: its name, its validity (a new one means new numbers), and whether it knows changes."""

    name: str
    validity: int
    changes: bool


@dataclass(frozen=True)
class Listed:
    """A folder as the list shows it."""

    name: str
    messages: int | None


class Folders:
    """A signed-in connection."""

    def __init__(self, server: MailServer, largest: int) -> None:
        self.imap = Imap(server.place, start_tls=server.start_tls, largest=largest)
        self.server = server
        self._open: Opened | None = None
        try:
            self._sign_in()
            self.abilities = self._abilities()
            if "ENABLE" in self.abilities and "CONDSTORE" in self.abilities:
                self.imap.ask(b"ENABLE CONDSTORE")
        except BaseException:
            self.imap.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.imap.close()

    def names(self) -> list[str]:
        """Return the folders that hold mails, sorted."""
        found, _ = self.imap.done(b"LIST", b'""', b'"*"')
        rows = [row for row in found if row[:1] == [b"LIST"] and len(row) == 4 and isinstance(row[3], bytes)]
        return sorted({folder_name(row[3]) for row in rows if b"\\noselect" not in map(bytes.lower, row[1])})

    def count(self, name: str) -> int | None:
        """Return how many mails a folder has, None where the server does not tell."""
        found, answered = self.imap.ask(b"STATUS", folder_part(name), b"(MESSAGES)")
        if not answered.good:
            return None
        told = next((row[2] for row in found if row[:1] == [b"STATUS"] and len(row) > 2), [b"", b"0"])
        return int(told[1])

    def open(self, name: str, *, writing: bool = False) -> Opened:
        """Open a folder; raises `ObjectMissing` where there is none."""
        self._open = None
        more = (b"(CONDSTORE)",) if "CONDSTORE" in self.abilities else ()
        found, answered = self.imap.ask(b"SELECT" if writing else b"EXAMINE", folder_part(name), *more)
        if not answered.good:
            raise self._missing(name, answered)
        told = b"\n".join(row[1] for row in found if row[:1] == [b"OK"])
        validity = re.search(rb"\[UIDVALIDITY (\d+)\]", told)
        if validity is None:
            raise Fatal(
                msg("The folder '{name}' has no numbers that stay, so it is not known which mails were read.",
                    name=name),
                msg("Ask the operator of the mail server: it does not tell UIDVALIDITY."), object_name=name,
            )  # fmt: skip
        self._open = Opened(name, int(validity[1]), b"[HIGHESTMODSEQ " in told)
        return self._open

    def use(self, opened: Opened) -> None:
        """Open a folder again where another one was opened meanwhile."""
        if self._open != opened and self.open(opened.name) != opened:
            raise Unavailable(msg("The folder '{name}' was made anew while it was read.", name=opened.name))

    def search(self, *criteria: Part) -> list[int]:
        """Return the numbers of the mails that meet criteria, in their order."""
        charset = (b"CHARSET", b"UTF-8") if any(isinstance(part, Literal) for part in criteria) else ()
        found, _ = self.imap.done(b"UID", b"SEARCH", *charset, *criteria)
        rows = [row[1:] for row in found if row[:1] == [b"SEARCH"]]
        return sorted({int(part) for row in rows for part in row if isinstance(part, bytes)})

    def fetch(self, numbers: Sequence[int], *items: bytes) -> Iterator[dict[str, Any]]:
        """Yield what is asked for of mails: by the names of the items in capitals; those that are gone are left out.

        What the server gives in parts is put together; a mail of which it never gives all comes last, and lacks it.

        Raises:
            Unavailable: A mail is there, and nothing of it is given.
        """
        for start in range(0, len(numbers), _AT_ONCE):
            yield from self._fetched({*numbers[start : start + _AT_ONCE]}, items)

    def _fetched(self, wanted: set[int], items: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        begun: dict[int, dict[str, Any]] = {}
        names = names_of(items)
        for told in self._rows(number_set([*wanted]), items):
            number = int(told.get("UID") or 0)
            if number not in wanted:  # nobody asked for it, or it was given already
                continue
            held = begun.setdefault(number, {})
            held |= {name: value for name, value in told.items() if value is not None or name != "BODY"}
            if held.keys() >= names:
                wanted.remove(number)
                yield begun.pop(number)
        if wanted:
            yield from self._doubtful(wanted, begun)

    def _doubtful(self, wanted: set[int], begun: dict[int, dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the parts of mails that are there, and no mail that is gone."""
        self.imap.ask(b"NOOP")  # behind it the server does not count any more what others have deleted
        there = wanted.intersection(self.search(b"UID", number_set([*wanted])))
        if there - begun.keys():
            name = "-" if self._open is None else self._open.name
            raise Unavailable(
                msg("The mail server does not give the mail {number} of '{name}', which is there.",
                    number=min(there - begun.keys()), name=name),
                msg("Try again later; if it happens always, ask the operator of the mail server."), object_name=name,
            )  # fmt: skip
        yield from (begun[number] for number in sorted(there))

    def _rows(self, numbers: bytes, items: Sequence[bytes]) -> Iterator[dict[str, Any]]:
        stream = self.imap.stream(b"UID", b"FETCH", numbers, b"(UID " + b" ".join(items) + b")")
        while True:
            try:
                row = next(stream)
            except StopIteration as end:
                if not end.value.good:
                    raise self.imap.refused(end.value) from None
                return
            if len(row) == 3 and row[1].upper() == b"FETCH" and isinstance(row[2], list):
                yield _pairs(row[2])

    def store(self, number: int, sign: str, flags: Sequence[str], name: str) -> None:
        """Add flags to a mail (`+`) or take them away (`-`)."""
        if flags:
            words = " ".join(flags).encode("ascii", "replace")
            self.imap.done(
                b"UID", b"STORE", b"%d" % number, sign.encode() + b"FLAGS.SILENT", b"(" + words + b")", name=name
            )

    def move(self, number: int, name: str, target: str) -> None:
        """Move a mail to another folder."""
        if "MOVE" in self.abilities:
            self.imap.done(b"UID", b"MOVE", b"%d" % number, folder_part(target), name=target)
            return
        self.check_removal(name)  # else each repetition would leave another copy
        self.imap.done(b"UID", b"COPY", b"%d" % number, folder_part(target), name=target)
        self.remove(number, name)

    def check_removal(self, name: str) -> None:
        """Refuse what ends with the removal of a mail where the server cannot do that; raises `Forbidden`."""
        if "UIDPLUS" not in self.abilities:
            raise Forbidden(
                msg("The mail server cannot delete single mails of '{name}' (UIDPLUS).", name=name),
                msg("Let the rule move mails to a folder of their own instead of deleting them.")
                if "MOVE" in self.abilities
                else msg("Let the rule mark mails instead of deleting, moving or replacing them."), object_name=name,
            )  # fmt: skip

    def remove(self, number: int, name: str) -> None:
        """Delete a mail for good, and no other one."""
        self.check_removal(name)
        self.imap.done(b"UID", b"STORE", b"%d" % number, b"+FLAGS.SILENT", b"(\\Deleted)", name=name)
        self.imap.done(b"UID", b"EXPUNGE", b"%d" % number, name=name)

    def append(self, name: str, raw: bytes, flags: Sequence[str], received: str | None) -> int | None:
        """Put a mail into a folder; return its number, None where the server does not tell."""
        words = b"(" + " ".join(flags).encode("ascii", "replace") + b")"
        when = [] if received is None else [b'"' + received.encode() + b'"']
        _, answered = self.imap.done(b"APPEND", folder_part(name), words, *when, Literal(raw), name=name)
        told = (answered.code("APPENDUID") or "").split()
        return int(told[1]) if len(told) == 2 else None

    def _sign_in(self) -> None:
        answered = self._asked()
        if answered.status == "NO" and self.server.renew():
            answered = self._asked()
        if answered.good:
            return
        if any(answered.code(code) is not None for code in _BUSY):
            raise Unavailable(
                msg("The mail server takes nobody in at the moment: {said}.", said=answered.said),
                msg("Try again later."),
            )
        raise AuthFailed(self.server.place.refused(), msg("Check both in the connection's settings."))

    def _asked(self) -> Answered:
        token, user = self.server.token(), self.server.user
        if token is not None:
            return self.imap.authenticate("XOAUTH2", base64.b64encode(bearer(user, token)))
        return self._by_password(user, str(self.server.place.password))

    def _by_password(self, user: str, password: str) -> Answered:
        able = self._abilities()
        if "AUTH=PLAIN" in able:
            return self.imap.authenticate("PLAIN", base64.b64encode(f"\0{user}\0{password}".encode()))
        if "LOGINDISABLED" in able:
            raise AuthFailed(
                msg("The mail server takes no password over a connection that is not encrypted."),
                msg("Choose an encryption in the connection's settings."),
            )
        return self.imap.ask(b"LOGIN", quoted(user), quoted(password))[1]

    def _abilities(self) -> frozenset[str]:
        found, _ = self.imap.done(b"CAPABILITY")
        rows = [row[1:] for row in found if row[:1] == [b"CAPABILITY"]]
        return frozenset(word.decode("latin-1").upper() for row in rows for word in row if isinstance(word, bytes))

    def _missing(self, name: str, answered: Answered) -> ObjectMissing:
        return ObjectMissing(
            msg("There is no folder '{name}', or it cannot be opened: {said}.", name=name, said=answered.said),
            msg("Choose another folder, or give the user the right to it."), object_name=name,
        )  # fmt: skip


def names_of(items: Iterable[bytes]) -> frozenset[str]:
    """Return what the server calls items that it is asked for."""
    return frozenset(item.partition(b"[")[0].removesuffix(b".PEEK").decode("ascii") for item in items)


def number_set(numbers: Sequence[int]) -> bytes:
    """Return numbers as IMAP writes them: those that follow each other as a range."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}:{b}" for a, b in parts).encode()


def folder_part(name: str) -> Part:
    """Return a folder's name as an argument: in the UTF-7 of IMAP."""
    made, waiting = "", ""
    for character in [*name, ""]:
        if character and not " " <= character <= "~":
            waiting += character
            continue
        if waiting:
            shifted = base64.b64encode(waiting.encode("utf-16-be", "surrogatepass")).decode().rstrip("=")
            made, waiting = f"{made}&{shifted.replace('/', ',')}-", ""
        made += "&-" if character == "&" else character
    return quoted(made)


def folder_name(raw: bytes) -> str:
    """Return a folder's name as people read it."""
    return _SHIFTED.sub(_unshifted, raw.decode("utf-8", "replace"))


def _unshifted(found: re.Match[str]) -> str:
    if not found[1]:
        return "&"
    text = found[1].replace(",", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-16-be")
    except ValueError:
        return found[0]


def _pairs(row: list[Any]) -> dict[str, Any]:
    names = [n.decode("latin-1").upper().partition("[")[0] if isinstance(n, bytes) else "" for n in row[::2]]
    return dict(zip(names, row[1::2], strict=False))
