"""Imports of files: upload, match columns with fields, then chunk by chunk, each in one transaction with its position.

The uploaded file is kept as JSON lines with the place of the next chunk in the job's row, so that an import that was
interrupted at any moment goes on where its last durable chunk ended: no row twice, none left out.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from rules.documents.validation import OnFailure
from rules.text import Message, msg
from webapp.access.roles import CREATE, IMPORT, UPDATE
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities import import_rows, search, sheets, storage
from webapp.entities.history import Author
from webapp.entities.import_rows import DOING_MATCH, Failure, Options, Row
from webapp.entities.model import Entity, EntityField, Kind
from webapp.entities.models import entity_import, entity_import_error
from webapp.entities.permitted import Permit, author_of, permit_of
from webapp.extensions import Actor, House, to_json
from webapp.policies.who import SYSTEM_WHO, Who

CHUNK = 2000
WARNED = 1000
"""So many imported rows are listed with a warning; all are counted."""
_DEEDS: Mapping[str, tuple[str, ...]] = {"create": (CREATE,), "update": (UPDATE,), "both": (CREATE, UPDATE)}
MODES = tuple(_DEEDS)


class ImportRefused(ValueError):
    """An import cannot start as it is set up; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Job:
    """One import; `position` rows are done, the next chunk begins at byte `offset` of the kept file."""

    id: int
    entity: str
    state: str
    file_name: str
    columns: tuple[str, ...]
    kept: str
    options: Options
    total: int
    position: int
    offset: int
    counts: Mapping[str, int]
    at: datetime
    actor: str

    @property
    def percent(self) -> int:
        """Return how far the import is."""
        return 100 if not self.total else self.position * 100 // self.total


def targets(entity: Entity, permit: Permit | None = None) -> list[str]:
    """Return the columns that a file can fill; those that are unique, and `id`, can also tell which record is meant."""
    fields = [f for f in entity.fields if f.kind is not Kind.FILE and _usable(f, permit)]
    return ["id", *(c.name for f in fields for c in f.fields if not c.generated)]


def _usable(field: EntityField, permit: Permit | None) -> bool:
    return permit is None or field in permit.writable or (field.unique and permit.plain(field.name))


def begin(house: House, entity: Entity, stream: IO[bytes], file_name: str, actor: Actor) -> int:
    """Keep an uploaded file and return the number of its import; raises `sheets.Unreadable`."""
    kept = secrets.token_hex(16)
    columns, total = _keep(house, kept, sheets.rows(stream))
    options = Options(mapping=_guess(entity, columns))
    values = {
        "entity": entity.name,
        "state": "uploaded",
        "file_name": Path(file_name.replace("\\", "/")).name[:255],
        "options": {"columns": columns, "kept": kept, "offset": 0, **asdict(options)},
        "total": total,
        "position": 0,
        "counts": {},
        "at": house.clock(),
        "actor": actor.name[:128],
    }
    with house.db.begin() as tx:
        key = tx.execute(sa.insert(entity_import).values(values)).inserted_primary_key
        return int(key[0]) if key else 0


def find(tx: sa.Connection, name: str, job_id: int, *, lock: bool = False) -> Job | None:
    """Return an import of an entity."""
    query = sa.select(entity_import).where(entity_import.c.id == job_id, entity_import.c.entity == name)
    row = tx.execute(query.with_for_update() if lock else query).mappings().first()
    return _job(row) if row else None


def latest(tx: sa.Connection, name: str, limit: int = 10, owner: str | None = None) -> list[Job]:
    """Return the last imports of an entity, with `owner` only those of that person."""
    query = sa.select(entity_import).where(entity_import.c.entity == name)
    query = query if owner is None else query.where(entity_import.c.actor == owner)
    return [_job(row) for row in tx.execute(query.order_by(entity_import.c.id.desc()).limit(limit)).mappings()]


def errors(tx: sa.Connection, job_id: int, limit: int | None = None) -> list[sa.Row[Any]]:
    """Return the refused rows of an import, and behind them those that were imported with a warning."""
    query = sa.select(entity_import_error).where(entity_import_error.c.import_id == job_id)
    last = sa.case((entity_import_error.c.severity == OnFailure.WARN.value, 1), else_=0)
    return list(tx.execute(query.order_by(last, entity_import_error.c.id).limit(limit)))


