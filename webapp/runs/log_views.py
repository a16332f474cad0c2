"""Pages about the logs of changes that rules follow: how far each is behind, and what systems keep for it."""

from __future__ import annotations

from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from webapp.runs.log_lags import Lag, lags
from webapp.runs.pipeline.following import size_text
from webapp.web.views import RoomView, expose, has_access, permission_name

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class LogsView(RoomView):
    """Logs of changes."""

    route_base = "/runs/logs"
    class_permission_name = "Runs"

    @expose("/")
    @has_access
    @permission_name("read")
    def index(self) -> Response:
        """Show all logs that systems keep for rules."""
        return self.page("runs/logs.html", rows=self._rows(None))

    @expose("/of")
    @has_access
    @permission_name("read")
    def of(self) -> Response:
        """Show the logs that one system keeps for rules: a part of the page of its connection."""
        return self.page("runs/_logs.html", rows=self._rows(request.args.get("connection", "")), titled=True)

    def _rows(self, connection: str | None) -> list[dict[str, Any]]:
        with self.house.db.read() as tx:
            return [_row(lag) for lag in lags(tx, connection)]


def _row(lag: Lag) -> dict[str, Any]:
    """Return a log as the table shows it."""
    return {
        "lag": lag,
        "behind": _("nothing") if not lag.behind else size_text(lag.behind),
        "seconds": _length(lag.seconds) if lag.behind else "",
        "size": None if lag.size is None else size_text(lag.size),
        "limit": None if lag.limit is None else size_text(lag.limit),
        "part": round(100 * lag.size / lag.limit) if lag.size is not None and lag.limit else None,
    }


def _length(seconds: float) -> str:
    """Return a length of time for people."""
    if seconds < 2 * _MINUTE:
        return str(ngettext("%(num)d second", "%(num)d seconds", round(seconds)))
    if seconds < 2 * _HOUR:
        return str(ngettext("%(num)d minute", "%(num)d minutes", round(seconds / _MINUTE)))
    if seconds < 2 * _DAY:
        return str(ngettext("%(num)d hour", "%(num)d hours", round(seconds / _HOUR)))
    return str(ngettext("%(num)d day", "%(num)d days", round(seconds / _DAY)))
