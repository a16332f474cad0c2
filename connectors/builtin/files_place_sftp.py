"""Files on an SFTP server: the server's key is known before anything secret is said."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import socket
import stat as modes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import paramiko

from connectors.builtin.files_place import RenamingPlace, Stat, lost
from connectors.egress import addresses
from connectors.errors import AuthFailed, Misconfigured, Unavailable
from rules.text import msg

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what goes wrong is told as an error
_WINDOW = 4 * 1024 * 1024
_REQUESTS = 64


class SftpPlace(RenamingPlace):
    """A folder on an SFTP server."""

    @property
    def shown(self) -> str:
        """Return the address of the folder."""
        return f"sftp://{self.options.host}/{self.options.folder.lstrip('/')}"

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder."""
        with self._told(folder):
            found = self._sftp.listdir_attr(self._path(folder))
        for one in found:
            name = f"{folder}/{one.filename}" if folder else one.filename
            if modes.S_ISLNK(one.st_mode or 0):
                with suppress(FileNotFoundError, PermissionError), self._told(name):
                    one = self._sftp.stat(self._path(name))  # noqa: PLW2901 - what the link leads to
            if modes.S_ISDIR(one.st_mode or 0) or modes.S_ISREG(one.st_mode or 0):
                yield _stat(name, one), modes.S_ISDIR(one.st_mode or 0)

    def stat(self, name: str) -> Stat:
        """Return a file's size and version."""
        with self._told(name):
            found = self._sftp.stat(self._path(name))
        if not modes.S_ISREG(found.st_mode or 0):
            raise FileNotFoundError(2, "no file", name)
        return _stat(name, found)

    def fetch(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a file to `target`."""
        with self._told(name):
            self._sftp.getfo(self._path(name), target, max_concurrent_prefetch_requests=_REQUESTS)

    def send(self, name: str, source: Path) -> None:
        """Write a local file's bytes to a new file; the server is asked for its size at the end."""
        with self._told(name), source.open("rb") as file:
            self._sftp.putfo(file, self._path(name), source.stat().st_size)

    def move(self, old: str, name: str, *, new: bool) -> None:
        """Rename a file in one step, if the server can."""
        with self._told(name):
            if new:
                self._new_name(old, name)
            else:
                self._other_name(old, name)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError), self._told(name):
            self._sftp.remove(self._path(name))

    def make_folder(self, folder: str) -> None:
        """Make a folder, and those above it."""
        for path in reversed([PurePosixPath(folder), *PurePosixPath(folder).parents][:-1]):
            with self._told(folder):
                try:
                    self._sftp.stat(self._path(str(path)))
                except FileNotFoundError:
                    self._sftp.mkdir(self._path(str(path)))

    def close(self) -> None:
        """Give up the connection."""
        if "_sftp" in self.__dict__:
            transport = self._sftp.get_channel()
            del self.__dict__["_sftp"]
            if transport is not None and (above := transport.get_transport()) is not None:
                above.close()

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self.options.folder or ".", name))

    def _new_name(self, old: str, name: str) -> None:
        with suppress(FileNotFoundError):
            self._sftp.stat(self._path(name))
            raise FileExistsError(17, "exists", name)
        try:
            self._sftp.rename(self._path(old), self._path(name))  # refused where something is there by now
        except OSError as error:
            with suppress(FileNotFoundError):
                self._sftp.stat(self._path(name))
                raise FileExistsError(17, "exists", name) from error
            raise

    def _other_name(self, old: str, name: str) -> None:
        try:
            self._sftp.posix_rename(self._path(old), self._path(name))
        except OSError as error:
            if "unsupported" not in str(error).lower():
                raise
            with suppress(FileNotFoundError):  # a server without the extension: no name for a moment
                self._sftp.remove(self._path(name))
            self._sftp.rename(self._path(old), self._path(name))

    @cached_property
    def _sftp(self) -> paramiko.SFTPClient:
        with self._told(""):
            transport = paramiko.Transport(self._socket(), default_window_size=_WINDOW)
            try:
                return self._opened(transport)
            except BaseException:
                transport.close()
                raise

    def _opened(self, transport: paramiko.Transport) -> paramiko.SFTPClient:
        transport.start_client(timeout=self.context.timeout)
        self._known(transport.get_remote_server_key())
        self._sign_in(transport)
        client = paramiko.SFTPClient.from_transport(transport)
        channel = client.get_channel() if client is not None else None
        if client is None or channel is None:
            raise lost(self.shown, msg("the server offers no SFTP"))
        channel.settimeout(self.context.timeout)
        return client

    def _socket(self) -> socket.socket:
        port, refused = self.options.port or 22, OSError()
        for address in addresses(self.options.host, port, self.context.egress_allow):
            try:
                return socket.create_connection((address, port), self.context.timeout)
            except OSError as error:
                refused = error
        raise refused

    def _known(self, key: paramiko.PKey) -> None:
        """Compare the server's key with the one that a person confirmed."""
        digest = hashlib.sha256(key.asbytes()).digest()
        print_ = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
        wanted = self.options.host_key.strip()
        if wanted in (print_, print_ + "=") or key.get_base64() in wanted.split():
            return
        names = {"host": self.options.host, "print": print_, "kind": key.get_name()}
        if not wanted:
            raise Misconfigured(
                msg("{host} shows the key {print} ({kind}), which nobody has confirmed yet.", **names),
                msg("Compare it with what the server's operator says, and enter it as the key of the server."),
            )
        raise Misconfigured(
            msg("{host} shows the key {print} ({kind}), not the one of this connection. It may be another server.",
                **names),
            msg("Ask the server's operator whether the key was changed; only then enter the new one."),
        )  # fmt: skip

    def _sign_in(self, transport: paramiko.Transport) -> None:
        try:
            if self.options.private_key:
                transport.auth_publickey(self.options.user, self._private_key())
            else:
                transport.auth_password(self.options.user, self.options.password)
        except paramiko.AuthenticationException as error:
            raise AuthFailed(
                msg("{host} refuses the user '{user}' with this key or password.",
                    host=self.options.host, user=self.options.user),
                msg("Correct user, password or key in the connection's settings."),
            ) from error  # fmt: skip

    def _private_key(self) -> paramiko.PKey:
        text, secret = self.options.private_key.strip() + "\n", self.options.password or None
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            with suppress(paramiko.SSHException, ValueError, IndexError):
                return kind.from_private_key(io.StringIO(text), secret)
        raise Misconfigured(
            msg("The private key cannot be read."),
            msg("Paste it whole, in OpenSSH or PEM form. If it has a passphrase, enter that as the password."),
        )

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(2, "no such file", name) from error
        except PermissionError as error:
            raise PermissionError(13, "refused", name) from error
        except FileExistsError:
            raise
        except (paramiko.SSHException, EOFError, OSError) as error:
            self.close()
            raise _problem(self.shown, error) from error


def _problem(place: str, error: Exception) -> Unavailable:
    return lost(place, getattr(error, "strerror", None) or error)


def _stat(name: str, found: paramiko.SFTPAttributes) -> Stat:
    return Stat(name, found.st_size or 0, int(found.st_mtime or 0) * 1_000_000_000)
