"""Events as other systems read them: syslog (RFC 5424), JSON, CEF. Pure.

Values that tell of a person stay where they are: of them only that there were some is sent on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from webapp.audit.canonical import stamp
from webapp.audit.personal import MARK
from webapp.audit.sentences import sentence
from webapp.audit.tags import Tag

RFC5424, JSON, CEF = "rfc5424", "json", "cef"
_FACILITY = 13
"""Log audit."""
_NOTICE, _WARNING, _ALERT = 5, 4, 1
_WARNINGS = frozenset({Tag.SIGN_IN_FAILED, Tag.DENIED, Tag.EVENT_RULE_STOPPED, Tag.EVENT_ACTION_FAILED})
_ALERTS = frozenset({Tag.APPROVAL_OVERRIDDEN})
_CEF_LEVELS = {_NOTICE: 3, _WARNING: 6, _ALERT: 10}
_VENDOR = "Syncline"
_LONGEST = 1000
"""So much of a value is sent in formats whose receivers cut long lines."""
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What ends a line somewhere, or steers the terminal of who reads a log."""
_ENTERPRISE = 32473
"""The number that RFC 5612 sets aside for names that nobody has registered."""


def severity(event: Any) -> int:
    """Return how grave an event is, as syslog counts."""
    return _ALERT if event.tag in _ALERTS else _WARNING if event.tag in _WARNINGS else _NOTICE


def as_json(event: Any, origin: str) -> dict[str, Any]:
    """Return an event as JSON; `entry` is its place in the log, from 1."""
    names = ("tag", "actor_kind", "actor_name", "address", "request_id", "subject_kind", "subject", "record_key")
    told = {name: getattr(event, name) for name in (*names, "run_id", "reason")}
    values = {"before": _open(event.before), "after": _open(event.after)}
    head = {"log": origin, "entry": event.seq + 1, "id": event.id, "at": stamp(event.at), "severity": severity(event)}
    return {**head, "message": str(sentence(event)), **told, **values}


def as_syslog(event: Any, origin: str, host: str, body: str) -> bytes:
    """Return a message of RFC 5424: what it says is `body`, or without one the sentence of the event."""
    head = (
        f"<{_FACILITY * 8 + severity(event)}>1 {stamp(event.at)} {_name(host, 255)} syncline - {_name(event.tag, 32)}"
    )
    told = {
        "log": origin,
        "entry": event.seq + 1,
        "id": event.id,
        "tag": event.tag,
        "actorKind": event.actor_kind,
        "actor": event.actor_name,
        "address": event.address,
        "subjectKind": event.subject_kind,
        "subject": event.subject,
        "record": event.record_key,
        "run": event.run_id,
    }
    data = "".join(f' {name}="{_parameter(value)}"' for name, value in told.items() if value not in (None, ""))
    text = body or _line(f"{sentence(event)}" + (f" ({event.reason})" if event.reason else ""))
    return f"{head} [syncline@{_ENTERPRISE}{data}] \ufeff{text}".encode()


def as_cef(event: Any, origin: str) -> str:
    """Return an event in the Common Event Format."""
    head = (_VENDOR, _VENDOR, "1", event.tag, _line(str(sentence(event))))
    said = {
        "externalId": str(event.id),
        "rt": str(int(event.at.timestamp() * 1000)),
        "suser": event.actor_name,
        "src": event.address,
        "act": event.tag.rpartition(":")[2],
        "dvchost": origin,
        "duser": event.subject if event.subject_kind == "user" else None,
        "reason": event.reason,
        "cnt": None,
        "cs1": f"{event.subject_kind}/{event.subject}" + (f"/{event.record_key}" if event.record_key else ""),
        "cs1Label": "subject",
        "cn1": event.run_id,
        "cn1Label": "run" if event.run_id else None,
        "cn2": event.seq + 1,
        "cn2Label": "entry",
    }
    more = " ".join(f"{name}={_extension(value)}" for name, value in said.items() if value not in (None, ""))
    return "|".join(("CEF:0", *(_header(part) for part in head), str(_CEF_LEVELS[severity(event)]), more))


def dumped(told: Mapping[str, Any]) -> str:
    """Return JSON on one line."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"), default=str)


def _open(values: Any) -> Any:
    """Return values without what tells of a person."""
    if not isinstance(values, Mapping):
        return values
    return {name: None if isinstance(v, Mapping) and MARK in v else v for name, v in values.items()}


def _name(text: str, length: int) -> str:
    """Return a text as a name in a header of syslog: ASCII that can be seen, no blanks."""
    return "".join(letter if "!" <= letter <= "~" else "-" for letter in text)[:length] or "-"


def _line(text: str) -> str:
    return " ".join(_BREAKS.sub(" ", text).split())[:_LONGEST]


def _parameter(value: object) -> str:
    text = _BREAKS.sub(" ", str(value)[:_LONGEST])
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _header(text: str) -> str:
    return _line(text).replace("\\", "\\\\").replace("|", "\\|")


def _extension(value: object) -> str:
    lines = (_BREAKS.sub(" ", line) for line in str(value)[:_LONGEST].replace("\r\n", "\n").split("\n"))
    return "\\n".join(line.replace("\\", "\\\\").replace("=", "\\=") for line in lines)
