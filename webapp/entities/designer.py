"""The designer: an entity's fields as forms, its form as it will look, and the plan before anything is changed."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.problems import DocumentError, DocumentProblem
from rules.text import N_, Message, msg
from webapp.entities import designer_form as design
from webapp.entities import documents, forms, records, services
from webapp.entities.designs import require_design
from webapp.entities.model import Entity, Kind
from webapp.entities.pages import EntityRoom, entity_label
from webapp.entities.plan import Plan
from webapp.policies.who import current_who
from webapp.web import validation_form as validations
from webapp.web import validation_words
from webapp.web.views import can, expose, has_access, permission_name

N_("Column {column}: {problem}")
N_("Line {line}, column {column}: {problem}")


class DesignerView(EntityRoom):
    """Designing entities."""

    route_base = "/entities"
    class_permission_name = "Entities"

    @expose("/new-entity")
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Start with an entity that has one field."""
        rows = [
            {
                "type": "text",
                "name": "name",
                "label_en": "Name",
                "label_zh": "名称",
                "required": "1",
                "searchable": "1",
                "indexed": "1",
            }
        ]
        return self._designer({}, rows, {}, new=True)

    @expose("/<name>/design")
    @has_access
    @permission_name("update")
    def edit(self, name: str) -> Response:
        """Show the designer of an entity."""
        with self.house.db.read() as tx:
            require_design(tx, current_who(), name)
            document = documents.to_document(self.entity(tx, name))
        head, rows = design.form_of(document)
        return self._designer(head, rows, {}, new=False, validations=validations.rows_from(document.get("validations")))

    @expose("/design", methods=["POST"])
    @has_access
    @permission_name("read")
    def work(self) -> Response:
        """Take one step in the designer: check, add, move or remove a field, or go on to the plan."""
        new = request.form.get("new") == "yes"
        if not can("create" if new else "update", "Entities"):
            abort(403)
        deed = request.form.get("do", "review")
        if deed == "check":
            return self._check(new=new)
        if deed == "review":
            return self._review(new=new)
        if deed.startswith("v-"):
            return self._step(deed.removeprefix("v-"), new=new)
        rows, shown = design.moved(design.rows_of(request.form), deed)
        if self.is_htmx:
            scope = _scope(request.form.get("name", ""), new=new)
            context = {"errors": {}, "wrong_fields": set(), "expressions": scope, **self._lists()}
            return self.page("entities/designer_fields.html", rows=rows, open=shown, **context)
        return self._designer(dict(request.form), rows, {}, new=new, shown=shown)

    @expose("/apply", methods=["POST"])
    @has_access
    @permission_name("read")
    def apply(self) -> Any:
        """Put a reviewed definition in force."""
        document = json.loads(request.form.get("document", "{}"))
        new = request.form.get("new") == "yes"
        if not can("create" if new else "update", "Entities"):
            abort(403)
        with self.house.db.read() as tx:
            require_design(tx, current_who(), str(document.get("name", "")))
        try:
            services.define(self.house, document, self.actor, confirm=request.form.get("confirm") == "yes")
        except services.ChangeRefused as refused:
            return self._plan(refused.plan, document, new=new, unconfirmed=refused.plan.loses)
        except DocumentError as error:
            return self._refused(document, error, new=new)
        flash(_("The entity is ready.") if new else _("The entity is changed."), "success")
        return redirect(f"/records/{document['name']}/")

    def _step(self, deed: str, *, new: bool) -> Response:
        """Take one step in the list of validations."""
        rows = design.rows_of(request.form)
        listed, shown = validations.moved(validations.rows_of(request.form), deed)
        if not self.is_htmx:
            head = dict(request.form)
            return self._designer(head, rows, {}, new=new, validations=listed, open_validation=shown)
        context = {**_listed(request.form.get("name", ""), rows, listed, {}, new=new), **self._lists()}
        answer = self.page("entities/designer_validations.html", errors={}, open_validation=shown, **context)
        answer.headers["HX-Trigger-After-Settle"] = "designer-changed"
        return answer

    def _check(self, *, new: bool) -> Response:
        document = design.document_of(request.form)
        with self.house.db.read() as tx:
            errors = design.errors_of(_problems(tx, document, new=new)) if document["name"] else {}
            preview = _preview(document)
        start = (
            {f.name: records.default_value(f, self.house.clock()) for f in preview.fields}
            if preview and not errors
            else {}
        )
        form = forms.Form(texts=forms.texts_of(preview.fields, start, self.zone)) if preview else None
        count, listed = len(design.rows_of(request.form)), validations.rows_of(request.form)
        return self.page(
            "entities/designer_check.html",
            preview=preview,
            form=form,
            errors=errors,
            count=count,
            listed=listed,
            own_fields=design.columns_of(design.rows_of(request.form)),
            new=new,
        )

    def _review(self, *, new: bool) -> Response:
        document = design.document_of(request.form)
        with self.house.db.read() as tx:
            require_design(tx, current_who(), document["name"])
            problems = _problems(tx, document, new=new)
            plan = None if problems else services.make_plan(tx, document)
        if plan is None:
            head = {**dict(request.form), "name": document["name"] if new else request.form.get("name", "")}
            return self._designer(head, design.rows_of(request.form), design.errors_of(problems), new=new, status=422)
        return self._plan(plan, document, new=new)

    def _refused(self, document: dict[str, Any], error: DocumentError, *, new: bool) -> Response:
        head, rows = design.form_of(document)
        listed = validations.rows_from(document.get("validations"))
        return self._designer(head, rows, design.errors_of(error.problems), new=new, status=422, validations=listed)

    def _plan(self, plan: Plan, document: dict[str, Any], *, new: bool, unconfirmed: bool = False) -> Response:
        status = 422 if unconfirmed else 200
        head, rows = design.form_of(document)
        text = json.dumps(document, ensure_ascii=False)
        return self.page(
            "entities/plan.html",
            status,
            plan=plan,
            document=text,
            new=new,
            head=head,
            rows=rows,
            validations=validations.rows_from(document.get("validations")),
            unconfirmed=unconfirmed,
        )

    def _designer(
        self,
        head: dict[str, Any],
        rows: list[dict[str, Any]],
        errors: dict[str, Message],
        *,
        new: bool,
        status: int = 200,
        shown: int | None = None,
        **given: Any,
    ) -> Response:
        listed = given.pop("validations", None)
        listed = validations.rows_of(request.form) if listed is None else listed
        told = {"errors": errors, "wrong_fields": design.wrong_fields(errors)}
        context = {
            "head": head,
            "rows": rows,
            "new": new,
            "open": shown,
            "open_validation": None,
            **told,
            **self._lists(),
        }
        context |= _listed(str(head.get("name", "")), rows, listed, errors, new=new) | given
        preview = _preview(design.document_of(request.form)) if request.method == "POST" else None
        return self.page("entities/designer.html", status, preview=preview, **context)

    def _lists(self) -> dict[str, Any]:
        with self.house.db.read() as tx:
            entities = services.list_entities(tx)
        groups = {name: [k.value for k in kinds] for name, kinds in design.GROUPS.items()}
        named = [(entity.name, entity_label(entity)) for entity in entities]
        return {"entities": entities, "groups": groups, "kinds": list(Kind), "validation_objects": named}


