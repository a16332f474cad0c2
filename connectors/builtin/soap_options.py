"""The settings of a SOAP service, declared for the form."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from connectors.builtin.described import parsed
from connectors.builtin.rest_address import entered
from connectors.builtin.soap_objects import FaultRule, Session, SoapObject, objects_of
from connectors.errors import Misconfigured
from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from rules.text import N_, msg

_USERS = ("basic", "username_text", "username_digest", "session")

SPEC = ConnectorSpec(
    name="soap",
    label=N_("SOAP"),
    category=N_("Web services"),
    summary=N_("Reads and writes records of a SOAP service, which is described by its WSDL."),
    capabilities=Capabilities(create=True, update=True, delete=True, cursor=True, generates_keys=True),
    settings=(
        Setting("wsdl", N_("Address of the WSDL"), SettingKind.URL, placeholder="https://erp.example.com/service?wsdl",
                help=N_("Leave it empty if you paste the WSDL below.")),
        Setting("wsdl_text", N_("WSDL"), SettingKind.MULTILINE, advanced=True,
                help=N_("The text of the WSDL, for services that do not give it out.")),
        Setting("schemas", N_("Schemas"), SettingKind.JSON, advanced=True,
                placeholder='{"types.xsd": "<xs:schema ..."}',
                help=N_("Schemas that the WSDL imports from places that do not answer: their address or file name, and"
                        " their text.")),
        Setting("port", N_("Port"), placeholder="CustomerServiceSoap",
                help=N_("The name of a port in the WSDL, or its service and the port: Service/Port. Empty takes the"
                        " first one.")),
        Setting("address", N_("Address of the service"), SettingKind.URL, placeholder="https://erp.example.com/service",
                help=N_("Empty takes the address in the WSDL.")),
        Setting("authentication", N_("Authentication"), SettingKind.CHOICE, default="none",
                choices=(("none", N_("None")), ("basic", N_("User and password")),
                         ("username_text", N_("WS-Security with the password")),
                         ("username_digest", N_("WS-Security with a digest of the password")),
                         ("session", N_("Log in by an operation")))),
        Setting("user", N_("User"), when=("authentication", _USERS)),
        Setting("password", N_("Password"), SettingKind.SECRET, when=("authentication", _USERS)),
        Setting("session", N_("How to log in"), SettingKind.JSON, when=("authentication", ("session",)),
                placeholder='{"operation": "login", "parameters": {"username": "{user}", "password": "{password}"},'
                            ' "token": "result/sessionId", "header": {"SessionHeader": {"sessionId": "{token}"}}}',
                help=N_("The operation that logs in, where its answer holds the token, and the header that carries"
                        " it.")),
        Setting("objects", N_("Objects"), SettingKind.JSON,
                placeholder='[{"name": "customers", "key": "id",'
                            ' "read": {"operation": "ListCustomers", "records": "ListCustomersResult/Customer"}}]',
                help=N_("A list that describes each object: its operations, where its records are, paging and how to"
                        " write it. Empty takes what the names of the operations suggest.")),
        Setting("headers", N_("SOAP headers"), SettingKind.JSON, advanced=True,
                placeholder='{"CallOptions": {"client": "syncline"}}',
                help=N_("Sent with every call; {secret} stands for the secret below.")),
        Setting("secret", N_("Secret in the headers"), SettingKind.SECRET, advanced=True),
        Setting("headers_text", N_("What the headers sign"), advanced=True, placeholder="{nonce}&{timestamp}",
                help=N_("If it is set, {signature} in the headers is its HMAC-SHA256 with the secret, in Base64;"
                        " {nonce} and {timestamp} are new for every call.")),
        Setting("faults", N_("What faults mean"), SettingKind.JSON, advanced=True,
                placeholder='[{"code": "ServerBusy", "do": "retry"}]',
                help=N_("A list of faults by code, detail or text, and what to do: retry, wait, quarantine, stop,"
                        " login, missing or credentials.")),
        Setting("zone", N_("Time zone of the service"), advanced=True, placeholder="Asia/Shanghai",
                help=N_("Moments that come without a time zone are in this one.")),
        Setting("attachments", N_("Send binary values as attachments"), SettingKind.BOOLEAN, default=False,
                advanced=True, help=N_("By MTOM, for services that expect it. Attachments are always understood.")),
        Setting("timestamp", N_("Send a time stamp"), SettingKind.BOOLEAN, default=False, advanced=True,
                help=N_("A WS-Security time stamp, valid for five minutes.")),
        Setting("signature_certificate", N_("Certificate to sign with"), SettingKind.MULTILINE, advanced=True,
                placeholder="-----BEGIN CERTIFICATE-----",
                help=N_("In PEM form. The body and the time stamp of each message are signed.")),
        Setting("signature_key", N_("Key to sign with"), SettingKind.SECRET, advanced=True,
                help=N_("The private key of that certificate in PEM form.")),
        Setting("answer_certificate", N_("Certificate that signs the answers"), SettingKind.MULTILINE, advanced=True,
                placeholder="-----BEGIN CERTIFICATE-----",
                help=N_("In PEM form. Answers are then refused whose body and time stamp it has not signed.")),
        Setting("client_certificate", N_("Client certificate"), SettingKind.MULTILINE, advanced=True,
                placeholder="-----BEGIN CERTIFICATE-----",
                help=N_("In PEM form, for services that ask for one when the connection is made.")),
        Setting("client_key", N_("Key of the client certificate"), SettingKind.SECRET, advanced=True,
                help=N_("The private key in PEM form.")),
        Setting("rate", N_("Calls per second at most"), SettingKind.INTEGER, default=0, minimum=0, maximum=1000,
                advanced=True, help=N_("0 means no limit.")),
        Setting("timeout", N_("Seconds to wait for an answer"), SettingKind.INTEGER, default=60, minimum=1,
                maximum=600, advanced=True),
        Setting("certificate", N_("Trusted certificate"), SettingKind.MULTILINE, advanced=True,
                help=N_("The certificate of your own authority in PEM form.")),
        Setting("verify", N_("Check the certificate"), SettingKind.BOOLEAN, default=True, advanced=True),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class SoapOptions:
    """The settings of a connection, parsed. Secrets are not part of its printed form."""

    wsdl: str
    wsdl_text: str = field(repr=False)
    schemas: Mapping[str, str] = field(repr=False)
    port: str
    address: str
    authentication: str
    user: str
    password: str = field(repr=False)
    session: Session | None
    objects: Mapping[str, SoapObject]
    headers: Mapping[str, Any] = field(repr=False)
    secret: str = field(repr=False)
    headers_text: str
    faults: tuple[FaultRule, ...]
    zone: str
    attachments: bool
    timestamp: bool
    signature_certificate: str = field(repr=False)
    signature_key: str = field(repr=False)
    answer_certificate: str = field(repr=False)
    client_certificate: str = field(repr=False)
    client_key: str = field(repr=False)
    rate: int
    timeout: float
    certificate: str = field(repr=False)
    verify: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> SoapOptions:
        """Return the options that the settings stand for; raises `Misconfigured`."""
        texts = {s.name: str(settings.get(s.name) or "").strip() for s in SPEC.settings}
        plain = ("port", "authentication", "user", "password", "secret", "headers_text", "wsdl_text", "certificate",
                 "signature_certificate", "signature_key", "answer_certificate",
                 "client_certificate", "client_key")  # fmt: skip
        wsdl = entered(texts["wsdl"]) if texts["wsdl"] else ""
        if not wsdl and not texts["wsdl_text"]:
            raise Misconfigured(msg("The connection has no WSDL."), msg("Enter its address, or paste its text."))
        session = parsed(settings.get("session"), Session, "session")
        if texts["authentication"] == "session" and session is None:
            raise _missing("session")
        if texts["authentication"] in _USERS and not texts["user"]:
            raise _missing("user")
        return cls(
            wsdl=wsdl, address=entered(texts["address"]) if texts["address"] else "", zone=_zone(texts["zone"]),
            session=session if texts["authentication"] == "session" else None,
            schemas=parsed(settings.get("schemas"), dict[str, str], "schemas") or {},
            objects=objects_of(settings.get("objects")),
            headers=parsed(settings.get("headers"), dict[str, Any], "headers") or {},
            faults=tuple(parsed(settings.get("faults"), list[FaultRule], "faults") or ()),
            attachments=bool(settings.get("attachments")), timestamp=bool(settings.get("timestamp")),
            rate=int(settings.get("rate") or 0), timeout=float(settings.get("timeout") or 60),
            verify=bool(settings.get("verify", True)), **{name: texts[name] for name in plain},
        )  # fmt: skip

    @property
    def basic(self) -> httpx.Auth | None:
        """Return what signs the requests with user and password, None where they are not sent this way."""
        return httpx.BasicAuth(self.user, self.password) if self.authentication == "basic" else None

    @property
    def confidential(self) -> bool:
        """Tell whether the calls carry something that other hosts must not see."""
        return self.authentication != "none" or bool(self.secret)


def _zone(name: str) -> str:
    if name and name not in zoneinfo.available_timezones():
        raise Misconfigured(
            msg("There is no time zone '{zone}'.", zone=name), msg("Enter a name such as Asia/Shanghai or UTC.")
        )
    return name


def _missing(name: str) -> Misconfigured:
    label = msg(next(setting.label for setting in SPEC.settings if setting.name == name))
    return Misconfigured(
        msg("The authentication needs the setting '{setting}'.", setting=label), msg("Enter it and try again.")
    )
