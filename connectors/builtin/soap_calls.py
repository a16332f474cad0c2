"""Calls of a SOAP service: at the allowed pace, repeated where that is safe, logged in, and with typed errors."""

from __future__ import annotations

import base64
import hmac
import os
import ssl
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import httpx
from lxml import etree

from connectors.budgets import PATIENCE, OwnBudget
from connectors.builtin import client_certificate
from connectors.builtin.rest_answers import retry_after
from connectors.builtin.soap_answer import Answer, Message, NoEnvelope, Records, text_at
from connectors.builtin.soap_faults import Faulted, fault_of, meaning_of
from connectors.builtin.soap_message import Unfit, envelope, filled
from connectors.builtin.soap_options import SoapOptions
from connectors.builtin.soap_parts import BrokenParts, parts_of, with_parts
from connectors.builtin.soap_problems import SoapProblems
from connectors.builtin.soap_security import Security
from connectors.builtin.soap_shipped import ADDRESSING
from connectors.builtin.soap_verify import Unsigned, Verifier
from connectors.builtin.soap_wsdl import Operation, Service, service_of
from connectors.errors import Forbidden, Misconfigured, RateLimited, Unavailable
from connectors.http_client import client, same_origin, shown, trust_store
from connectors.spi import Context
from rules.text import msg

ATTEMPTS = 4
_MEDIA = {False: "text/xml", True: "application/soap+xml"}


@dataclass(frozen=True)
class Call:
    """One call: the operation's name and its parameters, nested as the types of the WSDL are."""

    operation: str
    values: Mapping[str, Any] = field(default_factory=dict)
    object_name: str | None = None
    repeatable: bool = True


