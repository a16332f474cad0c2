"""What a rule asks of records before it maps them, in plain sentences: decision tables and validations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webapp.rulebook.kind import listed
from webapp.rulebook.translation import translate as _
from webapp.web import validation_words

SHOWN = 4
"""Validations that one sentence names."""


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return which decision tables are asked, and what becomes of records that do not meet the validations."""
    return [*_decisions(listed(document, "decisions")), *_validations(listed(document, "validations"))]


def _decisions(decisions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = [str(one.get("table") or "?") for one in decisions]
    if len(names) == 1:
        yield _("For each record the decision table %(name)s is asked.", name=names[0])
    elif names:
        yield _("For each record these decision tables are asked: %(names)s.", names=", ".join(names))


def _validations(validations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for severity in ("quarantine", "reject", "warn"):
        what = [
            f"“{validation_words.title(one)}”" for one in validations if one.get("severity", "quarantine") == severity
        ]
        if what:
            yield _told(severity, ", ".join(what[:SHOWN]), len(what) - SHOWN)


def _told(severity: str, what: str, more: int) -> str:
    shown = _("%(what)s and %(count)d more", what=what, count=more) if more > 0 else what
    if severity == "reject":
        return _("A record that does not meet one of these validations is left out: %(what)s.", what=shown)
    if severity == "warn":
        return _("A record that does not meet one of these validations is written, and listed: %(what)s.", what=shown)
    return _(
        "A record that does not meet one of these validations is parked until someone corrects it: %(what)s.",
        what=shown,
    )
