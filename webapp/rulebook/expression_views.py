"""What every editor of an expression asks: what can be written, what is wrong, what comes out, and as rows.

`/expressions/?connection=crm&object=account` or `?entity=customer` is a scope: GET answers with its fields, functions
and lookup tables, POST checks a text over it. A scope of plain fields is sent along with each POST (`fields`), which
answers with what can be written where `words` is true. With `purpose=permission` in the address a text is a condition
of rows of a role, which may also name what is known of a user.
"""

from __future__ import annotations

from typing import Any

from flask import abort, jsonify, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.language import ExpressionError
from rules.language.builder import to_model, to_text
from rules.language.condition import BuilderError, from_json, to_json
from rules.language.parse import parse
from webapp.policies import conditions
from webapp.policies.objects import PolicyField
from webapp.rulebook.library import library
from webapp.rulebook.live_check import checked, problem_json
from webapp.rulebook.scopes import Scope, UnknownScope, scope_of
from webapp.rulebook.vocabulary import vocabulary
from webapp.web.language import translated
from webapp.web.views import RoomView, can, expose, permission_name, signed_in

MAX_TEXT = 20_000
_ROOMS = {"connection": "Rules", "entity": "Entities"}


class ExpressionView(RoomView):
    """Answers for editors, as JSON; none of them changes anything.

    Who may read rules may ask about connections, who may read entities about entities; values of records are shown
    only to those who may read records.
    """

    route_base = "/expressions"
    class_permission_name = "Rules"

    @expose("/")
    @signed_in
    @permission_name("read")
    def words(self) -> Response:
        """Return what can be written over a scope."""
        return jsonify(self._vocabulary(self._scope(request.args.to_dict())))

    @expose("/", methods=["POST"])
    @signed_in
    @permission_name("read")
    def check(self) -> Response:
        """Return what is wrong with `text`, or its type and its result for the first records."""
        asked = _body()
        scope = self._scope({**request.args.to_dict(), **asked})
        if asked.get("words"):
            return jsonify(self._vocabulary(scope))
        if request.args.get("purpose") == "permission":
            return jsonify(_permission(_text(asked), scope))
        return jsonify(checked(_text(asked), scope, str(asked.get("expect") or ""), library(self.house)))

    @expose("/condition", methods=["POST"])
    @signed_in
    @permission_name("read")
    def condition(self) -> Response:
        """Return the rows of `text`, or the text of `model`."""
        _allow("Rules", "Entities")
        asked = _body()
        return jsonify(_written(asked["model"]) if "model" in asked else _read(_text(asked)))

    def _vocabulary(self, scope: Scope) -> dict[str, Any]:
        return vocabulary(scope, library(self.house).lookups)

    def _scope(self, asked: dict[str, Any]) -> Scope:
        named = [room for name, room in _ROOMS.items() if asked.get(name)]
        for room in named:  # who names both needs both
            _allow(room)
        if not named:
            _allow(*_ROOMS.values())
        try:
            found = scope_of(self.house, asked)
        except UnknownScope:
            abort(422)
        return found if can("read", "Records") else found.without_records()


def _allow(*rooms: str) -> None:
    if not any(can("read", room) for room in rooms):
        abort(403)


def _body() -> dict[str, Any]:
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        abort(422)
    return found


def _text(asked: dict[str, Any]) -> str:
    return str(asked.get("text") or "")[:MAX_TEXT].replace("\r\n", "\n")


def _read(text: str) -> dict[str, Any]:
    if not text.strip():
        return {"model": {"join": "all", "negated": False, "members": []}, "problems": []}
    try:
        return {"model": to_json(to_model(parse(text))), "problems": []}
    except ExpressionError as error:
        return {"model": None, "problems": [problem_json(problem) for problem in error.problems]}
    except RecursionError:
        return {"model": None, "problems": [_too_deep()]}


def _permission(text: str, scope: Scope) -> dict[str, Any]:
    """Return what is wrong with a condition of rows, which permissions read in their own, narrower way."""
    own = [PolicyField(f.name, f.type) for f in scope.schema.fields if not f.name.startswith(f"{conditions.USER}.")]
    try:
        if own and text.strip():
            conditions.compiled(text, own)
    except ExpressionError as error:
        return {**checked("", scope), "problems": [problem_json(problem) for problem in error.problems]}
    return checked("", scope)


def _written(model: Any) -> dict[str, Any]:
    try:
        text = to_text(from_json(model))
    except BuilderError as error:
        return {"text": None, "wrong": {"path": list(error.path), "message": translated(error.message)}}
    return {"text": text, "wrong": None}


def _too_deep() -> dict[str, Any]:
    return {"message": _("This expression is nested too deeply to be shown as rows."), "line": 1, "column": 1}
