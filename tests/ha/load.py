"""People and programs at work, called inside the cluster: each request becomes a line of JSON on a file, until SIGTERM.

Usage: python -m tests.ha.load URL CERTIFICATE FILE, with the password and the key in SYNCLINE_LOAD as JSON.
Requests are sent once: what fails is noted as failed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

import httpx

PAGES = ("/", "/rules/", "/runs/", "/connections/", "/static/manifest.json")
READS = ("/api/v1/runs/?limit=5", "/api/v1/entities/note/records?limit=20", "/api/v1/rules/orders")
PAUSE = 0.12
PATIENCE = 30.0
"""Seconds that a browser waits, at the least."""
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Load:
    """What is asked, and what came of it."""

    def __init__(self, url: str, certificate: str, out: TextIO, login: dict[str, str]) -> None:
        self.url, self.login, self.out = url, login, out
        self.context = ssl.create_default_context(cafile=certificate)
        self.context.check_hostname = False  # the certificate is for a name, and there is no DNS here
        self.stop = threading.Event()
        self.lock = threading.Lock()

    def client(self, *, key: bool) -> httpx.Client:
        head = {"Authorization": f"Bearer {self.login['key']}"} if key else {}
        return httpx.Client(base_url=self.url, verify=self.context, headers=head, timeout=PATIENCE)

    def signed_in(self) -> httpx.Client:
        """Return a browser that has signed in."""
        client = self.client(key=False)
        token = _TOKEN.search(client.get("/login/").text)
        assert token is not None
        form = {"username": "admin", "password": self.login["password"], "csrf_token": token[1]}
        answer = client.post("/login/", data=form, headers={"Referer": f"{self.url}/login/"})
        assert answer.status_code in (302, 303), answer.text
        return client

    def note(
        self, kind: str, ask: Callable[[], httpx.Response], fine: tuple[int, ...] = (200,), number: int = 0
    ) -> None:
        """Ask once and note what came of it."""
        began, status, error = time.time(), 0, ""
        try:
            answer = ask()
            status = answer.status_code
            error = "" if status in fine else answer.text[:200] or str(answer.headers)
        except httpx.HTTPError as problem:
            error = f"{type(problem).__name__}: {problem}"
        line = {
            "who": threading.current_thread().name,
            "at": began,
            "took": time.time() - began,
            "kind": kind,
            "status": status,
            "number": number,
        }
        with self.lock:
            print(json.dumps({**line, "error": error}), file=self.out, flush=True)
        self.stop.wait(PAUSE)

    def pages(self) -> None:
        with contextlib.closing(self.signed_in()) as client:
            for path in itertools.cycle(PAGES):
                if self.stop.is_set():
                    return
                self.note("page", lambda path=path: client.get(path))

    def reads(self) -> None:
        with self.client(key=True) as client:
            for path in itertools.cycle(READS):
                if self.stop.is_set():
                    return
                self.note("read", lambda path=path: client.get(path))

    def writes(self) -> None:
        with self.client(key=True) as client:
            for number in itertools.count(1):
                if self.stop.is_set():
                    return
                body = {"number": number, "text": f"note {number}"}
                self.note(
                    "write", lambda body=body: client.post("/api/v1/entities/note/records", json=body), (201,), number
                )

    def runs(self) -> None:
        with self.client(key=True) as client:
            while not self.stop.wait(1.0):
                self.note("run", lambda: client.post("/api/v1/runs/", json={"rule": "orders"}), (201, 409))


def main(url: str, certificate: str, path: str) -> None:
    """Ask until told to stop."""
    with open(path, "a", encoding="utf-8") as out:
        load = Load(url, certificate, out, json.loads(os.environ["SYNCLINE_LOAD"]))
        signal.signal(signal.SIGTERM, lambda *_: load.stop.set())
        kinds = (load.pages, load.pages, load.reads, load.reads, load.writes, load.runs)
        threads = [threading.Thread(target=kind) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
