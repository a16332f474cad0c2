"""Checks an evidence package, without the installation that it came from."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from rules.text import Message, msg
from webapp.audit.canonical import instant, leaf_of
from webapp.audit.findings import Kind, Report
from webapp.audit.keys import KeyLine, chained
from webapp.audit.merkle import consistent, included
from webapp.audit.notes import BadNote, Checkpoint, PublicKey, checkpoint, opened
from webapp.audit.tags import Tag
from webapp.evidence.bundle import DAMAGED, LONGEST, Unreadable, unreadable
from webapp.evidence.package import FORMAT, TITLE

_WRONG = (*DAMAGED, BadNote, TypeError, AttributeError)


def is_package(path: Path) -> bool:
    """Tell whether a file is an evidence package, and not an export of the whole log."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except DAMAGED:
        return False


def check(path: Path, trusted: Collection[PublicKey] = (), elsewhere: Collection[str] = ()) -> Report:
    """Return what is wrong with a package; raises `Unreadable` where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _Check(archive, list(trusted)).report(elsewhere)
    except _WRONG as error:
        raise unreadable(f"{path.name}: {error}") from None


class _Check:
    """One package."""

    def __init__(self, archive: zipfile.ZipFile, trusted: list[PublicKey]) -> None:
        self._archive = archive
        self._found = Report(trusted=bool(trusted))
        self._manifest = json.loads(archive.read("manifest.json"))
        if self._manifest.get("format") != FORMAT:
            raise BadNote(str(self._manifest.get("format")))
        self._keys = self._known(trusted)

    def report(self, elsewhere: Collection[str]) -> Report:
        """Return all that was found."""
        self._signature()
        self._files()
        top = self._top()
        if top is not None:
            self._found.size, self._found.root, self._found.sealed_at = top.size, top.root.hex(), top.at
            self._checkpoints(top)
            self._elsewhere(top, elsewhere)
            self._events(top)
        return self._found

    def _add(self, kind: Kind, message: Message) -> None:
        self._found.add(kind, message)

    def _known(self, trusted: list[PublicKey]) -> list[PublicKey]:
        """Return the keys of the log: those of the package, if each is vouched for and one of them is trusted."""
        told = [
            KeyLine(one["no"], one["public"], instant(one["at"]), one["statement"]) for one in self._lines("keys.jsonl")
        ]
        try:
            keys = chained(told)
        except BadNote as error:
            self._add(Kind.KEYS, msg("The keys of the package do not vouch for each other: {why}.", why=str(error)))
            return trusted
        if trusted and not any(key in trusted for key in keys):
            self._add(Kind.KEYS, msg("The package was signed with another key than the one that you trust."))
            return trusted
        return keys

    def _signature(self) -> None:
        digest = hashlib.sha256(self._archive.read("manifest.json")).hexdigest()
        try:
            text, _ = opened(self._archive.read("manifest.note").decode(), self._keys)
        except (BadNote, UnicodeDecodeError, KeyError):
            self._add(Kind.FORGED, msg("The list of files was not signed by this log."))
            return
        if text != f"{TITLE}\n{digest}\n":
            self._add(Kind.FORGED, msg("The list of files was changed after it was signed."))

    def _files(self) -> None:
        said = self._manifest["files"]
        present = {*self._archive.namelist()} - {"manifest.json", "manifest.note"}
        for name in sorted(present - {*said}):
            self._add(Kind.INSERTED, msg("The file {name} was added to the package.", name=name))
        for name, digest in said.items():
            if name not in present:
                self._add(Kind.DELETED, msg("The file {name} was taken out of the package.", name=name))
            elif self._digest(name) != digest:
                self._add(Kind.EDITED, msg("The file {name} was changed.", name=name))

    def _digest(self, name: str) -> str:
        with self._archive.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

    def _top(self) -> Checkpoint | None:
        try:
            return checkpoint(self._archive.read("checkpoint.txt").decode(), self._keys)
        except (BadNote, UnicodeDecodeError, KeyError):
            self._add(Kind.FORGED, msg("The checkpoint of the package was not signed by this log."))
            return None

    def _checkpoints(self, top: Checkpoint) -> None:
        self._found.checkpoints = 1
        for one in self._lines("checkpoints.jsonl"):
            self._found.checkpoints += 1
            try:
                older = checkpoint(one["note"], self._keys)
                grown = consistent(older.size, top.size, (older.root, top.root), _path(one))
            except (BadNote, *DAMAGED):
                self._add(Kind.FORGED, msg("A checkpoint of the package was not signed by this log."))
                continue
            if not grown:
                text = "The checkpoint over {size} events is of another log than that over {top}."
                self._add(Kind.FORKED, msg(text, size=older.size, top=top.size))

    def _elsewhere(self, top: Checkpoint, notes: Collection[str]) -> None:
        """Hold checkpoints that were kept elsewhere against that of the package, where they are of the same size."""
        for note in notes:
            try:
                kept = checkpoint(note, self._keys)
            except BadNote:
                continue
            self._found.elsewhere += 1
            if kept.size == top.size and kept.root != top.root:
                self._add(Kind.FORKED, msg("A checkpoint from elsewhere over {size} events differs.", size=kept.size))

    def _events(self, top: Checkpoint) -> None:
        told: dict[str, str] = {}
        proofs = self._lines("proofs.jsonl")
        for event in self._lines("events.jsonl"):
            proof = next(proofs, {})
            self._found.events += 1
            if not _proven(event, proof, top):
                text = "Event {id} is not in the sealed log as the package tells it."
                self._add(Kind.EDITED, msg(text, id=str(event.get("id"))))
            elif event.get("tag") == Tag.RUN_CHUNK:
                told |= dict(_digests(event))
        if next(proofs, None) is not None or self._found.events != self._manifest.get("events"):
            self._add(Kind.DELETED, msg("Events are missing from the package."))
        self._runs(told)

    def _runs(self, told: Mapping[str, str]) -> None:
        for name in self._archive.namelist():
            if name.startswith("runs/"):
                self._found.chunks += 1
                if told.get(name) != self._digest(name):
                    self._add(
                        Kind.RUN_CHANGED, msg("The records {name} are not those that the log tells of.", name=name)
                    )

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        with self._archive.open(name) as file:
            while line := file.readline(LONGEST):
                yield json.loads(line)


def _path(one: Mapping[str, Any]) -> list[bytes]:
    return [base64.b64decode(step, validate=True) for step in one["path"]]


def _proven(event: Mapping[str, Any], proof: Mapping[str, Any], top: Checkpoint) -> bool:
    try:
        same = proof["event_id"] == event["id"]
        return same and included(leaf_of(event), proof["place"], top.size, _path(proof), top.root)
    except (*DAMAGED, TypeError):
        return False


def _digests(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    after = event.get("after")
    if isinstance(after, Mapping):
        for part, said in (("outcomes", after.get("digest")), ("inputs", after.get("inputs"))):
            if isinstance(said, str):
                yield f"runs/{event.get('run_id')}/{after.get('chunk')}.{part}", said


__all__ = ["Unreadable", "check", "is_package"]
