"""Traces: what is told, to whom, and that nothing is told, loaded or waited for where nobody wants it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from connectors.builtin.sqlite import SQLite
from connectors.http_client import client
from connectors.http_flight import Flights, Sent
from tests.cli.conftest import quiet_logs  # noqa: F401 - undoes what configuring logs does to this process
from tests.connectors.conftest import Answer, WebServer
from tests.connectors.test_http_flight import ask, one
from tests.runs.conftest import ADMIN, World, numbers
from tests.trace_servers import Receiver, Seen, receiver
from tests.webapp.conftest import app, settings, sign_in  # noqa: F401 - the console's fixtures
from webapp import logs, tracing
from webapp.app import create_app
from webapp.connections import services as connections
from webapp.connections.opening import context, open_connector, stored
from webapp.connections.traced import TOLD
from webapp.trace_sender import headers_of

SECRET, PERSON = "hunter2hunter2", "Grace Hopper"


@pytest.fixture
def heard() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def second_web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def begin(heard: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Begin to trace this process."""

    def start(given: Any, **more: Any) -> None:
        tracing.begin(replace(given, **{"otlp_endpoint": heard.url, **more}), "test")

    yield start
    tracing.end()


def named(spans: list[Seen], name: str) -> list[Seen]:
    return [span for span in spans if span.name == name]


def test_a_run_is_one_trace_with_its_claim_chunks_and_calls(
    world: World, heard: Receiver, begin: Callable[..., None]
) -> None:
    """From the request to the last chunk: one trace, whose spans lie within each other as the work does."""
    begin(world.house.settings)
    world.pages_of(2).customers("a", "b", "c")
    world.rule()
    with tracing.span("click"):
        run_id = world.request()
    assert world.work(run_id)
    tracing.end()
    (click,), (run,) = named(heard.spans, "click"), named(heard.spans, "run customers")
    mine = [span for span in heard.spans if span.trace == click.trace]
    assert (run.parent, run.kind, run.about["syncline.run.id"]) == (click.id, "consumer", run_id)
    names = [span.name for span in mine]
    assert {"claim", "map", "keep the plan", "check in", "read crm.customer", "write erp.client"} <= set(names)
    assert names.count("check in") == names.count("write erp.client") == 2
    ids = {span.id for span in mine}
    assert all(span.parent in ids for span in mine if span is not click)
    assert all(span.begun <= span.ended for span in mine)
    (claim,) = named(mine, "claim")
    assert (claim.begun, claim.parent) == (run.begun, run.id)
    assert [s.about["syncline.records"] for s in named(mine, "write erp.client")] == [2, 1]
    assert sorted(s.about["syncline.chunk"] for s in named(mine, "check in")) == [1, 2]


def test_no_value_secret_or_person_is_told(
    world: World,
    heard: Receiver,
    begin: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    web: WebServer,
) -> None:
    """Neither what records hold, nor secrets, nor texts of errors, nor who asked are in what is sent."""
    monkeypatch.setenv("API_KEY", SECRET)
    begin(world.house.settings)
    web.answer = lambda r: Answer(200, [{"id": 1, "name": PERSON}]) if r.method == "GET" else Answer(500, PERSON)
    objects = [{"name": "people", "path": f"/people/{SECRET}", "key": "id"}]
    given = {"base_url": web.url, "objects": objects, "authentication": "bearer", "token": "env:API_KEY"}
    document = {"kind": "connection", "name": "api", "connector": "rest", "settings": given}
    connections.create(world.house, document, ADMIN)
    world.customers(PERSON, f"{PERSON} who has a name that is too long")
    world.rule()
    assert numbers(world.run())["quarantined"] == 1
    with pytest.raises(ValueError, match=PERSON), tracing.span("fails"):
        raise ValueError(PERSON)
    world.rule(
        left={"connection": "api", "object": "people"},
        fields=[{"left": "id", "right": "no"}, {"left": "name", "right": "title"}],
        key={"left": "id", "right": "no"},
    )
    world.run()
    tracing.end()
    assert len(named(heard.spans, "read api.people")) > 0
    assert named(heard.spans, "fails")[0].about == {"error.type": "ValueError"}
    sent = b"".join(heard.bodies)
    assert not [word for word in (SECRET, PERSON, ADMIN.name, "Authorization") if word.encode() in sent]


