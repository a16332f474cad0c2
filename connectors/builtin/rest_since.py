"""The moment since when changes are asked for, as a service wants it written."""

from __future__ import annotations

import datetime as dt
from typing import Any

from connectors.builtin.rest_objects import Since
from connectors.builtin.rest_paging import Asked
from connectors.value_text import PLAIN


def asked_since(since: Since | None, value: Any) -> Asked:
    """Return the parameters that ask for what changed since a value, a moment or a number."""
    if since is None or value is None:
        return Asked()
    text = written(since, value)
    return Asked(body={since.parameter: text}) if since.place == "body" else Asked(query={since.parameter: text})


def written(since: Since, value: Any) -> str:
    """Return the value as the parameter wants it."""
    if isinstance(value, dt.date):
        value -= dt.timedelta(seconds=since.lookback)
    forms = _forms(value)
    if since.format == "template":
        text = since.template
        for name, form in forms.items():
            text = text.replace(f"{{{name}}}", form)
        return text
    return forms["unix" if since.seconds else since.format]


def _forms(value: Any) -> dict[str, str]:
    plain = PLAIN.text(value) or ""
    if not isinstance(value, dt.date):
        return dict.fromkeys(("value", "iso", "date", "time", "unix", "unix_ms"), plain)
    moment = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    return {
        "value": plain, "iso": plain, "date": moment.date().isoformat(),
        "time": moment.time().isoformat("seconds"), "unix": str(int(seconds)), "unix_ms": str(int(seconds * 1000)),
    }  # fmt: skip
