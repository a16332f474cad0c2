"""Words for hand-made SOAP servers: WSDLs, messages, faults, and what was sent."""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

SPACE = "urn:syncline:samples"
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
