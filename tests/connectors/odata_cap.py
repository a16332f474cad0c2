"""SAP's own server for OData: CAP with SQLite in memory, which speaks version 4, and 2 by its adapter.

It is installed by npm into a folder of the user's cache when a test asks for it first, which takes minutes; so its
tests are among the long ones.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests import servers

PACKAGES = {
    "@sap/cds": "9.9.3",
    "@cap-js/sqlite": "2.4.2",
    "@cap-js-community/odata-v2-adapter": "1.15.10",
    "express": "4.22.3",
}
MODEL = """
namespace s;
entity Samples {
  key id : Integer64; title : String(40) not null; version : Integer64;
  f_text : String; f_integer : Integer64; f_decimal : Decimal(20,4); f_float : Double; f_boolean : Boolean;
  f_date : Date; f_time : Time; f_datetime : Timestamp;
}
entity Orders {
  key ID : UUID; no : String; modifiedAt : Timestamp @cds.on.insert : $now @cds.on.update : $now @odata.etag;
  items : Composition of many Items on items.parent = $self;
}
entity Items { key parent : Association to Orders; key pos : Integer; what : String; price : Decimal(12,2); }
"""
SERVICE = """
using s from '../db/schema';
@path: '/main'
service Main {
  entity samples as projection on s.Samples; entity Orders as projection on s.Orders;
  entity Items as projection on s.Items;
}
"""


@contextlib.contextmanager
def cap() -> Iterator[str]:
    """Run CAP; yields the address that `/main` (version 4) and `/odata/v2/main` lie below."""
    home = _installed()
    with servers._folder("cap") as folder:
        (folder / "node_modules").symlink_to(home / "node_modules")
        settings = {"db": {"kind": "sqlite", "credentials": {"url": ":memory:"}}, "auth": "dummy"}
        (folder / "package.json").write_text(
            json.dumps(
                {"name": "sample", "dependencies": PACKAGES, "cds": {"requires": settings, "cov2ap": {"plugin": True}}}
            )
        )
        for name, text in (("db/schema.cds", MODEL), ("srv/main.cds", SERVICE)):
            (folder / name).parent.mkdir()
            (folder / name).write_text(text)
        port = servers.free_port()
        command = [str(shutil.which("node")), "node_modules/@sap/cds/bin/serve.js", "--port", str(port)]
        with servers._process(command, folder, signal.SIGTERM, user=None) as process:
            servers._wait(process, folder, lambda: _answers(port), 60)
            yield f"http://127.0.0.1:{port}"


def _answers(port: int) -> None:
    try:
        httpx.get(f"http://127.0.0.1:{port}/main/$metadata", timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise ConnectionError from error


def _installed() -> Path:
    home = Path.home() / ".cache" / "syncline-cap"
    if not (home / "node_modules" / "@sap" / "cds").is_dir():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text(json.dumps({"name": "cap", "private": True, "dependencies": PACKAGES}))
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=home, check=True)
    return home
