"""Evidence packages: the events of a time or a subject with their proofs and a report, in one signed ZIP.

Everybody can check it without this installation: `manifest.json` has the SHA-256 of every file, `manifest.note` is its
digest signed by the log's key (C2SP signed-note), each event comes with the path that proves its place, and checkpoints
with the proof that the log has only grown between them. `VERIFY.txt` says how.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit import queries
from webapp.audit.canonical import FIELDS, document, encode, stamp
from webapp.audit.keys import lines, public_keys
from webapp.audit.models import audit_checkpoint, audit_event, audit_leaf
from webapp.audit.notes import Signer, checkpoint, sign
from webapp.audit.services import Event, Subject, record
from webapp.audit.stored_tree import remembering_tree
from webapp.audit.tags import Tag
from webapp.evidence import report, report_html, report_pdf
from webapp.evidence.checking import stored_blobs
from webapp.evidence.jobs import Hold
from webapp.evidence.signing import origin, signer
from webapp.evidence.stored import opened
from webapp.extensions import SYSTEM, House

FORMAT = "syncline-evidence/1"
TITLE = "syncline evidence package"
FETCH = 1000
MOST_CHECKPOINTS = 200
_MANIFEST = ("manifest.json", "manifest.note")
VERIFY = """How to check this package

With Syncline, on any machine, also without a network:
    syncline audit verify --file NAME.zip --key KEY
KEY is the public key of the log. Take it from elsewhere, not from this package: from whoever runs the installation
("syncline audit keys"), or from where it was written down before. Without --key the package vouches for itself.

By hand, or with tools of your own:
1. manifest.note is a signed note (C2SP signed-note, Ed25519). Check its signature with the key. Its second line is the
   SHA-256 of manifest.json, in hexadecimal.
2. manifest.json has the SHA-256 of every other file.
3. checkpoint.txt is a signed note (C2SP tlog-checkpoint): the size and the root of the Merkle tree (RFC 9162).
4. Each line of events.jsonl is an event as it was sealed. Its leaf is SHA-256(0x00 || canonical JSON): keys sorted,
   no blanks, UTF-8. proofs.jsonl has its place and its inclusion path (RFC 9162, 2.1.3.2), in base64, up to
   checkpoint.txt.
5. checkpoints.jsonl has older checkpoints, each with the consistency path (RFC 9162, 2.1.4.2) to checkpoint.txt.
6. runs/RUN/PART.outcomes are the records of runs. Their SHA-256 stand in the events runs:run:chunk_applied ("digest").
report.html and report.pdf tell the same for people.
"""


class NothingToProve(Exception):
    """No sealed event is asked for; `message` says what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Wanted:
    """Which events, for whom and why."""

    filter: queries.Filter
    title: str = ""
    runs: bool = False
    language: str = "en"

    def to_json(self) -> dict[str, Any]:
        """Return the form in which it is stored."""
        return {"filter": self.filter.told(), "title": self.title, "runs": self.runs, "language": self.language}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Wanted:
        """Return what `to_json` gave."""
        told = dict(stored["filter"])
        dates = {name: datetime.fromisoformat(told[name]) for name in ("since", "until") if name in told}
        return cls(queries.Filter(**{**told, **dates}), stored["title"], stored["runs"], stored["language"])


def folder(house: House) -> Path:
    """Return where packages lie."""
    return house.settings.data / "evidence"


def do(house: House, hold: Hold) -> Mapping[str, Any]:
    """Make the package that a job asks for."""
    folder(house).mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"evidence-{hold.job.id}-{house.clock():%Y%m%d-%H%M%S}.zip"
    path = folder(house) / name
    draft = path.with_suffix(f".{hold.token}.part")
    try:
        count = write(house, draft, Wanted.from_json(hold.job.wanted), hold.job.requested_by, hold)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    digest = _file_digest(path)
    with house.db.begin() as tx:
        told = {"events": count, "digest": digest, "requested_by": hold.job.requested_by}
        record(tx, SYSTEM, house.clock(), Event(Tag.PACKAGE_MADE, Subject("package", str(hold.job.id)), after=told))
    return {"result": {"events": count}, "file": name, "size": path.stat().st_size, "digest": digest}