class Calls:
    """Makes the calls of one connection."""

    def __init__(self, options: SoapOptions, context: Context) -> None:
        self.options = options
        self.context = context
        self.security = Security(options)
        self._verifier = Verifier(options.answer_certificate) if options.answer_certificate else None
        self._token: str | None = None
        self._address: str | None = None
        self._service: Service | None = None
        self._budget = context.budget or OwnBudget(options.address or options.wsdl)
        self._http = client(
            replace(context, timeout=options.timeout), auth=options.basic,
            trust=trust_of(options), private=("SOAPAction",),
        )  # fmt: skip

    @property
    def service(self) -> Service:
        """Return the service that the WSDL describes, read if that has not been done."""
        return self._service or self.read_wsdl(fresh=False)

    def read_wsdl(self, *, fresh: bool) -> Service:
        """Read the WSDL, anew with `fresh`; raises `ConnectorError`."""
        service = service_of(self.options, self._fetch, allow=self.context.egress_allow, fresh=fresh)
        if service.elsewhere and self.options.confidential:
            raise Misconfigured(
                msg("The WSDL says that the service is at {address}, which is another server than its own.",
                    address=shown(httpx.URL(service.address))),
                msg("Credentials are not sent there unless you enter it as the address of the service."),
            )  # fmt: skip
        self._service = service
        return service

    def operation(self, name: str, object_name: str | None = None) -> Operation:
        """Return an operation by name; raises `Misconfigured` with those that exist."""
        found = self.service.operations.get(name)
        if found is None:
            known = ", ".join(sorted(self.service.operations)[:20])
            raise Misconfigured(
                msg("The service has no operation '{name}'. It has: {known}.", name=name, known=known or "-"),
                msg("Correct it in the connection's settings."),
                object_name=object_name,
            )
        return found

    def answer(self, call: Call, records: Records) -> Answer:
        """Return the answer of a call, logged in where that is needed.

        Raises:
            ConnectorError: No usable answer.
            Faulted: The service refuses what it was asked for.
            Unfit: The parameters do not fit the WSDL.
        """
        if self.options.session and self._token is None:
            self._log_in()
        try:
            return self._tried(call, records)
        except Faulted as fault:
            if fault.meaning != "login" or not self.options.session:
                raise
        self._log_in()
        return self._tried(call, records)

    def close(self) -> None:
        """Log out where that is described, and close the connections."""
        try:
            session = self.options.session
            if session and session.logout and self._token is not None:
                self._once(Call(session.logout), Records("", None))
        except (Faulted, Unfit, Unavailable, RateLimited, Misconfigured):
            pass  # the session ends by itself
        finally:
            self._http.close()
            self._budget.close()

    def _tried(self, call: Call, records: Records) -> Answer:
        for attempt in range(ATTEMPTS):
            last = attempt == ATTEMPTS - 1
            try:
                return self._once(call, records)
            except Unavailable:
                if last or not call.repeatable:
                    raise
                time.sleep(_backoff(attempt))
            except RateLimited as limit:
                if last or limit.after > PATIENCE:
                    raise
                time.sleep(limit.after)
            except Faulted as fault:
                if last or fault.meaning not in _again(call):
                    raise
                time.sleep(_backoff(attempt))
        raise AssertionError  # pragma: no cover - the loop returns or raises

    def _once(self, call: Call, records: Records) -> Answer:
        operation = self.operation(call.operation, call.object_name)
        content, headers = self._message(operation, call)
        pause = self._budget.turn(self.options.rate)
        if pause > 0:
            time.sleep(pause)
        address = self._address or self.service.address
        response = self._http.request("POST", address, content=content, headers=headers)
        return self._read(response, records, call, operation)

    def _message(self, operation: Operation, call: Call) -> tuple[bytes, dict[str, str]]:
        words = {"user": self.options.user, "password": self.options.password, "secret": self.options.secret}
        if self.options.headers_text:
            words |= _signature(self.options)
        headers = {name: filled(value, words) for name, value in self.options.headers.items()}
        if self.options.session and self._token is not None:
            headers |= filled(self.options.session.header, {"token": self._token})
        node = envelope(self.service, operation, call.values, headers)
        if operation.addressed:
            _address(node, operation.addressed, self._address or self.service.address)
        self.security.apply(node, datetime.now(UTC), os.urandom(16))
        media = _MEDIA[self.service.soap12]
        action = f'; action="{operation.action}"' if self.service.soap12 and operation.action else ""
        kind = f"{media}; charset=utf-8{action}"
        binary = {base64.b64encode(value).decode(): value for value in _binaries(call.values)}
        if self.options.attachments:
            content, kind = with_parts(node, binary, media)
        else:
            content = etree.tostring(node, xml_declaration=True, encoding="UTF-8")
        sent = {"Content-Type": kind, "Accept": f"{media}, multipart/related"}
        return content, sent if self.service.soap12 else {**sent, "SOAPAction": f'"{operation.action}"'}

    def _read(self, response: httpx.Response, records: Records, call: Call, operation: Operation) -> Answer:
        problems = SoapProblems(response, call.object_name)
        if response.status_code == 429:
            after = retry_after(response.headers.get("Retry-After", ""))
            self._budget.asked_to_wait(after)
            raise problems.limited(after)
        if response.is_success and not response.content.strip() and self._verifier is None:
            return Answer([], etree.Element("Body"))
        kind = response.headers.get("Content-Type", "")
        if not response.is_success and "xml" not in kind and "multipart/related" not in kind:
            raise problems.refused()
        answer = self._taken(response, records, call, operation)
        fault = fault_of(answer.body)
        if fault is not None:
            meaning = meaning_of(fault, self.options.faults, session=self.options.session is not None)
            raise Faulted(fault, meaning, shown(response.url))
        if not response.is_success:
            raise problems.refused()
        return answer

    def _taken(self, response: httpx.Response, records: Records, call: Call, operation: Operation) -> Answer:
        """Return what an answer holds, once its signature is checked where the connection asks for that."""
        problems = SoapProblems(response, call.object_name)
        try:
            content, attachments = parts_of(response.content, response.headers.get("Content-Type", ""))
            if self._verifier is not None:
                self._verifier.check(content, datetime.now(UTC))
            return records.of(Message(content, attachments, shown(response.url), operation.encoded))
        except (etree.XMLSyntaxError, BrokenParts, KeyError) as error:
            raise problems.broken(error) from error
        except Unsigned as error:
            raise problems.unsigned(error.message, call.operation) from error
        except NoEnvelope as error:
            raise problems.no_envelope(str(error)) from error

    def _log_in(self) -> None:
        session = self.options.session
        assert session is not None  # noqa: S101 - asked by the callers
        self._token = None
        words = {"user": self.options.user, "password": self.options.password}
        try:
            answer = self._tried(Call(session.operation, filled(session.parameters, words)), Records("", None))
        except Faulted as fault:
            raise Faulted(fault.fault, "credentials", fault.url).error(None) from fault
        except Unfit as error:
            raise Misconfigured(error.message, msg("Correct how the connection logs in.")) from error
        self._token = answer.text(session.token) or None
        if self._token is None:
            raise Misconfigured(
                msg("There is no token at '{path}' in the answer of the operation '{operation}'.",
                    path=session.token, operation=session.operation),
                msg("Correct how the connection logs in."),
            )  # fmt: skip
        if session.address:
            self._address = self._moved(answer.text(session.address) or "")

    def _moved(self, address: str) -> str | None:
        """Return the address that later calls go to, None for the same; they do not lose their encryption by it."""
        if self.service.address.lower().startswith("https:") and address.lower().startswith("http:"):
            raise Forbidden(
                msg("After the login the service sends us to {target}, which is not encrypted.",
                    target=address.partition("?")[0]),
                msg("Check the address of the connection, and ask the operator of the service."),
            )  # fmt: skip
        return address or None

    def _fetch(self, url: str) -> bytes:
        """Return the document at an address; credentials go to the host of the WSDL alone."""
        own = same_origin(httpx.URL(self.options.wsdl or url), httpx.URL(url)) and bool(self.options.wsdl)
        response = self._http.request("GET", url, auth=httpx.USE_CLIENT_DEFAULT if own else None)
        if not response.is_success:
            raise SoapProblems(response, None).refused()
        return response.content


