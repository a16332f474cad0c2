"""How fast web services are read and written, beside `requests` with code over dictionaries.

Usage: python -m benchmarks.rest [RECORDS [WRITES]]. The service is nginx on this machine (Debian package nginx-light):
the customers of workload W1 in pages of 1,000 from files, and writes that are answered at once. Writes at 20 ms go to a
small server in a process of its own that answers each request 20 ms after it came.
All figures are per second of the clock, the best of three.
"""

from __future__ import annotations

import asyncio
import json
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from socket import create_connection, create_server, socket
from typing import Any, cast

import polars as pl
import requests

from benchmarks.customers import SCHEMA, customers
from connectors.builtin.rest import Rest
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema

TIMES = 3
PAGE = 1_000
IN_FLIGHT = 32
LATENCY = 0.02
NARROW = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name"), Field("city")), ("id",))
CONFIG = """
daemon off; pid {folder}/pid; error_log stderr error; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; keepalive_requests 1000000; default_type application/json; client_body_temp_path {folder}/body;
  server {{
    listen 127.0.0.1:{port};
    location = /customers {{ root {folder}; rewrite ^ /$arg_page.json break; }}
    location /writes/ {{ return 204; }}
  }}
}}
"""


class Slow(asyncio.Protocol):
    """Answers each request with 204 some time after it came."""

    def connection_made(self, transport: Any) -> None:
        """Keep the connection."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - asyncio names it so
        """Answer later; each piece is taken for a whole request, which small ones are."""
        answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        asyncio.get_running_loop().call_later(LATENCY, self.transport.write, answer)


async def serve_slowly(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", port)
    await server.serve_forever()


def free_port() -> int:
    """Return a port that nobody listens at."""
    with create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def process(*argv: str, port: int) -> Iterator[str]:
    """Run a server and yield its address."""
    with subprocess.Popen(argv) as running:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            requests.get(f"http://127.0.0.1:{port}/writes/0", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("The server does not start.")


def pages(folder: Path, count: int) -> None:
    """Write the pages as files."""
    frame = customers(count).select(SCHEMA.names)
    texts = frame.with_columns(pl.col("attrs").cast(pl.String)).to_dicts()
    for number, start in enumerate(range(0, count, PAGE), 1):
        rows = ",".join(map(_json, texts[start : start + PAGE]))
        (folder / f"{number}.json").write_text(f'{{"data": [{rows}], "page": {number}, "total": {count}}}')


def _json(row: dict[str, Any]) -> str:
    parts = []
    for name, value in row.items():
        if name == "attrs" and value is not None:
            text = value
        elif isinstance(value, Decimal):
            text = str(value)
        elif isinstance(value, (date, datetime)):
            text = json.dumps(value.isoformat().replace("+00:00", "Z"))
        else:
            text = json.dumps(value, ensure_ascii=False)
        parts.append(f'"{name}":{text}')
    return "{" + ",".join(parts) + "}"


def connector(url: str) -> Rest:
    """Return the connector to the service."""
    paging = {"by": "page", "parameter": "page", "total": "total"}
    described = [
        {"name": "customers", "path": "/customers", "records": "data", "key": "id", "paging": paging},
        {"name": "writes", "path": "/writes", "key": "id", "update": {"method": "PATCH", "path": "/writes/{key}"}},
    ]
    settings = {s.name: s.default for s in Rest.spec.settings}
    given = {"base_url": url, "objects": described, "concurrency": IN_FLIGHT}
    return Rest({**settings, **given}, Context(egress_allow=("127.0.0.0/8",)))


def read_ours(url: str, count: int) -> None:
    """Read all records into columns of their types."""
    with connector(url) as rest:
        frames = []
        for page in rest.read(ReadRequest("customers", SCHEMA)):
            assert not page.rejects, page.rejects[0]
            frames.append(page.records)
        assert pl.concat(frames).height == count


def read_requests(url: str, count: int) -> None:
    """Do the same with requests, dictionaries and a conversion for each field."""
    make: dict[FieldType, Callable[[Any], Any]] = {
        FieldType.DATE: date.fromisoformat,
        FieldType.DATETIME: datetime.fromisoformat,
        FieldType.JSON: lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
    }
    made = [(f.name, make.get(f.type, lambda value: value)) for f in SCHEMA.fields]
    frames, number, read = [], 1, 0
    with requests.Session() as session:
        while read < count:
            rows = json.loads(session.get(f"{url}/customers?page={number}", timeout=30).text, parse_float=Decimal)
            typed = [
                {name: None if row[name] is None else how(row[name]) for name, how in made} for row in rows["data"]
            ]
            frames.append(pl.DataFrame(typed, schema=_loose()).cast(SCHEMA.dtypes()))  # type: ignore[arg-type]
            read, number = read + len(typed), number + 1
    assert pl.concat(frames).height == count


def _loose() -> dict[str, pl.DataType]:
    """Return column types that take numbers as they were parsed."""
    return {n: pl.Decimal(38, 18) if t == pl.Float64 else t for n, t in SCHEMA.dtypes().items()}


def write_ours(url: str, count: int) -> None:
    """Update records, so many in flight."""
    records = pl.DataFrame({"id": range(count), "name": [f"name {n}" for n in range(count)], "city": ["上海"] * count})
    with connector(url) as rest:
        for start in range(0, count, 10_000):
            change = Change(Op.UPDATE, "id", records[start : start + 10_000])
            assert not rest.write("writes", NARROW, [change]).failures


def write_requests(url: str, count: int) -> None:
    """Do the same with requests in so many threads."""
    local = threading.local()

    def send(number: int) -> None:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        body = {"name": f"name {number}", "city": "上海"}
        assert local.session.patch(f"{url}/writes/{number}", json=body, timeout=30).ok

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(send, range(count)))


def write_bare(url: str, count: int) -> None:
    """Send requests that are ready over so many sockets and do nothing else: what this machine lets through."""
    host, port = url.removeprefix("http://").split(":")
    request = b"PATCH /writes/1 HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
    with selectors.DefaultSelector() as waiting, ExitStack() as stack:
        for _ in range(IN_FLIGHT):
            wire = stack.enter_context(create_connection((host, int(port))))
            waiting.register(wire, selectors.EVENT_READ)
            wire.send(request)
        sent, done = IN_FLIGHT, 0
        while done < count:
            for key, _ in waiting.select():
                wire = cast("socket", key.fileobj)
                wire.recv(4096)
                done += 1
                if sent < count:
                    wire.send(request)
                    sent += 1


def rate(work: Callable[[str, int], None], url: str, count: int) -> float:
    """Return how many records a second were done, the best of a few times."""
    found = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        work(url, count)
        found.append(count / (time.perf_counter() - begun))
    return max(found)


def results(count: int, writes: int) -> Iterator[dict[str, Any]]:
    """Yield a result for each case."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        raise SystemExit("nginx is not installed: apt-get install nginx-light")
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        pages(folder, count)
        (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port))
        with process(nginx, "-p", name, "-c", f"{name}/nginx.conf", port=port) as url:
            ours, theirs = rate(read_ours, url, count), rate(read_requests, url, count)
            yield result("read in pages", ours, {"requests": theirs}, ours / theirs, 5.0)
            ours, theirs = rate(write_ours, url, writes), rate(write_requests, url, writes // 4)
            yield result("writes, no latency", ours, {"requests": theirs}, ours / theirs, 10.0)
    port, ideal = free_port(), IN_FLIGHT / LATENCY
    with process(sys.executable, "-m", "benchmarks.rest", "--slow", str(port), port=port) as url:
        ours = rate(write_ours, url, writes // 4)
        bare = rate(write_bare, url, writes // 4)
        yield result("writes, 20 ms latency", ours, {"ideal": ideal, "bare sockets": bare}, ours / ideal, 0.9)


def result(case: str, value: float, peers: dict[str, float], ratio: float, goal: float) -> dict[str, Any]:
    """Return a result, and tell it to people."""
    beside = ", ".join(f"{name} {peer:,.0f}" for name, peer in peers.items())
    print(f"{case}: {value:,.0f} a second; {beside}; {ratio:.2f} times, {goal:g} wanted")
    rounded = {name: round(peer) for name, peer in peers.items()}
    head = {"suite": "connectors", "case": f"rest, {case}", "value": round(value), "unit": "records/s"}
    return {**head, "peers": rounded, "ratio": round(ratio, 2), "goal": goal, "met": ratio >= goal}


def main(argv: list[str]) -> None:
    """Measure and print."""
    if argv[:1] == ["--slow"]:
        asyncio.run(serve_slowly(int(argv[1])))
        return
    count = int(argv[0]) if argv else 100_000
    writes = int(argv[1]) if argv[1:] else 20_000
    for one in results(count, writes):
        print(json.dumps(one), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
