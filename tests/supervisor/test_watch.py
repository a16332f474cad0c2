"""The watch over small programs of the shell."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config import environment
from webapp.supervisor import programs
from webapp.supervisor.errors import UNUSABLE, CannotStart
from webapp.supervisor.programs import Child, Program
from webapp.supervisor.watch import Stage, Stopped, Watch

pytestmark = pytest.mark.kill


def shell(name: str, script: str, *, grace: float = 2.0, **options) -> Program:
    return Program(name, ("/bin/sh", "-c", script), environment(), grace, **options)


def python(name: str, code: str, *, grace: float = 2.0) -> Program:
    return Program(name, (sys.executable, "-c", code), environment(), grace=grace)


@pytest.fixture
def watch() -> Iterator[Watch]:
    with Watch() as watch:
        yield watch


def later(seconds: float, deed: Callable[[], object]) -> None:
    threading.Timer(seconds, deed).start()


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_stage_waits_until_it_is_ready(tmp_path: Path, watch: Watch) -> None:
    """`start` returns once the condition holds, with the program running."""
    flag = tmp_path / "flag"
    watch.start(Stage((shell("one", f"sleep 0.2; touch {flag}; sleep 60"),), flag.exists, 10))
    assert flag.exists()
    assert psutil.pid_exists(watch.children["one"].pid or 0)


def test_a_killed_program_starts_again(tmp_path: Path, watch: Watch) -> None:
    """kill -9 of a program is followed by a restart within a second; others are not touched."""
    runs = tmp_path / "runs"
    watch.start(Stage((shell("other", "exec sleep 60"), shell("one", f"echo x >> {runs}; exec sleep 60")), runs.exists))
    other, first = watch.children["other"].pid, watch.children["one"].pid
    later(0.1, lambda: os.kill(first or 0, signal.SIGKILL))
    later(1.5, ask_to_stop)
    watch.run()
    assert runs.read_text().split() == ["x", "x"]
    assert watch.children["other"].pid == other


def test_restarts_come_more_and_more_slowly() -> None:
    """The delays double up to a limit, and are short again after a program ran well for a while."""
    child = Child(shell("one", "true"))
    assert [child.ended(1, 0.0) for _ in range(9)] == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert child.ended(1, programs.STEADY) == 0.25


def test_a_program_that_never_gets_ready_ends_the_start(watch: Watch) -> None:
    """After three failures the start fails with one line that says where to look."""
    with pytest.raises(CannotStart, match=r"^The one process ended 3 times while starting\. See the log\.$"):
        watch.start(Stage((shell("one", "exit 3"),), lambda: False, 20, "See the log."))


def test_a_program_that_is_set_up_wrongly_is_not_tried_again(tmp_path: Path, watch: Watch) -> None:
    """A program that says that it cannot start has told why, so nothing is added."""
    runs = tmp_path / "runs"
    with pytest.raises(SystemExit):
        watch.start(Stage((shell("one", f"echo x >> {runs}; exit {UNUSABLE}"),), lambda: False, 20))
    assert runs.read_text().split() == ["x"]


def test_a_slow_start_fails_in_time(watch: Watch) -> None:
    """A program that runs but does not get ready ends the start at the stage's time limit."""
    with pytest.raises(CannotStart, match="did not get ready"):
        watch.start(Stage((shell("one", "exec sleep 60"),), lambda: False, 0.3))


def test_stopping_while_starting(watch: Watch) -> None:
    """A request to stop does not wait for a stage to get ready."""
    later(0.2, ask_to_stop)
    with pytest.raises(Stopped):
        watch.start(Stage((shell("one", "exec sleep 60"),), lambda: False, 60))


def test_programs_stop_rank_by_rank(tmp_path: Path) -> None:
    """A lower rank stops first; the next is asked only when it has gone, and those of one rank stop together."""
    order, ready = tmp_path / "order", tmp_path / "ready"

    def noted(name: str, rank: int) -> Program:
        note = f"trap 'sleep 0.1; echo {name} >> {order}; exit 0' TERM; echo x >> {ready}; while :; do sleep 0.02; done"
        return shell(name, note, rank=rank)

    with Watch() as watch:
        watch.start(Stage((noted("redis", 9), noted("web", 0), noted("worker-1", 1), noted("worker-2", 1))))
        wait_for(lambda: ready.exists() and len(ready.read_text().split()) == 4)
    stopped = order.read_text().split()
    assert stopped[0] == "web"
    assert sorted(stopped[1:3]) == ["worker-1", "worker-2"]
    assert stopped[3:] == ["redis"]


def test_a_deaf_program_is_killed(tmp_path: Path) -> None:
    """A program that ignores SIGTERM is killed when its grace has passed, with everything that it started."""
    ready = tmp_path / "ready"
    with Watch() as watch:
        watch.start(
            Stage(
                (shell("one", f"trap '' TERM; sleep 300 & echo $! > {ready}; wait; sleep 300", grace=0.3),),
                ready.exists,
            )
        )
        grandchild = int(ready.read_text())
        started = time.monotonic()
    assert time.monotonic() - started < 3
    assert not psutil.pid_exists(grandchild)


def test_a_program_that_left_its_group_is_killed_too(tmp_path: Path) -> None:
    """A grandchild with a session of its own is adopted when its parent dies, and ended with the rest."""
    ready = tmp_path / "ready"
    code = (
        "import subprocess, time; p = subprocess.Popen(['sleep', '300'], start_new_session=True); "
        f"open({str(ready)!r}, 'w').write(str(p.pid)); time.sleep(300)"
    )
    with Watch() as watch:
        watch.start(Stage((python("one", code),), lambda: ready.exists() and bool(ready.read_text())))
        grandchild = int(ready.read_text())
    assert not psutil.pid_exists(grandchild)


def test_a_second_request_kills_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not wait for the grace to pass."""
    ready = tmp_path / "ready"
    with Watch() as watch:
        watch.start(
            Stage((shell("one", f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done", grace=60),), ready.exists)
        )
        ask_to_stop()
        later(0.3, ask_to_stop)
        started = time.monotonic()
    assert time.monotonic() - started < 5


def test_finish_returns_the_exit_code(watch: Watch) -> None:
    """A program that ends by itself is run once."""
    watch.launch(shell("once", "exit 7", restart=False))
    assert watch.finish("once") == 7
    assert "once" not in watch.children


def test_the_supervisors_death_ends_its_children(tmp_path: Path) -> None:
    """kill -9 of the process that watches leaves no orphan."""
    ready = tmp_path / "ready"
    code = (
        "from webapp.supervisor.watch import *\n"
        "from webapp.supervisor.programs import Program\n"
        "from config import environment\n"
        f"child = Program('one', ('/bin/sh', '-c', 'echo $$ > {ready}; exec sleep 300'), environment(), grace=1)\n"
        "with Watch() as w:\n    w.start(Stage((child,)))\n    w.run()\n"
    )
    process = psutil.Popen([sys.executable, "-c", code])
    wait_for(lambda: ready.exists() and bool(ready.read_text().strip()))
    child = int(ready.read_text())
    process.kill()
    process.wait()
    wait_for(lambda: not psutil.pid_exists(child), 5)
