"""The settings of a directory, declared for the form, and its objects as a document.

```json
["users", {"name": "staff", "base": "ou=staff,dc=example,dc=com", "filter": "(mail=*)", "class": "inetOrgPerson",
           "rdn": "uid", "key": "uid",
           "fields": [{"name": "uid"}, {"name": "mails", "attribute": "mail", "type": "json"}]}]
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from connectors.builtin import client_certificate
from connectors.builtin.described import Described, parsed
from connectors.builtin.ldap_filter import equal, every, parse
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.schema import FieldType
from rules.text import N_, msg

SPEC = ConnectorSpec(
    name="ldap",
    label=N_("LDAP and Active Directory"),
    category=N_("Directories"),
    summary=N_("Reads and writes users, groups and units of a directory such as OpenLDAP or Active Directory."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True, concurrent=True,
                              capture=True),
    settings=(
        Setting("host", N_("Host"), required=True, placeholder="ldap.example.com",
                help=N_("Name or address of the server.")),
        Setting("port", N_("Port"), SettingKind.INTEGER, default=389, minimum=1, maximum=65535,
                help=N_("Usually 389, and 636 for LDAPS.")),
        Setting("encryption", N_("Encryption"), SettingKind.CHOICE, default="starttls",
                choices=(("starttls", N_("StartTLS")), ("ldaps", N_("LDAPS")), ("none", N_("None")))),
        Setting("sign_in", N_("Way to sign in"), SettingKind.CHOICE, default="simple", advanced=True,
                choices=(("simple", N_("User and password")), ("scram", "SCRAM"),
                         ("external", N_("Client certificate"))),
                help=N_("SCRAM does not send the password; the user is a short name then. By a client certificate, the"
                        " directory knows who connects.")),
        Setting("user", N_("User"), placeholder="cn=reader,dc=example,dc=com",
                help=N_("The whole name of the user, or name@example.com for Active Directory; empty to read as a"
                        " guest.")),
        Setting("password", N_("Password"), SettingKind.SECRET),
        Setting("base", N_("Base"), required=True, placeholder="dc=example,dc=com",
                help=N_("The entry below which everything lies that is read or written.")),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='["users", "groups", {"name": "staff", "base": "ou=staff,dc=example,dc=com"}]',
                help=N_("Empty for users, groups and units; else a list of these names and of own objects with base,"
                        " filter, class and fields.")),
        Setting("lists", N_("Several values in a field"), SettingKind.CHOICE, default="auto",
                choices=(("auto", N_("Members as JSON, others joined")), ("json", N_("Always as JSON")),
                         ("joined", N_("Always joined")))),
        Setting("separator", N_("Separator of joined values"), default="|", advanced=True),
        Setting("page_size", N_("Entries per page"), SettingKind.INTEGER, default=500, minimum=0, maximum=10000,
                advanced=True, help=N_("0 asks for all at once, for directories that know no pages.")),
        Setting("skip_references", N_("Leave out what lies on other servers"), SettingKind.BOOLEAN, default=False,
                advanced=True),
        Setting("timeout", N_("Seconds to wait for an answer"), SettingKind.INTEGER, default=30, minimum=1,
                maximum=600, advanced=True),
        Setting("tls_ca", N_("Certificate authority"), SettingKind.MULTILINE, advanced=True,
                when=("encryption", ("starttls", "ldaps")), placeholder="-----BEGIN CERTIFICATE-----",
                help=N_("The PEM text of the authority that signed the server's certificate; empty for the well-known"
                        " ones.")),
        Setting("verify", N_("Check the certificate"), SettingKind.BOOLEAN, default=True, advanced=True,
                when=("encryption", ("starttls", "ldaps"))),
        *client_certificate.settings(("encryption", ("starttls", "ldaps"))),
    ),
)  # fmt: skip

KINDS = ("users", "groups", "units")


class LdapField(Described, frozen=True):
    """A field of an object: which attribute it holds, and a type other than the directory's own."""

    name: str
    attribute: str = ""
    type: FieldType | None = None
    scale: int | None = None
    required: bool = False
    label: str = ""

    @property
    def source(self) -> str:
        """Return the attribute that the field holds."""
        return self.attribute or self.name