def test_a_request_is_a_span_and_its_log_lines_name_it(
    app: Flask,  # noqa: F811 - the console's fixture
    heard: Receiver,
    begin: Callable[..., None],
) -> None:
    """Its name is the address without names and numbers; probes and built files are none; it goes on with a trace."""
    given = replace(app.extensions["syncline"].settings, log_format="json")
    begin(given)
    logs.configure(given, "test", terminal=False)
    traced = create_app(given)
    traced.config["WTF_CSRF_ENABLED"] = False
    traced.before_request(lambda: logging.getLogger("here").warning("in a request"))
    browser = sign_in(traced.test_client())
    parent = f"00-{'ab' * 16}-{'cd' * 8}-00"
    headers = {"traceparent": parent, "X-Request-ID": "req-12345678"}
    assert browser.get("/rules/nothing-of-this-name", headers=headers).status_code == 404
    browser.get("/healthz")
    browser.get("/no/such/page", headers={"traceparent": "nonsense"})
    tracing.end()
    (page,) = [s for s in heard.spans if s.about.get("http.route") == "/rules/<name>/"]
    assert (page.name, page.kind, page.trace, page.parent) == ("GET /rules/<name>/", "server", "ab" * 16, "cd" * 8)
    assert (page.about["http.response.status_code"], page.about["syncline.request.id"]) == (404, "req-12345678")
    assert not [s for s in heard.spans if "nothing-of-this-name" in repr(s) or "healthz" in repr(s)]
    assert named(heard.spans, "GET")[0].trace != page.trace
    lines = [json.loads(line) for line in (given.data / "logs" / "test.log").read_text().splitlines()]
    (mine,) = [line for line in lines if line.get("request") == "req-12345678" and line["event"] == "in a request"]
    assert (mine["trace_id"], mine["span_id"]) == (page.trace, page.id)


def test_hosts_of_ours_are_told_which_trace_a_call_belongs_to_and_no_others(
    world: World,
    heard: Receiver,
    begin: Callable[..., None],
    web: WebServer,
    second_web: WebServer,
) -> None:
    """Both HTTP clients send `traceparent` to the hosts of the setting only, also behind a redirect."""
    begin(world.house.settings, trace_hosts=("127.0.0.1",))
    outgoing = context(world.house, stored(world.house, "crm"))
    web.answer = lambda _: Answer(302, headers={"Location": f"http://localhost:{second_web.port}/x?q={SECRET}"})
    second_web.answer = lambda _: Answer(200, "ok")
    with tracing.span("work"), client(outgoing) as plain:
        assert plain.get(f"{web.url}/a").status_code == 200
        flights = Flights(replace(outgoing))
        assert one(flights, ask(Sent("GET", f"{web.url}/b"))).status_code == 200
        flights.close()
    tracing.end()
    (work,) = named(heard.spans, "work")
    calls = named(heard.spans, "GET 127.0.0.1")
    assert [call.parent for call in calls] == [work.id] * 2
    assert [call.about["http.response.status_code"] for call in calls] == [302, 302]
    assert [r.headers["traceparent"][:-2] for r in web.received] == [f"00-{c.trace}-{c.id}-" for c in calls]
    assert not [r for r in second_web.received if "traceparent" in r.headers]
    assert len(named(heard.spans, "GET localhost")) == 2
    assert SECRET.encode() not in b"".join(heard.bodies)


