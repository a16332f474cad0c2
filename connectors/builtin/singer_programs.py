"""Singer's taps and targets that are installed: each in a virtual environment of its own below one folder.

Nothing of such a program is imported here or shares a package with Syncline. Only who may run commands on this machine
can install one; connections choose among those that are there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from connectors.errors import Misconfigured
from rules.text import msg

NOTE = "program.json"
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(\[[A-Za-z0-9,._-]+\])?==([A-Za-z0-9.!+_-]+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATIENCE = 900


@dataclass(frozen=True)
class Program:
    """One installed program: its name, the version of its package, and the file to start.

    A `direct` one reaches the network by itself, because it speaks something else than HTTP.
    """

    name: str
    version: str
    path: str
    direct: bool = False


def installed(folder: Path | None) -> list[Program]:
    """Return the programs that are installed, by name."""
    notes = sorted(folder.glob(f"*/{NOTE}")) if folder else []
    return [Program(**json.loads(note.read_text("utf-8"))) for note in notes]


def find_program(folder: Path | None, name: str) -> Program:
    """Return an installed program; raises `Misconfigured` with those that are there."""
    found = installed(folder)
    for program in found:
        if program.name == name:
            return program
    raise Misconfigured(
        msg(
            "There is no Singer program '{name}' here. Installed: {known}.",
            name=name,
            known=", ".join(program.name for program in found) or "–",
        ),
        msg("Ask the operator to install it: syncline connector install singer {name}==VERSION.", name=name),
    )


def install_program(
    folder: Path, requirement: str, program: str = "", options: Sequence[str] = (), *, direct: bool = False
) -> Program:
    """Install a package with exactly one version into an environment of its own.

    Args:
        folder: Where all programs are.
        requirement: `tap-csv==1.2.0`, perhaps with extras.
        program: The name of its program, where it is not the package's name.
        options: Further options for pip.
        direct: Let it reach the network by itself, and not only by HTTP to where Syncline may go.

    Raises:
        Misconfigured: The requirement is none, it is there already, pip refuses it, or it has no such program.
    """
    stated = _REQUIREMENT.fullmatch(requirement)
    if stated is None or (program and not _NAME.fullmatch(program)):
        raise Misconfigured(
            msg("'{text}' does not name one version of one package.", text=requirement),
            msg("Write it as tap-csv==1.2.0."),
        )
    name = program or stated[1]
    if any(known.name == name for known in installed(folder)):
        raise Misconfigured(
            msg("'{name}' is installed already.", name=name),
            msg("Take it away first: syncline connector uninstall singer {name}.", name=name),
        )
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)  # what an installation that was cut off has left
    try:
        return _installed(place, Program(name, stated[3], str(place / "bin" / name), direct), [*options, requirement])
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def remove_program(folder: Path, name: str) -> None:
    """Take an installed program away."""
    shutil.rmtree(Path(find_program(folder, name).path).parents[1])


def _installed(place: Path, program: Program, arguments: Sequence[str]) -> Program:
    place.mkdir(parents=True, mode=0o700)
    _run([sys.executable, "-m", "venv", str(place)])
    _run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input",
          "--disable-pip-version-check", *arguments])  # fmt: skip
    if not Path(program.path).is_file():
        raise Misconfigured(
            msg("The package has no program '{name}'.", name=program.name), msg("Name its program with --program.")
        )
    (place / NOTE).write_text(json.dumps(asdict(program)), "utf-8")
    return program


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise Misconfigured(
            msg("The installation took longer than {minutes} minutes.", minutes=_PATIENCE // 60),
            msg("Try again when the network is faster."),
        ) from error
    if done.returncode:
        told = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Misconfigured(
            msg("The installation failed: {reason}", reason=(told or ["pip gave no reason."])[-1]),
            msg("Check the name, the version and the network."),
        )
