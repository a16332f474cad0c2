"""What Prometheus reads at /metrics, and the dashboard and alerts that are made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests import servers
from tests.runs.conftest import World, open_world
from webapp.app import create_app
from webapp.dashboard import measures
from webapp.runs.claims import claim
from webapp.runs.demand import Shortage, shortage
from webapp.runs.models import run
from webapp.wake import beat, connect

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
GRAFANA = DEPLOY / "grafana"
NAME = re.compile(r"\b(?:syncline|process)_[a-z_]+\b")


@pytest.fixture
def world(tmp_path: Path, metadata_url: str, valkey_server: servers.Server) -> Iterator[World]:
    """Return an installation with Redis, of which one run went well and one failed, and one waits."""
    with open_world(tmp_path / "data", metadata_url) as world:
        object.__setattr__(world.house.settings, "redis_url", f"redis://127.0.0.1:{valkey_server.port}")
        world.rule()
        world.customers("Ann", "Bob", None)
        world.run()
        world.erp("DROP TABLE client")
        world.run()
        world.request("simulate")
        yield world


@pytest.fixture
def client(world: World) -> FlaskClient:
    return create_app(world.house.settings).test_client()


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples by name and labels, these in the order of their names."""
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_operators_see_how_it_goes(world: World) -> None:
    """Runs and records by rule, the queue's age, connections that fail, and who is alive."""
    redis = connect(world.house.settings.redis)
    beat(redis, "scheduler", "here:1", world.house.clock() - timedelta(seconds=7))
    world.shift = timedelta(minutes=10)
    found = values(measures.text(world.house))
    assert found["syncline_rule_runs_day", "customers", "succeeded"] == 1
    assert found["syncline_rule_records_day", "created", "customers"] == 2
    assert found["syncline_rule_records_day", "quarantined", "customers"] >= 1
    assert found["syncline_connection_failed_runs_day", "erp"] == 1
    assert found["syncline_queue_oldest_seconds",] >= 600
    assert found["syncline_rule_last_success_seconds", "customers"] >= 600
    assert found["syncline_audit_seal_age_seconds",] >= 600
    assert found["syncline_heartbeat_seconds", "scheduler"] >= 607
    assert found["syncline_processes", "scheduler"] == 1


def test_an_autoscaler_learns_how_many_workers_would_find_something_to_do(world: World) -> None:
    """What is under way, and what could begin: one run of each rule, as far as its connections allow."""
    found = values(measures.text(world.house))
    assert (found["syncline_runs_ready",], found["syncline_workers_needed",]) == (1, 1)
    world.request("simulate")
    world.shift = timedelta(minutes=5)
    found = values(measures.text(world.house))
    assert found["syncline_runs_waiting", "normal"] == 2
    assert found["syncline_runs_waiting_seconds", "normal"] >= 300
    assert found["syncline_workers_needed",] == 1, "of one rule one run works at a time"
    assert claim(world.house, 3, "w1")
    found = values(measures.text(world.house))
    assert (found["syncline_runs_ready",], found["syncline_workers_needed",]) == (0, 1)


def test_few_workers_are_told_of(world: World) -> None:
    """Where runs that could begin have waited for minutes, and fewer workers live than would have something to do."""
    with world.house.db.read() as tx:
        assert shortage(world.house, tx) is None, "they have not waited for long"
        world.shift = timedelta(minutes=5)
        assert shortage(world.house, tx) == Shortage(1, 5, 0, 1)
        redis = connect(world.house.settings.redis)
        redis.sadd("rq:workers", "rq:worker:w1")
        redis.hset("rq:worker:w1", "last_heartbeat", world.now().isoformat())
        assert shortage(world.house, tx) is None, "there is a worker for it"
        redis.delete("rq:workers")


def test_a_run_that_was_left_is_counted(world: World) -> None:
    """A lease that has expired shows until somebody takes the run up."""
    with world.house.db.begin() as tx:
        tx.execute(sa.update(run).values(state="running", lease_until=world.now() - timedelta(minutes=1)))
    assert values(measures.text(world.house))["syncline_runs_lease_expired",] == 3


def test_a_day_later_the_runs_of_a_day_are_gone(world: World) -> None:
    """What is counted of a day goes away with it."""
    world.shift = timedelta(days=2)
    assert not [key for key in values(measures.text(world.house)) if key[0] == "syncline_rule_runs_day"]


def test_whoever_does_not_know_the_token_reads_nothing(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With SYNCLINE_METRICS_TOKEN only who sends it reads the metrics."""
    assert client.get("/metrics").status_code == 200
    monkeypatch.setenv("SYNCLINE_METRICS_TOKEN", "t0ken")
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic dDp0"}):
        answer = client.get("/metrics", headers=headers)
        assert answer.status_code == 401
        assert "syncline_" not in answer.text
    assert client.get("/metrics", headers={"Authorization": "Bearer t0ken"}).status_code == 200


def test_the_dashboard_and_the_alerts_ask_for_what_there_is(world: World, client: FlaskClient) -> None:
    """Each metric that Grafana, an alert or the autoscaler names is one that /metrics offers."""
    beat(connect(world.house.settings.redis), "scheduler", "here:1", world.house.clock())
    offered = {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    offered |= {f"{name}_total" for name in offered}
    panels = json.loads((GRAFANA / "dashboard.json").read_text())["panels"]
    alerts = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"][0]["rules"]
    asked = [target["expr"] for panel in panels for target in panel["targets"]] + [rule["expr"] for rule in alerts]
    asked += re.findall(r"(?m)^ +query: (.+)$", (DEPLOY / "helm/syncline/templates/autoscaling.yaml").read_text())
    named = {name for expression in asked for name in NAME.findall(expression)}
    assert len(named) > 12
    assert named <= offered
    assert all(rule["annotations"]["todo"] for rule in alerts)
