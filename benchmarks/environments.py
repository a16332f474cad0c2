"""Environments of their own for programs that are compared with, made at first use in build/movers.

Each is a virtual environment with what pip finds under the given names in the registry that it is configured with.
Nothing of it becomes a part of Syncline.
"""

from __future__ import annotations

import re
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "movers"
PACKAGES: dict[str, tuple[str, ...]] = {
    "adbc": ("adbc-driver-manager", "adbc-driver-sqlite", "pyarrow"),
    "dlt": ("dlt[postgres,sql_database]", "connectorx", "pyarrow", "psycopg2-binary", "sqlalchemy<2.1"),
    "sling": ("sling-linux-amd64==1.4.11",),
    "ingestr": ("ingestr==0.15.*",),
    "meltano": ("meltano",),
    "tap": ("meltanolabs-tap-postgres",),
    "target": ("meltanolabs-target-postgres",),
}


class NotInstallableError(RuntimeError):
    """An environment cannot be made here; the text is the last line that pip says."""


def environment(name: str, packages: tuple[str, ...] = (), below: Path = FOLDER) -> Path:
    """Return the folder of the programs of an environment, which is made where it is missing."""
    packages = packages or PACKAGES[name]
    folder, wanted = below / name, "\n".join(packages)
    mark = folder / ".complete"
    if not mark.exists() or mark.read_text() != wanted:
        print(f"  Installing {', '.join(packages)} into {folder}.", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run([*pip, *packages], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotInstallableError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
        mark.write_text(wanted)
    return folder / "bin"


def versions(name: str, packages: tuple[str, ...] = (), below: Path = FOLDER) -> str:
    """Return the first package of an environment with its version."""
    packages = packages or PACKAGES[name]
    first = re.split(r"[\[<>=]", packages[0])[0]
    asked = f"import importlib.metadata as m; print(m.version({first!r}))"
    program = str(environment(name, packages, below) / "python")
    done = subprocess.run([program, "-c", asked], capture_output=True, text=True, check=True)
    return f"{first} {done.stdout.strip()}"
