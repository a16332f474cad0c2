"""The object builder on the form of a web service: each step is a request, and the answer is the builder anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from flask import abort, request
from werkzeug.wrappers import Response

from connectors.builtin.rest import Rest
from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import Connector, ConnectorSpec
from rules.schema import FieldType
from rules.text import msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections import forms, probing, rest_trials
from webapp.connections import rest_builder as building
from webapp.connections.documents import KIND
from webapp.connections.errors import sentence
from webapp.connections.pages import ConnectionRoom
from webapp.connections.permitted import require_whole
from webapp.connections.rest_answer import LiveAnswer
from webapp.connections.rest_builder import Builder, Draft
from webapp.connections.rest_builder_calls import CALLS
from webapp.connections.store import ConnectionRow
from webapp.web.views import can, expose, has_access, permission_name

T = TypeVar("T")


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
        draft = builder.draft
        if deed == "try":
            return building.tried(builder, self._asked(builder, row))
        if deed == "records" and draft is not None:
            return replace(builder, draft=building.proposed(draft, what))
        if deed == "results" and draft is not None and draft.trial is not None:
            return building.answered(builder, draft.trial, what)
        if deed in ("show", "send") and what in CALLS:
            return building.answered(builder, self._batch(builder, what, row, send=deed == "send"))
        return _DEEDS.get(deed, _same)(builder, what)

    def _asked(self, builder: Builder, row: ConnectionRow | None) -> LiveAnswer:
        """Return what the service answers to the list that is being built."""
        draft = _with_path(builder)
        if "{parent}" in draft.document["path"] and not draft.document.get("parent"):
            raise Misconfigured(
                msg("{place} stands for a record of another object, and none is chosen.", place="{parent}"),
                msg("Choose the object for whose records the list is read."),
            )
        name = str(draft.document.get("name", ""))
        return self._ask(builder, row, lambda c: rest_trials.asked(c, name, draft.parent_key))

    def _batch(self, builder: Builder, call: str, row: ConnectionRow | None, *, send: bool) -> rest_trials.Trial:
        """Return a batch of the list's first records; what is sent to a system is audited before it is."""
        draft = _with_path(builder)
        if not (draft.document.get(call) or {}).get("batch"):
            raise Misconfigured(msg("Switch on several records in one call first."))
        name = str(draft.document.get("name", ""))
        if send:
            about = {"object": name, "call": call, "records": rest_trials.RECORDS}
            subject = Subject(KIND, row.name if row else request.form.get("name", "").strip() or Rest.spec.name)
            with self.house.db.begin() as tx:
                record(tx, self.actor, self.house.clock(), Event(Tag.CONNECTION_TRIED, subject, after=about))
        return self._ask(builder, row, partial(rest_trials.tried, name=name, call=call, send=send))

    def _ask(self, builder: Builder, row: ConnectionRow | None, question: Callable[[Connector], T]) -> T:
        with self.house.db.read() as tx:
            require_whole(tx, row.name if row else "")
        stated = forms.document_of(Rest.spec, request.form, row)["settings"]
        settings = {**stated, "objects": building.family(builder)}
        return probing.ask_draft(self.house, "rest", settings, row.name if row else None, question)


def _with_path(builder: Builder) -> Draft:
    if builder.draft is None or not builder.draft.document.get("path"):
        raise Misconfigured(msg("Enter the path of the list."))
    return builder.draft


def shown(builder: Builder) -> dict[str, Any]:
    """Return what the template of the builder needs."""
    types = [(kind.value, _TYPE_NAMES[kind]) for kind in FieldType]
    about = {
        "query_text": building.query_text,
        "written": building.written,
        "parents": [(name, name) for name in building.parents(builder)],
    }
    return {"builder": builder, "types": types, **about}


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
