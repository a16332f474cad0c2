"""A real directory for tests: OpenLDAP's slapd (Debian: slapd, ldap-utils), on loopback, plain and encrypted."""

from __future__ import annotations

import base64
import contextlib
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import servers

SUFFIX = "dc=example,dc=com"
SCHEMAS = Path("/etc/ldap/schema")
_MODULES = Path("/usr/lib/ldap")
KEPT = 20
"""So many changes are kept for those who ask what was changed."""
LIMIT = 500
"""A guest gets no more entries than these, however it asks."""


@dataclass(frozen=True)
class Directory:
    """A running slapd; `user` may do everything below `SUFFIX`, `reader` only read."""

    port: int
    tls_port: int
    user: str
    password: str
    certificate: str
    key: str
    """Of the certificate, which is that of a client, too: the directory takes who shows it for the reader."""
    host: str = "localhost"

    def add(self, entries: Iterable[tuple[str, Mapping[str, Sequence[str | bytes]]]]) -> None:
        """Add entries with OpenLDAP's own program."""
        self._ldif("ldapadd", "\n".join(_ldif(name, values) for name, values in entries))

    def change(self, ldif: str) -> None:
        """Change entries as LDIF says."""
        self._ldif("ldapmodify", ldif)

    def remove(self, name: str) -> None:
        """Remove an entry and all below it."""
        subprocess.run([servers._find("ldapdelete"), *self._sign_in(), "-r", name], check=True, capture_output=True)

    def search(self, name: str, *what: str) -> str:
        """Return what OpenLDAP's own program reads of an entry."""
        command = [
            servers._find("ldapsearch"),
            *self._sign_in(),
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-s",
            "base",
            "-b",
            name,
        ]
        return subprocess.run([*command, "(objectClass=*)", *what], check=True, capture_output=True, text=True).stdout

    def _ldif(self, program: str, text: str) -> None:
        command = [servers._find(program), *self._sign_in()]
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.decode())

    def _sign_in(self) -> list[str]:
        return ["-x", "-H", f"ldap://127.0.0.1:{self.port}", "-D", self.user, "-w", self.password]


def _ldif(name: str, values: Mapping[str, Sequence[str | bytes]]) -> str:
    lines = [_line("dn", name)]
    lines += [_line(attribute, value) for attribute, given in values.items() for value in given]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return f"{name}:: {base64.b64encode(raw).decode()}" if raw else f"{name}:"


@contextlib.contextmanager
def slapd(schema: str = "") -> Iterator[Directory]:
    """Run slapd with a suffix, an administrator and a reader; raises `NotInstalledError` if there is none.

    Args:
        schema: Further attribute types and object classes.
    """
    program = servers._find("slapd")
    with servers._folder("ldap") as folder:
        certificate, key = servers.certify(folder)
        port, tls_port, password = servers.free_port(), servers.free_port(), secrets.token_hex(8)
        (folder / "data").mkdir()
        (folder / "own.schema").write_text(schema)
        (folder / "slapd.conf").write_text(f"""
{"".join(f"include {SCHEMAS / name}.schema{chr(10)}" for name in ("core", "cosine", "nis", "inetorgperson"))}
include {folder / "own.schema"}
modulepath {_MODULES}
moduleload back_mdb
moduleload syncprov
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSCACertificateFile {certificate}
TLSVerifyClient try
sasl-secprops noanonymous,minssf=0
password-hash {{CLEARTEXT}}
authz-regexp "uid=([^,]*),(cn=[^,]*,)?cn=auth" "cn=$1,{SUFFIX}"
authz-regexp "cn=localhost" "cn=reader,{SUFFIX}"
database mdb
suffix "{SUFFIX}"
rootdn "cn=admin,{SUFFIX}"
rootpw {password}
directory {folder / "data"}
dbnosync
index objectClass,entryUUID,entryCSN,uid eq
limits anonymous size.soft={LIMIT} size.hard={LIMIT} size.pr=100 size.prtotal=none
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=locked,{SUFFIX}" by dn.exact="cn=reader,{SUFFIX}" none by * read
access to * by * read
overlay syncprov
syncprov-sessionlog {KEPT}
""")
        servers._own(folder)
        command = [
            program, "-f", str(folder / "slapd.conf"), "-d", "0",
            "-h", f"ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls_port}",
        ]  # fmt: skip
        with servers._process(command, folder, signal.SIGTERM) as process:
            servers._wait(process, folder, lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            found = Directory(port, tls_port, f"cn=admin,{SUFFIX}", password, certificate.read_text(),
                              key.read_text())  # fmt: skip
            found.add([
                (SUFFIX, {"objectClass": ["dcObject", "organization"], "o": ["Example"], "dc": ["example"]}),
                (f"cn=reader,{SUFFIX}", {"objectClass": ["person"], "sn": ["Reader"], "userPassword": [password]}),
                (f"ou=locked,{SUFFIX}", {"objectClass": ["organizationalUnit"], "ou": ["locked"]}),
            ])  # fmt: skip
            yield found
