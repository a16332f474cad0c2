"""Well-known schemas that WSDLs import from hosts that do not answer, in the parts that messages use.

Written from their specifications: XML 1.0 (`xml:lang` ...), SOAP 1.1 section 5, XOP and "Describing Media Content",
SOAP 1.1 and 1.2 envelopes' attributes, WS-Addressing 1.0, the WS-I reference type, WS-Security and its utilities.
"""

from __future__ import annotations

XML = "http://www.w3.org/XML/1998/namespace"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
ENCODING_12 = "http://www.w3.org/2003/05/soap-encoding"
ENVELOPE_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE_12 = "http://www.w3.org/2003/05/soap-envelope"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
XMLMIME = "http://www.w3.org/2005/05/xmlmime"
XOP = "http://www.w3.org/2004/08/xop/include"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
ADDRESSING_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
REFERENCE = "http://ws-i.org/profiles/basic/1.1/xsd"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
SERIALIZATION = "http://schemas.microsoft.com/2003/10/Serialization/"

_NAMES = """
anyURI base64Binary boolean byte date dateTime decimal double duration ENTITIES ENTITY float gDay gMonth
gMonthDay gYear gYearMonth hexBinary ID IDREF IDREFS int integer language long Name NCName negativeInteger
NMTOKEN NMTOKENS nonNegativeInteger nonPositiveInteger normalizedString NOTATION positiveInteger QName short
string time token unsignedByte unsignedInt unsignedLong unsignedShort
"""
_SIMPLE = _NAMES.split()


def _schema(namespace: str, content: str, more: str = "") -> str:
    return (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:t="{namespace}" targetNamespace="{namespace}"'
        f' elementFormDefault="qualified"{more}>{content}</xs:schema>'
    )


def _encoding(namespace: str) -> str:
    common = (
        '<xs:attributeGroup name="commonAttributes"><xs:attribute name="id" type="xs:ID"/>'
        '<xs:attribute name="href" type="xs:anyURI"/><xs:anyAttribute namespace="##other" processContents="lax"/>'
        "</xs:attributeGroup>"
    )
    simple = "".join(
        f'<xs:complexType name="{name}"><xs:simpleContent><xs:extension base="xs:{name}">'
        f'<xs:attributeGroup ref="t:commonAttributes"/></xs:extension></xs:simpleContent></xs:complexType>'
        f'<xs:element name="{name}" type="t:{name}"/>'
        for name in _SIMPLE
    )
    array = (
        '<xs:attribute name="arrayType" type="xs:string"/><xs:attribute name="offset" type="xs:string"/>'
        '<xs:attribute name="position" type="xs:string"/><xs:attribute name="root" type="xs:boolean"/>'
        '<xs:simpleType name="base64"><xs:restriction base="xs:base64Binary"/></xs:simpleType>'
        '<xs:group name="Array"><xs:sequence>'
        '<xs:any namespace="##any" minOccurs="0" maxOccurs="unbounded" processContents="lax"/></xs:sequence></xs:group>'
        '<xs:attributeGroup name="arrayAttributes"><xs:attribute ref="t:arrayType"/><xs:attribute ref="t:offset"/>'
        "</xs:attributeGroup>"
        '<xs:complexType name="Array"><xs:group ref="t:Array" minOccurs="0"/>'
        '<xs:attributeGroup ref="t:arrayAttributes"/><xs:attributeGroup ref="t:commonAttributes"/></xs:complexType>'
        '<xs:element name="Array" type="t:Array"/><xs:complexType name="Struct"><xs:group ref="t:Array" minOccurs="0"/>'
        '<xs:attributeGroup ref="t:commonAttributes"/></xs:complexType><xs:element name="Struct" type="t:Struct"/>'
    )
    return _schema(namespace, common + array + simple)


def _addressing(namespace: str) -> str:
    uri = (
        '<xs:complexType name="AttributedURIType"><xs:simpleContent><xs:extension base="xs:anyURI">'
        '<xs:anyAttribute namespace="##other" processContents="lax"/></xs:extension></xs:simpleContent>'
        "</xs:complexType>"
    )
    reference = (
        '<xs:complexType name="EndpointReferenceType"><xs:sequence><xs:element name="Address"'
        ' type="t:AttributedURIType"/><xs:any namespace="##any" minOccurs="0" maxOccurs="unbounded"'
        ' processContents="lax"/></xs:sequence></xs:complexType>'
        '<xs:complexType name="RelatesToType"><xs:simpleContent><xs:extension base="xs:anyURI">'
        '<xs:attribute name="RelationshipType" type="xs:anyURI"/></xs:extension></xs:simpleContent></xs:complexType>'
        '<xs:element name="RelatesTo" type="t:RelatesToType"/>'
    )
    named = "".join(f'<xs:element name="{n}" type="t:AttributedURIType"/>' for n in ("MessageID", "To", "Action"))
    ends = "".join(
        f'<xs:element name="{n}" type="t:EndpointReferenceType"/>'
        for n in ("EndpointReference", "ReplyTo", "From", "FaultTo")
    )
    return _schema(namespace, uri + reference + named + ends)


