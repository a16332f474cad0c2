"""Avro messages with a schema registry, in the form of Confluent: a zero, the number of the schema, the record.

A message is turned into JSON text, which is read like any other; a record that is written is fitted to the latest
schema of its topic. Only where the connection says so, and describes the fields, a schema is registered.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import quote

import fastavro
import httpx
import msgspec
from fastavro.schema import SchemaParseException

from connectors import http_client
from connectors.builtin.kafka_register import grown
from connectors.builtin.queue_options import QueueObject
from connectors.builtin.queue_payload import Unreadable
from connectors.builtin.queue_read import MESSAGE_FIELDS
from connectors.casting import SHOWN, short
from connectors.errors import AuthFailed, ConnectorError, Fatal, Misconfigured, Unavailable
from connectors.spi import Context, Setting, SettingKind
from rules.text import N_, msg

_HEADER = 5
_KNOWN = "application/vnd.schemaregistry.v1+json, application/json"
_REFUSED, _NOTHING, _UNFIT = (401, 403), 404, (409, 422)
_BUSY = 500
_OWN = {field.name for field in MESSAGE_FIELDS}

WHEN = ("format", ("avro",))
REGISTRY_SETTINGS = (
    Setting("registry_url", N_("Schema registry"), SettingKind.URL, when=WHEN,
            placeholder="https://registry.example.com:8081",
            help=N_("Where the schemas of Avro messages are kept.")),
    Setting("registry_user", N_("User of the schema registry"), advanced=True, when=WHEN),
    Setting("registry_password", N_("Password of the schema registry"), SettingKind.SECRET, advanced=True, when=WHEN),
    Setting("register", N_("Register schemas"), SettingKind.BOOLEAN, default=False, advanced=True, when=WHEN,
            help=N_("Registers a schema for a topic that is written and has none, and adds fields that the description"
                    " of the topic has and its schema has not.")),
)  # fmt: skip


class Avro:
    """Reads and writes the messages of one connection; schemas are asked for once, since they never change."""

    def __init__(
        self, settings: Mapping[str, Any], context: Context, named: Mapping[str, QueueObject] | None = None
    ) -> None:
        self._named = (named or {}) if settings.get("register") else None
        self._url = str(settings.get("registry_url") or "").strip().rstrip("/")
        if not self._url:
            raise Misconfigured(msg("Avro messages need the address of a schema registry."))
        user, password = settings.get("registry_user"), settings.get("registry_password")
        self._client = http_client.client(context, auth=httpx.BasicAuth(user, password or "") if user else None)
        self._schemas: dict[int, Any] = {}
        self._latest: dict[str, int] = {}

    def close(self) -> None:
        """Close the connection to the registry, and ask it anew later which schemas are the latest."""
        self._client.close()

    def as_json(self, body: bytes) -> bytes:
        """Return a message as JSON text; raises `Unreadable`, and what the registry's answers mean."""
        if len(body) < _HEADER or body[0]:
            raise Unreadable(msg("The message is not Avro with the number of a schema."))
        schema = self._schema(int.from_bytes(body[1:_HEADER]))
        try:
            found = fastavro.schemaless_reader(BytesIO(body[_HEADER:]), schema, None)
        except Exception as error:  # the library has no errors of its own
            raise Unreadable(msg("The message does not fit its Avro schema: {problem}.", problem=str(error))) from error
        return _encoder.encode(found)

    def from_json(self, topic: str, body: bytes) -> bytes:
        """Return JSON text as a message of a topic; raises `Unreadable` where its latest schema cannot hold it."""
        number = self._latest_of(topic)
        schema = self._schema(number)
        out = BytesIO()
        try:
            value = _fitted(json.loads(body, parse_float=Decimal), schema, _named(schema))
            fastavro.schemaless_writer(out, schema, value, strict_allow_default=True)
        except Exception as error:
            raise Unreadable(
                msg("The Avro schema of the topic does not take it: {problem}.", problem=str(error) or repr(error))
            ) from error
        return b"\0" + number.to_bytes(4) + out.getvalue()

    def _schema(self, number: int) -> Any:
        if number not in self._schemas:
            try:
                found = self._get(f"/schemas/ids/{number}")
            except LookupError as error:
                text = msg("The schema registry has no schema {number}.", number=number)
                raise Unreadable(text) from error
            self._schemas[number] = self._parsed(found, {})
        return self._schemas[number]

    def _latest_of(self, topic: str) -> int:
        """Return the number of the schema that a topic is written by, which is registered first where it has to be."""
        if topic not in self._latest:
            place = f"/subjects/{quote(f'{topic}-value', safe='')}/versions"
            try:
                found = self._get(f"{place}/latest")
            except LookupError as error:
                if self._named is None:
                    raise _unknown(topic) from error
                found = {}
            self._latest[topic] = self._registered(topic, place, found) or int(found["id"])
        return self._latest[topic]

    def _registered(self, topic: str, place: str, latest: Mapping[str, Any]) -> int | None:
        """Register what the latest schema of a topic lacks; return its number, None where it lacks nothing."""
        if self._named is None or latest.get("schemaType", "AVRO") != "AVRO":
            return None
        schema = grown(self._named.get(topic) or QueueObject(name=topic), latest.get("schema"))
        if schema is None:
            return None
        sent = {"schema": schema, "references": latest.get("references") or []}
        request = self._client.build_request("POST", f"{self._url}{place}", headers={"Accept": _KNOWN}, json=sent)
        return int(self._answer(request, topic)["id"])

    def _parsed(self, found: Mapping[str, Any], named: dict[str, Any]) -> Any:
        """Return a schema with those that it refers to."""
        if found.get("schemaType", "AVRO") != "AVRO":
            raise Unreadable(msg("The schema of the message is {kind}, not Avro.", kind=str(found["schemaType"])))
        for one in found.get("references") or ():
            place = f"/subjects/{quote(one['subject'], safe='')}/versions/{one['version']}"
            self._parsed(self._get(place), named)
        try:
            return fastavro.parse_schema(json.loads(found["schema"]), named)
        except (SchemaParseException, ValueError, KeyError) as error:
            text = msg("The schema registry gives a schema that is none: {problem}.", problem=str(error))
            raise Unreadable(text) from error

    def _get(self, path: str) -> Any:
        """Return what the registry says; raises `LookupError` where it has none."""
        return self._answer(self._client.build_request("GET", f"{self._url}{path}", headers={"Accept": _KNOWN}))

    def _answer(self, request: httpx.Request, topic: str = "") -> Any:
        answer = self._client.send(request)
        if answer.status_code == _NOTHING and not topic:
            raise LookupError(request.url.path)
        if answer.status_code in _UNFIT and topic:
            raise _unfit(topic, answer)
        if answer.status_code != httpx.codes.OK:
            raise _problem(answer.status_code)
        try:
            return json.loads(answer.content)
        except ValueError as error:
            raise Fatal(msg("What answers as the schema registry is none.")) from error


