"""Files in a bucket of S3 or of a store that speaks its protocol. Requests are signed with version 4.

A file is put in place by one request, a large one by the last of several, whole or not at all. That a file is new, or
still what it was, is a condition of the request itself (If-None-Match, If-Match); a store that does not know these is
asked before instead.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx

from connectors.builtin.files_place import Stat
from connectors.builtin.files_place_s3_parts import Parts
from connectors.builtin.files_place_web import MEGABYTE, Headers, WebPlace, moment, quoted, stat_of, xml_of
from connectors.errors import AuthFailed, Misconfigured, Unavailable
from rules.text import msg

_EMPTY = hashlib.sha256(b"").hexdigest()
_AT_ONCE = 64 * MEGABYTE
"""Larger files are sent in parts."""
_LARGEST = 5 * 1024**3
"""Larger files are copied in parts."""
_CONDITION, _UNKNOWN = (409, 412), (501,)
_SIGN = "AWS4-HMAC-SHA256"
_DENIED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken")


class Signature(httpx.Auth):
    """Signs requests with version 4 of the signature of AWS."""

    def __init__(
        self, key: str, secret: str, region: str, clock: Callable[[], dt.datetime], service: str = "s3"
    ) -> None:
        self.key, self.secret, self.region, self.clock, self.service = key, secret, region, clock, service

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Sign one request."""
        now = self.clock()
        request.headers["x-amz-date"] = f"{now:%Y%m%dT%H%M%SZ}"
        request.headers.setdefault("x-amz-content-sha256", _EMPTY)
        scope = f"{now:%Y%m%d}/{self.region}/{self.service}/aws4_request"
        names = sorted(n for n in request.headers if n == "host" or n.startswith("x-amz-") or n == "content-md5")
        listed = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
        path, _, query = request.url.raw_path.decode().partition("?")
        signed, digest = ";".join(names), request.headers["x-amz-content-sha256"]
        canonical = "\n".join((request.method, path, _sorted(query), listed, signed, digest))
        text = "\n".join((_SIGN, request.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        made = hmac.new(key, text.encode(), "sha256").hexdigest()
        credential = f"Credential={self.key}/{scope}, SignedHeaders={signed}, Signature={made}"
        request.headers["Authorization"] = f"{_SIGN} {credential}"
        yield request


class S3Place(WebPlace):
    """The part of a bucket whose keys begin with a folder."""

    @property
    def shown(self) -> str:
        """Return the address of the folder."""
        return f"s3://{self.options.bucket}/{self._prefix}"

    @property
    def _prefix(self) -> str:
        folder = self.options.folder.strip("/")
        return f"{folder}/" if folder else ""

    @cached_property
    def _bucket(self) -> str:
        region = self.options.region
        endpoint = (self.options.endpoint or f"https://s3.{region}.amazonaws.com").rstrip("/")
        if not self.options.bucket:
            raise Misconfigured(msg("The bucket is not set."), msg("Enter it in the connection's settings."))
        if self.options.path_style:
            return f"{endpoint}/{quoted(self.options.bucket)}/"
        parts = urlsplit(endpoint)
        return f"{parts.scheme}://{self.options.bucket}.{parts.netloc}{parts.path}/"

    def auth(self) -> httpx.Auth | None:
        """Return the signature, or None for a public bucket."""
        if not self.options.access_key:
            return None
        region = self.options.region
        return Signature(self.options.access_key, self.options.secret_key, region, lambda: dt.datetime.now(dt.UTC))

    def url(self, name: str) -> str:
        """Return the address of a file."""
        return self._bucket + quoted(self._prefix + name)

    def entries(self, folder: str) -> Iterator[tuple[Stat, bool]]:
        """Yield what lies in a folder."""
        return self._listed(f"{folder}/" if folder else "", "/")

    def files(self, folder: str = "", *, deep: bool = False) -> Iterator[Stat]:
        """Yield the files of a folder, those below it in the same requests."""
        inside = f"{folder}/" if folder else ""
        return (found for found, is_folder in self._listed(inside, "" if deep else "/") if not is_folder)

    def stat(self, name: str) -> Stat:
        """Return a file's size and version."""
        return stat_of(name, self.ask("HEAD", name).headers)

    def store(self, name: str, source: Path, *, new: bool = False, replaces: Stat | None = None) -> None:
        """Put a file in place by one request, a large one by the last request of many."""
        condition = {"If-None-Match": "*"} if new else {"If-Match": replaces.etag} if replaces else {}
        good = (*_CONDITION, *_UNKNOWN) if condition else ()
        if source.stat().st_size > _AT_ONCE:
            answer = self._in_parts(
                name, source, condition, good, lambda: self._compare(name, new=new, replaces=replaces)
            )
        else:
            headers = {"x-amz-content-sha256": _digest(source)}
            answer = self.upload(name, source, {**headers, **condition}, good=good)
            if answer.status_code in _UNKNOWN:
                self._compare(name, new=new, replaces=replaces)
                answer = self.upload(name, source, headers, good=())
        if answer.status_code in _CONDITION:
            raise FileExistsError(17, "exists", name)

    def _in_parts(
        self, name: str, source: Path, condition: Headers, good: Sequence[int], compare: Callable[[], None]
    ) -> httpx.Response:
        """Send a large file; not all stores know the condition there, so all are asked before as well."""
        with Parts(self, name) as parts:
            parts.send(source)
            compare()
            answer = parts.finish(condition, good)
            return parts.finish({}) if answer.status_code in _UNKNOWN else answer

    def rename(self, old: str, name: str) -> None:
        """Copy a file to another name and remove the old one, which is how buckets rename."""
        place, size = "/" + quoted(f"{self.options.bucket}/{self._prefix}{old}"), self.stat(old).size
        if size > _LARGEST:
            with Parts(self, name) as parts:
                parts.copy(place, size, _LARGEST // 5)
                parts.finish({})
            self.delete(old)
            return
        answer = self.ask("PUT", name, {"x-amz-copy-source": place})
        if b"<Error>" in answer.content:
            raise Unavailable(
                msg("'{name}' could not be renamed on {place}.", name=old, place=self.shown), msg("Try again later.")
            )
        self.delete(old)

    def delete(self, name: str) -> None:
        """Remove a file."""
        with suppress(FileNotFoundError):
            self.ask("DELETE", name)

    def judged(self, answer: httpx.Response, name: str) -> httpx.Response:
        """Return a good answer; raises what a bad one means, by the name that S3 gives it."""
        code = self.told(answer).strip(" :")
        if code in _DENIED:
            raise AuthFailed(
                msg("{place} refuses the access key: {problem}.", place=self.shown, problem=code),
                msg("Correct the keys and the region in the connection's settings."),
            )
        if code == "NoSuchBucket":
            raise Misconfigured(
                msg("There is no bucket '{name}'.", name=self.options.bucket),
                msg("Correct the bucket and the region in the connection's settings."),
            )
        return super().judged(answer, name)

    def told(self, answer: httpx.Response) -> str:
        """Return the name of an error."""
        if answer.is_success or not answer.content.lstrip().startswith(b"<"):
            return ""
        with suppress(Unavailable):
            root = xml_of(answer, self.shown)
            return next((f": {e.text}" for e in root.iter("{*}Code") if e.text), "")
        return ""

    def _compare(self, name: str, *, new: bool, replaces: Stat | None) -> None:
        try:
            found = self.stat(name)
        except FileNotFoundError:
            found = None
        expected = None if new else replaces
        if (new or replaces is not None) and found != expected:
            raise FileExistsError(17, "exists", name)

    def _listed(self, inside: str, delimiter: str) -> Iterator[tuple[Stat, bool]]:
        query = {"list-type": "2", "encoding-type": "url", "prefix": self._prefix + inside}
        if delimiter:
            query["delimiter"] = delimiter
        token: str | None = ""
        while token is not None:
            root = self._page({**query, **({"continuation-token": token} if token else {})})
            yield from self._found(root)
            before, token = token, root.findtext("{*}NextContinuationToken")
            if token == before:
                raise Unavailable(
                    msg("{place} gives the same part of its list again and again.", place=self.shown),
                    msg("Ask the operator of the store."),
                )

    def _page(self, query: Mapping[str, str]) -> Any:
        text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
        request = self.client.build_request("GET", f"{self._bucket}?{text}")
        return xml_of(self.judged(self.client.send(request), ""), self.shown)

    def _found(self, root: Any) -> Iterator[tuple[Stat, bool]]:
        for one in root.iter("{*}Contents"):
            key = unquote((one.findtext("{*}Key") or "").replace("+", " "))
            name = key[len(self._prefix) :]
            if name and not name.endswith("/"):
                size, when = int(one.findtext("{*}Size") or 0), moment(one.findtext("{*}LastModified") or "")
                yield Stat(name, size, when, one.findtext("{*}ETag") or ""), False
        for one in root.iter("{*}CommonPrefixes"):
            key = unquote((one.findtext("{*}Prefix") or "").replace("+", " "))
            yield Stat(key[len(self._prefix) :].rstrip("/"), 0), True


def _sorted(query: str) -> str:
    return "&".join(sorted(part if "=" in part else f"{part}=" for part in query.split("&"))) if query else ""


def _digest(source: Path) -> str:
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
