"""Real mail servers for tests, on loopback: Dovecot for IMAP (Debian: dovecot-imapd), aiosmtpd for SMTP."""

from __future__ import annotations

import contextlib
import imaplib
import pwd
import secrets
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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
                done, told = session.append(folder, "", "", mail)  # type: ignore[arg-type]
                assert done == "OK", told


@contextlib.contextmanager
def dovecot() -> Iterator[Imap]:
    """Run Dovecot; raises `NotInstalledError` if there is none."""
    program = servers._find("dovecot")
    with servers._folder("imap") as folder:
        certificate, key = servers.certify(folder)
        port, tls_port, password = servers.free_port(), servers.free_port(), secrets.token_hex(8)
        owner = pwd.getpwnam("nobody")
        (folder / "mails").mkdir()
        servers.shutil.chown(folder / "mails", owner.pw_uid, owner.pw_gid)
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
default_internal_user = dovecot
default_login_user = dovenull
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
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
""")
        command = [program, "-F", "-c", str(folder / "dovecot.conf")]
        with servers._process(command, folder, signal.SIGTERM, user=None) as process:
            found = Imap(port, tls_port, password, certificate.read_text(), folder / "dovecot.log")
            servers._wait(process, folder, lambda: found.session().logout())
            yield found
