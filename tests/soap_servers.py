"""SOAP servers for tests: spyne (a server of its own, SOAP 1.1 and 1.2), and words for hand-made ones."""

# ruff: noqa: N802, N805, A002, RUF012, C901 - spyne takes the words of the WSDL from functions and their arguments
from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from lxml import etree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports modules that Python will drop
    from spyne import (
        Application,
        Array,
        Boolean,
        ByteArray,
        ComplexModel,
        Date,
        DateTime,
        Double,
        Fault,
        Integer64,
        Service,
        Time,
        Unicode,
        rpc,
    )
    from spyne import Decimal as DecimalNumber
    from spyne.protocol.soap import Soap11, Soap12
    from spyne.server.wsgi import WsgiApplication

sys.meta_path[:] = [finder for finder in sys.meta_path if hasattr(finder, "find_spec")]  # its own warns of itself

SPACE = "urn:syncline:samples"
Id = Integer64(min_occurs=1, nillable=False)


class Sample(ComplexModel):
    """A record of the conformance suite."""

    __namespace__ = SPACE
    _type_info = [
        ("id", Integer64(min_occurs=1, nillable=False)),
        ("title", Unicode(40, min_occurs=1, nillable=False)),
        ("version", Integer64),
        ("f_text", Unicode),
        ("f_integer", Integer64),
        ("f_decimal", DecimalNumber(20, 4)),
        ("f_float", Double),
        ("f_boolean", Boolean),
        ("f_date", Date),
        ("f_time", Time),
        ("f_datetime", DateTime),
        ("f_local_datetime", DateTime(timezone=False)),
        ("f_binary", ByteArray),
        ("f_json", Unicode),
    ]


class SamplePage(ComplexModel):
    """One page of records."""

    __namespace__ = SPACE
    total = Integer64
    samples = Array(Sample)


class Store:
    """What the service holds."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.given: list[tuple[str, Any]] = []


def application(store: Store, protocol: type) -> Any:
    """Return the service as a WSGI application."""

    class Samples(Service):
        @rpc(Integer64, Integer64, DateTime, _returns=SamplePage)
        def ListSamples(ctx: Any, page: int, size: int, since: Any) -> Any:
            rows = list(store.rows.values())
            found = [Sample(**row) for row in rows[(page - 1) * size : page * size]]
            return SamplePage(total=len(rows), samples=found)

        @rpc(Id, _returns=Sample)
        def GetSample(ctx: Any, id: int) -> Any:
            return Sample(**store.rows[id]) if id in store.rows else None

        @rpc(Sample, _returns=Integer64)
        def AddSample(ctx: Any, sample: Any) -> Any:
            row = {name: getattr(sample, name) for name in Sample.get_flat_type_info(Sample)}
            if row["id"] in store.rows:
                raise Fault("Client.Taken", "There is such a record already")
            if not row["title"]:
                raise Fault("Server", "The title must not be empty")
            store.rows[row["id"]] = row
            return row["id"]

        @rpc(Id, Sample)
        def ChangeSample(ctx: Any, id: int, sample: Any) -> None:
            if id not in store.rows:
                raise Fault("Client.Gone", "There is no such record")
            if not sample.title:
                raise Fault("Client.Wrong", "The title must not be empty")
            store.rows[id] |= {n: getattr(sample, n) for n in Sample.get_flat_type_info(Sample) if n != "id"}

        @rpc(Id)
        def RemoveSample(ctx: Any, id: int) -> None:
            if store.rows.pop(id, None) is None:
                raise Fault("Client.Gone", "There is no such record")

    spoken = protocol(validator="lxml")
    return WsgiApplication(Application([Samples], tns=SPACE, in_protocol=spoken, out_protocol=protocol()))


class Quiet(WSGIRequestHandler):
    """A handler that writes no log."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def spyne_server(store: Store, *, soap12: bool = False) -> Iterator[str]:
    """Run the service; yields the address of its WSDL."""
    server: WSGIServer = make_server(
        "127.0.0.1", 0, application(store, Soap12 if soap12 else Soap11), handler_class=Quiet
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/?wsdl"
    finally:
        server.shutdown()
        server.server_close()


WSDL = "http://schemas.xmlsoap.org/wsdl/"
SOAP = {False: "http://schemas.xmlsoap.org/wsdl/soap/", True: "http://schemas.xmlsoap.org/wsdl/soap12/"}
ENVELOPE = {False: "http://schemas.xmlsoap.org/soap/envelope/", True: "http://www.w3.org/2003/05/soap-envelope"}


def wsdl(address: str, schema: str, operations: Iterable[str], *, soap12: bool = False, more: str = "") -> str:
    """Return a WSDL (document/literal) whose operations take the element of their name and answer NameResponse."""
    names = list(operations)
    messages = "".join(
        f'<message name="{n}In"><part name="parameters" element="t:{n}"/></message>'
        f'<message name="{n}Out"><part name="parameters" element="t:{n}Response"/></message>'
        for n in names
    )
    ports = "".join(
        f'<operation name="{n}"><input message="t:{n}In"/><output message="t:{n}Out"/></operation>' for n in names
    )
    bound = "".join(
        f'<operation name="{n}"><soap:operation soapAction="urn:{n}"/><input><soap:body use="literal"/></input>'
        f'<output><soap:body use="literal"/></output></operation>'
        for n in names
    )
    return (
        f'<definitions xmlns="{WSDL}" xmlns:soap="{SOAP[soap12]}" xmlns:t="{SPACE}" targetNamespace="{SPACE}">'
        f'<types><xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{SPACE}"'
        f' elementFormDefault="qualified">{schema}</xs:schema>{more}</types>{messages}'
        f'<portType name="P">{ports}</portType><binding name="B" type="t:P">'
        f'<soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</binding>'
        f'<service name="S"><port name="Port" binding="t:B"><soap:address location="{address}"/></port></service>'
        "</definitions>"
    )


def element(name: str, content: str) -> str:
    """Return a global element of a schema that holds a sequence."""
    return (
        f'<xs:element name="{name}"><xs:complexType><xs:sequence>{content}</xs:sequence></xs:complexType></xs:element>'
    )


def enveloped(content: str, *, soap12: bool = False, header: str = "") -> str:
    """Return a SOAP message with this content of the body, whose names are in the namespace of the service."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<s:Envelope xmlns:s="{ENVELOPE[soap12]}" xmlns="{SPACE}"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">{head}<s:Body>{content}</s:Body></s:Envelope>'
    )


def fault(code: str, text: str, detail: str = "") -> str:
    """Return a fault of SOAP 1.1."""
    inside = f"<detail xmlns=''>{detail}</detail>" if detail else ""
    return enveloped(
        f'<s:Fault><faultcode xmlns="">s:{code}</faultcode><faultstring xmlns="">{text}</faultstring>{inside}</s:Fault>'
    )


class Sent:
    """A request as the service sees it: the members of the body as texts."""

    def __init__(self, body: bytes) -> None:
        self.root = etree.fromstring(body, etree.XMLParser(resolve_entities=False))
        self.head = next((c for c in self.root if etree.QName(c).localname == "Header"), None)
        self.body = next(c for c in self.root if etree.QName(c).localname == "Body")
        self.call = self.body[0]
        self.operation = etree.QName(self.call).localname

    def text(self, path: str) -> str | None:
        found = self.call.find("/".join("{*}" + part for part in path.split("/")))
        return None if found is None else found.text or ""
