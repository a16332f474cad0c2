"""What may they do? Somebody and a data object, with the roles and lines that decide; and why a record is seen."""

from __future__ import annotations

from typing import Any

from flask import abort, request
from werkzeug.wrappers import Response

from webapp.access import labels
from webapp.policies import catalogue, documents, effective
from webapp.policies.objects import ACTIONS, EVERYTHING, DataObject
from webapp.policies.who import current_who
from webapp.web.views import RoomView, expose, has_access, permission_name

MOST_PEOPLE = 1_000
PAGE = 50


class EffectiveView(RoomView):
    """What somebody may do."""

    route_base = "/permissions"
    class_permission_name = "Roles"

    @expose("/")
    @has_access
    @permission_name("read")
    def show(self) -> Response:
        """Show what somebody may do with everything, or with one data object and perhaps one record."""
        asked, on = request.args.get("who", ""), request.args.get("on", "").strip()
        key, search = request.args.get("record", "").strip(), request.args.get("q", "").strip().lower()
        with self.house.db.read() as tx:
            users, roles = effective.people(tx, MOST_PEOPLE)
            objects = [one for one in catalogue.every(tx) if not one.on.endswith(EVERYTHING)]
            who = effective.who_named(tx, asked) if asked else None
            if asked and who is None:
                abort(404)
            shown: dict[str, Any] = {}
            if who is not None and on:
                data = _data(on)
                named = next((one for one in objects if one.on == on), catalogue.Named(on, ""))
                shown = {"named": named, "answer": effective.answer(tx, who, data)}
                if key:
                    shown["record"] = effective.of_record(tx, who, current_who(), data, key)
            elif on and key:
                shown["viewers"] = effective.viewers(tx, current_who(), _data(on), key, PAGE)
            elif who is not None:
                found = [one for one in objects if search in f"{one.title} {one.on}".lower()]
                shown = {"overview": effective.overview(tx, who, found[:PAGE]), "count": len(found)}
        known = labels.actions()
        words = {action: known[action] for action in ACTIONS}
        chosen: dict[str, Any] = {"who": who, "asked": asked, "on": on, "key": key, "search": search}
        return self.page(
            "policies/effective.html", users=users, roles=roles, objects=objects, labels=words, **chosen, **shown
        )


def _data(on: str) -> DataObject:
    wrong = any(documents.check({"data": [{"on": on}]})) or on.endswith(EVERYTHING)
    return abort(404) if wrong else DataObject.of(on)