def trust_of(options: SoapOptions) -> ssl.SSLContext:
    """Return the trusted certificates and our own one; raises `Misconfigured`."""
    if not options.client_certificate:
        return _shared_trust(options.certificate, options.verify)
    context = trust_store(options.certificate, verify=options.verify)
    client_certificate.load(context, options.client_certificate, options.client_key)
    return context


@lru_cache(8)
def _shared_trust(certificate: str, verify: bool) -> ssl.SSLContext:
    """Return the trusted certificates, which take a while to load; nobody changes them."""
    return trust_store(certificate, verify=verify)


def told_at(node: Any, path: str) -> str:
    """Return the text at a path below an element, empty where there is none."""
    return (text_at(node, path) or "").strip() if node is not None else ""


def _again(call: Call) -> tuple[str, ...]:
    """Return the meanings of faults behind which a call is made again: a fault says that nothing was done."""
    return ("retry", "wait", "server") if call.repeatable else ("retry", "wait")


def _binaries(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _binaries(item)
    elif isinstance(value, list):
        for item in value:
            yield from _binaries(item)


def _address(node: Any, action: str, to: str) -> None:
    """Add the headers of WS-Addressing, where the WSDL asks for them by naming an action."""
    head = node[0]
    for name, text in (("Action", action), ("MessageID", f"urn:uuid:{uuid.uuid4()}"), ("To", to)):
        etree.SubElement(head, f"{{{ADDRESSING}}}{name}", nsmap={"wsa": ADDRESSING}).text = text


def _backoff(attempt: int) -> float:
    return float(0.25 * 2**attempt)


def _signature(options: SoapOptions) -> dict[str, str]:
    """Return a nonce, the time, and what the headers sign with the secret."""
    words = {"nonce": uuid.uuid4().hex, "timestamp": str(int(time.time()))}
    digest = hmac.digest(options.secret.encode(), str(filled(options.headers_text, words)).encode(), "sha256")
    return {**words, "signature": base64.b64encode(digest).decode()}
