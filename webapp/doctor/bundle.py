"""What to send to whoever helps: how an installation is set up and doing, without a secret, a name or a record.

Nothing is blacked out: only what is known to be harmless is put in. Of the logs these are times, levels, where a line
was written and the kinds of errors, but no line's text.
"""

from __future__ import annotations

import json
import platform
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from config import Settings
from webapp import logs
from webapp.doctor.findings import Finding
from webapp.extensions import House, to_json
from webapp.migrations.tables import all_tables
from webapp.rulebook.models import rule
from webapp.runs.models import run

HARMLESS = (
    "profile", "workers", "web_threads", "lease_seconds", "language", "timezone", "log_level", "log_format",
    "secure_cookies", "trusted_proxies", "requests_per_minute", "key_provider", "page_size", "event_days", "hook_bytes",
    "plan_days", "checkpoint_minutes", "audit_days", "record_reads", "database_pool", "session_idle_minutes",
    "session_hours", "require_second_factor",
)  # fmt: skip
"""Settings that tell of nobody and open nothing."""
LATEST = 200
_HEAD = re.compile(r"timestamp='([0-9T:.Z-]+)' level='([a-z]+)' logger='([\w.]+)'")
_FRAME = re.compile(r'File "[^"]*?((?:webapp|connectors|rules)/[\w/]+\.py)", line (\d+), in (\w+)')
_ERROR = re.compile(r"^([\w.]+(?:Error|Exception|Warning|Timeout|Refused|Fatal|Fenced))\b", re.MULTILINE)


def write(house: House, path: Path, findings: Sequence[Finding]) -> None:
    """Write the bundle to a new file; raises `FileExistsError`."""
    parts: dict[str, Any] = {
        "checks": [{"check": one.check, "state": one.state.value} for one in findings],
        "settings": _settings(house.settings),
        "versions": _versions(house),
        "counts": {},
        "runs": [],
        "logs": _logs(house.settings),
    }
    try:
        with house.db.read() as tx:
            parts["counts"], parts["runs"] = dict(_counts(tx)), list(_runs(tx))
    except sa.exc.SQLAlchemyError as error:
        parts["database"] = type(error).__name__
    with path.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(f"{name}.json", json.dumps(json.loads(to_json(part)), indent=2))


def _settings(given: Settings) -> dict[str, Any]:
    return {name: getattr(given, name) for name in HARMLESS}


def _versions(house: House) -> dict[str, Any]:
    packages = sorted({f"{found.name}=={found.version}" for found in metadata.distributions()})
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "database": house.db.engine.dialect.name,
        "packages": packages,
    }


def _counts(tx: sa.Connection) -> Iterator[tuple[str, int]]:
    for table in all_tables().sorted_tables:
        yield table.name, tx.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    yield "rules by state", dict(tx.execute(sa.select(rule.c.state, sa.func.count()).group_by(rule.c.state)).all())  # type: ignore[misc]


def _runs(tx: sa.Connection) -> Iterator[dict[str, Any]]:
    columns = (run.c.id, run.c.rule_id, run.c.mode, run.c.kind, run.c.state, run.c.counts, run.c.attempts)
    times = (run.c.requested_at, run.c.started_at, run.c.ended_at)
    for row in tx.execute(sa.select(*columns, *times).order_by(run.c.id.desc()).limit(LATEST)):
        yield dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's name for the row as a mapping


def _logs(given: Settings) -> dict[str, Any]:
    return {path.stem: _log(path) for path in sorted(logs.folder(given).glob("*.log"))}


def _log(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8", "replace")
    lines = [found.groups() for found in _HEAD.finditer(text)]
    frames = Counter(f"{file}:{line} {function}" for file, line, function in _FRAME.findall(text))
    return {
        "lines": Counter(f"{level} {logger}" for _at, level, logger in lines),
        "last": lines[-1][0] if lines else None,
        "errors": Counter(_ERROR.findall(text)),
        "frames": dict(frames.most_common(50)),
    }