class LdapObject(Described, frozen=True):
    """Entries of one kind: those of a class below a base that meet a filter.

    `rdn` is the attribute that names a new entry, `parent` where it is put (else the base), `classes` what it is
    (else the class alone), `attributes_of` names further classes whose attributes are fields; `key` is the field that
    identifies an entry (else the directory's own).
    """

    name: str
    label: str = ""
    base: str = ""
    filter: str = ""
    class_: str = msgspec.field(name="class", default="")
    scope: Literal["one", "sub"] = "sub"
    key: str = ""
    rdn: str = "cn"
    parent: str = ""
    classes: list[str] = []
    attributes_of: list[str] = []
    fields: list[LdapField] = []

    @property
    def depth(self) -> int:
        """Return the scope of a search."""
        return 1 if self.scope == "one" else 2


@dataclass(frozen=True)
class LdapOptions:
    """The settings of a connection, parsed. Secrets are not part of its printed form."""

    base: str
    user: str
    password: str = field(repr=False)
    encryption: str
    objects: tuple[str | LdapObject, ...]
    lists: str
    separator: str
    page_size: int
    skip_references: bool
    sign_in: str = "simple"

    @property
    def start_tls(self) -> bool:
        """Tell whether the connection is encrypted after it was opened."""
        return self.encryption == "starttls"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> LdapOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        user, password = (settings.get("user") or "").strip(), settings.get("password") or ""
        sign_in = settings.get("sign_in") or "simple"
        if sign_in == "external" and client_certificate.of(settings) is None:
            raise Misconfigured(
                msg("The connection has no client certificate to sign in with."), msg("Enter it and its key.")
            )
        if user and not password and sign_in != "external":  # a directory takes this for a guest, and says yes
            raise Misconfigured(msg("The user '{user}' needs a password.", user=user), msg("Enter it and try again."))
        base = (settings.get("base") or "").strip()
        return cls(
            base, user, password, settings.get("encryption") or "starttls",
            _objects(settings.get("objects") or list(KINDS), base), settings.get("lists") or "auto",
            settings.get("separator") or "|", int(settings["page_size"]), bool(settings.get("skip_references")),
            sign_in,
        )  # fmt: skip


def filter_of(described: LdapObject) -> bytes:
    """Return the filter that an object's entries meet."""
    parts = [equal("objectClass", described.class_.encode())] if described.class_ else []
    return every([*parts, parse(described.filter or "(objectClass=*)")])


def _objects(document: Any, base: str) -> tuple[str | LdapObject, ...]:
    names: list[str] = []
    made: list[str | LdapObject] = []
    for given in parsed(document, list[str | LdapObject]) or ():
        one = given if isinstance(given, str) else _based(given, base)
        name = one if isinstance(one, str) else one.name
        if not name or name in names or (isinstance(one, str) and one not in KINDS):
            raise Misconfigured(
                msg("The object '{name}' is there twice, or is none of {known} and has no description.",
                    name=name, known=", ".join(KINDS)),
                msg("Correct it in the connection's settings."),
            )  # fmt: skip
        if isinstance(one, LdapObject):
            filter_of(one)
        names.append(name)
        made.append(one)
    return tuple(made)


def _based(described: LdapObject, base: str) -> LdapObject:
    """Return a description with the connection's base where it names none of its own."""
    return described if described.base else msgspec.structs.replace(described, base=base)


def place_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as `queue_network.Place` wants them."""
    encrypted = "verify" if settings.get("verify", True) else "require"
    tls = "disable" if settings.get("encryption") == "none" else encrypted
    return {**settings, "tls": tls}
