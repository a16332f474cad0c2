"""A new connector's package: what `syncline connector new NAME` writes, complete and with its tests green.

The files beside this one are its texts; %NAME%, %CLASS% and %LABEL% stand for what the new connector is called.
"""

from __future__ import annotations

import re
from pathlib import Path

from connectors import registry
from connectors.errors import Misconfigured
from rules.text import msg

_FOLDER = Path(__file__).resolve().parent
_FILES = {
    "pyproject.txt": "pyproject.toml",
    "readme.txt": "README.md",
    "docs.txt": "docs/%NAME%.md",
    "connector.txt": "syncline_%NAME%/__init__.py",
    "service.txt": "tests/%NAME%_service.py",
    "conformance.txt": "tests/test_%NAME%.py",
}


def write(name: str, folder: Path) -> list[Path]:
    """Write the package of a connector called `name` into a folder that is empty or not there; returns the files.

    Raises:
        Misconfigured: The name cannot be one, is taken, or there is something in the folder.
    """
    _check(name, folder)
    words = {"%NAME%": name, "%CLASS%": name.title().replace("_", ""), "%LABEL%": name.replace("_", " ").capitalize()}
    written = []
    for source, target in _FILES.items():
        path = folder / _put(target, words)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_put((_FOLDER / source).read_text("utf-8"), words), "utf-8")
        written.append(path)
    return written


def _check(name: str, folder: Path) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise Misconfigured(
            msg("'{name}' cannot be the name of a connector.", name=name),
            msg("Use small letters, digits and _, and begin with a letter: acme_crm."),
        )
    if name in registry.names():
        raise Misconfigured(
            msg("There is a connector '{name}' already.", name=name), msg("Choose a name that tells yours from it.")
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misconfigured(
            msg("There is something in '{folder}' already.", folder=str(folder)),
            msg("Name another folder with --into."),
        )


def _put(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text
