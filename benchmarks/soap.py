"""How fast the answers of SOAP services are read into typed columns, beside zeep's own objects and plain lxml.

Usage: python -m benchmarks.soap [RECORDS]. One answer holds the records: the 19 simple fields of workload W1's
customers (the regular form, which a pattern reads), the same with an attribute on one of them (which the parser
reads), and narrow records of four fields. All figures are records per second of CPU time, the best of three.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import zeep
from lxml import etree

from connectors.builtin.soap import Soap
from connectors.builtin.soap_answer import Message, Records
from connectors.builtin.soap_read import Reading
from connectors.spi import Context, ReadRequest
from tests.soap_servers import SPACE, element, enveloped, wsdl

TIMES = 3
GOAL = 5.0
WIDE = {
    "id": "long", "customer_no": "string", "name_zh": "string", "name_en": "string", "email": "string",
    "phone": "string", "gender": "string", "birth_date": "date", "address": "string", "city": "string",
    "country": "string", "credit_limit": "decimal", "balance": "decimal", "score": "double", "level": "short",
    "is_active": "boolean", "remark": "string", "created_at": "dateTime", "updated_at": "dateTime",
}  # fmt: skip
NARROW = {"id": "long", "name_zh": "string", "balance": "decimal", "updated_at": "dateTime"}
NULLS = {"phone": 0.05, "gender": 0.1, "birth_date": 0.1, "score": 0.15, "remark": 0.3}


def value(rng: random.Random, name: str, kind: str, number: int) -> str:
    """Return a value of a field as XML writes it."""
    made: dict[str, Callable[[], str]] = {
        "long": lambda: str(number),
        "date": lambda: f"{rng.randrange(1950, 2005)}-0{rng.randrange(1, 9)}-1{rng.randrange(9)}",
        "decimal": lambda: f"{rng.randrange(-100_000, 10_000_000)}.{rng.randrange(10, 99)}",
        "double": lambda: repr(rng.gauss(600, 120)),
        "short": lambda: str(rng.randrange(10)),
        "boolean": lambda: "true" if rng.random() < 0.9 else "false",
        "dateTime": lambda: f"2024-01-1{rng.randrange(9)}T1{rng.randrange(9)}:30:15.{rng.randrange(10**5, 10**6)}Z",
        "string": lambda: f"客户 {name} {rng.randrange(10**6)}" + (" &amp; Co" if rng.random() < 0.05 else ""),
    }
    return made[kind]()


def answer(fields: dict[str, str], records: int, attribute: str) -> bytes:
    """Return one answer with so many records."""
    rng = random.Random(42)
    rows = []
    for number in range(1, records + 1):
        given = [(n, kind) for n, kind in fields.items() if rng.random() >= NULLS.get(n, 0)]
        cells = (f"<{n}{attribute if n == 'balance' else ''}>{value(rng, n, kind, number)}</{n}>" for n, kind in given)
        rows.append(f"<Customer>{''.join(cells)}</Customer>")
    return enveloped(f"<ListResponse>{''.join(rows)}</ListResponse>").encode()


def description(fields: dict[str, str]) -> str:
    """Return the WSDL of the service."""
    members = "".join(f'<xs:element name="{n}" type="xs:{kind}" minOccurs="0"/>' for n, kind in fields.items())
    record = f'<xs:complexType name="Customer"><xs:sequence>{members}</xs:sequence></xs:complexType>'
    many = '<xs:element name="Customer" type="t:Customer" minOccurs="0" maxOccurs="unbounded"/>'
    return wsdl("http://127.0.0.1:1/", record + element("List", "") + element("ListResponse", many), ["List"])


def best(work: Callable[[], int], records: int) -> float:
    """Return the records per second of CPU time."""
    spent = []
    for _ in range(TIMES):
        begun = time.process_time()
        assert work() == records
        spent.append(time.process_time() - begun)
    return records / min(spent)


def ours(text: str, content: bytes) -> Callable[[], int]:
    """Return a reading into typed columns; nothing may be put aside."""
    described = {"name": "customers", "key": "id", "read": {"operation": "List", "records": "Customer"}}
    soap = Soap({"wsdl_text": text, "objects": [described]}, Context())
    schema = soap.schema("customers")
    reading = Reading(soap.calls, soap._shape("customers"), ReadRequest("customers", schema))  # noqa: SLF001

    def work() -> int:
        rows = Records("Customer", reading.columns).of(Message(content)).rows
        page = reading.typed(rows)  # type: ignore[arg-type]
        assert not page.rejects, page.rejects[0]
        return page.records.height

    return work


def with_zeep(text: str, content: bytes) -> Callable[[], int]:
    """Return zeep's own way: parse, then an object for each record."""
    operation = zeep.Client(BytesIO(text.encode())).wsdl.services["S"].ports["Port"].binding.get("List")
    return lambda: len(operation.process_reply(etree.fromstring(content)))


def with_lxml(content: bytes) -> Callable[[], int]:
    """Return plain lxml: a dictionary of texts for each record, without types."""

    def work() -> int:
        count = 0
        for _, node in etree.iterparse(BytesIO(content), tag=f"{{{SPACE}}}Customer"):
            row = {child.tag: child.text for child in node}
            count += bool(row)
            node.clear()
        return count

    return work


def results(records: int) -> Iterator[dict[str, Any]]:
    """Yield a result for each case."""
    for case, fields, attribute in (
        ("19 fields", WIDE, ""),
        ("19 fields, by the parser", WIDE, ' unit="CNY"'),
        ("4 fields", NARROW, ""),
    ):
        text, content = description(fields), answer(fields, records, attribute)
        rate = best(ours(text, content), records)
        peers = {"lxml": round(best(with_lxml(content), records))}
        if not attribute:  # zeep refuses attributes that the WSDL does not have
            peers["zeep"] = round(best(with_zeep(text, content), records))
        told = ", ".join(f"{name} {peer / 1000:,.1f}" for name, peer in peers.items())
        print(f"soap, {case}, {records:,} records, {len(content) / 1e6:,.1f} MB: {rate / 1000:,.1f} thousand/s; {told}")
        head = {"suite": "connectors", "case": f"soap, {case}", "value": round(rate), "unit": "records/s CPU"}
        ratio = rate / peers["zeep"] if "zeep" in peers else None
        more = {"goal": GOAL, "met": ratio >= GOAL} if ratio else {"goal": None, "met": True}
        yield {**head, "peers": peers, "ratio": round(ratio or rate / peers["lxml"], 2), **more}


def main(argv: list[str]) -> None:
    for result in results(int(argv[0]) if argv else 20_000):
        print(json.dumps(result, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main(sys.argv[1:])
