"""The connector `airbyte_manifest`: the read side of Airbyte's declarative manifests, run by an engine of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from connectors.builtin import airbyte_components as parts
from connectors.builtin.airbyte_calls import ManifestCalls
from connectors.builtin.airbyte_manifest_text import source_of
from connectors.builtin.airbyte_requests import address_of
from connectors.builtin.airbyte_streams import StreamReading
from connectors.builtin.rest_json_schema import fields_of
from connectors.builtin.rest_objects import RestObject, Since
from connectors.builtin.rest_paging import Asked, Batch, State
from connectors.builtin.rest_read import Reading
from connectors.builtin.web_service import sampled, server_of
from connectors.errors import Misconfigured, ObjectMissing
from connectors.sorted_changes import ANYTHING, Sought
from connectors.spi import (
    Capabilities,
    Connector,
    ConnectorSpec,
    ObjectInfo,
    Page,
    ReadRequest,
    Setting,
    SettingKind,
    Step,
)
from connectors.steps import stepwise
from rules.schema import Schema
from rules.text import N_, Message, msg

_SINCE = "since"


class AirbyteManifest(Connector):
    """One service, as a manifest describes it."""

    spec = ConnectorSpec(
        name="airbyte_manifest",
        label=N_("Airbyte declarative manifest"),
        category=N_("Web services"),
        summary=N_("Reads a web service as a declarative manifest (YAML) describes it."),
        capabilities=Capabilities(cursor=True),
        settings=(
            Setting("manifest", N_("Manifest"), SettingKind.MULTILINE, required=True,
                    placeholder="version: 6.0.0\ntype: DeclarativeSource",
                    help=N_("The YAML text. Streams become objects.")),
            Setting("config", N_("Configuration"), SettingKind.JSON,
                    placeholder='{"start_date": "2024-01-01T00:00:00Z"}',
                    help=N_("What the manifest calls config, without what is secret.")),
            Setting("secrets", N_("Secrets of the configuration"), SettingKind.SECRET,
                    help=N_("A JSON object with the secret part of the configuration.")),
        ),
    )  # fmt: skip

    @cached_property
    def source(self) -> parts.DeclarativeSource:
        """Return the manifest; raises `Misconfigured` with the path of what is not supported."""
        return source_of(str(self.settings.get("manifest") or ""))

    @cached_property
    def streams(self) -> dict[str, parts.DeclarativeStream]:
        """Return the streams by name."""
        found = {stream.name or str(stream.parameters.get("name") or ""): stream for stream in self.source.streams}
        if len(found) != len(self.source.streams) or "" in found:
            raise Misconfigured(
                msg("Each stream of the manifest needs a name that no other stream has."),
                msg("Correct it in the manifest."),
            )
        return found

    @cached_property
    def config(self) -> dict[str, Any]:
        """Return the configuration with its secrets and the defaults of the manifest's own specification."""
        secrets = _object(self.settings.get("secrets"), N_("Secrets of the configuration"))
        given = _merged(_object(self.settings.get("config"), N_("Configuration")), secrets)
        return _merged(_defaults(self.source.spec), given)

    @cached_property
    def calls(self) -> ManifestCalls:
        """Return what makes the calls."""
        secrets = list(_texts(_object(self.settings.get("secrets"), N_("Secrets of the configuration"))))
        return ManifestCalls(self.config, secrets, self.context)

    def check(self) -> Iterator[Step]:
        """Yield the steps of the connection test."""
        return stepwise(
            (
                (N_("Read the manifest"), self._described),
                (N_("Find the server"), self._found),
                (N_("Read a list"), self._listed),
            )
        )

    def objects(self) -> list[ObjectInfo]:
        """Return the streams."""
        self._found()
        return [ObjectInfo(name, "stream", writable=False) for name in sorted(self.streams)]

    def schema(self, name: str) -> Schema:
        """Return the fields by the stream's own schema, else by a sample."""
        stream = self._stream(name)
        key = _key(stream)
        fields = fields_of(stream.schema_loader.schema) if stream.schema_loader else ()
        if fields:
            return Schema(fields, (key,) if key in {field.name for field in fields} else ())
        return sampled(StreamReading(stream, self.calls).batches(None, None), key)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield the records of a stream page by page."""
        return _StreamPages(self._stream(request.object), self.calls, request).pages()

    def close(self) -> None:
        """Close the connections to the service."""
        if "calls" in self.__dict__:
            self.calls.close()

    def _stream(self, name: str) -> parts.DeclarativeStream:
        if name not in self.streams:
            raise ObjectMissing(
                msg("The manifest has no stream '{name}'.", name=name),
                msg("Choose another object, or add the stream to the manifest."),
                object_name=name,
            )
        return self.streams[name]

    def _described(self) -> Message:
        _ = self.config
        return msg("Streams: {count}.", count=len(self.streams))

    def _found(self) -> Message:
        first = next(iter(self.streams.values()), None)
        if first is None:
            return msg("The manifest has no stream.")
        url = address_of(first.retriever.requester, {"config": self.config})
        return server_of(url, self.context)

    def _listed(self) -> Message:
        names = [name for name in self.source.check.stream_names if name in self.streams] or list(self.streams)[:1]
        count = 0
        for name in names:
            batch = next(StreamReading(self.streams[name], self.calls).batches(None, None), None)
            count = len(batch.records) if batch else 0
        if not names:
            return msg("The manifest has no stream.")
        return msg("'{name}' answers; the first page has {count} records.", name=names[-1], count=count)


class _StreamPages(Reading):
    """One scan of a stream."""

    def __init__(self, stream: parts.DeclarativeStream, calls: ManifestCalls, request: ReadRequest) -> None:
        described = RestObject(name=request.object, path="/", since=Since(parameter=_SINCE))
        super().__init__(calls, described, request)  # type: ignore[arg-type]  # only `batches` makes calls
        self.reading = StreamReading(stream, calls)

    def batches(self, asked: Asked, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on."""
        cursor, own = self.request.cursor, self.reading.stream.incremental_sync
        follows = cursor is not None and own is not None and cursor.field == own.cursor_field
        return self.reading.batches(asked.query.get(_SINCE) if follows else None, state)

    def sought(self, asked: Asked) -> Sought:  # noqa: ARG002 - slices begin where the manifest says
        """Return that the service may send anything."""
        return ANYTHING


def _key(stream: parts.DeclarativeStream) -> str:
    """Return the stream's key where it is a single field."""
    key = stream.primary_key
    while isinstance(key, list) and len(key) == 1:
        key = key[0]
    return key if isinstance(key, str) else ""


def _object(given: Any, label: str) -> dict[str, Any]:
    try:
        found = json.loads(given or "{}") if isinstance(given, str) else given or {}
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Misconfigured(
            msg("The setting '{setting}' is not a JSON object.", setting=msg(label)),
            msg("Write it as {example}.", example='{"name": "value"}'),
        )
    return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(below)
    for name, value in above.items():
        inner = found.get(name)
        found[name] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found


def _defaults(spec: Any) -> dict[str, Any]:
    described = spec.get("connection_specification") if isinstance(spec, Mapping) else None
    properties = described.get("properties") if isinstance(described, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    return {n: p["default"] for n, p in properties.items() if isinstance(p, Mapping) and "default" in p}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, (str, int)) and not isinstance(value, bool):
        yield str(value)