def test_many_exchanges_are_counted_and_no_host_is_told_by_default(
    world: World,
    heard: Receiver,
    begin: Callable[..., None],
    web: WebServer,
) -> None:
    """A call that makes thousands of exchanges does not drown the trace."""
    begin(world.house.settings)
    web.answer = lambda _: Answer(200, "ok")
    with tracing.span("work"), client(context(world.house, stored(world.house, "crm"))) as plain:
        for _ in range(TOLD + 5):
            plain.get(web.url)
    tracing.end()
    assert len(named(heard.spans, "GET 127.0.0.1")) == TOLD
    assert named(heard.spans, "work")[0].about["syncline.exchanges"] == TOLD + 5
    assert not [r for r in web.received if "traceparent" in r.headers]


@pytest.mark.parametrize("how", ["away", "hangs", "refuses", "forbidden"])
def test_a_receiver_that_takes_nothing_costs_nothing_but_spans(
    world: World, heard: Receiver, begin: Callable[..., None], how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs are carried out as ever, nobody waits for it, and the log says once what is wrong."""
    heard.status, heard.delay = (400 if how == "refuses" else 200), (30.0 if how == "hangs" else 0.0)
    endpoint = {"away": "http://127.0.0.1:9", "forbidden": "http://169.254.169.254"}.get(how, heard.url)
    begin(world.house.settings, otlp_endpoint=endpoint)
    world.customers("a", "b")
    world.rule()
    assert numbers(world.run()) == {"read": 2, "created": 2}
    with tracing.span("more"):
        for _ in range(5000):  # more than are kept
            with tracing.span("one"):
                pass
    began = time.monotonic()
    tracing.end()
    assert time.monotonic() - began < 20
    assert not heard.spans
    told = [r for r in caplog.records if "Traces do not reach" in r.getMessage()]
    assert len(told) == 1
    assert "127.0.0.1" in told[0].getMessage() or "169.254" in told[0].getMessage()


def test_only_the_chosen_share_is_sent_whatever_others_say(
    world: World, heard: Receiver, begin: Callable[..., None]
) -> None:
    """With a share of 0 nothing is sent, even where a `traceparent` says that it is wanted; ids are in logs anyway."""
    begin(world.house.settings, trace_share=0.0)
    with tracing.span("asked", parent=f"00-{'ab' * 16}-{'cd' * 8}-01"):
        assert tracing.ids()["trace_id"] == "ab" * 16
    tracing.end()
    assert not heard.spans


def test_the_receiver_knows_who_sends(
    world: World, heard: Receiver, begin: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Headers come from a variable of their own; values may be percent-encoded, as OpenTelemetry has them."""
    monkeypatch.setenv("SYNCLINE_OTLP_HEADERS", f"authorization=Bearer%20{SECRET}, x-tenant=a=b")
    begin(world.house.settings)
    with tracing.span("one"):
        pass
    tracing.end()
    assert heard.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert heard.headers[0]["x-tenant"] == "a=b"
    assert headers_of("") == {}


def test_without_a_receiver_nothing_of_it_is_loaded(tmp_path: Path) -> None:
    """A process that traces nothing never loads what makes and sends spans."""
    code = (
        "import sys, config, webapp.runs.traces, webapp.connections.opening, webapp.web.traces, webapp.logs\n"
        "from webapp import tracing\n"
        f"settings = config.from_environment({{'SYNCLINE_DATA': {str(tmp_path)!r}}})\n"
        "tracing.begin(settings, 'web')\n"
        "with tracing.span('nothing'): assert tracing.stamp('x') is None and tracing.ids() == {}\n"
        "print([n for n in ('webapp.trace_spans', 'opentelemetry.sdk.trace', 'google.protobuf') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_requests_of_others_keep_no_trace_where_there_are_none(world: World) -> None:
    """Runs of an installation without traces have none to go on with."""
    world.rule()
    run_id = world.request()
    with world.house.db.read() as tx:
        assert tx.exec_driver_sql(f"SELECT traceparent FROM run WHERE id = {run_id}").scalar() is None


def test_connections_tell_nobody_where_there_are_no_traces(world: World) -> None:
    """A connection that is opened without traces has the class of its connector and nobody to tell."""
    assert context(world.house, stored(world.house, "crm")).calls is None
    with open_connector(world.house, "crm") as connector:
        assert type(connector) is SQLite
