"""wapiti and sqlmap over the console, each in an environment of its own."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.attack import tools
from tests.attack.results import Attack
from tests.attack.surface import Surface
from tests.attack.target import Target

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

MODULES = (
    "exec,file,sql,timesql,xss,permanentxss,redirect,crlf,xxe,ssrf,csp,http_headers,cookieflags,backup,methods,upload"
)
HARMLESS = {
    # the console speaks plain HTTP on loopback; a proxy of the operator's encrypts
    "HTTP Strict Transport Security (HSTS)", "Unencrypted Channels",
}  # fmt: skip
SCAN, MODULE, SQLMAP = 150, 25, 90
"""Seconds that a scan, one module of it, and sqlmap may take."""


@contextmanager
def canary() -> Iterator[tuple[str, list[str]]]:
    """Listen on loopback for what the console could be made to fetch; nothing is asked outside of this machine."""
    heard: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.client_address[0] == "127.0.0.1" and "python-httpx" not in self.headers.get("User-Agent", ""):
                heard.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", heard
    finally:
        server.shutdown()
        server.server_close()


def test_wapiti(target: Target, tmp_path: Path):
    """A scanner that is signed in as an administrator finds no weakness in pages and forms."""
    program = tools.program("wapiti", "wapiti")
    attack = Attack("wapiti", f"{tools.version('wapiti')}: {MODULES.replace(',', ', ')}, signed in")
    browser, report = target.browser("admin-1"), tmp_path / "report.json"
    with canary() as (listener, heard):
        command = [
            program, "-u", f"{target.url}/", "-C", browser.cookies, "--drop-set-cookie", "-x", f"{target.url}/logout/*",
            "-x", f"{target.url}/account/*", "-m", MODULES, "--max-scan-time", SCAN, "--max-attack-time", MODULE,
            "--scope", "folder", "-d", 3, "--max-links-per-page", 40, "-S", "aggressive", "-f", "json", "-o", report,
            "--no-bugreport", "--external-endpoint", listener, "--internal-endpoint", listener, "--store-session",
            tmp_path / "session", "--store-config", tmp_path / "config", "-v", "1", "-t", 20, "--flush-session",
        ]  # fmt: skip
        done = subprocess.run([str(c) for c in command], cwd=tmp_path, capture_output=True, text=True, check=False)
        # wapiti itself asks its listener what has come
        attack.found += [f"the console has fetched {path}" for path in heard if not path.startswith("/get_")]
    assert report.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads(report.read_text())
    attack.tried = int(told["infos"].get("crawled_pages_nbr") or 1)
    attack.what += "; pages crawled"
    for kind, found in {**told["vulnerabilities"], **told["anomalies"]}.items():
        for one in found if kind not in HARMLESS else ():
            attack.note(f"{kind}: {one['method']} {one['path']} {one.get('parameter')}: {one['info'][:200]}")
    attack.end(target.failures())


def test_sqlmap(target: Target, tmp_path: Path):
    """No parameter of a page or of the API reaches the database as anything but a value."""
    program = tools.program("sqlmap", "sqlmap")
    attack = Attack("sqlmap", f"{tools.version('sqlmap')} over parameters of pages and of the API")
    browser = target.browser("admin-2")
    surface = Surface(target, browser)
    pages = [page for page in surface.addresses() if page.names]
    surface.close()
    base, key = "/api/v1/entities/contract/records", target.keys["Admin"]
    asked = [
        (f"{target.url}{page.path}?{'&'.join(f'{name}=1' for name in page.names)}", browser.cookies) for page in pages
    ]
    listed = tmp_path / "pages.txt"
    listed.write_text("\n".join(url for url, _cookie in asked))
    options = ["--batch", "--level=1", "--risk=1", "--technique=BEU", "--smart", "--threads=2", "--timeout=20",
        "--retries=0",
               "--disable-coloring", "--ignore-code=*", "--skip-waf", "--flush-session", "--dbms=SQLite"]  # fmt: skip
    runs = (
        ["-m", str(listed), f"--cookie={browser.cookies}"],
        ["-u", f"{target.url}{base}?filter=*&q=*&sort=*&after=*&limit=5", f"--headers=Authorization: Bearer {key}"],
        ["-u", f"{target.url}/api/v1/audit/?text=*&actor=*&tag=*&after=*", f"--headers=Authorization: Bearer {key}"],
        ["-u", f"{target.url}/login/", "--data=username=*&password=*"],
    )
    for run in runs:
        command = [str(program), *run, *options, f"--output-dir={tmp_path / 'out'}"]
        try:
            said = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SQLMAP
            ).stdout
        except subprocess.TimeoutExpired as late:
            said = (late.stdout or b"").decode(errors="replace")
        attack.tried += len(re.findall(r"testing (?:if )?\w+ parameter|\(custom\) \w+ parameter", said))
        for place in re.findall(
            r"^Parameter: .*|.* is vulnerable.*|.*appears to be .* injectable.*", said, re.MULTILINE
        ):
            attack.note(place[:300])
    attack.end(target.failures())
