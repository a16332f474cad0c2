"""Files on an FTP server, plain or encrypted (explicit TLS)."""

from __future__ import annotations

import datetime as dt
import ftplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from connectors.builtin.files_place import BLOCK, RenamingPlace, Stat, lost
from connectors.egress import addresses
from connectors.errors import AuthFailed, Misconfigured
from connectors.http_client import trust_store
from rules.text import msg

_REFUSED, _NEEDS_SIGN_IN = "550", "530"


class _Encrypted(ftplib.FTP_TLS):
    """FTP whose data connections go on with the session of the control connection, as many servers demand it."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> Any:
        """Return the data connection of a command."""
        plain, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 - it is encrypted below
        session = getattr(self.sock, "session", None)
        return self.context.wrap_socket(plain, server_hostname=self.host, session=session), size


class FtpPlace(RenamingPlace):
    """A folder on an FTP server."""

    @property
    def shown(self) -> str:
        """Return the address of the folder."""
        return f"{self.options.place}://{self.options.host}/{self.options.folder.lstrip('/')}"

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder."""
        with self._told(folder):
            found = self._listed(folder)
        for own, facts in found:
            name = f"{folder}/{own}" if folder else own
            if facts.get("type") in ("file", "dir"):
                yield Stat(name, int(facts.get("size", 0)), _moment(facts.get("modify", ""))), facts["type"] == "dir"

    def stat(self, name: str) -> Stat:
        """Return a file's size and version."""
        with self._told(name):
            self._ftp.voidcmd("TYPE I")
            size = self._ftp.size(self._path(name))
            modified = self._ftp.sendcmd(f"MDTM {self._path(name)}").partition(" ")[2]
        return Stat(name, size or 0, _moment(modified))

    def fetch(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a file to `target`; a connection that was cut short is an error."""
        size, before = self.stat(name).size, target.tell()
        with self._told(name):
            self._ftp.retrbinary(f"RETR {self._path(name)}", target.write, BLOCK)
        if target.tell() - before < size:
            raise lost(self.shown, msg("only a part of '{name}' arrived", name=name))

    def send(self, name: str, source: Path) -> None:
        """Write a local file's bytes to a new file, and see that all arrived."""
        with self._told(name), source.open("rb") as file:
            self._ftp.storbinary(f"STOR {self._path(name)}", file, BLOCK)
        if self.stat(name).size != source.stat().st_size:
            raise lost(self.shown, msg("only a part of '{name}' arrived", name=name))

    def move(self, old: str, name: str, *, new: bool) -> None:
        """Rename a file; where a server does not replace files, the old one is removed before."""
        if new and self._is_there(name):
            raise FileExistsError(17, "exists", name)
        with self._told(old):
            try:
                self._ftp.rename(self._path(old), self._path(name))
            except ftplib.error_perm as error:
                if new or not self._is_there(name) or not self._is_there(old):
                    raise
                if not str(error).startswith((_REFUSED, "553")):
                    raise
                self._ftp.delete(self._path(name))
                self._ftp.rename(self._path(old), self._path(name))

    def delete(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError), self._told(name):
            self._ftp.delete(self._path(name))

    def make_folder(self, folder: str) -> None:
        """Make a folder, and those above it."""
        for path in reversed([PurePosixPath(folder), *PurePosixPath(folder).parents][:-1]):
            with suppress(ftplib.error_perm):  # it is there, or the next step tells what is wrong
                self._ftp.mkd(self._path(str(path)))

    def close(self) -> None:
        """Give up the connection."""
        if "_ftp" in self.__dict__:
            self._ftp.close()
            del self.__dict__["_ftp"]

    def _path(self, name: str) -> str:
        if "\r" in name or "\n" in name:
            raise FileNotFoundError(2, "no such file", name)
        return str(PurePosixPath(self.options.folder or ".", name))

    def _is_there(self, name: str) -> bool:
        try:
            self.stat(name)
        except FileNotFoundError:
            return False
        return True

    def _listed(self, folder: str) -> list[tuple[str, dict[str, str]]]:
        """Return names and facts, one by one where the server has no command for that."""
        try:
            return list(self._ftp.mlsd(self._path(folder), ["type", "size", "modify"]))
        except ftplib.error_perm as error:
            if not str(error).startswith(("500", "501", "502", "504")):
                raise
        found = []
        for path in self._ftp.nlst(self._path(folder)):
            own = PurePosixPath(path).name
            with suppress(FileNotFoundError):  # a folder has no size
                one = self.stat(f"{folder}/{own}" if folder else own)
                when = dt.datetime.fromtimestamp(one.modified / 1e9, dt.UTC)
                found.append((own, {"type": "file", "size": str(one.size), "modify": f"{when:%Y%m%d%H%M%S}"}))
        return found

    @cached_property
    def _ftp(self) -> ftplib.FTP:
        with self._told(""):
            ftp = self._client()
            try:
                self._connect(ftp)
                if isinstance(ftp, ftplib.FTP_TLS):
                    ftp.auth()
                ftp.login(self.options.user or "anonymous", self.options.password)
                if isinstance(ftp, ftplib.FTP_TLS):
                    ftp.prot_p()
                ftp.voidcmd("TYPE I")
            except BaseException:
                ftp.close()
                raise
            return ftp

    def _client(self) -> ftplib.FTP:
        if self.options.place == "ftps":
            trust = trust_store(self.options.tls_ca)
            return _Encrypted(context=trust, timeout=self.context.timeout, encoding="utf-8")
        return ftplib.FTP(timeout=self.context.timeout, encoding="utf-8")  # noqa: S321 - chosen by a person

    def _connect(self, ftp: ftplib.FTP) -> None:
        """Connect to a checked address; data connections go to the same one, whatever the server says."""
        port, refused = self.options.port or ftplib.FTP_PORT, OSError()
        for address in addresses(self.options.host, port, self.context.egress_allow):
            try:
                ftp.connect(address, port)
            except OSError as error:
                refused = error
            else:
                ftp.host = self.options.host  # by which its certificate is checked
                return
        raise refused

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        try:
            yield
        except ftplib.error_perm as error:
            raise self._refused(error, name) from error
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Misconfigured(
                msg("The certificate of {host} is not trusted: {problem}.",
                    host=self.options.host, problem=error.verify_message),
                msg("Add the certificate of your authority to the connection's settings."),
            ) from error  # fmt: skip
        except (FileNotFoundError, FileExistsError, PermissionError):
            raise
        except (ftplib.Error, EOFError, OSError) as error:
            self.close()
            raise lost(self.shown, getattr(error, "strerror", None) or error) from error

    def _refused(self, error: ftplib.error_perm, name: str) -> Exception:
        text = str(error)
        if text.startswith(_NEEDS_SIGN_IN):
            self.close()
            return AuthFailed(
                msg("{host} refuses the user '{user}' or the password.",
                    host=self.options.host, user=self.options.user),
                msg("Correct user and password in the connection's settings."),
            )  # fmt: skip
        if text.startswith(_REFUSED) and "denied" not in text.lower() and "privilege" not in text.lower():
            return FileNotFoundError(2, text, name)
        if text.startswith(("550", "553", "532")):
            return PermissionError(13, text, name)
        self.close()
        return lost(self.shown, text)


def _moment(text: str) -> int:
    """Return nanoseconds since 1970 of a time such as 20240131120000.123."""
    try:
        when = dt.datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
    except ValueError:
        return 0
    return int(when.timestamp()) * 1_000_000_000
