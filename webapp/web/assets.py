"""Front-end files: `asset("app.js")` is the address of the built file with its hash."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from flask import Flask, g, url_for

DIST = Path(__file__).resolve().parents[1] / "static" / "dist"
_YEAR = 31_536_000


@lru_cache(maxsize=4)
def _manifest(stamp: float) -> dict[str, str]:  # noqa: ARG001 - the stamp makes a new build known
    return dict(json.loads((DIST / "manifest.json").read_text()))


def asset(name: str) -> str:
    """Return the address of a built file; a page asks for most of them many times."""
    known: dict[str, str] = g.setdefault("assets", {})
    if name not in known:
        known[name] = _address(name)
    return known[name]


def _address(name: str) -> str:
    path = DIST / "manifest.json"
    built = _manifest(path.stat().st_mtime).get(name, name) if path.exists() else name
    return url_for("static", filename=built)


def register(app: Flask) -> None:
    """Make `asset` known to templates and let browsers keep the files, whose names change with their content."""
    app.jinja_env.globals["asset"] = asset
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _YEAR
