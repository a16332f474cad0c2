"""What the report of an evidence package says, in the reader's language; HTML and PDF write the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from babel.support import Translations

from rules.text import N_, Message
from webapp.audit.differences import difference, flat
from webapp.audit.notes import Checkpoint
from webapp.audit.personal import MARK
from webapp.audit.sentences import sentence
from webapp.web.language import TRANSLATIONS

TITLE = N_("Evidence from the audit log")
LABELS: Mapping[str, str] = {
    "title": N_("What for"),
    "origin": N_("Log"),
    "made": N_("Made"),
    "by": N_("Asked for by"),
    "filter": N_("Events asked for"),
    "events": N_("Events"),
    "size": N_("Sealed events in all"),
    "root": N_("Root of the tree"),
    "sealed": N_("Sealed until"),
    "key": N_("Public key"),
}
COLUMNS = (N_("Entry"), N_("Time (UTC)"), N_("Who"), N_("What happened"))
CHECK = N_("How to check it")
CHECKED = N_(
    "Every event below is an entry of a signed Merkle tree. Run: syncline audit verify --file NAME.zip --key KEY, with"
    " the public key of the log from elsewhere. VERIFY.txt says how to check it with other tools."
)
EVERYTHING = N_("all")
PERSONAL = N_("(personal value, protected)")
SHORTENED = N_("The first {count} events are printed here; report.html and events.jsonl hold all of them.")
_LONGEST = 400


class Words:
    """Says texts in a language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._known = Translations.load(TRANSLATIONS, [language])

    def __call__(self, template: str, **values: Any) -> str:
        """Return a text."""
        text = str(self._known.gettext(template))
        return text.format(**values) if values else text

    def message(self, message: Message) -> str:
        """Return a sentence."""
        values = {k: self.message(v) if isinstance(v, Message) else v for k, v in message.values.items()}
        return self(message.template, **values)


@dataclass(frozen=True)
class Asked:
    """Who has asked for what, and what for."""

    by: str
    title: str
    filter: Mapping[str, Any]


@dataclass(frozen=True)
class Head:
    """What the report says at its beginning."""

    origin: str
    made: datetime
    asked: Asked
    events: int
    top: Checkpoint
    key: str

    def facts(self, words: Words) -> Iterator[tuple[str, str]]:
        """Yield names and values."""
        chosen = ", ".join(f"{name}: {value}" for name, value in self.asked.filter.items())
        said = {
            "title": self.asked.title,
            "origin": self.origin,
            "made": f"{self.made:%Y-%m-%d %H:%M:%S} UTC",
            "by": self.asked.by,
            "filter": chosen or words(EVERYTHING),
            "events": str(self.events),
            "size": str(self.top.size),
            "root": self.top.root.hex(),
            "sealed": f"{self.top.at:%Y-%m-%d %H:%M:%S} UTC",
            "key": self.key,
        }
        yield from ((words(LABELS[name]), value) for name, value in said.items() if value)


@dataclass(frozen=True)
class Entry:
    """One event: its place in the log, and what it says; `changes` are (field, before, after)."""

    place: int
    event_id: int
    at: str
    who: str
    what: str
    about: str
    reason: str
    changes: tuple[tuple[str, str, str], ...]


def entries(rows: Iterable[Any], words: Words) -> Iterator[Entry]:
    """Yield what the report says of each event."""
    for row in rows:
        about = " · ".join(filter(None, (f"{row.subject_kind} {row.subject}", row.record_key, row.tag)))
        who = f"{row.actor_name} ({row.address})" if row.address else row.actor_name
        head = (row.seq, row.id, f"{row.at:%Y-%m-%d %H:%M:%S}", who, words.message(sentence(row)), about)
        yield Entry(*head, row.reason or "", tuple(_changes(row, words)))


def _changes(row: Any, words: Words) -> Iterator[tuple[str, str, str]]:
    before, after = (_veiled(side, words) for side in (row.before, row.after))
    if before is not None and after is not None:
        found = difference(before, after)
        before, after = found.before, found.after
    old, new = (flat(side) if side is not None else {} for side in (before, after))
    for name in {**old, **new}:
        yield name, _text(old.get(name)), _text(new.get(name))


def _veiled(side: Any, words: Words) -> dict[str, Any] | None:
    if not isinstance(side, Mapping):
        return None
    hidden = words(PERSONAL)
    return {name: hidden if isinstance(v, Mapping) and set(v) == {MARK} else v for name, v in side.items()}


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
