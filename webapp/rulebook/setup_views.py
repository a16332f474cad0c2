"""The first step of a new rule: which two objects, which way, under which name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from connectors.spi import ObjectInfo
from rules.schema import Schema
from webapp.connections import services as connections
from webapp.extensions import House
from webapp.rulebook import services, two_way_words, wording
from webapp.rulebook.checking import look
from webapp.rulebook.editing import Flow, is_two_way, with_suggestions
from webapp.rulebook.errors import RulebookError
from webapp.rulebook.pages import RulePage, refusal, steps
from webapp.rulebook.pairs import with_possible_ways
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name

SIDES = ("left", "right")


@dataclass
class SideChoice:
    """One side as the form shows it: what can be chosen, what is chosen, what was wrong."""

    side: str
    connection: str = ""
    object: str = ""
    objects: list[ObjectInfo] = field(default_factory=list)
    schema: Schema | None = None
    problem: str = ""


class SetupView(RulePage):
    """New rule, step 1."""

    @expose("/new")
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Show the empty form; `?left_connection=crm&left_object=Account` fills it in."""
        return self._form({}, request.args.to_dict())

    @expose("/new", methods=["POST"])
    @has_access
    @permission_name("create")
    def create(self) -> Response:
        """Store the new rule with proposals for its keys and fields."""
        form = request.form.to_dict()
        errors = _missing(form)
        if errors:
            return self._form(errors, form, 422)
        document = _document(form)
        flow = Flow.of(document)
        source, target = (look(self.house, document, side) for side in (flow.source, flow.target))
        for side, seen in ((flow.source, source), (flow.target, target)):
            if seen.problem:
                errors[f"{side}_{seen.at}"] = translated(seen.problem)
        if errors:
            return self._form(errors, form, 422)
        if source.schema and target.schema:
            document, _made = with_suggestions(document, source.schema, target.schema)
            document = with_possible_ways(document, source.schema) if is_two_way(document) else document
        try:
            rule = services.create(self.house, document, self.actor)
        except RulebookError as error:
            return self._form({"name": refusal(error)}, form, 422)
        return redirect(f"/rules/{rule.name}/fields?setup=1")

    @expose("/objects")
    @has_access
    @permission_name("read")
    def objects(self) -> Response:
        """Return the objects of a connection, for one side of the form."""
        side = "right" if request.args.get("side") == "right" else "left"
        choice = side_choice(self.house, side, request.args.get(f"{side}_connection", ""))
        return self.page("rulebook/_objects.html", choice=choice)

    @expose("/object-fields")
    @has_access
    @permission_name("read")
    def object_fields(self) -> Response:
        """Return the names of an object's fields, so that one sees that it is the right one."""
        side = "right" if request.args.get("side") == "right" else "left"
        chosen = (request.args.get(f"{side}_connection", ""), request.args.get(f"{side}_object", ""))
        return self.page("rulebook/_object_fields.html", choice=side_choice(self.house, side, *chosen))

    def _form(self, errors: dict[str, str], form: dict[str, str], status: int = 200) -> Response:
        with self.house.db.read() as tx:
            rows = connections.list_connections(tx)
        sides = {
            s: side_choice(self.house, s, form.get(f"{s}_connection", ""), form.get(f"{s}_object", "")) for s in SIDES
        }
        context = {"connections": rows, "sides": sides, "form": form, "errors": errors, "wording": wording}
        context["directions"] = two_way_words.rule_directions()
        return self.page("rulebook/new.html", status, steps=steps(1), **context)


def side_choice(house: House, side: str, connection: str = "", object_name: str = "") -> SideChoice:
    """Return what one side of the form shows; a system that does not answer becomes a sentence."""
    choice = SideChoice(side, connection, object_name)
    if not connection:
        return choice
    try:
        choice.objects = connections.objects(house, connection)
    except connections.ConnectionProblem as error:
        choice.problem = translated(error.message)
    except ConnectorError as error:
        choice.problem = translated(connections.sentence(error))
    if object_name and not choice.problem:
        seen = look(house, {side: {"connection": connection, "object": object_name}}, side)
        choice.schema = seen.schema
        choice.problem = translated(seen.problem) if seen.problem else ""
    return choice


def _missing(form: dict[str, str]) -> dict[str, str]:
    errors = {}
    for side in SIDES:
        if not form.get(f"{side}_connection"):
            errors[f"{side}_connection"] = _("Choose a connection.")
        elif not form.get(f"{side}_object"):
            errors[f"{side}_object"] = _("Choose what to read or write there.")
    same = all(form.get(f"left_{part}") == form.get(f"right_{part}") for part in ("connection", "object"))
    if not errors and same:
        errors["right_object"] = _("Both sides are the same. Choose another object on one side.")
    if not form.get("name", "").strip():
        errors["name"] = _("Give the rule a name.")
    return errors


def _document(form: dict[str, str]) -> dict[str, Any]:
    sides = {s: {"connection": form[f"{s}_connection"], "object": form[f"{s}_object"]} for s in SIDES}
    document = {"kind": "sync", "name": form["name"].strip(), "label": form.get("label", "").strip(), **sides}
    document = {key: value for key, value in document.items() if value}
    if form.get("direction") in {"right_to_left", "two_way"}:
        document["direction"] = form["direction"]
    return {**document, "key": {}, "fields": []}
