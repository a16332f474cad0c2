#!/usr/bin/env python3
"""A program that tries what a Singer program must not do, and prints as JSON what came of it."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any


def tried(work: Any) -> str:
    try:
        return str(work())
    except Exception as error:  # noqa: BLE001 - whatever it is
        return f"{type(error).__name__} {getattr(error, 'errno', None) or error}"


def connected(family: int, kind: int, target: Any) -> str:
    with socket.socket(family, kind) as made:
        made.settimeout(5)
        made.connect(target)
    return "connected"


def fast_open(port: int) -> str:
    with socket.socket() as made:
        return f"sent {made.sendto(b'x', 0x20000000, ('127.0.0.1', port))}"


def got(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - of the test
        return str(answer.read().decode())


def tunnelled(host: str, port: int) -> str:
    proxy = urllib.parse.urlsplit(os.environ["https_proxy"])
    line = http.client.HTTPConnection(proxy.hostname or "", proxy.port, timeout=10)
    with contextlib.closing(line):
        line.set_tunnel(host, port, {"Proxy-Authorization": "Basic " + token(proxy)})
        line.request("GET", "/tunnel")
        return line.getresponse().read().decode()


def token(proxy: Any) -> str:
    return base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()


def main() -> None:
    with open(sys.argv[2], encoding="utf-8") as file:
        config = json.load(file)
    if config.get("many"):
        children = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(80)]
        time.sleep(60)
        raise SystemExit(len(children))
    given, port = Path(config["given"]), config["port"]
    libc = ctypes.CDLL(None, use_errno=True)
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    found = {
        "key": tried(lambda: Path(config["key"]).read_text()),
        "shadow": tried(lambda: Path("/etc/shadow").read_text()),
        "folder": tried(lambda: os.listdir(config["data"])),
        "parent": tried(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
        "write elsewhere": tried(lambda: Path(config["data"], "made").write_text("x")),
        "given": tried(lambda: (given / "made").write_text("x")),
        "home": tried(lambda: Path(os.environ["HOME"], "made").write_text("x")),
        "signal": tried(lambda: os.kill(os.getppid(), 0)),
        "session": tried(os.setsid),
        "trace": f"{libc.ptrace(16, os.getppid(), 0, 0)} {ctypes.get_errno()}",
        "unix": tried(lambda: connected(socket.AF_UNIX, socket.SOCK_STREAM, config["unix"])),
        "direct": tried(lambda: connected(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port))),
        "fast open": tried(lambda: fast_open(port)),
        "datagram": tried(lambda: connected(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))),
        "raw": tried(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "proxy": tried(lambda: got(f"http://127.0.0.1:{port}/plain?a=1")),
        "tunnel": tried(lambda: tunnelled("127.0.0.1", port)),
        "forbidden": tried(lambda: tunnelled("10.1.2.3", 443)),
        "capabilities": status["CapEff"].strip(),
        "privileges": status["NoNewPrivs"].strip(),
        "limits": [resource.getrlimit(getattr(resource, f"RLIMIT_{n}"))[0] for n in ("AS", "CPU", "NOFILE", "CORE")],
        "environment": sorted(os.environ),
    }
    json.dump(found, sys.stdout)


main()