def write(house: House, path: Path, wanted: Wanted, by: str, hold: Hold | None = None) -> int:
    """Write a package to a new file and return how many events it holds; raises `NothingToProve`."""
    key = signer(house)
    with opened(house) as log, _fresh(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        maker = _Maker(house, log.tx, archive, wanted, hold)
        maker.fill(by)
        maker.sign(key)
    return maker.count


def _fresh(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b")


class _Maker:
    """Fills one package."""

    def __init__(
        self, house: House, tx: sa.Connection, archive: zipfile.ZipFile, wanted: Wanted, hold: Hold | None
    ) -> None:
        self._house, self._tx, self._archive, self._wanted, self._hold = house, tx, archive, wanted, hold
        self._files: dict[str, str] = {}
        newest = sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)
        row = tx.execute(newest).one_or_none()
        if row is None:
            raise NothingToProve(msg("Nothing is sealed yet. Try again in a few seconds."))
        self.note, self.sealed_at = row.note, row.at
        self.top = checkpoint(row.note, public_keys(tx))
        self._tree = remembering_tree(tx)
        self.count = 0

    def fill(self, by: str) -> None:
        """Write all files."""
        total = self._total()
        if not total:
            raise NothingToProve(msg("No sealed event is asked for. Widen the dates or the filter."))
        self._text("VERIFY.txt", VERIFY)
        self._text("checkpoint.txt", self.note)
        self._lines("keys.jsonl", ({**vars(line), "at": stamp(line.at)} for line in lines(self._tx)))
        self._lines("events.jsonl", (document(row) for row in self._rows(0, total * 3)))
        self._lines("proofs.jsonl", map(self._proof, self._rows(total, total * 3)))
        self._lines("checkpoints.jsonl", self._checkpoints())
        if self._wanted.runs:
            self._runs()
        self._reports(by, total)

    def _reports(self, by: str, total: int) -> None:
        words = report.Words(self._wanted.language)
        key, made_at = lines(self._tx)[-1].public, self._house.clock()
        wanted = report.Asked(by, self._wanted.title, self._wanted.filter.told())
        head = report.Head(origin(self._house), made_at, wanted, self.count, self.top, key)
        kept: list[report.Entry] = []
        self._html(report_html.pieces(words, head, self._kept(kept, words, total)))
        self._binary("report.pdf", report_pdf.made(words, head, kept))

    def _kept(self, kept: list[report.Entry], words: report.Words, total: int) -> Iterator[report.Entry]:
        """Yield what the report tells of events; the first ones are kept for the PDF."""
        for entry in report.entries(self._rows(total * 2, total * 3), words):
            if len(kept) < report_pdf.MOST:
                kept.append(entry)
            yield entry

    def sign(self, key: Signer) -> None:
        """Write the manifest and its signature."""
        said = {"format": FORMAT, "origin": origin(self._house), "at": stamp(self._house.clock()), "events": self.count}
        manifest = encode({**said, **self._wanted.to_json(), "size": self.top.size, "files": self._files})
        self._archive.writestr(_MANIFEST[0], manifest)
        digest = hashlib.sha256(manifest).hexdigest()
        self._archive.writestr(_MANIFEST[1], sign(f"{TITLE}\n{digest}\n", key))

    def _query(self, *columns: Any) -> sa.Select[Any]:
        joined = audit_event.join(audit_leaf, audit_leaf.c.event_id == audit_event.c.id)
        mine = (*queries.conditions(self._wanted.filter), audit_leaf.c.seq < self.top.size)
        return sa.select(*columns).select_from(joined).where(*mine)

    def _total(self) -> int:
        self.count = self._tx.scalar(self._query(sa.func.count())) or 0
        return self.count

    def _rows(self, done: int, total: int) -> Iterator[Any]:
        columns = [*(audit_event.c[name] for name in FIELDS), audit_leaf.c.seq]
        query = self._query(*columns).order_by(audit_leaf.c.seq)
        for number, row in enumerate(self._tx.execution_options(yield_per=FETCH).execute(query), 1):
            if self._hold is not None and total:
                self._hold.progress(done + number, total)
            yield row

    def _proof(self, row: Any) -> Mapping[str, Any]:
        path = self._tree.inclusion(row.seq, self.top.size)
        return {"event_id": row.id, "place": row.seq, "path": [base64.b64encode(one).decode() for one in path]}

    def _checkpoints(self) -> Iterator[Mapping[str, Any]]:
        """Yield checkpoints of the time that is asked for, evenly chosen where there are many."""
        table, wanted = audit_checkpoint.c, self._wanted.filter
        query = sa.select(table.size, table.note).where(table.size < self.top.size, table.size > 0)
        query = query.where(table.at >= wanted.since) if wanted.since else query
        query = query.where(table.at < wanted.until) if wanted.until else query
        rows = self._tx.execute(query.order_by(table.size)).all()
        for row in rows[:: max(1, len(rows) // MOST_CHECKPOINTS)]:
            path = self._tree.consistency(row.size, self.top.size)
            yield {"size": row.size, "note": row.note, "path": [base64.b64encode(one).decode() for one in path]}

    def _runs(self) -> None:
        read = stored_blobs(self._tx)
        query = self._query(audit_event.c.run_id, audit_event.c.after).where(audit_event.c.tag == Tag.RUN_CHUNK)
        for run_id, after in self._tx.execute(query.order_by(audit_leaf.c.seq)).all():
            for part in ("outcomes", "inputs"):
                blob = read(f"{run_id}/{after['chunk']}.{part}")
                if blob is not None:
                    self._binary(f"runs/{run_id}/{after['chunk']}.{part}", blob)

    def _text(self, name: str, text: str) -> None:
        self._binary(name, text.encode())

    def _binary(self, name: str, content: bytes) -> None:
        self._archive.writestr(name, content)
        self._files[name] = hashlib.sha256(content).hexdigest()

    def _lines(self, name: str, objects: Iterable[Mapping[str, Any]]) -> None:
        self._stream(name, (encode(one) + b"\n" for one in objects))

    def _html(self, pieces: Iterable[str]) -> None:
        self._stream("report.html", (piece.encode() for piece in pieces))

    def _stream(self, name: str, pieces: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        with self._archive.open(name, "w", force_zip64=True) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        self._files[name] = digest.hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
