"""The page "Who has looked?": which people and keys have seen values of personal fields, of which records."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import request, url_for
from werkzeug.wrappers import Response

from webapp.audit import hooks
from webapp.audit.looks import KIND
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.audit.views import read_filter
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
SHOWN = 12
LOOKED_AT = 20_000


@dataclass(frozen=True)
class Looker:
    """What one person or key has seen of one data object."""

    name: str
    kind: str
    data: str
    requests: int
    last: datetime


class LookView(RoomView):
    """Who has looked at personal data."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/looks")
    @has_access
    @permission_name("read")
    def looks(self) -> Response:
        """List who has seen what."""
        asked = {name: request.args.get(name, "").strip() for name in ("data", "key", "actor")}
        dates, errors = read_filter(self.house.settings.timezone)
        since = dates.since or self.house.clock() - timedelta(days=30)
        before = request.args.get("before", type=whole_number)
        where = [*_asked(**asked), audit_event.c.at >= since]
        where += [audit_event.c.at < dates.until] if dates.until else []
        older = [] if before is None else [audit_event.c.id < before]
        with self.house.db.read() as tx:
            where += _entities_only(tx) if asked["key"] else []
            query = sa.select(audit_event).where(*where, *older).order_by(audit_event.c.id.desc())
            events = hooks.seen(tx, tx.execute(query.limit(PAGE + 1)).all())
            lookers, things = _lookers(tx, where), _things(tx)
        next_page = _only(before=events[PAGE - 1].id) if len(events) > PAGE else None
        shown: dict[str, Any] = {"events": events[:PAGE], "lookers": lookers, "older": next_page, "things": things}
        shown |= {"errors": errors, "recorded": self.house.settings.record_reads, "before": before}
        return self.page("evidence/looks.html", asked=asked, only=_only, **shown)


def _only(**more: Any) -> str:
    asked = {name: request.args.get(name) for name in ("data", "key", "actor", "since", "until")}
    return url_for("LookView.looks", **{**asked, **more})


def _asked(data: str, key: str, actor: str) -> list[sa.ColumnElement[bool]]:
    column = audit_event.c
    found = [column.tag == Tag.DATA_SEEN, column.subject_kind == KIND]
    found += [column.subject == data] if data else []
    found += [column.actor_name == actor] if actor else []
    if key:
        among = sa.cast(column.after, sa.Text).contains(f'"{key}"', autoescape=True)
        found.append(sa.or_(column.record_key == key, among))
    return found


def _entities_only(tx: sa.Connection) -> list[sa.ColumnElement[bool]]:
    """Return what keys may be looked for among: those of systems are values, which not everybody may see."""
    return [] if hooks.sees_whole(tx) else [audit_event.c.subject.startswith("entity/")]


def _lookers(tx: sa.Connection, where: list[sa.ColumnElement[bool]]) -> list[Looker]:
    """Return who has looked most often among the newest looks."""
    names = ("actor_name", "actor_kind", "subject", "at")
    newest = sa.select(*(audit_event.c[n] for n in names)).where(*where).order_by(audit_event.c.id.desc())
    found = newest.limit(LOOKED_AT).subquery()
    who, count = (found.c.actor_name, found.c.actor_kind, found.c.subject), sa.func.count()
    query = sa.select(*who, count, sa.func.max(found.c.at)).group_by(*who).order_by(count.desc()).limit(SHOWN)
    return [Looker(*row) for row in tx.execute(query)]


def _things(tx: sa.Connection) -> list[str]:
    mine = (audit_event.c.tag == Tag.DATA_SEEN, audit_event.c.subject_kind == KIND)
    return list(tx.scalars(sa.select(audit_event.c.subject).where(*mine).distinct().limit(500)))