def _scope(name: str, *, new: bool) -> str:
    """Return the address that knows what expressions over the entity's records can name."""
    return "/expressions/" + ("" if new else f"?entity={name}")


def _listed(
    name: str, rows: list[dict[str, Any]], listed: list[dict[str, Any]], errors: dict[str, Message], *, new: bool
) -> dict[str, Any]:
    """Return what the list of validations is made from."""
    columns = design.columns_of(rows)
    return {
        "validations": listed,
        "wrong_validations": validations.wrong_rows(errors),
        "validation_fields": [(column["name"], column["label"] or column["name"]) for column in columns[1:]],
        "severities": validation_words.in_an_entity(),
        "deeds": validation_words.short_of_entity(),
        "expressions": _scope(name, new=new),
        "entity_exists": not new,
        "own_fields": columns,
    }


def _problems(tx: sa.Connection, document: dict[str, Any], *, new: bool) -> list[DocumentProblem]:
    problems: list[DocumentProblem] = []
    names = {e.name for e in services.list_entities(tx)}
    if not document["name"]:
        return [DocumentProblem("name", msg("Give the entity a name."))]
    if new and document["name"] in names:
        problems.append(DocumentProblem("name", msg("There is an entity '{name}' already.", name=document["name"])))
    try:
        services.check(tx, document)
    except DocumentError as error:
        problems += error.problems
    return problems


def _preview(document: dict[str, Any]) -> Entity | None:
    """Return the entity as far as the document has the right shape."""
    try:
        return documents.build(document)
    except (KeyError, ValueError, TypeError):
        return None