def _unknown(topic: str) -> ConnectorError:
    return Misconfigured(
        msg("The schema registry has no schema for '{topic}'.", topic=topic),
        msg("Have its owner register one under '{topic}-value'.", topic=topic),
        object_name=topic,
    )


def _unfit(topic: str, answer: httpx.Response) -> ConnectorError:
    """Return what it means that a registry does not take a schema: mostly that readers could not follow it."""
    try:
        said = str(json.loads(answer.content)["message"])
    except (ValueError, KeyError, TypeError):
        said = str(answer.status_code)
    return Misconfigured(
        msg(
            "The schema registry does not take the new schema of '{topic}': {problem}",
            topic=topic,
            problem=short(said, SHOWN),
        ),
        msg("Leave out 'required' at new fields in the description of the topic, or have its owner register a schema."),
        object_name=topic,
    )


def _problem(status: int) -> ConnectorError:
    if status in _REFUSED:
        return AuthFailed(msg("The schema registry refuses the user or the password."))
    text = msg("The schema registry answers with the status {status}.", status=status)
    return Unavailable(text) if status >= _BUSY else Fatal(text)


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _named(schema: Any) -> Mapping[str, Any]:
    """Return the types that a schema refers to by their names."""
    return schema.get("__named_schemas", {}) if isinstance(schema, dict) else {}


def _fitted(value: Any, schema: Any, named: Mapping[str, Any]) -> Any:
    """Return a JSON value as the library takes it for a schema; raises `ValueError` and its like."""
    if isinstance(schema, list):
        return _one_of(value, schema, named)
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    kind = schema if isinstance(schema, str) else schema.get("logicalType") or schema["type"]
    if kind in ("record", "error"):
        unknown = value.keys() - {field["name"] for field in schema["fields"]} - _OWN
        if unknown:
            raise ValueError(f"it has no field {min(unknown)!r}")
        return {f["name"]: _fitted(value[f["name"]], f["type"], named) for f in schema["fields"] if f["name"] in value}
    if kind == "array":
        return [_fitted(item, schema["items"], named) for item in value]
    if kind == "map":
        return {name: _fitted(item, schema["values"], named) for name, item in value.items()}
    fit = _FITS.get(kind)
    return value if fit is None else fit(value)


def _one_of(value: Any, schemas: list[Any], named: Mapping[str, Any]) -> Any:
    if value is None and "null" in schemas:
        return None
    problems = ["it must not be empty" if value is None else f"{value!r} fits none of its types"]
    for schema in schemas:
        try:
            found = _fitted(value, schema, named)
            if fastavro.validate(found, named.get(schema, schema) if isinstance(schema, str) else schema, "", False):
                return found
        except (ValueError, TypeError, ArithmeticError, KeyError, AttributeError) as error:
            problems.append(str(error))
    raise ValueError(problems[-1])


def _float(value: Any) -> float:
    if isinstance(value, str | bool):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _stamp(text: str) -> dt.datetime:
    stamp = dt.datetime.fromisoformat(text)
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=dt.UTC)


def _local(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)


def _decimal(value: Any) -> Decimal:
    """Return a number without zeros at its end, which count as digits for the library."""
    text = f"{Decimal(str(value)):f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


_FITS: Mapping[str, Callable[[Any], Any]] = {
    "float": _float,
    "double": _float,
    "bytes": base64.b64decode,
    "fixed": base64.b64decode,
    "decimal": _decimal,
    "date": dt.date.fromisoformat,
    "time-millis": dt.time.fromisoformat,
    "time-micros": dt.time.fromisoformat,
    "timestamp-millis": _stamp,
    "timestamp-micros": _stamp,
    "local-timestamp-millis": _local,
    "local-timestamp-micros": _local,
}
