"""The list of an entity's records: filter, search, sort, columns, saved views, and changing many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

import sqlalchemy as sa
from flask import flash, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.access.roles import DELETE, UPDATE
from webapp.entities import filters, forms, listing, saved, services
from webapp.entities.filters import BadFilter, Filter
from webapp.entities.listing import Query
from webapp.entities.model import CHOICE_KINDS, Entity, EntityField, Kind
from webapp.entities.pages import EntityRoom, label, language, reference_titles
from webapp.entities.permitted import Permit
from webapp.entities.records import Outcome
from webapp.policies.errors import NotPermitted
from webapp.web.language import number, translated
from webapp.web.storable import natural
from webapp.web.views import expose, has_access, permission_name

PAGE = 50
BULK_CAP = 10_000
_LONG = frozenset({Kind.TEXT, Kind.LONG_TEXT, Kind.URL, Kind.JSON})
_SHORT = frozenset(Kind) - {Kind.LONG_TEXT, Kind.JSON, Kind.FILE}


@dataclass(frozen=True)
class Asked:
    """What the address of a list says."""

    query: Query
    columns: tuple[str, ...]
    error: Message | None = None

    def parts(self) -> list[tuple[str, str]]:
        """Return the address's parameters, without the page."""
        parts = [("f", f.to_text()) for f in self.query.filters]
        parts += [("q", self.query.search)] if self.query.search else []
        parts += [("sort", self.query.sort)] if self.query.sort != listing.NEWEST_FIRST else []
        return parts + [("c", name) for name in self.columns]

    def to_json(self) -> dict[str, Any]:
        """Return what a saved view holds."""
        return {"parts": [list(part) for part in self.parts()]}


def default_columns(entity: Entity, permit: Permit) -> tuple[str, ...]:
    """Return the columns of a list that nobody has chosen columns for."""
    short = [f.name for f in permit.fields if f.kind in _SHORT]
    title = [entity.title_field] if entity.title_field in short else []
    own = [*title, *(n for n in short if n not in title)]
    named = () if entity.title_field in permit.columns else ("id",)
    return tuple(n for n in (*named, *own[:5], "updated_at") if n in permit.columns)


def asked(permit: Permit, args: MultiDict[str, str], zone: Any) -> Asked:
    """Return what an address asks for; what cannot be read is left out and told."""
    entity = permit.entity
    found: list[Filter] = []
    error = None
    for text in args.getlist("f"):
        try:
            item = filters.parse(text)
            if item.value or item.operator in filters.WITHOUT_VALUE:
                found.append(item)
        except BadFilter as problem:
            error = problem.message
    found += _built(args)
    columns = tuple(n for n in args.getlist("c") if n in permit.columns)
    query = Query(tuple(found), args.get("q", "").strip(), listing.sort_of(entity, args.get("sort")), zone, permit)
    return Asked(query, columns, error)


def _built(args: MultiDict[str, str]) -> list[Filter]:
    """Return the filters that the filter form's rows describe."""
    rows = zip(args.getlist("ff"), args.getlist("fo"), args.getlist("fv"), strict=False)
    known = set(filters.Operator)
    return [
        Filter(name, filters.Operator(operator), value.strip())
        for name, operator, value in rows
        if name and operator in known and (value.strip() or operator in filters.WITHOUT_VALUE)
    ]


