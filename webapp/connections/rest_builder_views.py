"""The object builder on the form of a web service: each step is a request, and the answer is the builder anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flask import abort, request
from werkzeug.wrappers import Response

from connectors.builtin.rest import Rest
from connectors.builtin.rest_calls import Request
from connectors.errors import ConnectorError, Misconfigured
from connectors.json_records import encode
from connectors.spi import Connector, ConnectorSpec
from rules.schema import FieldType
from rules.text import msg
from webapp.connections import forms, probing
from webapp.connections import rest_builder as building
from webapp.connections.errors import sentence
from webapp.connections.opening import secret_values
from webapp.connections.pages import ConnectionRoom
from webapp.connections.rest_answer import LiveAnswer
from webapp.connections.rest_builder import Builder
from webapp.connections.store import ConnectionRow
from webapp.web.views import can, expose, has_access, permission_name


class RestBuilderView(ConnectionRoom):
    """Steps of the builder; nothing is stored here."""

    default_view = "step"

    @expose("/build/rest", methods=["POST"])
    @has_access
    @permission_name("read")
    def step(self) -> Response:
        """Do what a button of the builder asks for, and show the builder."""
        name = request.args.get("name", "")
        row = self.row(name) if name else None
        if not can("update" if row else "create", "Connections"):
            abort(403)
        deed, _, what = request.form.get(building.DEED, "").partition(":")
        builder = building.of_form(request.form)
        try:
            builder = self._done(builder, deed, what, row)
        except ConnectorError as error:
            builder = replace(builder, problem=sentence(error))
        return self.page("connections/rest_builder.html", row=row, deed=deed, **shown(builder))

    def _done(self, builder: Builder, deed: str, what: str, row: ConnectionRow | None) -> Builder:
        if deed == "try":
            return building.tried(builder, self._asked(builder, row))
        if deed == "records" and builder.draft is not None:
            return replace(builder, draft=building.proposed(builder.draft, what))
        return _DEEDS.get(deed, _same)(builder, what)

    def _asked(self, builder: Builder, row: ConnectionRow | None) -> LiveAnswer:
        """Return what the service answers to the list that is being built."""
        document = builder.draft.document if builder.draft else {}
        if not document.get("path"):
            raise Misconfigured(msg("Enter the path of the list."))
        if "{parent}" in document["path"]:
            raise Misconfigured(
                msg("This list is read once for each record of another object."),
                msg("Write one of their keys in place of {place} to try it, and put {place} back before you go on.",
                    place="{parent}"),
            )  # fmt: skip
        stated = forms.document_of(Rest.spec, request.form, row)["settings"]
        return probing.ask_draft(
            self.house,
            "rest",
            {**stated, "objects": [document]},
            row.name if row else None,
            lambda c: call(c, document),
        )


def call(connector: Connector, document: Mapping[str, Any]) -> LiveAnswer:
    """Make the call that reads the beginning of a list, and return what may be shown of the answer."""
    if not isinstance(connector, Rest):
        raise TypeError(connector)
    query = {name: str(value) for name, value in (document.get("query") or {}).items()}
    paging = document.get("paging") or {}
    if paging.get("size_parameter") and paging.get("place", "query") == "query":
        query[str(paging["size_parameter"])] = str(paging.get("size", 100))
    body = encode(document["body"]) if document.get("body") is not None else None
    method = "POST" if document.get("method") == "POST" else "GET"
    began = time.monotonic()
    response = connector.calls.response(Request(str(document["path"]), method, query, body))
    secrets = secret_values(connector.spec, connector.settings)
    return LiveAnswer.of(response, round(time.monotonic() - began, 2), secrets, connector.calls.credentials.hide)


def shown(builder: Builder) -> dict[str, Any]:
    """Return what the template of the builder needs."""
    types = [(kind.value, _TYPE_NAMES[kind]) for kind in FieldType]
    return {"builder": builder, "types": types, "query_text": building.query_text, "written": building.written}


def builder_of(form: forms.ConnectionForm) -> dict[str, Any]:
    """Return what the form of a connection needs to show the builder; nothing where there is none."""
    if form.spec.name != Rest.spec.name:
        return {}
    text = next((f.text for f in form.fields if f.name == building.OBJECTS), "")
    return {**shown(building.of_text(text)), "deed": ""}


def settled(spec: ConnectorSpec, sent: Mapping[str, str]) -> Mapping[str, str]:
    """Return a sent form with what the builder says where one is open."""
    return building.settled(sent) if spec.name == Rest.spec.name else sent


def _same(builder: Builder, _what: str) -> Builder:
    return builder


_DEEDS: Mapping[str, Callable[[Builder, str], Builder]] = {
    "add": lambda builder, _: building.begun(builder, building.NEW),
    "edit": building.begun,
    "remove": building.removed,
    "done": lambda builder, _: building.done(builder),
    "cancel": lambda builder, _: building.of_text(builder.text),
}
_TYPE_NAMES = {
    FieldType.TEXT: msg("text"),
    FieldType.INTEGER: msg("whole number"),
    FieldType.DECIMAL: msg("decimal number"),
    FieldType.FLOAT: msg("floating-point number"),
    FieldType.BOOLEAN: msg("yes or no"),
    FieldType.DATE: msg("date"),
    FieldType.TIME: msg("time of day"),
    FieldType.DATETIME: msg("date and time"),
    FieldType.LOCAL_DATETIME: msg("date and time without zone"),
    FieldType.BINARY: msg("bytes"),
    FieldType.JSON: msg("JSON"),
}
