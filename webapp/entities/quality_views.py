"""The page "Data quality" of an entity."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.entities import quality
from webapp.entities.pages import EntityRoom
from webapp.web import validation_words
from webapp.web.views import expose, has_access, permission_name

WIDTH, HEIGHT = 240, 48


class QualityView(EntityRoom):
    """How complete the records of an entity are."""

    route_base = "/entities"
    class_permission_name = "Records"

    @expose("/<name>/quality")
    @has_access
    @permission_name("read")
    def show(self, name: str) -> Response:
        """Show the last measurement and the trend."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            last, history = quality.shown(tx, self.permit(tx, entity))
        return self.page(
            "entities/quality.html",
            entity=entity,
            last=last,
            history=history,
            trend=_trend([score for _at, score, _records in history]),
            deeds=validation_words.short_of_entity(),
            forms={"email": _("e-mail addresses"), "phone": _("phone numbers"), "url": _("web addresses")},
            size=(WIDTH, HEIGHT),
        )

    @expose("/<name>/quality", methods=["POST"])
    @has_access
    @permission_name("read")
    def measure(self, name: str) -> Any:
        """Measure all records now."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            quality.require_all(self.permit(tx, entity))
        quality.measure(self.house, entity, self.actor)
        flash(_("All records are measured."), "success")
        return redirect(f"/entities/{name}/quality")


def _trend(scores: list[float | None]) -> str:
    """Return the points of a line over the scores, empty where there are fewer than two."""
    known = [score for score in scores if score is not None]
    if len(known) < 2:
        return ""
    step = WIDTH / (len(known) - 1)
    return " ".join(f"{n * step:.1f},{HEIGHT - score / 100 * HEIGHT:.1f}" for n, score in enumerate(known))