class RecordListView(EntityRoom):
    """The list of an entity's records."""

    route_base = "/records"
    class_permission_name = "Records"
    default_view = "list"

    @expose("/<name>/")
    @has_access
    @permission_name("read")
    def list(self, name: str) -> Any:
        """Show a page of records."""
        if "ff" in request.args:
            return self._tidy(name)
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            permit = self.permit(tx, entity)
            wanted = asked(permit, request.args, self.zone)
            error, status = wanted.error, 200
            try:
                page = listing.page(tx, entity, wanted.query, PAGE, **_place())
                count = None if wanted.query.narrow or wanted.query.limited else listing.count(tx, entity, wanted.query)
            except (BadFilter, NotPermitted) as problem:
                error, page, count = problem.message, listing.Page([], None, None), listing.Count(0)
                status = problem.code if isinstance(problem, NotPermitted) else 200
            titles = reference_titles(tx, entity, page.records, permit.rights.who)
            permit.looked(page.records, wanted.columns or default_columns(entity, permit))
            views = [v for v in saved.views(tx, name, self.actor.name) if _usable(permit, v["query"])]
        context: dict[str, Any] = {
            "entity": entity,
            "permit": permit,
            "wanted": wanted,
            "found": page,
            "titles": titles,
            "views": views,
            "error": error,
            "barred": status == 403,
        }
        return self.page(
            "entities/list.html",
            status,
            count=_count_text(count) if count else None,
            **context,
            **_links(name, wanted, page),
            **_words(permit, wanted),
        )

    @expose("/<name>/count")
    @has_access
    @permission_name("read")
    def count(self, name: str) -> Response:
        """Return how many records the filter finds; asked for by the page, which does not wait for it."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            try:
                count = listing.count(tx, entity, asked(self.permit(tx, entity), request.args, self.zone).query)
            except BadFilter:
                count = listing.Count(0)
        return Response(_count_text(count), mimetype="text/plain")

    def _tidy(self, name: str) -> Any:
        """Lead from the filter form's address to the short one that can be kept and sent to others."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name))
        return redirect(f"/records/{name}/?{urlencode(asked(permit, request.args, self.zone).parts())}")

    @expose("/<name>/views", methods=["POST"])
    @has_access
    @permission_name("read")
    def save_view(self, name: str) -> Any:
        """Keep the filters, sort and columns at hand under a name."""
        title = request.form.get("title", "").strip()[:100]
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name))
        wanted = asked(permit, MultiDict(_pairs(request.form.get("address", ""))), self.zone)
        if not title:
            flash(_("Give the view a name."), "danger")
        else:
            saved.save(self.house, name, title, wanted.to_json(), self.actor, shared=bool(request.form.get("shared")))
            flash(_("The view “%(title)s” is saved.", title=title), "success")
        return redirect(f"/records/{name}/?{urlencode(wanted.parts())}")

    @expose("/<name>/views/<int:view_id>/delete", methods=["POST"])
    @has_access
    @permission_name("read")
    def delete_view(self, name: str, view_id: int) -> Any:
        """Delete one's own view."""
        if saved.remove(self.house, view_id, self.actor):
            flash(_("The view is deleted."), "success")
        return redirect(f"/records/{name}/")

    @expose("/<name>/bulk", methods=["POST"])
    @has_access
    @permission_name("update")
    def bulk(self, name: str) -> Response:
        """Ask which field of the chosen records shall have which value."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name), UPDATE)
            ids = self._chosen(tx, permit)
        return self._bulk(permit, ids, 200, _bulk_form(permit))

    @expose("/<name>/bulk/update", methods=["POST"])
    @has_access
    @permission_name("update")
    def bulk_update(self, name: str) -> Any:
        """Set one field in the chosen records."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name), UPDATE)
            ids = self._chosen(tx, permit)
        field = next((f for f in permit.writable if f.name == request.form.get("field")), None)
        if field is None:
            return redirect(f"/records/{name}/")
        form = forms.read([field], request.form, MultiDict(), self.zone)
        if form.errors:
            wrong = {"chosen": field.name, "errors": form.errors, "texts": form.texts}
            return self._bulk(permit, ids, 422, {**_bulk_form(permit), **wrong})
        outcome = services.update_records(self.house, name, ids, form.values, self.actor, permit.rights.who)
        self._tell(outcome, ngettext("%(num)s record is changed.", "%(num)s records are changed.", outcome.changed))
        return redirect(f"/records/{name}/?{request.form.get('address', '')}")

    @expose("/<name>/bulk/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    def bulk_delete(self, name: str) -> Any:
        """Delete the chosen records."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name), DELETE)
            ids = self._chosen(tx, permit)
        outcome = services.delete_records(self.house, name, ids, self.actor, permit.rights.who)
        self._tell(outcome, ngettext("%(num)s record is deleted.", "%(num)s records are deleted.", outcome.changed))
        return redirect(f"/records/{name}/?{request.form.get('address', '')}")

    def _bulk(self, permit: Permit, ids: Sequence[int], status: int, form: dict[str, Any]) -> Response:
        address = request.form.get("address", "")
        context = {"entity": permit.entity, "permit": permit, "ids": ids, "cap": BULK_CAP, "address": address}
        return self.page("entities/bulk.html", status, **context, **form)

    def _chosen(self, tx: sa.Connection, permit: Permit) -> Sequence[int]:
        """Return the ids that are ticked, or all that the list's filter finds and the deed is permitted for."""
        if request.form.get("all") == "yes":
            wanted = asked(permit, MultiDict(_pairs(request.form.get("address", ""))), self.zone)
            return listing.ids(tx, permit.entity, wanted.query, BULK_CAP)
        return [number for text in request.form.getlist("id") if (number := natural(text)) is not None][:BULK_CAP]

    def _tell(self, outcome: Outcome, sentence: str) -> None:
        refused = {r.row: r.message for r in reversed(outcome.refusals)}
        if outcome.changed or not refused:
            flash(sentence, "success")
        if refused:
            first = translated(next(iter(refused.values())))
            told = ngettext(
                "%(num)s record was refused: %(why)s",
                "%(num)s records were refused. The first: %(why)s",
                len(refused),
                why=first,
            )
            flash(told, "danger")
        warned = {w.row: w.message for w in reversed(outcome.warnings)}
        if warned:
            told = ngettext(
                "%(num)s record does not meet a validation: %(why)s",
                "%(num)s records do not meet a validation. The first: %(why)s",
                len(warned),
                why=translated(next(iter(warned.values()))),
            )
            flash(told, "warning")


def _pairs(address: str) -> list[tuple[str, str]]:
    return parse_qsl(address.lstrip("?"))


def _place() -> dict[str, str | None]:
    return {"after": request.args.get("after"), "before": request.args.get("before")}


def _links(name: str, wanted: Asked, page: listing.Page) -> dict[str, Any]:
    base = wanted.parts()
    link = {
        side: f"/records/{name}/?{urlencode([*base, (side, mark)])}"
        for side, mark in (("before", page.before), ("after", page.after))
        if mark
    }
    return {"links": link, "address": urlencode(base), "sorted_by": lambda column: _sort_link(name, wanted, column)}


def _sort_link(name: str, wanted: Asked, column: str) -> str:
    sort = f"-{column}" if wanted.query.sort == column else column
    parts = [part for part in wanted.parts() if part[0] != "sort"]
    return f"/records/{name}/?{urlencode([*parts, ('sort', sort)])}"


def _usable(permit: Permit, query: Mapping[str, Any]) -> bool:
    """Tell whether a saved view neither filters nor sorts by what the reader may not see."""
    parts = [(str(part[0]), str(part[1])) for part in query.get("parts", ())]
    named = [text.partition(":")[0] if key == "f" else text.lstrip("-") for key, text in parts if key in ("f", "sort")]
    return all(map(permit.plain, named))


def _words(permit: Permit, wanted: Asked) -> dict[str, Any]:
    entity = permit.entity
    known = {name: field for name, field in filters.filterable(entity).items() if permit.plain(name)}
    columns = wanted.columns or default_columns(entity, permit)
    fields = {
        n: {
            "operators": [o.value for o in filters.operators(f)],
            "input": _input(f),
            "choices": [[v, f.choice_label(v, language())] for v in f.values],
        }
        for n, f in known.items()
    }
    return {
        "filter_fields": known,
        "filter_spec": fields,
        "operator_labels": {o.value: label for o, label in filters.LABELS.items()},
        "columns": columns,
        "searchable": any(map(permit.plain, entity.searchable)),
        "heads": [_head(entity, name, sortable=permit.plain(name)) for name in columns],
    }


def _head(entity: Entity, name: str, *, sortable: bool) -> dict[str, Any]:
    """Return what is the same for all cells of a column, so that it is worked out once."""
    field = entity.by_name.get(name)
    kind = field.kind if field else None
    number = name == "id" or kind in (Kind.INTEGER, Kind.DECIMAL, Kind.MONEY)
    css = "num" if number else "clip" if kind in _LONG else ""
    return {"name": name, "label": label(entity, name), "css": css, "plain": kind is Kind.TEXT and sortable,
            "sortable": sortable and name in entity.sortable}  # fmt: skip


def _input(field: EntityField) -> str:
    if field.kind in CHOICE_KINDS:
        return "choice"
    kinds = {
        Kind.BOOLEAN: "boolean",
        Kind.DATE: "date",
        Kind.DATETIME: "date",
        Kind.INTEGER: "number",
        Kind.REFERENCE: "number",
    }
    return kinds.get(field.kind, "text")


def _bulk_form(permit: Permit) -> dict[str, Any]:
    fields = [f for f in permit.writable if not f.unique and f.kind is not Kind.FILE]
    return {
        "fields": fields,
        "chosen": request.form.get("field") or (fields[0].name if fields else ""),
        "errors": {},
        "texts": {},
    }


def _count_text(count: listing.Count) -> str:
    shown = number(count.records)
    if count.more:
        return str(_("More than %(count)s records", count=shown))
    if not count.exact:
        return str(_("About %(count)s records", count=shown))
    return str(ngettext("%(count)s record", "%(count)s records", count.records, count=shown))
