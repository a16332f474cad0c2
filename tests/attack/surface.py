"""What a console offers to attack: its addresses, the parameters they read, the forms of its pages."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import lxml.html
from flask import Flask, Request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from tests.attack.target import Browser, Target
from webapp.app import create_app

PAGES = 500
"""So many pages are read at the most to find what is there."""
EACH = 2
"""So many addresses are tried of one kind."""
_LEAVES = re.compile(r"/(logout|language)/|/static/|/view-as")
_LINKS = ("href", "hx-get", "data-url", "data-href")


@dataclass(frozen=True)
class Address:
    """An address that a browser can ask for, with the parameters that it reads."""

    path: str
    endpoint: str
    names: tuple[str, ...]
    given: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Form:
    """A form of a page: where it is sent, and what it holds when it is sent unchanged."""

    path: str
    endpoint: str
    fields: tuple[tuple[str, str], ...]
    files: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the names of its fields, each once."""
        return list(dict.fromkeys(name for name, _value in self.fields if name != "csrf_token"))

    def filled(self, **changes: str) -> dict[str, list[str] | str]:
        """Return what is sent, with changes."""
        sent: dict[str, list[str] | str] = {name: [v for n, v in self.fields if n == name] for name in self.names}
        return {**sent, **changes}


class _Noting(ImmutableMultiDict[str, str]):
    """Parameters that note what is asked for."""

    asked: set[str] = set()  # noqa: RUF012 - shared on purpose: one page is read at a time

    def get(self, key, default=None, type=None):  # noqa: A002 - as werkzeug's
        self.asked.add(key)
        return super().get(key, default, type)

    def getlist(self, key, type=None):  # noqa: A002 - as werkzeug's
        self.asked.add(key)
        return super().getlist(key, type)

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.asked.add(key)
        return super().__contains__(key)


class _Request(Request):
    parameter_storage_class = _Noting


class Surface:
    """Reads a console's pages as one user, and keeps what is found."""

    def __init__(self, target: Target, browser: Browser) -> None:
        self.app: Flask = create_app(target.house.settings)
        self.app.request_class = _Request
        self._url, self._browser = target.url, browser
        self._routes: MapAdapter = self.app.url_map.bind("127.0.0.1")
        self.pages: dict[tuple[str, frozenset[str]], list[str]] = {}
        self.forms: dict[tuple[str, tuple[str, ...]], Form] = {}
        self._read()

    def close(self) -> None:
        """Give back what was opened."""
        self.app.extensions["syncline"].db.engine.dispose()

    def endpoint(self, path: str, method: str = "GET") -> str:
        """Return the name of what answers, empty for nothing."""
        try:
            return str(self._routes.match(urlsplit(path).path, method=method)[0])
        except HTTPException:
            return ""

    def addresses(self) -> list[Address]:
        """Return the pages with the parameters that they read, found out by asking each in this process."""
        client = self.app.test_client()
        found = []
        for paths in self.pages.values():
            for path in paths:
                parts = urlsplit(path)
                _Noting.asked = set()
                client.get(path, headers={"Cookie": self._browser.cookies}).close()
                names = {*_Noting.asked, *dict(parse_qsl(parts.query))} - {"csrf_token"}
                found.append(
                    Address(parts.path, self.endpoint(path), tuple(sorted(names)), tuple(parse_qsl(parts.query)))
                )
        return found

    def _read(self) -> None:
        waiting, seen, read = deque(self._starts()), set[str](), 0
        while waiting and read < PAGES:
            path = waiting.popleft()
            if path in seen or _LEAVES.search(path) or not self._wanted(path):
                continue
            seen.add(path)
            read += 1
            answer = self._browser.get(path, follow_redirects=True)
            if "html" in answer.headers.get("Content-Type", "") and answer.text.strip():
                tree = lxml.html.fromstring(answer.text, base_url=self._url)
                waiting.extend(self._links(tree, path))
                self._keep_forms(tree, path)

    def _starts(self) -> list[str]:
        plain = sorted({rule.rule for rule in self.app.url_map.iter_rules() if "<" not in rule.rule})
        return ["/", *(path for path in plain if not path.startswith(("/api/v1", "/scim", "/healthz", "/metrics")))]

    def _wanted(self, path: str) -> bool:
        parts = urlsplit(path)
        endpoint = self.endpoint(path)
        if not endpoint or endpoint == "static" or parts.path.startswith("/api/v1"):
            return False
        kept = self.pages.setdefault((endpoint, frozenset(dict(parse_qsl(parts.query)))), [])
        if len(kept) < EACH:
            kept.append(path)
            return True
        return False

    def _links(self, tree: lxml.html.HtmlElement, base: str) -> Iterator[str]:
        for attribute in _LINKS:
            for element in tree.xpath(f"//*[@{attribute}]"):
                yield from self._local(str(element.get(attribute)), base)
        for form in tree.xpath("//form[not(@method) or translate(@method,'GET','get')='get']"):
            names = [str(name) for name in form.xpath(".//*[@name]/@name")]
            action = form.get("action") or urlsplit(base).path
            yield from self._local(f"{action}?{'&'.join(f'{name}=' for name in names)}", base)

    def _local(self, link: str, base: str) -> Iterator[str]:
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or link.startswith("#"):
            return
        path = parts.path or urlsplit(base).path
        yield f"{path}?{parts.query}" if parts.query else path

    def _keep_forms(self, tree: lxml.html.HtmlElement, base: str) -> None:
        for form in tree.xpath("//form"):
            if str(form.get("method", "")).lower() == "post":
                self._keep(form.get("action") or base, form)
        for element in tree.xpath("//*[@hx-post]"):
            around = element if element.tag == "form" else next(iter(element.xpath("ancestor::form[1]")), element)
            self._keep(str(element.get("hx-post")), around)
        for button in tree.xpath("//button[@formaction]"):
            around = next(iter(button.xpath("ancestor::form[1]")), None)
            if around is not None:
                self._keep(str(button.get("formaction")), around)

    def _keep(self, action: str, form: lxml.html.HtmlElement) -> None:
        endpoint = self.endpoint(action, "POST")
        if not endpoint or _LEAVES.search(action):
            return
        held = tuple(fields(form))
        files = tuple(str(name) for name in form.xpath(".//input[@type='file']/@name"))
        key = (endpoint, tuple(sorted({name for name, _value in held})))
        self.forms.setdefault(key, Form(action, endpoint, held, files))


def fields(form: lxml.html.HtmlElement) -> Iterator[tuple[str, str]]:
    """Yield what a form sends unchanged."""
    for element in form.xpath(".//input[@name] | .//textarea[@name] | .//select[@name]"):
        name, kind = str(element.get("name")), str(element.get("type", ""))
        if kind == "file" or (kind in ("checkbox", "radio") and element.get("checked") is None):
            continue
        if element.tag == "select":
            chosen = element.xpath(".//option[@selected]") or element.xpath(".//option")[:1]
            yield from ((name, str(option.get("value", option.text or ""))) for option in chosen)
        else:
            yield name, str(element.get("value", element.text or "") or "")
