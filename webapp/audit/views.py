"""The audit log: who did what, when, and what it was before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from flask import Response as FlaskResponse
from flask import abort, current_app, flash, redirect, request, stream_with_context, url_for
from flask_babel import format_date
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.audit import export, hooks, personal, queries, searches, sentences
from webapp.audit.differences import difference, flat
from webapp.audit.facets import facets
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.web.proof import fresh_export
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
_FIELDS = ("actor", "tag", "kind", "subject", "record", "text")
_DATES = ("since", "until")
_LONGEST = 300
"""Characters of each part of a search that is kept; its address has to fit into a request."""


class AuditView(RoomView):
    """The audit log."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show events."""
        wanted, errors = read_filter(self.house.settings.timezone)
        before, after = request.args.get("before", type=whole_number), request.args.get("after", type=whole_number)
        zone = ZoneInfo(self.house.settings.timezone)
        with self.house.db.read() as connection:
            turned = queries.turn(connection, wanted, PAGE, before, after)
            events = hooks.seen(connection, turned.events)
            known, parts = queries.actors(connection), facets(connection, turned.looked, zone)
            saved = searches.of(connection, self.actor.name)
        links = {
            "newer": self._link(after=turned.newer) if turned.newer is not None else None,
            "older": self._link(before=turned.older) if turned.older is not None else None,
        }
        shown: dict[str, Any] = {"events": events, "wanted": wanted, "errors": errors, "links": links, "actors": known}
        shown |= {
            "facets": parts,
            "searches": saved,
            "mine": self.actor.name,
            "here": _parameters(),
            "only": self._only,
        }
        words: dict[str, Any] = {"areas": sentences.AREAS, "sentence": sentences.sentence, "named": sentences.named}
        shown["days"] = [
            (format_date(day, "full"), [*found]) for day, found in groupby(events, lambda e: _day(e, zone))
        ]
        return self.page("audit/list.html", subject_url=subject_url, zone=zone, **words, **shown)

    @expose("/searches", methods=["POST"])
    @has_access
    @permission_name("read")
    def save_search(self) -> Response:
        """Keep the filter of the page under a name."""
        query: dict[str, Any] = {
            name: value[:_LONGEST]
            for name in (*_FIELDS, *_DATES, "run")
            if (value := request.form.get(name, "").strip())
        }
        name = request.form.get("name", "").strip()[:100]
        if not name or not query:
            flash(_("Give the search a name, and search for something first."), "danger")
        else:
            searches.save(self.house, name, query, self.actor, shared=request.form.get("shared") == "true")
            flash(_("The search '%(name)s' is saved.", name=name), "success")
        return redirect(url_for("AuditView.list", **query))

    @expose("/searches/<int:number>/delete", methods=["POST"])
    @has_access
    @permission_name("read")
    def delete_search(self, number: int) -> Response:
        """Forget an own search."""
        if not searches.delete(self.house, number, self.actor):
            abort(404)
        flash(_("The search is deleted."), "success")
        return redirect(url_for("AuditView.list"))

    @expose("/<int:event_id>")
    @has_access
    @permission_name("read")
    def show(self, event_id: int) -> Response:
        """Show one event."""
        with self.house.db.read() as connection:
            event = next(personal.shown(connection, [queries.get(connection, event_id)]))
        if event is None:
            abort(404)
        event = personal.worded(event, _("erased"))
        both = isinstance(event.before, dict) and isinstance(event.after, dict)
        changes = difference(event.before, event.after) if both else None
        shown = {"event": event, "sentence": sentences.sentence(event), "changes": changes, "flat": flat}
        return self.page("audit/event.html", subject_url=subject_url, **shown)

    @expose("/export/<any(csv, jsonl):kind>", methods=["POST"])
    @has_access
    @permission_name("export")
    @fresh_export
    def export(self, kind: str) -> Response:
        """Send the events of the filter as a file."""
        wanted, errors = read_filter(self.house.settings.timezone)
        if errors:
            abort(400)
        return send(self.house, self.actor, wanted, kind)

    def _link(self, **place: int) -> str:
        return url_for("AuditView.list", **{**_parameters(), **place})

    def _only(self, **more: str) -> str:
        """Return the address of the page with more asked for."""
        return url_for("AuditView.list", **{**_parameters(), **more})


def _day(event: Any, zone: ZoneInfo) -> date:
    return event.at.astimezone(zone).date()  # type: ignore[no-any-return]


def _parameters() -> dict[str, Any]:
    return {name: value for name in (*_FIELDS, *_DATES, "run") if (value := request.args.get(name))}


def send(house: House, actor: Actor, wanted: queries.Filter, kind: str) -> FlaskResponse:
    """Return the events of the filter as a streamed download, told to the audit log itself."""
    now = house.clock()
    with house.db.begin() as tx:
        last = queries.last_id(tx)
        record(
            tx,
            actor,
            now,
            Event(Tag.AUDIT_EXPORTED, Subject("audit", "events"), after={"format": kind, **wanted.told()}),
        )
    lines: dict[str, tuple[Callable[[Iterable[Any]], Iterator[str]], str]] = {
        "csv": (export.csv_lines, "text/csv"),
        "jsonl": (export.jsonl, "application/x-ndjson"),
    }
    write, mimetype = lines[kind]

    def body() -> Iterator[str]:
        with house.db.read() as connection:
            yield from write(personal.shown(connection, queries.stream(connection, wanted, last)))

    name = f"audit-{now:%Y%m%d-%H%M%S}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return FlaskResponse(stream_with_context(body()), mimetype=mimetype, headers=headers)


def read_filter(timezone: str) -> tuple[queries.Filter, dict[str, str]]:
    """Return the filter that the request's parameters ask for, and what is wrong with them."""
    args, errors = request.args, {}
    values: dict[str, Any] = {name: args.get(name, "").strip() for name in _FIELDS}
    for name in _DATES:
        try:
            values[name] = instant(args.get(name, ""), timezone, end=name == "until")
        except ValueError:
            errors[name] = _("Enter a date such as 2026-01-31.")
    run = args.get("run", "").strip()
    if run and not (run.isascii() and run.isdigit() and len(run) < 18):
        errors["run"] = _("Enter the number of a run.")
    elif run:
        values["run"] = int(run)
    return queries.Filter(**values), errors


def instant(text: str, timezone: str, *, end: bool) -> datetime | None:
    """Return the instant that a date or time names in the time zone; a date as an end includes its day."""
    text = text.strip()
    if not text:
        return None
    at = datetime.fromisoformat(text)
    try:
        at += timedelta(days=1 if end and len(text) == 10 else 0)
        return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)
    except OverflowError as error:  # before the year 1, after 9999
        raise ValueError(text) from error


def subject_url(event: Any) -> str | None:
    """Return the address of what the event speaks of, if it has a page."""
    name, key = quote(event.subject, safe=""), quote(event.record_key or "", safe="")
    urls = {
        "connection": f"/connections/{name}",
        "entity": f"/records/{name}/{key}" if key else f"/entities/{name}",
        "rule": f"/rules/{name}",
        "user": f"/users/?q={name}",
        "role": "/roles/",
        "key": "/keys/",
    }
    url = urls.get(event.subject_kind)
    adapter = current_app.create_url_adapter(request)
    paths = [url, f"{url}/"] if url else []
    return next((path for path in paths if adapter and adapter.test(path.partition("?")[0], "GET")), None)


VIEWS = (AuditView,)