def _envelope(namespace: str, must: str) -> str:
    parts = "".join(
        f'<xs:complexType name="{name}"><xs:sequence><xs:any namespace="##any" minOccurs="0" maxOccurs="unbounded"'
        f' processContents="lax"/></xs:sequence></xs:complexType><xs:element name="{name}" type="t:{name}"/>'
        for name in ("Header", "Body", "Envelope", "Fault")
    )
    attributes = (
        f'<xs:attribute name="mustUnderstand" type="{must}"/><xs:attribute name="actor" type="xs:anyURI"/>'
        '<xs:attribute name="role" type="xs:anyURI"/><xs:attribute name="encodingStyle" type="xs:anyURI"/>'
    )
    return _schema(namespace, parts + attributes)


def _xml() -> str:
    return _schema(
        XML,
        '<xs:attribute name="lang" type="xs:language"/><xs:attribute name="space" type="xs:NCName"/>'
        '<xs:attribute name="base" type="xs:anyURI"/><xs:attribute name="id" type="xs:ID"/>'
        '<xs:attributeGroup name="specialAttrs"><xs:attribute ref="xml:lang"/><xs:attribute ref="xml:space"/>'
        '<xs:attribute ref="xml:base"/><xs:attribute ref="xml:id"/></xs:attributeGroup>',
    ).replace(f' xmlns:t="{XML}"', "", 1)


def _xmlmime() -> str:
    binary = "".join(
        f'<xs:complexType name="{name}"><xs:simpleContent><xs:extension base="xs:{name}">'
        f'<xs:attribute ref="t:contentType"/></xs:extension></xs:simpleContent></xs:complexType>'
        for name in ("base64Binary", "hexBinary")
    )
    return _schema(
        XMLMIME,
        '<xs:attribute name="contentType" type="xs:string"/>'
        f'<xs:attribute name="expectedContentTypes" type="xs:string"/>{binary}',
    )


def _utilities() -> str:
    dated = (
        '<xs:complexType name="AttributedDateTime"><xs:simpleContent><xs:extension base="xs:string">'
        '<xs:attribute ref="t:Id"/></xs:extension></xs:simpleContent></xs:complexType>'
        '<xs:element name="Created" type="t:AttributedDateTime"/><xs:element name="Expires"'
        ' type="t:AttributedDateTime"/>'
    )
    stamp = (
        '<xs:complexType name="TimestampType"><xs:sequence><xs:element ref="t:Created" minOccurs="0"/>'
        '<xs:element ref="t:Expires" minOccurs="0"/></xs:sequence><xs:attribute ref="t:Id"/></xs:complexType>'
        '<xs:element name="Timestamp" type="t:TimestampType"/>'
    )
    return _schema(WSU, f'<xs:attribute name="Id" type="xs:ID"/>{dated}{stamp}')


def _open(namespace: str, *names: str) -> str:
    """Return a schema of elements that may hold anything."""
    return _schema(
        namespace,
        "".join(
            f'<xs:complexType name="{name}Type"><xs:sequence><xs:any namespace="##any" minOccurs="0"'
            f' maxOccurs="unbounded" processContents="lax"/></xs:sequence><xs:anyAttribute namespace="##any"'
            f' processContents="lax"/></xs:complexType><xs:element name="{name}" type="t:{name}Type"/>'
            for name in names
        ),
    )


def _serialization() -> str:
    """Return the schema that services of Windows Communication Foundation import from a place that does not exist."""
    simple = "anyType anyURI base64Binary boolean byte dateTime decimal double float int long QName short string"
    elements = "".join(
        f'<xs:element name="{name}" nillable="true" type="xs:{name}"/>'
        for name in f"{simple} unsignedByte unsignedInt unsignedLong unsignedShort".split()
    )
    own = "".join(
        f'<xs:element name="{name}" nillable="true" type="t:{name}"/><xs:simpleType name="{name}">'
        f'<xs:restriction base="xs:{base}"/></xs:simpleType>'
        for name, base in (("char", "int"), ("duration", "duration"), ("guid", "string"))
    )
    attributes = '<xs:attribute name="FactoryType" type="xs:QName"/><xs:attribute name="Id" type="xs:ID"/>'
    return _schema(SERIALIZATION, f'{elements}{own}{attributes}<xs:attribute name="Ref" type="xs:IDREF"/>')


SCHEMAS: dict[str, str] = {
    XML: _xml(),
    ENCODING: _encoding(ENCODING),
    ENCODING_12: _encoding(ENCODING_12),
    ENVELOPE_11: _envelope(ENVELOPE_11, "xs:boolean"),
    ENVELOPE_12: _envelope(ENVELOPE_12, "xs:boolean"),
    WSDL: _schema(WSDL, '<xs:attribute name="arrayType" type="xs:string"/><xs:attribute name="required"'
                        ' type="xs:boolean"/>'),
    XMLMIME: _xmlmime(),
    XOP: _schema(XOP, '<xs:complexType name="Include"><xs:attribute name="href" type="xs:anyURI" use="required"/>'
                      '</xs:complexType><xs:element name="Include" type="t:Include"/>'),
    ADDRESSING: _addressing(ADDRESSING),
    ADDRESSING_2004: _addressing(ADDRESSING_2004),
    REFERENCE: _schema(REFERENCE, '<xs:simpleType name="swaRef"><xs:restriction base="xs:anyURI"/></xs:simpleType>'),
    WSU: _utilities(),
    WSSE: _open(WSSE, "Security", "UsernameToken", "BinarySecurityToken", "SecurityTokenReference"),
    DSIG: _open(DSIG, "Signature", "KeyInfo"),
    SERIALIZATION: _serialization(),
}  # fmt: skip
"""Namespace -> the text of its schema."""
