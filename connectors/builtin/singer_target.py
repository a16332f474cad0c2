"""Singer targets as a connector: programs of other makers that write to systems, each in its own environment.

A batch is one run of the target: what describes the stream, its records, and a state that is ours alone. Only where
the target gives that state back and ends well is the batch written; in every other case all of it is sent again.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from connectors.builtin.singer_apart import held, room_of
from connectors.builtin.singer_catalog import DELETED
from connectors.builtin.singer_process import Call, Running
from connectors.builtin.singer_programs import Program, find_program
from connectors.builtin.singer_settings import CATEGORY, bounds_of, configuration, secrets_of, settings_of
from connectors.errors import Fatal, Misconfigured, ObjectMissing, Unavailable
from connectors.json_records import decoded_or_error, encode, json_values
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    Fence,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    SettingKind,
    Step,
    WriteResult,
)
from connectors.steps import stepwise
from rules.schema import Change, Field, FieldType, Op, Schema
from rules.text import N_, msg

_GONE_AT = "1970-01-01T00:00:00Z"
_KINDS: Mapping[FieldType, Mapping[str, Any]] = {
    FieldType.TEXT: {"type": ["string", "null"]},
    FieldType.INTEGER: {"type": ["integer", "null"]},
    FieldType.DECIMAL: {"type": ["number", "null"]},
    FieldType.FLOAT: {"type": ["number", "null"]},
    FieldType.BOOLEAN: {"type": ["boolean", "null"]},
    FieldType.DATE: {"type": ["string", "null"], "format": "date"},
    FieldType.TIME: {"type": ["string", "null"], "format": "time"},
    FieldType.DATETIME: {"type": ["string", "null"], "format": "date-time"},
    FieldType.LOCAL_DATETIME: {"type": ["string", "null"], "format": "date-time"},
    FieldType.BINARY: {"type": ["string", "null"], "contentEncoding": "base64"},
    FieldType.JSON: {"type": ["object", "array", "string", "number", "boolean", "null"]},
}


class SingerTarget(Connector):
    """One configuration of one installed target."""

    spec = ConnectorSpec(
        name="singer_target",
        label=N_("Singer target"),
        category=CATEGORY,
        summary=N_("Writes to a system by a program of the Singer community that an operator has installed."),
        settings=settings_of(
            Setting(
                "program", N_("Target"), help=N_("The name of an installed target, such as target-csv."), required=True
            ),
            Setting(
                "objects", N_("Objects"), SettingKind.JSON, required=True,
                help=N_("What is written, as JSON: the name, the key and the fields of each object."),
                placeholder='[{"name": "customers", "key": "id", "fields": [{"name": "id", "type": "integer"}]}]',
            ),
        ),
        capabilities=Capabilities(read=False, create=True, update=True, delete=True, lookup=False, messages=True),
    )  # fmt: skip

    def check(self) -> Iterator[Step]:
        """Find the program, read what is described, and let the target take an empty batch."""
        steps = (
            (N_("Find the program"), self._found),
            (N_("Read the objects"), lambda: msg("{count} objects are described.", count=len(self.objects()))),
            (N_("Start the program"), self._started),
        )
        return stepwise(steps)

    def objects(self) -> list[ObjectInfo]:
        """Return the objects that the settings describe."""
        self._program()
        return [ObjectInfo(name, "stream") for name in sorted(self._described())]

    def schema(self, name: str) -> Schema:
        """Return the fields that the settings describe."""
        found = self._described().get(name)
        if found is None:
            raise ObjectMissing(msg("No object '{name}' is described.", name=name), object_name=name)
        return found

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Refuse: a target only takes."""
        raise Misconfigured(
            msg("A Singer target cannot be read."), msg("Read the system with another connector."),
            object_name=request.object,
        )  # fmt: skip

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:  # noqa: ARG002
        """Send all records and wait until the target says that they are kept."""
        described = self.schema(name)
        lines = [_line(type="SCHEMA", stream=name, schema=_schema(described), key_properties=[*described.key])]
        for change in changes:
            gone = {DELETED: _GONE_AT} if change.op is Op.DELETE else {}
            lines += [
                encode({"type": "RECORD", "stream": name, "record": {**json_values(row, schema), **gone}})
                for row in change.records.iter_rows(named=True)
            ]
        self._deliver(lines)
        return WriteResult(keys=tuple(None for _ in changes))

    def _deliver(self, lines: Sequence[bytes]) -> None:
        mark = {"syncline": uuid.uuid4().hex}
        config, secrets = configuration(self.settings), secrets_of(self.settings)
        program = self._program()
        call = Call(program.path, config, {}, (), secrets, room_of(self.context, program))
        with Running(call, bounds_of(self.settings)) as running:
            feeding = threading.Thread(
                target=_feed, args=(running, [*lines, _line(type="STATE", value=mark)]), daemon=True
            )
            feeding.start()
            last = None
            for line in running.lines():
                last = decoded_or_error(line) if line.strip() else last
            running.end()
            feeding.join()
        if last != mark and (not isinstance(last, dict) or last.get("value") != mark):
            raise Unavailable(
                msg("The target ended without saying that the records are kept."),
                msg("They are sent again. Look into what the target says."),
            )

    def _found(self) -> Any:
        found = self._program()
        return msg("{name} {version}. {apart}", name=found.name, version=found.version, apart=held(direct=found.direct))

    def _started(self) -> Any:
        self._deliver([])
        return msg("The target takes what it is sent.")

    def _program(self) -> Program:
        return find_program(self.context.programs, str(self.settings["program"]))

    def _described(self) -> dict[str, Schema]:
        given = self.settings["objects"]
        try:
            parts = json.loads(given) if isinstance(given, str) else given
            return {str(part["name"]): _fields(part) for part in parts}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Misconfigured(
                msg("The description of the objects cannot be read: {problem}.", problem=str(error).rstrip(".")),
                msg("Write it as [{example}].", example='{"name": "...", "key": "...", "fields": [...]}'),
            ) from error


def _feed(running: Running, lines: Sequence[bytes]) -> None:
    """Write all lines; a target that has gone away is noticed by how it ended."""
    with suppress(OSError, ValueError):
        for line in lines:
            running.input.write(line + b"\n")
        running.input.close()


def _line(**message: Any) -> bytes:
    return encode(message)


def _schema(described: Schema) -> dict[str, Any]:
    properties = {field.name: _property(field) for field in described.fields}
    return {
        "type": "object",
        "properties": {**properties, DELETED: {"type": ["string", "null"], "format": "date-time"}},
    }


def _property(field: Field) -> dict[str, Any]:
    scale = field.scale if field.type is FieldType.DECIMAL else None
    return {**_KINDS[field.type], **({"multipleOf": float(f"1e-{scale}")} if scale else {})}


def _fields(part: Mapping[str, Any]) -> Schema:
    fields = tuple(
        Field(str(f["name"]), FieldType(f.get("type", "text")), scale=f.get("scale"), label=str(f.get("label", "")))
        for f in part["fields"]
    )
    key = tuple(name.strip() for name in str(part["key"]).split(",") if name.strip())
    missing = [name for name in key if name not in {field.name for field in fields}]
    if missing or not key:
        raise Fatal(
            msg("'{name}' has no field '{field}' for its key.", name=str(part["name"]), field=", ".join(missing))
        )
    return Schema(fields, key)