def sample(house: House, job: Job, count: int = 3) -> list[dict[str, str]]:
    """Return the first rows of the file."""
    return [row for _, row, _ in _read(house, job, 0, count)]


def choose(house: House, entity: Entity, job: Job, options: Options, who: Who = SYSTEM_WHO) -> None:
    """Set an import going; raises `ImportRefused`, and `NotPermitted` for what `who` may not do."""
    _check(entity, options)
    values = {"options": _stored(job, options, 0), "state": "running", "position": 0, "counts": {}}
    with house.db.begin() as tx:
        if not who.system:
            _permitted(permit_of(tx, who, entity), options)
        tx.execute(sa.delete(entity_import_error).where(entity_import_error.c.import_id == job.id))
        open_ = sa.and_(entity_import.c.id == job.id, entity_import.c.state == "uploaded")
        tx.execute(sa.update(entity_import).where(open_).values(values))


def reopen(house: House, job: Job) -> None:
    """Go back to the mapping after a dry run."""
    with house.db.begin() as tx:
        dry = sa.and_(entity_import.c.id == job.id, entity_import.c.state == "done")
        if job.options.dry_run:
            tx.execute(sa.update(entity_import).where(dry).values(state="uploaded"))


def cancel(house: House, job: Job) -> None:
    """Stop an import."""
    with house.db.begin() as tx:
        unfinished = sa.and_(entity_import.c.id == job.id, entity_import.c.state != "done")
        tx.execute(sa.update(entity_import).where(unfinished).values(state="cancelled"))
    _path(house, job.kept).unlink(missing_ok=True)


def step(house: House, job: Job, actor: Actor, who: Who = SYSTEM_WHO) -> Job:
    """Do the next chunk and return the import as it is then; of two that come together one waits for the other."""
    with house.db.begin() as tx:
        current = find(tx, job.entity, job.id, lock=True)
        if current is None or current.state != "running":
            return current or job
        entity = storage.current(tx, job.entity, lock=True)
        rows = list(_read(house, current, current.offset, CHUNK))
        author = author_of(tx, entity, Author(actor, house.clock()), who)
        if author.permit is not None:
            _permitted(author.permit, current.options)
        counts, failures = _chunk(tx, entity, current, rows, author, ZoneInfo(house.settings.timezone))
        _note_failures(tx, current, failures)
        after = _advanced(current, len(rows), rows[-1][2] if rows else current.offset, counts)
        values = {"state": after.state, "position": after.position, "counts": dict(after.counts)}
        stored = {**values, "options": _stored(after, after.options, after.offset)}
        tx.execute(sa.update(entity_import).where(entity_import.c.id == job.id).values(stored))
        if after.state == "done" and not after.options.dry_run:
            what = {"file": after.file_name, "rows": after.total, **after.counts}
            record(tx, actor, author.at, Event(Tag.RECORDS_IMPORTED, Subject("entity", entity.name), None, what))
    if after.state == "done" and not after.options.dry_run:
        _path(house, after.kept).unlink(missing_ok=True)
    return after


def _chunk(
    tx: sa.Connection,
    entity: Entity,
    job: Job,
    rows: Sequence[Row],
    author: Author,
    zone: tzinfo,
) -> tuple[dict[str, int], list[Failure]]:
    """Write the rows, or in a dry run do so and take it back."""
    if not job.options.dry_run:
        return import_rows.write(tx, entity, job.options, rows, author, zone)
    trial = tx.begin_nested()
    try:
        return import_rows.write(tx, entity, job.options, rows, author, zone)
    finally:
        trial.rollback()


def _check(entity: Entity, options: Options) -> None:
    fields = [name for name in options.mapping.values() if name]
    known = targets(entity)
    if not fields:
        raise ImportRefused(msg("Choose a field for at least one column."))
    twice = next((name for name in fields if fields.count(name) > 1), None)
    if twice:
        raise ImportRefused(msg("The field '{name}' is chosen for two columns.", name=twice))
    if any(name not in known for name in fields) or options.mode not in MODES:
        raise ImportRefused(msg("A chosen field no longer exists. Load the page again."))
    if options.mode != "create" and (not options.key or options.key not in fields):
        raise ImportRefused(msg("Choose the field by which existing records are found, and a column for it."))


