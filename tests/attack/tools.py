"""Programs that attack, each in an environment of its own below build/attack, made with pip at first use.

Some have licences that a part of Syncline could not have (GPL): they are started as programs of their own and are never
a dependency. Neither their versions nor what they find depends on what is installed for Syncline.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import environments
from tests.attack.results import FOLDER

PACKAGES: dict[str, tuple[str, ...]] = {
    "schemathesis": ("schemathesis>=4.32,<5",),
    "wapiti": ("wapiti3>=3.2,<4",),
    "sqlmap": ("sqlmap>=1.10,<2",),
    "atheris": ("atheris>=3,<4",),
}


def program(tool: str, name: str) -> Path:
    """Return a program of a tool, which is installed if it is missing."""
    return environments.environment(tool, PACKAGES[tool], FOLDER / "environments") / name


def version(tool: str) -> str:
    """Return the package of a tool with its version."""
    return environments.versions(tool, PACKAGES[tool], FOLDER / "environments")
