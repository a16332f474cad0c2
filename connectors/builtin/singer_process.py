"""One run of a Singer program: a process with limits, whose secrets never lie on the disk.

It gets a clean environment and a folder of its own that is gone afterwards, dies with us, may use so much memory and
time, and may not send lines without end. Its configuration is handed over in memory (a file without a name). What else
it is kept from says `singer_apart`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from connectors.builtin.singer_apart import NOWHERE, PROCESSES, Room, environment, launching, members
from connectors.builtin.singer_gate import Gate
from connectors.errors import Fatal, Unavailable
from connectors.json_records import encode
from rules.text import msg

_WATCH = 0.5
_TOLD, _LINE = 20, 4000
"""Lines of what a program says that are kept, and bytes of each; what is behind them in a line is dropped."""


@dataclass(frozen=True)
class Bounds:
    """What one run may cost: seconds in all, megabytes of memory, bytes of one line."""

    seconds: float = 3600.0
    memory: int = 2048
    line: int = 32 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """What to run: the program, its configuration, files given by name, and its secrets, which nobody is told."""

    path: str
    config: Mapping[str, Any]
    files: Mapping[str, Any]
    flags: Sequence[str] = ()
    secrets: Sequence[str] = ()
    room: Room = NOWHERE


class Running:
    """A program that runs; use it as a context manager."""

    def __init__(self, call: Call, bounds: Bounds) -> None:
        self.call = call
        self.bounds = bounds
        self.counted: dict[str, int] = {}
        """Stream -> how many records the program says it has sent, where it says so."""
        self.counts_told = False
        self._late = False
        self._many = False
        self._ended = threading.Event()
        self._told: deque[str] = deque(maxlen=_TOLD)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="syncline-singer-")
        self._gate = None if self.call.room.direct else Gate(self.call.room.allow, self.call.room.timeout)
        self._around = ExitStack()
        try:
            if self._gate is not None:
                self._around.enter_context(self._gate)
            self._process = self._start(Path(self._folder.name))
        except OSError as error:
            self._around.close()
            self._folder.cleanup()
            raise Unavailable(
                msg("The program cannot be started: {reason}", reason=str(error)), msg("Try again later.")
            ) from error
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        self._kill()
        self._process.wait()
        self._watcher.join()
        self._around.close()
        self._listener.join()
        for pipe in (self.input, self.output):
            with suppress(OSError):
                pipe.close()
        self._folder.cleanup()

    @property
    def input(self) -> IO[bytes]:
        """Return where the program reads from."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        return self._process.stdin

    @property
    def output(self) -> IO[bytes]:
        """Return what the program writes."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        return self._process.stdout

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that the program writes; the last one may be cut off."""
        while line := self.output.readline(self.bounds.line + 1):
            if len(line) > self.bounds.line:
                raise Fatal(
                    msg("The program sends a line of more than {size} MB.", size=self.bounds.line // 1024**2),
                    msg("Choose fewer fields in its configuration."),
                )
            yield line

    def end(self) -> None:
        """Wait for the end; raises where it was no good one."""
        code = self._process.wait()
        self._listener.join()
        if self._late:
            raise Unavailable(
                msg("The program ran longer than {minutes} minutes.", minutes=round(self.bounds.seconds / 60, 1)),
                msg("Allow more time in the connection's settings, or let it read less."),
            )
        if self._many:
            raise Unavailable(
                msg("The program started more than {count} processes.", count=PROCESSES),
                msg("Let it do less at a time."),
            )
        if code:
            raise Unavailable(
                msg("The program ended with the code {code}: {reason}", code=code, reason=self.reason),
                msg("Check its configuration, and try again."),
            )

    @property
    def reason(self) -> str:
        """Return the last that the program said, without its secrets; what it calls an error comes first."""
        errors = [found[1] for line in self._told if (found := _ERROR.search(line))]
        text = "; ".join(errors[-2:]) or next((line for line in reversed(self._told) if line.strip()), "–").strip()
        secrets = [*self.call.secrets, self._gate.password if self._gate else ""]
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "•••")
        return text[:300]

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        config = os.memfd_create("config")
        try:
            os.write(config, encode(self.call.config))
            arguments = [self.call.path, "--config", f"/proc/self/fd/{config}", *self.call.flags]
            for flag, content in self.call.files.items():
                path = folder / f"{flag}.json"
                path.write_bytes(encode(content))
                arguments += [f"--{flag}", str(path)]
            bounds, gate = (self.bounds.memory, self.bounds.seconds), self._gate
            launch = launching(self.call.room, self.call.path, folder, bounds, gate.port if gate else None)
            return subprocess.Popen(  # noqa: S603 - an operator has installed the program
                [*launch, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
                env=environment(self.call.path, folder, gate.url if gate else None), pass_fds=(config,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(config)

    def _listen(self) -> None:
        """Keep the last words of the program, and its own counts of records."""
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        inside = False
        for raw in iter(partial(self._process.stderr.readline, _LINE), b""):
            rest, inside = inside, not raw.endswith(b"\n")
            line = "" if rest else raw.decode("utf-8", "replace").rstrip()
            metric = _METRIC.search(line)
            if metric:
                self._count(metric[1])
            elif line:
                self._told.append(line)
        self._process.stderr.close()

    def _count(self, text: str) -> None:
        with suppress(ValueError, KeyError, TypeError):
            point = json.loads(text)
            if point["metric"] == "record_count":
                stream = str(point["tags"]["stream"])
                self.counted[stream] = self.counted.get(stream, 0) + int(point["value"])
                self.counts_told = True

    def _watch(self) -> None:
        """End the program when its time is over, or when it has too many processes."""
        end = time.monotonic() + self.bounds.seconds
        while not self._ended.wait(max(min(_WATCH, end - time.monotonic()), 0.0)):
            self._late = time.monotonic() >= end
            self._many = len(members(self._process.pid)) > PROCESSES
            if self._late or self._many:
                self._kill()
                return

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


_METRIC = re.compile(r"METRIC: (\{.*\})")
_ERROR = re.compile(r"\b(?:ERROR|CRITICAL)\b[\s|:]*(?:[\w.-]+ *\| *)?(.*\S)")
