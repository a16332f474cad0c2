"""Singer taps as a connector: programs of other makers that read systems, each in its own environment and process.

A tap speaks to its system by itself, and only the operator can install one. What it may use and reach is bounded
(`singer_apart`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from connectors.builtin import singer_catalog
from connectors.builtin.singer_apart import held, room_of
from connectors.builtin.singer_catalog import Stream, asking_for, bookmark, streams_of
from connectors.builtin.singer_process import Bounds, Call, Running
from connectors.builtin.singer_programs import Program, find_program
from connectors.builtin.singer_reading import Reading
from connectors.builtin.singer_settings import CATEGORY, bounds_of, configuration, secrets_of, settings_of
from connectors.changes import ChangeLog, LogState, Mark
from connectors.errors import ObjectMissing, RecordRejected
from connectors.json_records import decoded_or_error
from connectors.lookups import whole
from connectors.sorted_changes import since_of, sorted_changes
from connectors.spi import (
    Capabilities,
    Capture,
    Connector,
    ConnectorSpec,
    Cursor,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    Step,
)
from connectors.steps import stepwise
from connectors.value_text import PLAIN
from rules.schema import Schema
from rules.text import N_, Message, msg

_DISCOVERY_SECONDS = 180.0


class SingerTap(Connector):
    """One configuration of one installed tap; its streams are the objects."""

    spec = ConnectorSpec(
        name="singer_tap",
        label=N_("Singer tap"),
        category=CATEGORY,
        summary=N_("Reads a system by a program of the Singer community that an operator has installed."),
        settings=settings_of(
            Setting("program", N_("Tap"), help=N_("The name of an installed tap, such as tap-csv."), required=True),
            Setting(
                "key", N_("Key"),
                help=N_("The fields that tell records apart, where the tap does not say; separated by commas."),
            ),
        ),
        capabilities=Capabilities(cursor=True, capture=True),
    )  # fmt: skip

    def __init__(self, settings: Mapping[str, Any], context: Any) -> None:
        super().__init__(settings, context)
        self._streams: dict[str, Stream] | None = None

    def check(self) -> Iterator[Step]:
        """Find the program, read its configuration, and let it discover its streams."""
        return stepwise(((N_("Find the program"), self._found), (N_("Ask for the streams"), self._told)))

    def _found(self) -> Message:
        found = self._program()
        return msg("{name} {version}. {apart}", name=found.name, version=found.version, apart=held(direct=found.direct))

    def _told(self) -> Message:
        return msg("The tap has {count} streams.", count=len(self._discovered()))

    def objects(self) -> list[ObjectInfo]:
        """Return the streams."""
        return [ObjectInfo(name, "stream", writable=False) for name in self._discovered()]

    def schema(self, name: str) -> Schema:
        """Return the fields as the tap describes them."""
        return self._stream(name).schema

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Run the tap for one stream: all of it, from a value on, or what its system's log says."""
        stream = self._stream(request.object)
        if request.cursor is None:
            method = singer_catalog.LOG if request.capture else singer_catalog.FULL
            state = dict(request.capture.since) if request.capture and request.capture.since else None
            return self._pages(stream, request, method, state=state)
        return self._since(stream, request, request.cursor)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        """Find records among all that the tap sends; no more than those that are found are held."""
        found, bad = [schema.empty()], None
        if values.drop_nulls().is_empty():
            return found[0]
        for page in self.read(ReadRequest(name, schema)):
            found.append(page.records.filter(pl.col(key).is_in(values.implode())))
            bad = bad or next((RecordRejected(r.message, field=r.field, object_name=name) for r in page.rejects), None)
        alone = schema.select((key,))
        return whole(pl.concat(found), alone, values, bad, lambda: self.lookup(name, alone, key, values))

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return what the tap says of its system's log."""
        return TapLog(self._stream(name), capture)

    def _since(self, stream: Stream, request: ReadRequest, cursor: Cursor) -> Iterator[Page]:
        since = since_of(request, cursor)
        starts = since is not None and stream.grows(cursor.field)
        state = bookmark(stream, cursor.field, PLAIN.text(since) or "") if starts else None
        method, field = (singer_catalog.INCREMENTAL, cursor.field) if starts else (singer_catalog.FULL, "")
        every = ReadRequest(request.object, request.schema, page_size=request.page_size)
        return sorted_changes(self._pages(stream, every, method, field, state), request, cursor)

    def _pages(
        self, stream: Stream, request: ReadRequest, method: str, field: str = "", state: Mapping[str, Any] | None = None
    ) -> Iterator[Page]:
        files: dict[str, Any] = {"catalog": asking_for(self._discovered(), stream, method, field)}
        if state is not None:
            files["state"] = state
        with self._running(files) as running:
            yield from Reading(running, stream, request).pages()

    def _stream(self, name: str) -> Stream:
        streams = self._discovered()
        if name not in streams:
            raise ObjectMissing(msg("The tap has no stream '{name}'.", name=name), object_name=name)
        return streams[name]

    def _discovered(self) -> dict[str, Stream]:
        if self._streams is None:
            with self._running({}, ("--discover",)) as running:
                text = b"".join(running.lines())
                running.end()
            self._streams = streams_of(decoded_or_error(text), str(self.settings.get("key") or ""))
        return self._streams

    def _running(self, files: Mapping[str, Any], flags: tuple[str, ...] = ()) -> Running:
        bounds = bounds_of(self.settings)
        if flags:
            bounds = Bounds(min(bounds.seconds, _DISCOVERY_SECONDS), bounds.memory)
        config, secrets = configuration(self.settings), secrets_of(self.settings)
        program = self._program()
        call = Call(program.path, config, files, flags, secrets, room_of(self.context, program))
        return Running(call, bounds)

    def _program(self) -> Program:
        return find_program(self.context.programs, str(self.settings["program"]))


class TapLog(ChangeLog):
    """The system's log as the tap reads it: its state is the place, which Syncline keeps with the rule."""

    def __init__(self, stream: Stream, capture: Capture) -> None:
        self.stream = stream
        self.capture = capture

    def missing(self) -> list[Message]:
        """Say where the tap does not read a log, so that deletions would not be told."""
        found = []
        if not self.stream.by_log:
            found.append(
                msg("The tap does not say that it reads '{name}' by a log, so it may not tell of deletions. Detect "
                    "changes by a field that grows, or read all.", name=self.stream.id)
            )  # fmt: skip
        if self.capture.key not in self.stream.key:
            found.append(msg("The tap does not say that '{field}' is a key.", field=self.capture.key))
        return found

    def keep(self) -> Message | None:
        """Do nothing: the tap's state says all."""
        return None

    def state(self, since: Mark) -> LogState:  # noqa: ARG002 - the tap alone can read its state
        """Say nothing: only the tap itself knows."""
        return LogState()

    def pending(self, since: Mark) -> bool:  # noqa: ARG002 - the tap alone can read its state
        """Let the tap look: only it knows."""
        return True

    def drop(self) -> Message | None:
        """Do nothing: nothing was made."""
        return None
