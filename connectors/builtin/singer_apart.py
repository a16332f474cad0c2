"""How a Singer program is kept apart: what it may reach, what it may use, and what of that this machine can hold."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connectors.builtin import singer_launch
from connectors.builtin.singer_programs import Program
from connectors.spi import Context
from rules.text import Message, msg

PROCESSES, FILES, LARGEST = 64, 1024, 16 * 1024**3
"""Processes of a run, open files of a process, bytes of a file."""
NETWORKS = 4
"""The first version of Landlock that knows ports."""
_READ = (
    "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/gai.conf",
    "/etc/nsswitch.conf", "/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group", "/etc/localtime",
    "/etc/timezone", "/etc/mime.types", "/etc/ld.so.cache", "/etc/alternatives", "/proc/self", "/proc/meminfo",
    "/proc/cpuinfo", "/proc/stat", "/sys/fs/cgroup", "/sys/devices/system/cpu",
)  # fmt: skip
_RUN = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Room:
    """What a program may reach: folders, and networks (CIDR) beside the public ones, within `timeout` seconds.

    `direct` programs reach the network by themselves: they speak something else than HTTP.
    """

    folders: tuple[Path, ...] = ()
    allow: tuple[str, ...] = ()
    timeout: float = 30.0
    own: Path | None = None
    """The folder of Syncline's own files, which no folder may hold."""
    direct: bool = False

    def given(self) -> list[str]:
        """Return the folders that are given to the program, none that holds Syncline's own files."""
        own = None if self.own is None else self.own.resolve()
        real = [folder.resolve() for folder in self.folders]
        return [str(folder) for folder in real if own is None or not own.is_relative_to(folder)]


NOWHERE = Room()


def room_of(context: Context, program: Program) -> Room:
    """Return what a connection lets a program reach."""
    own = None if context.programs is None else context.programs.parent
    return Room(context.file_roots, context.egress_allow, context.timeout, own, program.direct)


def launching(room: Room, path: str, home: Path, bounds: tuple[int, float], port: int | None) -> list[str]:
    """Return the command that starts a program shut in.

    Args:
        room: What it may reach.
        path: The program.
        home: Its own folder.
        bounds: Megabytes of memory, seconds.
        port: The only port that it may connect to; None for all.
    """
    place = Path(path).resolve().parents[1]
    wanted = {
        "memory": bounds[0], "cpu": max(int(bounds[1]), 1), "files": FILES, "size": LARGEST, "processes": PROCESSES,
        "read": _READ, "run": [*_RUN, sys.base_prefix, str(place)],
        "write": [str(home), *_DEVICES, *room.given()], "port": port,
    }  # fmt: skip
    return [sys.executable, "-I", "-S", singer_launch.__file__, json.dumps(wanted)]


def apart() -> int:
    """Return how far this machine keeps a program apart: 0 not at all, from `NETWORKS` on from networks, too."""
    return singer_launch.landlock() if singer_launch.filters() else 0


def held(*, direct: bool = False) -> Message:
    """Return what this machine can hold a program to."""
    version = apart()
    if not version:
        return msg(
            "It has bounded memory and time, but this system cannot keep it from files that Syncline can read: "
            "it has no Landlock."
        )
    if direct:
        return msg(
            "It is kept apart from Syncline's files, and reaches the network by itself, as the operator allowed."
        )
    if version < NETWORKS:
        return msg("It is kept apart from Syncline's files, but this system cannot keep it from the network.")
    return msg("It is kept apart from Syncline's files, and from networks that Syncline may not reach.")


def members(session: int) -> list[int]:
    """Return the processes of a session."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[3]) == session:
                    found.append(int(entry.name))
    return found


def environment(path: str, home: Path, proxy: str | None) -> dict[str, str]:
    """Return the whole environment of a program."""
    made = {"HOME": str(home), "TMPDIR": str(home), "PATH": f"{Path(path).parent}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    made["PYTHONUNBUFFERED"] = "0"
    if proxy is not None:
        made |= dict.fromkeys(_proxies(), proxy)
    return made


def _proxies() -> Sequence[str]:
    return [name for plain in ("http_proxy", "https_proxy", "all_proxy") for name in (plain, plain.upper())]