def _permitted(permit: Permit, options: Options) -> None:
    """Raise `NotPermitted` for what the import would do without permission, before it does half of it."""
    permit.require(IMPORT)
    for action in _DEEDS[options.mode]:
        permit.require(action)
    permit.require_plain((options.key,) if options.key else (), DOING_MATCH)
    found_by = options.key if options.mode == "update" else "id"
    permit.require_write(name for name in options.mapping.values() if name not in ("", found_by))


def _guess(entity: Entity, columns: Sequence[str]) -> dict[str, str]:
    """Return column -> field where the heading is a field's name or label."""
    names = {search.fold(n): n for n in targets(entity)}
    for item in entity.fields:
        for text in (item.label.en, item.label.zh):
            if text and item.name in names.values():
                names.setdefault(search.fold(text), item.name)
    mapping: dict[str, str] = {}
    for column in columns:
        folded = search.fold(column).strip()
        name = names.get(folded) or names.get(folded.replace(" ", "_"), "")
        mapping[column] = name if name not in mapping.values() else ""
    return mapping


def _keep(house: House, kept: str, rows: Iterator[tuple[int, list[str]]]) -> tuple[list[str], int]:
    path = _path(house, kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    first = next(rows, None)
    if first is None:
        raise sheets.Unreadable(msg("The file is empty."))
    columns = _headings(first[1])
    total = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for line, cells in rows:
            file.write(json.dumps([line, cells], ensure_ascii=False, separators=(",", ":")) + "\n")
            total += 1
    return columns, total


def _headings(cells: Sequence[str]) -> list[str]:
    """Return a heading for every column, each once."""
    names: list[str] = []
    for number, cell in enumerate(cells, start=1):
        name = cell or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _read(house: House, job: Job, offset: int, count: int) -> Iterator[Row]:
    """Yield (line, cells by column, the byte behind the row)."""
    with _path(house, job.kept).open("rb") as file:
        file.seek(offset)
        for _ in range(count):
            text = file.readline()
            if not text:
                return
            line, cells = json.loads(text)
            yield line, dict(zip(job.columns, cells, strict=False)), file.tell()


def _path(house: House, kept: str) -> Path:
    return house.settings.data / "imports" / f"{kept}.jsonl"


def _advanced(job: Job, rows: int, offset: int, counts: Mapping[str, int]) -> Job:
    position = job.position + rows
    summed = {**job.counts, **{name: job.counts.get(name, 0) + value for name, value in counts.items()}}
    state = "done" if position >= job.total or rows == 0 else "running"
    return replace(job, position=position, offset=offset, counts=summed, state=state)


def _note_failures(tx: sa.Connection, job: Job, failures: Sequence[Failure]) -> None:
    warned = [f for f in failures if f.severity is OnFailure.WARN]
    room = max(WARNED - job.counts.get("warned", 0), 0)
    listed = [*(f for f in failures if f.severity is not OnFailure.WARN), *warned[:room]]
    if listed:
        rows = [
            {
                "import_id": job.id,
                "line": f.line,
                "severity": f.severity.value,
                "field": f.field,
                "message": json.loads(to_json(f.message.to_json())),
                "row": dict(f.row),
            }
            for f in sorted(listed, key=lambda f: f.line)
        ]
        tx.execute(sa.insert(entity_import_error), rows)


def _stored(job: Job, options: Options, offset: int) -> dict[str, Any]:
    return {"columns": list(job.columns), "kept": job.kept, "offset": offset, **asdict(options)}


def _job(row: sa.RowMapping) -> Job:
    held = row["options"]
    options = Options(dict(held["mapping"]), held["key"], held["mode"], held["dry_run"])
    same = {
        name: row[name] for name in ("id", "entity", "state", "file_name", "total", "position", "counts", "at", "actor")
    }
    return Job(**same, columns=tuple(held["columns"]), kept=held["kept"], offset=held["offset"], options=options)
