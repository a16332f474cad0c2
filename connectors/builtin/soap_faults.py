"""Faults of a SOAP service: what they say, and what they mean for the one who called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from connectors.builtin.soap_objects import FaultRule
from connectors.casting import short
from connectors.errors import AuthFailed, ConnectorError, Fatal, RateLimited, Unavailable
from rules.text import Message, msg

Node = Any
_SHOWN = 300
_AGAIN = 30.0
_BUSY = ("serverbusy", "requestlimit", "concurrentrequest", "throttl", "toomanyrequests", "ratelimit")
_CREDENTIALS = ("failedauthentication", "invalidsecurity", "failedcheck", "securitytokenunavailable", "messageexpired",
                "invalid_login", "invalidcredentials", "invalidlogin", "invalidlogincredentials", "unauthorized",
                "badcontexttoken", "accessdenied", "notauthorized")  # fmt: skip
_FORM = ("versionmismatch", "mustunderstand", "dataencodingunknown")


@dataclass(frozen=True)
class Fault:
    """What a fault says: its codes, the most precise first, its words, and the names and words of its detail."""

    codes: tuple[str, ...]
    text: str
    details: tuple[str, ...] = ()
    said: str = ""

    def __str__(self) -> str:
        words = self.text if not self.said or self.said in self.text else f"{self.text} ({self.said})".strip()
        return short(" ".join(words.split()) or "-", _SHOWN)

    @property
    def code(self) -> str:
        """Return the most precise code."""
        return self.codes[0] if self.codes else "-"


class Faulted(Exception):
    """The service answers with a fault; `meaning` is what is to be done, of `FaultRule.do` or `server` or `sender`."""

    def __init__(self, fault: Fault, meaning: str, url: str) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.meaning = meaning
        self.url = url

    @property
    def refusal(self) -> Message:
        """Return what is said of one record that the service refuses."""
        return msg("The service refuses the record ({code}): {said}", code=self.fault.code, said=str(self.fault))

    def error(self, object_name: str | None) -> ConnectorError:
        """Return the error for a call that cannot go on."""
        told = {"url": self.url, "code": self.fault.code, "said": str(self.fault)}
        if self.meaning in ("credentials", "login"):
            return AuthFailed(
                msg("{url} refuses our credentials ({code}): {said}", **told),
                msg("Check the user, the password and the certificates of the connection, and what they may do."),
                object_name=object_name,
            )
        if self.meaning == "wait":
            return RateLimited(
                msg("{url} asks to wait ({code}): {said}", **told), after=_AGAIN, object_name=object_name
            )
        if self.meaning in ("retry", "server"):
            return Unavailable(
                msg("{url} reports an error of its own ({code}): {said}", **told),
                msg("Try again later."),
                object_name=object_name,
            )
        return Fatal(
            msg("{url} refuses the call ({code}): {said}", **told),
            msg("Check the operation and the parameters of the object."),
            object_name=object_name,
        )


def fault_of(body: Node) -> Fault | None:
    """Return the fault that a body holds, None if it holds none."""
    node = body[0] if len(body) else None
    if node is None or etree.QName(node).localname != "Fault" or etree.QName(node).namespace != _space(body):
        return None
    found = {etree.QName(child).localname: child for child in node}
    if "Code" in found:
        codes = [_text(value) for value in found["Code"].iter("{*}Value")][::-1]
        words = [_text(text) for text in found["Reason"].iter("{*}Text")] if "Reason" in found else []
        detail = found.get("Detail")
    else:
        codes, words = [_text(found.get("faultcode"))], [_text(found.get("faultstring"))]
        detail = found.get("detail")
    names = [code.rpartition(":")[2] for code in codes if code]
    general = [part for name in names if "." in name for part in name.split(".")[::-1]]
    return Fault(
        (*names, *general), next(filter(None, words), ""),
        tuple(etree.QName(child).localname for child in detail.iter(etree.Element))[1:] if detail is not None else (),
        short(" ".join("".join(detail.itertext()).split()), _SHOWN) if detail is not None else "",
    )  # fmt: skip


def meaning_of(fault: Fault, rules: Sequence[FaultRule], *, session: bool) -> str:
    """Return what a fault means: as the first rule that fits says, else by its well-known codes.

    Args:
        fault: The fault.
        rules: The rules of the connection.
        session: Whether the connection logs in, so that it can log in once more.
    """
    for rule in rules:
        if _fits(rule, fault):
            return rule.do
    words = [word.lower() for word in (*fault.codes, *fault.details)]
    if any("session" in word and ("invalid" in word or "expired" in word or "timedout" in word) for word in words):
        return "login" if session else "credentials"
    for meaning, known in (("wait", _BUSY), ("credentials", _CREDENTIALS), ("stop", _FORM)):
        if any(name in word for word in words for name in known):
            return meaning
    return "server" if {"Server", "Receiver"} & set(fault.codes) else "sender"


def _fits(rule: FaultRule, fault: Fault) -> bool:
    return (
        (not rule.code or rule.code in fault.codes)
        and (not rule.detail or rule.detail in fault.details)
        and (not rule.text or rule.text.lower() in f"{fault.text} {fault.said}".lower())
    )


def _space(body: Node) -> str | None:
    return etree.QName(body).namespace


def _text(node: Node | None) -> str:
    return "" if node is None else "".join(node.itertext()).strip()
