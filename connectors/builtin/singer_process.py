"""One run of a Singer program: a process with limits, whose secrets never lie on the disk.

It gets a clean environment and a folder of its own that is gone afterwards, dies with us, may use so much memory and
time, and may not send lines without end. Its configuration is handed over in memory (a file without a name).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from connectors.errors import Fatal, Unavailable
from connectors.json_records import encode
from rules.text import msg

# what runs before the program: it ends with its parent, leaves no core, and has its memory bounded
_LAUNCH = """
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl(1, 9)
size = int(sys.argv[1]) * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (size, size))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.execv(sys.argv[2], sys.argv[2:])
"""
_TOLD = 20
"""Lines of what a program says that are kept."""


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


class Running:
    """A program that runs; use it as a context manager."""

    def __init__(self, call: Call, bounds: Bounds) -> None:
        self.call = call
        self.bounds = bounds
        self.counted: dict[str, int] = {}
        """Stream -> how many records the program says it has sent, where it says so."""
        self.counts_told = False
        self._late = False
        self._told: deque[str] = deque(maxlen=_TOLD)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="syncline-singer-")
        try:
            self._process = self._start(Path(self._folder.name))
        except OSError as error:
            self._folder.cleanup()
            raise Unavailable(
                msg("The program cannot be started: {reason}", reason=str(error)), msg("Try again later.")
            ) from error
        self._timer = threading.Timer(self.bounds.seconds, self._out_of_time)
        self._timer.daemon = True
        self._timer.start()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._timer.cancel()
        self._kill()
        self._process.wait()
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
        for secret in sorted(filter(None, self.call.secrets), key=len, reverse=True):
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
            place = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": f"{Path(self.call.path).parent}:/usr/bin:/bin"}
            return subprocess.Popen(  # noqa: S603 - an operator has installed the program
                [sys.executable, "-I", "-c", _LAUNCH, str(self.bounds.memory), *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
                env={**place, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "0"}, pass_fds=(config,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(config)

    def _listen(self) -> None:
        """Keep the last words of the program, and its own counts of records."""
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        for raw in self._process.stderr:
            line = raw[:4000].decode("utf-8", "replace").rstrip()
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

    def _out_of_time(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)


_METRIC = re.compile(r"METRIC: (\{.*\})")
_ERROR = re.compile(r"\b(?:ERROR|CRITICAL)\b[\s|:]*(?:[\w.-]+ *\| *)?(.*\S)")
