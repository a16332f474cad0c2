"""Machines of a cluster: network namespaces of this machine with a cable each to a switch; needs root and `ip`."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from webapp.lifeline import die_with_parent

PREFIX = "slha"
SWITCH = f"{PREFIX}-switch"
NETWORK = "10.77.0"
ROOT = Path(__file__).resolve().parents[2]


def ip(*words: str, check: bool = True) -> str:
    """Call `ip`."""
    return subprocess.run(["ip", *words], check=check, capture_output=True, text=True).stdout


def possible() -> bool:
    """Tell whether namespaces can be made here."""
    name = f"{PREFIX}-probe"
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        ip("netns", "add", name)
        ip("netns", "del", name)
        return True
    return False


@dataclass
class Machine:
    """One machine: a namespace with an address, and the programs that run there."""

    name: str
    number: int
    folder: Path
    programs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    code: Path = ROOT
    """Where the code lies that the machine runs."""

    @property
    def space(self) -> str:
        return f"{PREFIX}-{self.name}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def cable(self) -> str:
        return f"port{self.number}"

    def plug_in(self) -> None:
        """Make the namespace and connect it to the switch."""
        ip("netns", "add", self.space)
        ip("-n", SWITCH, "link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        ip("-n", SWITCH, "link", "set", self.cable, "master", "br0", "up")
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip("-n", self.space, "link", "set", link, "up")

    def start(self, name: str, argv: list[str], environ: Mapping[str, str] | None = None, *, user: str = "") -> None:
        """Start a program; its output goes to a file of its name in the machine's folder."""
        inside = (
            ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups", *argv]
            if user
            else argv
        )
        with (self.folder / f"{name}.log").open("ab") as out:
            self.programs[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.space, *inside],
                env={**os.environ, **(environ or {})},
                cwd=self.code,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(os.getpid()),  # noqa: PLW1509 - it calls one function of the kernel
            )

    def call(self, argv: list[str], environ: Mapping[str, str] | None = None) -> str:
        """Run a program to its end and return what it printed."""
        command = ["ip", "netns", "exec", self.space, *argv]
        done = subprocess.run(
            command, env={**os.environ, **(environ or {})}, cwd=self.code, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def pids(self) -> list[int]:
        return [int(word) for word in ip("netns", "pids", self.space, check=False).split()]

    def kill(self, name: str) -> None:
        """Kill one program."""
        self.programs[name].kill()
        self.programs.pop(name).wait()

    def crash(self) -> None:
        """Kill all processes of the machine at once; its kernel goes on, and says that nobody listens."""
        while pids := self.pids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        for name in tuple(self.programs):
            self.programs.pop(name).wait()

    def power_off(self) -> None:
        """Let the machine go as a whole, with the addresses that it had taken."""
        self.cut()
        self.crash()
        ip("-n", self.space, "addr", "flush", "dev", "eth0", "scope", "global")
        ip("-n", self.space, "addr", "add", f"{self.address}/24", "dev", "eth0")

    def stop(self, name: str) -> None:
        """Tell a program to stop, and wait for it."""
        self.programs[name].terminate()
        self.programs.pop(name).wait()

    def cut(self) -> None:
        """Pull the cable at the switch: nobody is told, not even the machine; packets just stay out."""
        ip("-n", SWITCH, "link", "set", self.cable, "nomaster")

    def mend(self) -> None:
        """Plug the cable in again."""
        ip("-n", SWITCH, "link", "set", self.cable, "master", "br0")

    def has(self, address: str) -> bool:
        """Tell whether the machine holds an address."""
        return f" {address}/" in ip("-n", self.space, "addr", check=False)


def clear() -> None:
    """Take away what an earlier test has left."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        if name.startswith(f"{PREFIX}-"):
            for pid in ip("netns", "pids", name, check=False).split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            ip("netns", "del", name, check=False)


@contextlib.contextmanager
def network(folder: Path, machines: Mapping[str, int]) -> Iterator[dict[str, Machine]]:
    """Connect machines of these names and last parts of their addresses; all is gone afterwards."""
    clear()
    found: dict[str, Machine] = {}
    try:
        ip("netns", "add", SWITCH)
        ip("-n", SWITCH, "link", "add", "br0", "type", "bridge")
        ip("-n", SWITCH, "link", "set", "br0", "up")
        found |= {name: Machine(name, number, folder / name) for name, number in machines.items()}
        for machine in found.values():
            machine.folder.mkdir(parents=True)
            machine.folder.chmod(0o755)
            machine.plug_in()
        yield found
    finally:
        for machine in found.values():
            machine.crash()
        clear()
