"""Real mail servers for tests, on loopback: Dovecot for IMAP (Debian: dovecot-imapd), aiosmtpd for SMTP."""

from __future__ import annotations

import contextlib
import grp
import imaplib
import os
import pwd
import secrets
import shutil
import signal
import ssl
from asyncio import Transport
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests import servers

USER = "orders@example.com"


@dataclass(frozen=True)
class Imap:
    """A running Dovecot; every user has the same password and a mailbox of its own."""

    port: int
    tls_port: int
    password: str
    certificate: str
    log: Path
    user: str = USER
    host: str = "localhost"

    def session(self, user: str = USER) -> imaplib.IMAP4:
        """Return a session of Python's own client."""
        found = imaplib.IMAP4("127.0.0.1", self.port)
        found.login(user, self.password)
        return found

    def fill(self, folder: str, mails: Iterable[bytes], user: str = USER) -> None:
        """Make a folder anew that holds these mails."""
        with self.session(user) as session:
            session.delete(folder)
            session.create(folder)
            for mail in mails:
                done, told = session.append(folder, "", "", mail)
                assert done == "OK", told


@contextlib.contextmanager
def dovecot() -> Iterator[Imap]:
    """Run Dovecot; raises `NotInstalledError` if there is none."""
    program = servers._find("dovecot")
    with servers._folder("imap") as folder:
        certificate, key = servers.certify(folder)
        (port, tls_port), password = _ports(), secrets.token_hex(8)
        rooted = servers._user() is not None
        owner = pwd.getpwnam("nobody") if rooted else pwd.getpwuid(os.getuid())
        internal, login = ("dovecot", "dovenull") if rooted else (owner.pw_name, owner.pw_name)
        group = grp.getgrgid(owner.pw_gid).gr_name if not rooted else "dovecot"
        (folder / "mails").mkdir()
        shutil.chown(folder / "mails", owner.pw_uid, owner.pw_gid)
        (folder / "dovecot.conf").write_text(f"""
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
default_internal_user = {internal}
default_internal_group = {group}
default_login_user = {login}
mail_location = maildir:{folder}/mails/%u
mail_fsync = never
mailbox_list_index = yes
first_valid_uid = 1
first_valid_gid = 1
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={folder}/mails/%u
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
""")
        command = [program, "-F", "-c", str(folder / "dovecot.conf")]
        with servers._process(command, folder, signal.SIGTERM, user=None) as process:
            found = Imap(port, tls_port, password, certificate.read_text(), folder / "dovecot.log")
            servers._wait(process, folder, lambda: found.session().logout())
            yield found


def _ports() -> tuple[int, int]:
    """Return two ports; asked one after the other, a machine may name the same one twice."""
    first = second = servers.free_port()
    while second == first:
        second = servers.free_port()
    return first, second


@dataclass
class Smtp:
    """A running aiosmtpd: what it took, in order, and what it says to addresses and mails."""

    port: int
    user: str
    password: str
    certificate: str
    taken: list[Envelope]
    says: dict[str, str]
    """Answers by address, or by a word in the mail; `hang up` ends the connection behind the mail."""
    host: str = "localhost"


class _Handler:
    def __init__(self, taken: list[Envelope], says: dict[str, str]) -> None:
        self.taken, self.says = taken, says

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if address in self.says:
            return self.says[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        del session
        for word, said in self.says.items():
            if word.encode() in (envelope.content or b""):
                if said != "hang up":
                    return said
                self.taken.append(envelope)
                cast("Transport", server.transport).abort()
                return ""
        self.taken.append(envelope)
        return "250 OK"


@contextlib.contextmanager
def smtp(*, encryption: str = "none", mechanism: str = "", plain: bool = False) -> Iterator[Smtp]:
    """Run aiosmtpd with one user; `mechanism` leaves only that one of PLAIN and LOGIN, `plain` all extensions out."""
    password, port = secrets.token_hex(8), servers.free_port()
    taken: list[Envelope] = []
    says: dict[str, str] = {}

    def known(_server: object, _session: object, _envelope: object, _mechanism: str, data: LoginPassword) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (USER.encode(), password.encode()), handled=False)

    with servers._folder("smtp") as folder:
        certificate, key = servers.certify(folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        controller = Controller(
            _Handler(taken, says), hostname="127.0.0.1", port=port, authenticator=None if plain else known,
            auth_require_tls=False, data_size_limit=None if plain else 1_000_000, enable_SMTPUTF8=not plain,
            ssl_context=context if encryption == "tls" else None,
            tls_context=context if encryption == "starttls" else None, require_starttls=encryption == "starttls",
            auth_exclude_mechanism=[m for m in ("PLAIN", "LOGIN") if plain or (mechanism and m != mechanism)],
        )  # fmt: skip
        controller.start()
        try:
            yield Smtp(port, USER, password, certificate.read_text(), taken, says)
        finally:
            controller.stop()
