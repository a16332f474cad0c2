"""Other programs that move the customers of workload W1: how each is told to load all, and to follow by a cursor.

Each runs as its makers document it, in an environment of its own (benchmarks/environments.py), with nothing to map.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.customers import SCHEMA
from benchmarks.environments import environment

HERE = Path(__file__).parent
QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "DISABLE_TELEMETRY": "true",
    "SLING_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """Where to read from and write to (URLs), and a folder that one mover keeps its state in."""

    source: str
    target: str
    folder: Path


Script = Callable[[Job], str]


@dataclass(frozen=True)
class Mover:
    """One program: shell scripts that load everything, that begin to follow, and that follow.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in the table.
        environments: What is installed for it.
        full: Loads everything into an empty target.
        follow: Loads what has changed since the last time; the first time everything.
        loaded: The tables that hold the result of the two.
        goals: How many times faster Syncline has to be, with each.
    """

    name: str
    title: str
    environments: Sequence[str]
    full: Script
    follow: Script
    loaded: tuple[str, str]
    goals: tuple[float | None, float | None]


def _dlt(kind: str) -> tuple[Script, Script]:
    def script(write: str) -> Script:
        def told(job: Job) -> str:
            python, source = environment("dlt") / "python", job.source
            if kind == "default":
                source = source.replace("postgresql://", "postgresql+psycopg2://")
            return shlex.join([str(python), str(HERE / "w1_dlt.py"), source, job.target, kind, write])

        return told

    return script("replace"), script("merge")


def _sling(*mode: str) -> Script:
    def told(job: Job) -> str:
        program = environment("sling").parent.glob("lib/*/site-packages/sling_linux_*/bin/sling-linux-*")
        ends = ["--src-conn", f"{job.source}?sslmode=disable", "--src-stream", "public.customers"]
        ends += ["--tgt-conn", f"{job.target}?sslmode=disable", "--tgt-object", "public.sling_customers"]
        return shlex.join([str(next(program)), "run", *ends, *mode])

    return told


def _ingestr(*mode: str) -> Script:
    def told(job: Job) -> str:
        ends = ["--source-uri", f"{job.source}?sslmode=disable", "--source-table", "public.customers"]
        ends += ["--dest-uri", f"{job.target}?sslmode=disable", "--dest-table", "public.ingestr_customers"]
        return shlex.join([str(environment("ingestr") / "ingestr"), "ingest", "--yes", "--progress=log", *ends, *mode])

    return told


def _singer(method: str, load: str) -> Script:
    """Return the pair of tap and target that Meltano runs, without Meltano's own work around them."""

    def told(job: Job) -> str:
        tap, target = environment("tap") / "tap-postgres", environment("target") / "target-postgres"
        config = job.folder / f"{method}.json"
        config.with_suffix(".tap").write_text(json.dumps({"sqlalchemy_url": _psycopg(job.source, "2")}))
        into = {"sqlalchemy_url": _psycopg(job.target, ""), "load_method": load, "use_copy": True}
        config.with_suffix(".target").write_text(json.dumps({**into, "default_target_schema": f"singer_{load}"}))
        catalog, state = config.with_suffix(".catalog"), config.with_suffix(".state")
        _catalog(catalog, method)
        read = f"{tap} --config {config.with_suffix('.tap')} --catalog {catalog}"
        read += f" --state {state}" if state.exists() else ""
        write = f"{target} --config {config.with_suffix('.target')}"
        return f"{read} | {write} | tail -n 1 > {state}.new && mv {state}.new {state}"

    return told


def _psycopg(url: str, version: str) -> str:
    return urlsplit(url)._replace(scheme=f"postgresql+psycopg{version}").geturl()


def _catalog(path: Path, method: str) -> None:
    """Write what `tap-postgres --discover` would give for the customers, selected."""
    text: dict[str, Any]
    text, number, moment = {"type": ["string", "null"]}, {"type": ["number", "null"]}, "date-time"
    kinds: dict[str, dict[str, Any]] = {
        "id": {"type": ["integer"]}, "level": {"type": ["integer", "null"]}, "is_active": {"type": ["boolean", "null"]},
        "birth_date": {**text, "format": "date"}, "attrs": {"type": ["object", "array", "string", "number", "null"]},
        **dict.fromkeys(("credit_limit", "balance", "score"), number),
        **{name: {**text, "format": moment} for name in ("created_at", "updated_at")},
    }  # fmt: skip
    properties = {name: kinds.get(name, text) for name in SCHEMA.names}
    method_of = {"replication-method": method, **({"replication-key": "updated_at"} if method == "INCREMENTAL" else {})}
    table = {"inclusion": "available", "selected": True, "table-key-properties": ["id"], "schema-name": "public"}
    metadata = [{"breadcrumb": [], "metadata": {**table, **method_of}}]
    metadata += [
        {"breadcrumb": ["properties", name], "metadata": {"inclusion": "available", "selected": True}}
        for name in properties
    ]
    head: dict[str, Any] = {
        "tap_stream_id": "public-customers",
        "stream": "public-customers",
        "table_name": "customers",
    }
    head |= {
        "key_properties": ["id"],
        "replication_method": method,
        "replication_key": method_of.get("replication-key"),
    }
    stream = {**head, "schema": {"type": "object", "properties": properties}, "metadata": metadata}
    path.write_text(json.dumps({"streams": [stream]}))


_BY_KEY = ("--primary-key", "id", "--update-key", "updated_at")
MOVERS = (
    Mover("dlt_best", "dlt (connectorx, csv)", ("dlt",), *_dlt("best"), ("replace.customers", "merge.customers"),
          (4.5, 2.5)),
    Mover("dlt_default", "dlt (default)", ("dlt",), *_dlt("default"), ("replace.customers", "merge.customers"),
          (20, 2.5)),
    Mover("sling", "sling", ("sling",), _sling("--mode", "full-refresh"), _sling("--mode", "incremental", *_BY_KEY),
          ("public.sling_customers",) * 2, (2.5, 1.2)),
    Mover("ingestr", "ingestr", ("ingestr",), _ingestr("--full-refresh"),
          _ingestr("--incremental-strategy", "merge", "--incremental-key", "updated_at", "--primary-key", "id"),
          ("public.ingestr_customers",) * 2, (1.8, None)),
    Mover("meltano", "Meltano (tap-postgres, target-postgres)", ("tap", "target"), _singer("FULL_TABLE", "append-only"),
          _singer("INCREMENTAL", "upsert"), ("singer_append-only.customers", "singer_upsert.customers"), (30, None)),
)  # fmt: skip
