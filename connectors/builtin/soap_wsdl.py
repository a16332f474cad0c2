"""Reading a WSDL: fetched through egress, with the well-known schemas at hand, kept for a while."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.settings import Settings
from zeep.wsdl import Document
from zeep.wsdl.bindings.soap import Soap11Binding, Soap12Binding
from zeep.xsd.elements import Element

from connectors.builtin.safe_xml import parser
from connectors.builtin.soap_options import SoapOptions
from connectors.builtin.soap_shipped import SCHEMAS
from connectors.builtin.soap_types import Facets, Types
from connectors.errors import ConnectorError, Forbidden, Misconfigured
from connectors.http_client import same_origin, web_address
from rules.text import msg

XS = "http://www.w3.org/2001/XMLSchema"
_SOAP = ("http://schemas.xmlsoap.org/wsdl/soap/", "http://schemas.xmlsoap.org/wsdl/soap12/")
_PASTED = "file:///pasted/service.wsdl"
_SHIPPED = "file:///shipped/"
_MOST = 200
_FRESH = 600.0
"""Seconds for which a WSDL is not read again."""
_KEPT = 16
_lock = threading.Lock()
_known: OrderedDict[str, tuple[float, Service]] = OrderedDict()


@dataclass(frozen=True)
class Operation:
    """One operation: `element` is what its request's body holds, `output` its answer's, None for nothing.

    With `parts` the members of `element` stand in the body themselves.
    """

    name: str
    action: str
    element: Element | None
    output: Element | None
    parts: bool = False
    encoded: bool = False
    addressed: str = ""


@dataclass(frozen=True)
class Service:
    """One port of a service."""

    address: str
    soap12: bool
    operations: Mapping[str, Operation]
    types: Types
    ports: tuple[str, ...]
    elsewhere: bool = False
    """The address is of another host than the WSDL, and was not entered by a person."""


@dataclass
class Documents:
    """Gives zeep the documents that make up a WSDL."""

    options: SoapOptions
    fetch: Callable[[str], bytes]
    facets: dict[str, Facets | None] = field(default_factory=dict)
    encoded: set[str] = field(default_factory=set)
    binding_classes: tuple[type, ...] = (Soap11Binding, Soap12Binding)
    _count: int = 0

    def load(self, url: str) -> bytes:
        """Return a document, made safe: without a document type, its well-known imports led to our own copies."""
        self._count += 1
        if self._count > _MOST:
            raise Misconfigured(
                msg("The WSDL imports more than {count} documents.", count=_MOST),
                msg("Paste the WSDL and the schemas that are needed."),
            )
        return self._safe(self._text(url), url)

    def _text(self, url: str) -> bytes:
        shipped = SCHEMAS.get(url.removeprefix(_SHIPPED)) or SCHEMAS.get(url)
        if shipped is not None:
            return shipped.encode()
        if self.options.wsdl_text and url == (self.options.wsdl or _PASTED):
            return self.options.wsdl_text.encode()
        name = url.rpartition("/")[2]
        given = self.options.schemas.get(url, self.options.schemas.get(name))
        if given is not None:
            return given.encode()
        if not url.startswith(("http://", "https://")):
            raise Misconfigured(
                msg("The WSDL needs the schema '{name}'.", name=name),
                msg("Add its text to the setting 'Schemas' under this name."),
            )
        try:
            return self.fetch(url)
        except ConnectorError as error:
            if url == self.options.wsdl:
                raise
            raise type(error)(
                msg("The WSDL imports {url}, which cannot be read: {problem}",
                    url=url.partition("?")[0], problem=error.message),
                msg("Add its text to the setting 'Schemas' under this address."),
            ) from error  # fmt: skip

    def _safe(self, content: bytes, url: str) -> bytes:
        try:
            root = etree.fromstring(content.strip(), parser())
        except etree.XMLSyntaxError as error:
            raise Misconfigured(
                msg("{url} is no WSDL or schema: {problem}.", url=url.partition("?")[0], problem=str(error.msg)),
                msg("Check the address; perhaps it leads to a page for people."),
            ) from error
        if root.getroottree().docinfo.doctype:
            raise forbidden(url)
        here = {schema.get("targetNamespace") for schema in root.iter(f"{{{XS}}}schema")}
        for node in root.iter(f"{{{XS}}}import"):
            space = node.get("namespace")
            if space in SCHEMAS and (node.get("schemaLocation") or space not in here):
                node.set("schemaLocation", _SHIPPED + space)
        self._note(root)
        return etree.tostring(root)

    def _note(self, root: Any) -> None:
        """Keep what zeep forgets: the facets of simple types, and which operations are encoded."""
        for schema in root.iter(f"{{{XS}}}schema"):
            for name, facets in _facets(schema):
                same = self.facets.setdefault(name, facets) == facets
                self.facets[name] = facets if same else None
        for place in _SOAP:
            for body in root.iter(f"{{{place}}}body"):
                if body.get("use") == "encoded":
                    self.encoded.add(body.getparent().getparent().get("name"))


def service_of(options: SoapOptions, fetch: Callable[[str], bytes], *, allow: tuple[str, ...], fresh: bool) -> Service:
    """Return the service that a connection means, from memory if it was read lately.

    Args:
        options: The connection's settings.
        fetch: Returns the document at an address.
        allow: The networks that may be reached; what one connection may read, another may not.
        fresh: Read it again in any case.
    """
    parts = (options.wsdl, options.wsdl_text, sorted(options.schemas.items()), options.port, options.address,
             options.authentication, options.user, options.password, options.certificate, options.verify,
             options.client_certificate, options.client_key, allow)  # fmt: skip
    name = hashlib.sha256(repr(parts).encode()).hexdigest()
    with _lock:
        known = _known.get(name)
    if known and not fresh and time.monotonic() - known[0] < _FRESH:
        return known[1]
    service = _read(options, fetch)
    with _lock:
        _known[name] = (time.monotonic(), service)
        _known.move_to_end(name)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return service


def forbidden(url: str) -> Forbidden:
    """Return the error for a document with a document type, which can hold entities that grow without end."""
    return Forbidden(
        msg("{url} has a document type definition, which is not accepted.", url=url.partition("?")[0]),
        msg("SOAP does not allow it. Ask for the document without it."),
    )


def _read(options: SoapOptions, fetch: Callable[[str], bytes]) -> Service:
    documents = Documents(options, fetch)
    location = options.wsdl or _PASTED
    try:
        wsdl = Document(location, documents, settings=Settings(strict=True, force_https=False))  # type: ignore[arg-type]
        port = _port(wsdl, options)
        operations = {
            name: _operation(found, documents.encoded)
            for name, found in port.binding._operations.items()  # noqa: SLF001
        }
    except ConnectorError:
        raise
    except (
        ZeepError, LookupError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError,
        RecursionError, etree.LxmlError,
    ) as error:  # fmt: skip
        raise Misconfigured(
            msg("The WSDL cannot be understood: {problem}.", problem=str(error).rstrip(".") or type(error).__name__),
            msg("Check the address; paste a corrected WSDL if it cannot be changed."),
        ) from error
    said = str((port.binding_options or {}).get("address") or "")  # a port may have none
    address = options.address or said
    return Service(
        _service_address(address), isinstance(port.binding, Soap12Binding), operations,
        Types(wsdl.types, documents.facets), tuple(_ports(wsdl)),
        elsewhere=bool(options.wsdl) and not options.address
        and not same_origin(httpx.URL(options.wsdl), httpx.URL(_service_address(address))),
    )  # fmt: skip


def _service_address(text: str) -> str:
    if web_address(text) is None:
        raise Misconfigured(
            msg("The WSDL says no address of the service that could be called: '{address}'.", address=text),
            msg("Enter the address of the service."),
        )
    return text


def _ports(wsdl: Any) -> Iterator[str]:
    for service in wsdl.services.values():
        yield from (f"{service.name}/{port}" for port in service.ports)


def _port(wsdl: Any, options: SoapOptions) -> Any:
    names = list(_ports(wsdl))
    wanted = options.port
    for name in names:
        service, _, port = name.partition("/")
        if wanted in ("", name, port):
            return wsdl.services[service].ports[port]
    if not names:
        raise Misconfigured(
            msg("The WSDL describes no service that is reached by SOAP over HTTP."), msg("Check the address.")
        )
    raise Misconfigured(
        msg("The WSDL has no port '{port}'. It has: {ports}.", port=wanted, ports=", ".join(names)),
        msg("Choose one of them."),
    )


def _operation(found: Any, encoded: set[str]) -> Operation:
    body = found.input.body if found.input is not None else None
    output = found.output.body if found.output is not None else None
    return Operation(
        found.name, found.soapaction or "", body, output,
        parts=body is not None and found.input._is_body_wrapped,  # noqa: SLF001 - zeep has no public word for it
        encoded=found.name in encoded, addressed=str(getattr(found.abstract, "wsa_action", None) or ""),
    )  # fmt: skip


def _facets(schema: Any) -> Iterator[tuple[str, Facets]]:
    namespace = schema.get("targetNamespace")
    for node in schema.iter(f"{{{XS}}}simpleType"):
        name = node.get("name") or node.getparent().get("name")
        restriction = node.find(f"{{{XS}}}restriction")
        if name is None or restriction is None:
            continue
        values = {etree.QName(child).localname: child.get("value") or "" for child in restriction}
        length = values.get("maxLength", values.get("length"))
        facets = Facets(*map(_number, (length, values.get("totalDigits"), values.get("fractionDigits"))))
        yield (f"{{{namespace}}}{name}" if namespace else name), facets


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
