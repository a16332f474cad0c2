"""A proxy that offers the encryption which the tests' PostgreSQL was built without."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.servers import LOOPBACK, certify


@contextlib.contextmanager
def encrypted_postgres(target: int, folder: Path) -> Iterator[tuple[int, str]]:
    """Yield the port of a proxy to the server on port `target`, and the PEM text of the proxy's certificate."""
    certificate, key = certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, target), daemon=True).start()
        yield listener.getsockname()[1], certificate.read_text()
        listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def encrypted(target: int, port: int, folder: Path) -> Iterator[str]:
    """Listen on a port with encryption from the first byte on, and yield the PEM text of the certificate."""
    certificate, key = certify(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server((LOOPBACK, port)) as listener:
        threading.Thread(target=_accept, args=(listener, context, target, False), daemon=True).start()
        yield certificate.read_text()
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, target: int, asks: bool = True) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, context, target, asks), daemon=True).start()


def _serve(client: socket.socket, context: ssl.SSLContext, target: int, asks: bool) -> None:
    with contextlib.suppress(OSError), client:
        if asks:
            client.recv(8, socket.MSG_WAITALL)
            client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as near, socket.create_connection((LOOPBACK, target)) as far:
            near.settimeout(0.02)
            threading.Thread(target=_back, args=(far, near), daemon=True).start()
            while data := _next(near):
                far.sendall(data)


def _next(near: ssl.SSLSocket) -> bytes:
    while True:
        with contextlib.suppress(TimeoutError):
            return near.recv(65536)


def _back(far: socket.socket, near: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        while data := far.recv(65536):
            near.sendall(data)
