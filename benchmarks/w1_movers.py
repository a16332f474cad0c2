"""Other programs that move the customers of workload W1: how each is told to load all, and to follow by a cursor.

Each runs as its makers document it, in an environment of its own (benchmarks/environments.py), with nothing to map.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.environments import environment

HERE = Path(__file__).parent
QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "DISABLE_TELEMETRY": "true",
    "SLING_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """Where to read from and write to (URLs), a folder for the state of one mover, and that of the environments."""

    source: str
    target: str
    folder: Path
    programs: Path

    def program(self, name: str) -> Path:
        """Return the folder of the programs of an environment."""
        return environment(name, below=self.programs)


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
            python, source = job.program("dlt") / "python", job.source
            if kind == "default":
                source = source.replace("postgresql://", "postgresql+psycopg2://")
            return shlex.join([str(python), str(HERE / "w1_dlt.py"), source, job.target, kind, write])

        return told

    return script("replace"), script("merge")


def _sling(*mode: str) -> Script:
    def told(job: Job) -> str:
        program = job.program("sling").parent.glob("lib/*/site-packages/sling_linux_*/bin/sling-linux-*")
        ends = ["--src-conn", f"{job.source}?sslmode=disable", "--src-stream", "public.customers"]
        ends += ["--tgt-conn", f"{job.target}?sslmode=disable", "--tgt-object", "public.sling_customers"]
        return shlex.join([str(next(program)), "run", *ends, *mode])

    return told


def _ingestr(*mode: str) -> Script:
    def told(job: Job) -> str:
        ends = ["--source-uri", f"{job.source}?sslmode=disable", "--source-table", "public.customers"]
        ends += ["--dest-uri", f"{job.target}?sslmode=disable", "--dest-table", "public.ingestr_customers"]
        return shlex.join([str(job.program("ingestr") / "ingestr"), "ingest", "--yes", "--progress=log", *ends, *mode])

    return told


def _meltano(method: str, load: str) -> Script:
    """Return a project of Meltano with one tap and one target, which are installed already."""

    def told(job: Job) -> str:
        key = {"replication-key": "updated_at"} if method == "INCREMENTAL" else {}
        tap = {
            "name": "tap-postgres", "namespace": "tap_postgres", "capabilities": ["catalog", "state", "discover"],
            "executable": str(job.program("tap") / "tap-postgres"), "select": ["public-customers.*"],
            "config": {"sqlalchemy_url": _psycopg(job.source, "2"), "filter_schemas": ["public"]},
            "metadata": {"*": {"replication-method": method, **key}},
        }  # fmt: skip
        into = {"sqlalchemy_url": _psycopg(job.target, ""), "load_method": load, "use_copy": True}
        target = {
            "name": "target-postgres", "namespace": "target_postgres",
            "executable": str(job.program("target") / "target-postgres"),
            "config": {**into, "default_target_schema": f"meltano_{load}"},
        }  # fmt: skip
        project = {"default_environment": "w1", "environments": [{"name": "w1"}]}
        project |= {"plugins": {"extractors": [tap], "loaders": [target]}}
        (job.folder / "meltano.yml").write_text(json.dumps(project))
        return f"{job.program('meltano') / 'meltano'} run tap-postgres target-postgres"

    return told


def _psycopg(url: str, version: str) -> str:
    return urlsplit(url)._replace(scheme=f"postgresql+psycopg{version}").geturl()


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
    Mover("meltano", "Meltano", ("meltano", "tap", "target"), _meltano("FULL_TABLE", "append-only"),
          _meltano("INCREMENTAL", "upsert"), ("meltano_append-only.customers", "meltano_upsert.customers"), (30, None)),
)  # fmt: skip
