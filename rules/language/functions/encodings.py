"""Hashes, and texts in the forms that other systems need. No hash here is meant to protect a secret."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from rules.language.functions.bounds import check_length, clean, short
from rules.language.functions.registry import Chapter, FunctionError, Group
from rules.text import N_, msg

_encoding = Chapter(Group.ENCODING)
_NAMESPACES: Mapping[str, uuid.UUID] = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}
_MAX_URL = 100_000
_MAX_FIELDS = 10_000


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _hash(name: str) -> Callable[[Any], str]:
    return lambda value: hashlib.new(name, _bytes(value), usedforsecurity=False).hexdigest()


def hmac_sha256(text: str, key: str) -> str:
    """Return the HMAC of a text with a key, in hexadecimal."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def base64_encode(value: Any) -> str:
    """Return text (as UTF-8) or binary data in Base64."""
    check_length(len(value) * 4 // 3)
    return base64.b64encode(_bytes(value)).decode()


def base64_decode(text: str) -> str:
    """Return the text (UTF-8) that Base64 holds; also the form for URLs, and without `=` at the end."""
    plain = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return clean(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True).decode())
    except (ValueError, binascii.Error) as error:
        if isinstance(error, FunctionError):
            raise
        raise FunctionError(msg("This is not the Base64 of a text: '{text}'.", text=short(text))) from None


def hex_encode(value: Any) -> str:
    """Return text (as UTF-8) or binary data in hexadecimal digits."""
    check_length(len(value) * 2)
    return _bytes(value).hex()


def hex_decode(text: str) -> str:
    """Return the text (UTF-8) that hexadecimal digits hold."""
    try:
        return clean(bytes.fromhex(text).decode())
    except ValueError as error:
        if isinstance(error, FunctionError):
            raise
        raise FunctionError(
            msg("These are not the hexadecimal digits of a text: '{text}'.", text=short(text))
        ) from None


def uuid_of(namespace: str, name: str) -> str:
    """Return the UUID (version 5) of a name; the same name always gives the same one."""
    try:
        space = _NAMESPACES.get(namespace) or uuid.UUID(namespace)
    except ValueError:
        text = N_("'{namespace}' is neither a UUID nor dns, url, oid or x500.")
        raise FunctionError(msg(text, namespace=short(namespace))) from None
    return str(uuid.uuid5(space, name))


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID in the form with hyphens."""
    try:
        return len(text) == 36 and str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def url_encode(text: str) -> str:
    """Return the text with everything but letters, digits and -._~ written as %XX."""
    check_length(len(text.encode()) if not text.isascii() else len(text))
    made = quote(text, safe="")
    check_length(len(made))
    return made


def url_decode(text: str) -> str:
    """Return the text with every %XX as the character it stands for."""
    try:
        return clean(unquote(text, errors="strict"))
    except UnicodeDecodeError:
        raise FunctionError(msg("'{text}' does not stand for a text.", text=short(text))) from None


def url_host(text: str) -> str | None:
    """Return the host that an address names, in small letters, None where it names none."""
    try:
        return urlsplit(text.strip()).hostname if len(text) <= _MAX_URL else None
    except ValueError:
        return None


def url_parameter(text: str, name: str) -> str | None:
    """Return the first value of a parameter of an address, None where it is not there."""
    try:
        pairs = parse_qsl(urlsplit(text.strip()).query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise FunctionError(msg("'{text}' is not a web address.", text=short(text))) from None
    return next((clean(value) for key, value in pairs if key == name), None)


def is_url(text: str) -> bool:
    """Tell whether a text is a web address: http or https, and a host."""
    spaced = len(text) > _MAX_URL or any(char.isspace() for char in text)
    return not spaced and text.lower().startswith(("http://", "https://")) and bool(url_host(text))


def _define_hash(name: str, doc: str, result: str) -> None:
    work = _hash(name)
    signatures = {f"{name}(value: text) -> text": work, f"{name}(value: binary) -> text": work}
    _encoding.own(doc, {f"left({name}('abc'), 16)": f"'{result}'"}, signatures)


_define_hash("sha256", N_("Calculates the SHA-256 of a text (as UTF-8) or binary data."), "ba7816bf8f01cfea")
_define_hash("sha512", N_("Calculates the SHA-512 of a text (as UTF-8) or binary data."), "ddaf35a193617aba")
_define_hash(
    "sha1", N_("Calculates the SHA-1 of a text, to match systems that use it; it protects nothing."), "a9993e364706816a"
)
_define_hash(
    "md5", N_("Calculates the MD5 of a text, to match systems that use it; it protects nothing."), "900150983cd24fb0"
)
_encoding.own(
    N_("Calculates the HMAC with SHA-256 of a text and a key. A key in a rule is no secret: everybody can read rules."),
    {"left(hmacSha256('abc', 'key'), 8)": "'9c196e32'"},
    {"hmacSha256(text: text, key: text) -> text": hmac_sha256},
)
_encoding.own(
    N_("Writes a text (as UTF-8) or binary data in Base64."),
    {"base64Encode('上海')": "'5LiK5rW3'"},
    {"base64Encode(value: text) -> text": base64_encode, "base64Encode(value: binary) -> text": base64_encode},
)
_encoding.own(
    N_("Reads the text (UTF-8) that Base64 holds, in its usual form or the one for addresses."),
    {"base64Decode('5LiK5rW3')": "'上海'"},
    {"base64Decode(text: text) -> text": base64_decode},
)
_encoding.own(
    N_("Writes a text (as UTF-8) or binary data in hexadecimal digits."),
    {"hexEncode('az')": "'617a'"},
    {"hexEncode(value: text) -> text": hex_encode, "hexEncode(value: binary) -> text": hex_encode},
)
_encoding.own(
    N_("Reads the text (UTF-8) that hexadecimal digits hold."),
    {"hexDecode('617a')": "'az'"},
    {"hexDecode(text: text) -> text": hex_decode},
)
_encoding.own(
    N_("Makes the UUID (version 5) of a name in a namespace: a UUID, dns, url, oid or x500. It is always the same."),
    {"uuid5('dns', 'python.org')": "'886313e1-3b8a-5372-9b90-0c9aee199e5d'"},
    {"uuid5(namespace: text, name: text) -> text": uuid_of},
)
_encoding.own(
    N_("Tells whether a text is a UUID."),
    {"isUuid('886313e1-3b8a-5372-9b90-0c9aee199e5d')": "true"},
    {"isUuid(text: text) -> boolean": is_uuid},
)
_encoding.own(
    N_("Writes a text as a part of a web address."),
    {"urlEncode('a b/上')": "'a%20b%2F%E4%B8%8A'"},
    {"urlEncode(text: text) -> text": url_encode},
)
_encoding.own(
    N_("Reads a text that is a part of a web address."),
    {"urlDecode('a%20b%2F%E4%B8%8A')": "'a b/上'"},
    {"urlDecode(text: text) -> text": url_decode},
)
_encoding.own(
    N_("Takes the host out of a web address; empty (null) where there is none."),
    {"urlHost('https://Example.com:8080/a?b=c')": "'example.com'"},
    {"urlHost(text: text) -> text or null": url_host},
)
_encoding.own(
    N_("Takes a parameter out of a web address; empty (null) where it is not there."),
    {"urlParameter('https://example.com/?id=7&x=y', 'id')": "'7'"},
    {"urlParameter(text: text, name: text) -> text or null": url_parameter},
)
_encoding.own(
    N_("Tells whether a text is a web address (http or https)."),
    {"isUrl('https://example.com')": "true", "isUrl('example.com')": "false"},
    {"isUrl(text: text) -> boolean": is_url},
)
