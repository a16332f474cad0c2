"""Parsers of foreign input, each fed with bytes: `python -m tests.attack.fuzzing SECONDS FOLDER`.

With atheris on the path the bytes follow the code that they reach (libFuzzer); without it they are seeds that are
changed at random. A parser may refuse with its own errors; anything else is a finding, and so is taking too long.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import random
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import atheris
except ImportError:  # it has no wheel for this Python
    atheris = None

with atheris.instrument_imports(include=["rules", "connectors", "webapp"]) if atheris else contextlib.nullcontext():
    from connectors.builtin import ldap_ber, queue_payload, safe_xml
    from connectors.builtin.database_changes import Keys
    from connectors.builtin.files_csv import CsvFile
    from connectors.builtin.files_json import JsonFile, JsonLinesFile
    from connectors.builtin.files_options import Options
    from connectors.builtin.files_xlsx import XlsxFile
    from connectors.builtin.files_xml import XmlFile
    from connectors.builtin.postgresql_changes_decode import Decoder
    from connectors.builtin.queue_options import PayloadOptions
    from connectors.builtin.soap_options import SoapOptions
    from connectors.builtin.soap_wsdl import service_of
    from connectors.errors import ConnectorError
    from rules.decisions.dmn_read import read_dmn
    from rules.decisions.sheets import read_csv
    from rules.documents.problems import DocumentError
    from rules.documents.text import load_documents
    from rules.language.check import check
    from rules.language.parse import parse
    from rules.language.problems import ExpressionError
    from rules.schema import Field, FieldType, Schema
    from webapp.access import oidc, saml, saml_answer, scim_filter
    from webapp.access.identities import NotAdmitted
    from webapp.access.scim_errors import ScimError
    from webapp.entities import sheets
    from webapp.events import hook_intake, hook_schemes
    from webapp.evidence import bundle, checking, package_check
    from webapp.web import storable

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from tests.access.saml_provider import SamlProvider
from tests.houses import fresh_house

LONGEST = 8192
SLOW = 20.0
"""Seconds that one input may take, on a busy machine."""
_FIELDS = Schema((Field("a", FieldType.TEXT), Field("n", FieldType.INTEGER), Field("d", FieldType.DATE)))


@dataclass(frozen=True)
class Parser:
    """What reads bytes, the errors that it may refuse with, and inputs to begin with."""

    read: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...]
    seeds: tuple[bytes, ...]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _expression(data: bytes) -> None:
    text = _text(data)
    check(parse(text), text, _FIELDS)


def _file(kind: Any, name: str) -> Callable[[bytes], None]:
    folder = Path(tempfile.mkdtemp())

    def read(data: bytes) -> None:
        path = folder / name
        path.write_bytes(data)
        file = kind(path, Options("", format=name.partition(".")[2]))
        for page in file.pages(file.sample().schema if hasattr(file.sample(), "schema") else _FIELDS, 0, 1, 50):
            page.columns.rows()

    return read


def _queue(kind: str) -> Callable[[bytes], None]:
    payload = queue_payload.Payload(PayloadOptions(format=kind))
    return lambda data: payload.sample(payload.records(data))


def _rows(data: bytes) -> None:
    list(sheets.rows(io.BytesIO(data)))


def _wsdl(data: bytes) -> None:
    options = SoapOptions.of({"wsdl_text": _text(data)})

    def fetch(url: str) -> bytes:
        raise ValueError(url)

    service_of(options, fetch, allow=(), fresh=True)


def _book() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook><sheets><sheet name='a' sheetId='1'/></sheets></workbook>")
        book.writestr(
            "xl/worksheets/sheet1.xml", "<worksheet><sheetData><row><c><v>1</v></c></row></sheetData></worksheet>"
        )
    return made.getvalue()


def _archive(check_one: Callable[[Path], object]) -> Callable[[bytes], None]:
    path = Path(tempfile.mkdtemp()) / "given.zip"

    def read(data: bytes) -> None:
        # what stands in the archive is what is foreign; that of zip itself is Python's
        with zipfile.ZipFile(path, "w") as archive:
            for number, name in enumerate(
                ("manifest.json", "events.jsonl", "keys.jsonl", "checkpoints.jsonl", "head.json")
            ):
                archive.writestr(name, data[number::5] if data[:1] == b"*" else data)
        check_one(path)

    return read


def _bundle(path: Path) -> None:
    export = bundle.Bundle(path)
    try:
        checking.check(export, None, [], [])
    finally:
        export.close()


def _hook(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    headers = dict(line.partition(":")[::2] for line in head.decode("latin-1").lower().splitlines())
    for scheme in hook_schemes.SCHEMES.values():
        proof = scheme.proof(headers)
        if proof.seconds is not None and proof.seconds < 0:
            raise AssertionError("a time before 1970")
        if scheme.signer(["a-key-that-nobody-knows", "another-one"], proof, body) is not None:
            raise AssertionError("a signature is taken without its key")
    hook_intake.read(body, headers.get("content-type", "application/json").strip())


def _ldap(data: bytes) -> None:
    for tag, content in ldap_ber.children(data):
        if tag == ldap_ber.INTEGER:
            ldap_ber.number(content)
        with contextlib.suppress(ldap_ber.BrokenBerError):
            ldap_ber.children(content)


def _pgoutput(data: bytes) -> None:
    messages, at = [], 0
    while at < len(data):
        size = 1 + data[at]
        messages.append(data[at + 1 : at + 1 + size] or b"B")
        at += 1 + size
    Decoder(("public", "t"), "id", Keys({}, 100), 2**62).collect(iter(messages))


def _scim(data: bytes) -> None:
    scim_filter.test_of(_text(data))({"userName": "a", "emails": [{"value": "a@b", "primary": True}]})


def _saml() -> Parser:
    folder = Path(tempfile.mkdtemp())
    provider = SamlProvider()
    (folder / "idp.xml").write_text(provider.metadata)
    more = {"SYNCLINE_SAML_METADATA": str(folder / "idp.xml"), "SYNCLINE_SAML_ROLES": "*=Viewer"}
    more["SYNCLINE_CONSOLE_URL"] = "http://localhost"
    house = _OPEN.enter_context(fresh_house(folder / "data", **more))

    def read(data: bytes) -> None:
        posted = base64.b64encode(data).decode()
        saml_answer.judged(house, posted, "_request")
        raise AssertionError("an answer is taken that nobody has asked for")

    return Parser(read, (NotAdmitted,), (_signed(provider), b"<a/>"))


def _signed(provider: Any) -> bytes:
    with contextlib.suppress(Exception):
        return base64.b64decode(provider.answer())
    return provider.metadata.encode()  # type: ignore[no-any-return]


def _token() -> Parser:
    house = _OPEN.enter_context(fresh_house(Path(tempfile.mkdtemp()) / "data"))
    key = ec.generate_private_key(ec.SECP256R1())
    oidc._key = lambda _house, _kid: jwt.PyJWK.from_dict(  # type: ignore[assignment]
        json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())), algorithm="ES256"
    )
    other = ec.generate_private_key(ec.SECP256R1())
    claims = {"exp": 2**33, "iat": 1, "sub": "a", "aud": "", "iss": "", "nonce": "n"}
    seeds = [
        jwt.encode(claims, other, "ES256"),
        jwt.encode(claims, "x" * 64, "HS256"),
        jwt.encode(claims, None, "none"),
    ]

    def read(data: bytes) -> None:
        oidc.checked(house, data.decode("latin-1"), "n")
        raise AssertionError("a token is taken that was signed by another key")

    return Parser(read, (NotAdmitted,), tuple(seed.encode() for seed in seeds))


_OPEN = contextlib.ExitStack()
_XML = b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a x='1'><r><n>1</n></r><r>&amp;</r></a>"
_JSON = b'[{"a": 1, "b": [1.5, null, "\\u00e9"]}, {"a": -1e400}]'
_CSV = b'a;b\n1;"x""y"\n\xef\xbb\xbf;\n"'
_PLAIN = (ConnectorError, queue_payload.Unreadable)

PARSERS: dict[str, Callable[[], Parser]] = {
    "cel": lambda: Parser(
        _expression, (ExpressionError,), (b"a.trim() == 'x' && n in [1, 2u]", b"[1].map(x, x + n)[0]")
    ),
    "yaml": lambda: Parser(
        lambda data: load_documents(_text(data)), (DocumentError,),
        (b"kind: sync\na: &x [1]\nb: *x", b"? [a]\n: {b: 1}"),
    ),
    "json": lambda: Parser(lambda data: load_documents(_text(data), "json"), (DocumentError,), (_JSON,)),
    "request-json": lambda: Parser(storable.read_json, (ValueError,), (_JSON, b'"\\ud800"')),
    "dmn": lambda: Parser(
        read_dmn, (DocumentError,),
        (b"<definitions><decision name='a'><decisionTable hitPolicy='FIRST'><input><inputExpression typeRef='number'>"
         b"<text>a</text></inputExpression></input><output name='b'/><rule><inputEntry><text>[1..2)</text></inputEntry>"
         b"<outputEntry><text>1</text></outputEntry></rule></decisionTable></decision></definitions>",),
    ),
    "table-csv": lambda: Parser(read_csv, (DocumentError,), (b"hit policy,FIRST\na,b\n>= 1,2\n",)),
    "import": lambda: Parser(_rows, (sheets.Unreadable,), (_CSV, _book())),
    "csv": lambda: Parser(_file(CsvFile, "a.csv"), _PLAIN, (_CSV, "a\tb\n".encode("utf-16"))),
    "xlsx": lambda: Parser(_file(XlsxFile, "a.xlsx"), _PLAIN, (_book(),)),
    "json-file": lambda: Parser(_file(JsonFile, "a.json"), _PLAIN, (_JSON,)),
    "json-lines": lambda: Parser(_file(JsonLinesFile, "a.jsonl"), _PLAIN, (b'{"a": 1}\n\n{"a": "\\ud800"}',)),
    "xml": lambda: Parser(_file(XmlFile, "a.xml"), _PLAIN, (_XML, b"<a><r/><r>1</r></a>")),
    "queue-json": lambda: Parser(_queue("json"), _PLAIN, (_JSON, b'{"a": {"b": [1]}}')),
    "queue-xml": lambda: Parser(_queue("xml"), _PLAIN, (_XML, b"<a><b>1</b></a>")),
    "queue-csv": lambda: Parser(_queue("csv"), _PLAIN, (_CSV,)),
    "wsdl": lambda: Parser(_wsdl, (ConnectorError,), (b"<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>",)),
    "saml": _saml,
    "jwt": _token,
    "web-hook": lambda: Parser(
        _hook, (hook_intake.Refused,),
        (
            b"x-hub-signature-256: sha256=00\nstripe-signature: t=1,v1=00\n\n{}",
            b"content-type: application/x-www-form-urlencoded\n\npayload={}",
        ),
    ),
    "ldap-ber": lambda: Parser(
        _ldap, (ldap_ber.BrokenBerError,),
        (ldap_ber.sequence(ldap_ber.integer(7), ldap_ber.octets("cn=a")), b"0\x84\xff\xff\xff\xff"),
    ),
    # what a database sends that was signed in to may break its read, but must neither hang nor fill the memory
    "pgoutput": lambda: Parser(
        _pgoutput, (ValueError, IndexError, LookupError, struct.error),
        (b"\x14B" + bytes(20) + b"\x18R" + struct.pack(">I", 1) + b"public\0t\0d\0\x01\x01id\0" + bytes(8),),
    ),
    "scim-filter": lambda: Parser(
        _scim, (ScimError,), (b'userName eq "a" and (emails[primary eq true] or not (a pr))',)
    ),
    "audit-export": lambda: Parser(
        _archive(_bundle), (bundle.Unreadable,), (b'{"a": 1}\n', b"*" + b'{"size": 1, "format": 1}\n' * 5)
    ),
    "evidence-package": lambda: Parser(
        _archive(package_check.check), (bundle.Unreadable,), (b'{"files": {}}\n', b"*[]")
    ),
    "safe-xml": lambda: Parser(saml.parsed, (ValueError,), (_XML, b"<a xmlns:b='c'/>")),
}  # fmt: skip


def run(name: str, seconds: int, folder: Path) -> None:
    """Feed a parser for so long; ends with an error where it fails in its own way."""
    parser = PARSERS[name]()
    assert safe_xml.parser() is not None

    def one(data: bytes) -> None:
        began = time.monotonic()
        with contextlib.suppress(*parser.refuses):
            parser.read(data)
        spent = time.monotonic() - began
        if spent > SLOW:
            raise AssertionError(f"{len(data)} bytes take {spent:.0f} seconds")

    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(parser.seeds):
        (folder / "seeds" / str(number)).write_bytes(seed)
    if atheris:
        arguments = [
            f"-max_total_time={seconds}", f"-max_len={LONGEST}", "-rss_limit_mb=3000", "-print_final_stats=1",
            f"-artifact_prefix={folder}/", "-verbosity=1", str(folder / "seeds"),
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *arguments], one)
        atheris.Fuzz()
    _without(one, parser.seeds, seconds, folder)


def _without(one: Callable[[bytes], None], seeds: tuple[bytes, ...], seconds: int, folder: Path) -> None:
    chance, end, tried = random.Random(seconds), time.monotonic() + seconds, 0
    for data in _changed(seeds, chance):
        if time.monotonic() > end:
            break
        tried += 1
        try:
            one(data)
        except Exception:
            (folder / "crash-random").write_bytes(data)
            raise
    sys.stderr.write(f"stat::number_of_executed_units: {tried}\n")


def _changed(seeds: tuple[bytes, ...], chance: random.Random) -> Iterator[bytes]:
    while True:
        data = bytearray(chance.choice(seeds))
        for _change in range(chance.randrange(1, 8)):
            at = chance.randrange(len(data) + 1)
            if chance.random() < 0.5:
                data[at:at] = chance.randbytes(chance.randrange(1, 6))
            else:
                del data[at : at + chance.randrange(1, 6)]
        yield bytes(data[:LONGEST])


def run_all(seconds: int, folder: Path, at_once: int = 2) -> None:
    """Feed each parser in a process of its own; what they were imported with is paid for once."""
    running: set[int] = set()
    for name in PARSERS:
        if len(running) == at_once:
            running.discard(os.wait()[0])
        child = os.fork()
        if child == 0:
            _child(name, seconds, folder / name)
        running.add(child)
    for _child_left in running:
        os.wait()


def _child(name: str, seconds: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        run(name, seconds, folder)
    except BaseException:  # noqa: BLE001 - what goes wrong in a child is told by its log
        traceback.print_exc()
    finally:
        os._exit(0)


if __name__ == "__main__":
    run_all(int(sys.argv[1]), Path(sys.argv[2]))
