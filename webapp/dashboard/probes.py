"""What machines ask: is the process alive, can it work, how is it doing."""

from __future__ import annotations

import hmac
import json
import os
import resource
import threading
import time

import sqlalchemy as sa
from flask import Response, request

from config import metrics_token
from webapp import draining, wake
from webapp.dashboard import measures, services
from webapp.evidence import gauges
from webapp.extensions import House
from webapp.runs import log_lags
from webapp.web.views import RoomView, expose

_STARTED = time.time()
_STATES = ("queued", "running", "succeeded", "failed", "suspended", "cancelled")


class ProbeView(RoomView):
    """Probes; they need no sign-in and say nothing of what is stored."""

    route_base = ""
    class_permission_name = "Probe"

    @expose("/healthz")
    def healthz(self) -> Response:
        """Tell that the process is alive."""
        return _json({"status": "ok"}, 200)

    @expose("/readyz")
    def readyz(self) -> Response:
        """Tell whether database and Redis answer, and the console is not about to stop.

        Without Redis all pages work, so a load balancer that asks with `?without=redis` keeps all consoles. One that
        breaks off what a dead console has begun tells a stopping one by `?stopping=404`, which ends what it has begun.
        """
        if draining.begun():
            return _json({"status": "stopping"}, 404 if request.args.get("stopping") == "404" else 503)
        parts = {"database": database_answers(self.house)}
        if "redis" not in request.args.getlist("without"):
            parts["redis"] = wake.ping(self.house.settings)
        well = all(parts.values())
        body = {
            "status": "ok" if well else "unavailable",
            **{name: "ok" if up else "unreachable" for name, up in parts.items()},
        }
        return _json(body, 200 if well else 503)

    @expose("/metrics")
    def metrics(self) -> Response:
        """Return the numbers in Prometheus' text format, to who knows the token where one is set."""
        token, given = metrics_token(), request.authorization
        if token and not (given and given.type == "bearer" and hmac.compare_digest(given.token or "", token)):
            return Response("", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
        with self.house.db.read() as tx:
            states, quarantined = services.states(tx), services.quarantined(tx)
            logs = list(log_lags.metrics(tx))
        lines = [
            "# HELP syncline_runs Runs by state.",
            "# TYPE syncline_runs gauge",
            *(f'syncline_runs{{state="{state}"}} {states.get(state, 0)}' for state in _STATES),
            "# HELP syncline_quarantine_open Records in quarantine that wait for a person.",
            "# TYPE syncline_quarantine_open gauge",
            f"syncline_quarantine_open {quarantined}",
            *logs,
            *gauges.metrics(self.house),
            *_process(),
        ]
        return Response("\n".join(lines) + "\n" + measures.text(self.house), mimetype="text/plain; version=0.0.4")


def database_answers(house: House) -> bool:
    """Tell whether the metadata database answers."""
    try:
        with house.db.read() as connection:
            return bool(connection.scalar(sa.text("SELECT 1")) == 1)
    except sa.exc.SQLAlchemyError:
        return False


def _process() -> list[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    values = {
        "process_cpu_seconds_total": ("counter", "CPU time used, in seconds.", usage.ru_utime + usage.ru_stime),
        "process_max_resident_memory_bytes": ("gauge", "Most memory held so far.", usage.ru_maxrss * 1024),
        "process_threads": ("gauge", "Threads of the process.", threading.active_count()),
        "process_start_time_seconds": ("gauge", "When the process started, in seconds since 1970.", round(_STARTED, 3)),
        "process_open_fds": (
            "gauge",
            "Open files.",
            len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        ),
    }
    lines = []
    for name, (kind, text, value) in values.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", f"{name} {value}"]
    return lines


def _json(body: dict[str, str], status: int) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")


PROBES = (ProbeView,)
