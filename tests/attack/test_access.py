"""Who gets in where on a console that runs: roles, objects of others, forged requests, names, places, headers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.attack.results import Attack
from tests.attack.surface import Surface
from tests.attack.target import FIRST, PASSWORD, ROLES, SECOND, Browser, Target
from tests.webapp.test_app import FREE
from tests.webapp.test_permission_matrix import DESCRIPTION, MORE, declared
from webapp.access import keys, roles
from webapp.access.keys import NewKey
from webapp.app import create_app
from webapp.extensions import Actor

pytestmark = [pytest.mark.attack, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]

OTHERWISE = "ExpressionView."
"""Answers whoever may read rules, records, or whatever else conditions are written for; it asks that by itself."""

HEADERS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}  # fmt: skip
PLACES = (
    "//evil.example", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "/%09/evil.example",
    "http:evil.example",
    "javascript:alert(1)", "/\t/evil.example", "///evil.example", "https:/evil.example", "/..//evil.example",
    "%2f%2fevil.example",
)  # fmt: skip
NAMES = (
    "../../../../tmp/attack.csv", "..\\..\\attack.csv", "/etc/cron.d/attack.csv", "a\r\nX-Attack: 1.csv", "a\0.csv",
    "x" * 300 + ".csv", ".htaccess", "con.csv", '"><script>.csv', "a.csv/../../b.csv", "$(id).csv", "=1+1.csv",
)  # fmt: skip
UPLOADS = (
    ("/records/contract/import", "file"), ("/records/contract/new", "scan"), ("/connections/hr/upload", "file"),
    ("/rules/countries/file", "file"), ("/connections/new/rest/import", "file"),
)  # fmt: skip


def _grants(target: Target, role: str) -> set[tuple[str, str]]:
    seeds = {seed.name: seed.grants for seed in roles.ROLES}
    clerk = {"Records": ("read", "create", "update", "export"), "Entities": ("read",), "Audit": ("read",)}
    granted = seeds.get(role) or {**clerk, "Cases": ("read",), "Runs": ("read",)}
    return {(action, room) for room, actions in granted.items() for action in actions}


def test_each_address_as_each_role(target: Target):
    """Whatever asks for a permission that the role lacks is refused, by page and by key, also for things that exist."""
    attack = Attack("authorisation-roles", "each page and API path with its methods as each role, by session and key")
    app = create_app(target.house.settings)
    cells = list(_cells(app))
    app.extensions["syncline"].db.engine.dispose()
    for role in ROLES:
        held, browser = _grants(target, role), target.browser(f"{role.lower()}{FIRST}")
        caller = target.caller(target.keys[role])
        for method, path, endpoint, needs in cells:
            if needs is None or needs in held or endpoint.startswith(OTHERWISE) or (MORE.get(endpoint, set()) & held):
                continue
            who = caller if path.startswith(("/api/v1", "/scim/")) else browser.client
            answer = who.request(method, path, headers={"X-CSRFToken": browser.token})
            attack.tried += 1
            if answer.status_code not in (401, 403):
                attack.note(f"{role}: {method} {path} ({endpoint}) needs {needs}: {answer.status_code}")
    attack.end(target.failures())


def _cells(app) -> Iterator[tuple[str, str, str, tuple[str, str] | None]]:
    known = {"name": "contract", "entity": "contract", "rule": "customers_crm_erp", "kind": "sync"}
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FREE or rule.endpoint in DESCRIPTION:
            continue
        path = re.sub(r"<any\(([^,)]+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<(?:int|float):\w+>", "1", path)
        path = re.sub(r"<(?:\w+(?:\([^)]*\))?:)?(\w+)>", lambda m: known.get(m[1], "x"), path)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            yield method, path, rule.endpoint, declared(rule.endpoint, method, path, app.view_functions[rule.endpoint])


def test_strangers(target: Target):
    """Who has not signed in gets nothing of any page or operation, and a wrong key opens nothing."""
    attack = Attack("authorisation-strangers", "each page and API path without a session, with wrong keys and cookies")
    app = create_app(target.house.settings)
    cells = list(_cells(app))
    app.extensions["syncline"].db.engine.dispose()
    wrong = {
        "nothing": {}, "a wrong key": {"Authorization": "Bearer syn_" + "A" * 43},
        "a wrong cookie": {"Cookie": "__Host-syncline=.eJw9jkFLAzEQRv9LzgozmcwkGWA"},
    }  # fmt: skip
    stranger = Browser(target.url).client
    for number, (method, path, endpoint, _needs) in enumerate(cells):
        name = list(wrong)[number % len(wrong)]
        answer = stranger.request(method, path, headers=wrong[name])
        attack.tried += 1
        away = answer.status_code == 302 and (answer.headers["Location"]).startswith("/login/")
        if answer.status_code not in (400, 401) and not away:
            attack.note(f"{method} {path} ({endpoint}) with {name}: {answer.status_code}")
    attack.end(target.failures())


def test_things_of_others(target: Target):
    """Nobody reads or changes what is another one's: keys, sessions, searches, lists, records beyond the own rows."""
    attack = Attack(
        "authorisation-objects", "objects of another user with the same role: keys, searches, sessions, rows"
    )
    mine, other = target.browser(f"viewer{FIRST}"), target.browser(f"viewer{SECOND}")
    admin = target.browser("admin-2")
    number = target.one("SELECT id FROM ab_user WHERE username = 'viewer-2'")
    token = keys.create_key(target.house, NewKey("private", ("runs:read",), 1), Actor("user", "viewer-2", str(number)))
    key = target.one("SELECT max(id) FROM access_key")
    session = target.one("SELECT max(id) FROM access_session WHERE user_id = :who", who=number)
    auditor, second = target.browser(f"auditor{FIRST}"), target.browser(f"auditor{SECOND}")
    second.post("/audit/searches", {"name": "theirs", "actor": "admin"})
    search = target.one("SELECT max(id) FROM audit_search")
    tries = (
        (mine, f"/keys/{key}/revoke"), (mine, f"/keys/{key}/rotate"), (mine, f"/account/sessions/{session}/end"),
        (auditor, f"/audit/searches/{search}/delete"), (mine, f"/users/{number}/password"), (mine, f"/users/{number}"),
        (mine, f"/users/{number}/disable"), (mine, f"/users/{number}/delete"), (mine, f"/users/{number}/sessions/end"),
        (mine, f"/users/{number}/second-factor/remove"), (auditor, f"/users/{number}/attributes"),
    )  # fmt: skip
    for browser, path in tries:
        attack.tried += 1
        answer = browser.post(path)
        if answer.status_code not in (400, 403, 404, 405) and not path.endswith(f"/sessions/{session}/end"):
            attack.note(f"POST {path}: {answer.status_code} to {answer.headers.get('Location')}")
    kept = {
        "the key works": target.caller(token).get("/api/v1/runs/").status_code == 200,
        "the session lives": other.signed_in,
        "the search is there": target.one("SELECT count(*) FROM audit_search WHERE id = :n", n=search) == 1,
        "the admin is there": admin.signed_in,
    }  # fmt: skip
    for what, held in kept.items():
        attack.tried += 1
        if not held:
            attack.note(f"afterwards not so: {what}")
    _rows(target, attack)
    attack.end(target.failures())


def _rows(target: Target, attack: Attack) -> None:
    """Try to reach closed contracts, prices and persons as the clerk, who sees open ones without prices."""
    with target.caller(target.keys["Admin"]) as admin:
        every = admin.get("/api/v1/entities/contract/records?limit=500").json()["items"]
    closed = [one["id"] for one in every if one["state"] == "closed"]
    base, clerk = "/api/v1/entities/contract/records", target.caller(target.keys["Clerk"])
    browser = target.browser(f"clerk{FIRST}")
    for path in (*(f"{base}/{number}" for number in closed), *(f"/records/contract/{number}" for number in closed)):
        attack.tried += 2
        answers = [clerk.get(path) if path.startswith("/api") else browser.get(path)]
        answers += [clerk.patch(path, json={"subject": "mine"})] if path.startswith("/api") else []
        for answer in answers:
            if answer.status_code not in (403, 404, 405):
                attack.note(f"the clerk reaches {path}: {answer.status_code}")
    asked = (
        '?filter=[["price","gt","1"]]', "?sort=price", '?filter=[["email","is","person1@example.com"]]', "?sort=email",
        "?sort=-phone", '?filter=[["state","is","closed"]]', "?q=person1", "?q=C-0", "",
    )  # fmt: skip
    for query in asked:
        attack.tried += 1
        answer = clerk.get(f"{base}{query}")
        told = answer.text if answer.status_code == 200 else ""
        if any(word in told for word in ("1234.5", "person1@", "13800138000", "C-0", '"closed"')):
            attack.note(f"the clerk is told by {base}{query}")


def test_forged_requests(target: Target):
    """No form and no change by the API with a cookie is taken without the token of a page, nor with another one's."""
    attack = Attack("forged-requests", "each form without token, with a wrong one, and with that of another session")
    browser, other = target.browser(f"admin{FIRST}"), target.browser(f"admin{SECOND}")
    surface = Surface(target, browser)
    surface.close()
    for form in surface.forms.values():
        for token in ("", "x" * 90, other.token):
            attack.tried += 1
            sent = {**form.filled(), "csrf_token": token}
            answer = browser.client.post(form.path, data=sent, headers={"X-CSRFToken": token})
            if answer.status_code != 400:
                attack.note(f"POST {form.path} with the token {token[:10]!r}: {answer.status_code}")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/api/v1/entities/contract/records", "/api/v1/entities/contract/records/1", "/scim/v2/Users"):
            for kind in ("text/plain", "application/json", "application/x-www-form-urlencoded"):
                attack.tried += 1
                answer = browser.client.request(method, path, content="{}", headers={"Content-Type": kind})
                if answer.status_code not in (400, 401, 403, 405):
                    attack.note(f"{method} {path} as {kind} with a cookie: {answer.status_code}")
    assert browser.signed_in
    attack.end(target.failures())


def test_names_of_hosts(target: Target):
    """No name of a host lands in a page."""
    attack = Attack("hosts", "Host and X-Forwarded-* headers")
    client = Browser(target.url)
    for name in (
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example:80",
        "[::ffff:1.2.3.4]",
        "a b",
    ):
        for path in ("/", "/login/", "/api/v1/runs/", "/login/?next=/runs/"):
            attack.tried += 1
            answer = client.client.get(path, headers={"Host": name})
            if answer.status_code != 400 or "evil" in answer.text:
                attack.note(f"Host {name}: {path} gives {answer.status_code}")
    for header in ("X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"):
        for value in ("evil.example", "host=evil.example", "/users/", "//evil.example"):
            attack.tried += 1
            answer = client.client.get("/login/", headers={header: value})
            if answer.status_code != 200 or "evil.example" in answer.text + str(answer.headers):
                attack.note(f"{header}: {value} gives {answer.status_code}")
    attack.end(target.failures())


def test_places_to_return_to(target: Target):
    """No place to return to leads a browser elsewhere."""
    attack = Attack("redirects", "places to return to behind sign-in, proofs and languages")
    for place in PLACES:
        for path in ("/login/", "/language/zh", "/language/en", "/account/proof/"):
            attack.tried += 1
            visitor = Browser(target.url)
            visitor.learn("/login/")
            sent = {"next": place, "username": f"viewer{FIRST}", "password": PASSWORD}
            answer = visitor.post(path, sent, params={"next": place}, headers={"Referer": place.strip()})
            where = answer.headers.get("Location", "/")
            if not re.match(r"/(?![/\\])", where) or "evil" in httpx.URL(target.url).join(where).host:
                attack.note(f"{path} with next={place!r} leads to {where!r}")
    attack.end(target.failures())


def test_every_answer_is_guarded(target: Target):
    """Each page, part and error answers with the policy of its content and without anything inside."""
    attack = Attack("response-headers", "policy, sniffing, framing, caching and words of the inside on each answer")
    browser = target.browser(f"admin{FIRST}")
    surface = Surface(target, browser)
    surface.close()
    paths = [path for kept in surface.pages.values() for path in kept]
    more = [
        "/nothing",
        "/users/999999",
        "/api/v1/nothing",
        "/api/v1/runs/999999",
        "/static/nothing",
        "/hooks/nothing",
        "/%ff",
    ]
    for path in (*paths, *more):
        attack.tried += 1
        answer = browser.get(path)
        policy = answer.headers.get("Content-Security-Policy", "")
        lacking = [name for name, value in HEADERS.items() if answer.headers.get(name) != value]
        if lacking or "default-src 'none'" not in policy or re.search(r"unsafe-|\*|http:", policy):
            attack.note(f"{path}: lacks {lacking}, policy {policy[:80]}")
        if not path.startswith("/static") and "no-store" not in answer.headers.get("Cache-Control", ""):
            attack.note(f"{path}: may be cached")
        if re.search(r"Traceback \(most|/site-packages/|werkzeug\.|sqlalchemy\.exc|sqlite3\.", answer.text):
            attack.note(f"{path}: tells of the inside")
        if "html" in answer.headers.get("Content-Type", "") and re.search(r"<[^>]+\s(on\w+|style)=", answer.text):
            attack.note(f"{path}: has script or style inline")
    attack.end(target.failures())


def test_names_of_files(target: Target):
    """No name of an upload leaves its folder, breaks a header or becomes markup; what was uploaded is no page."""
    attack = Attack("uploads", "names and contents of uploads: imports, files of connections, files of records")
    browser = target.browser(f"designer{FIRST}")
    around = target.installation.data.parent.parent
    before = set(around.glob("*attack.csv*"))
    page = b"<html><script>alert(1)</script></html>"
    for name in NAMES:
        for path, field in UPLOADS:
            attack.tried += 1
            sent = {"number": f"U-{attack.tried}", "csrf_token": browser.token}
            files = {field: (name, page, "text/html")}
            answer = browser.client.post(path, data=sent, files=files)
            if answer.status_code >= 500 or "X-Attack" in answer.headers:
                attack.note(f"{path} with {name[:40]!r}: {answer.status_code}")
            if "<script>alert(1)" in answer.text or '"><script>' in answer.text:
                attack.note(f"{path} with {name[:40]!r}: comes back as markup")
    _downloads(target, browser, attack)
    if set(around.glob("*attack.csv*")) - before:
        attack.note("an upload left its folder")
    attack.end(target.failures())


def _downloads(target: Target, browser: Browser, attack: Attack) -> None:
    with target.caller(target.keys["Admin"]) as admin:
        items = admin.get("/api/v1/entities/contract/records?limit=500").json()["items"]
    for one in (item for item in items if item.get("scan")):
        answer = browser.get(f"/records/contract/{one['id']}/files/scan")
        attack.tried += 1
        kind = answer.headers.get("Content-Disposition", "")
        if answer.status_code == 200 and (
            not kind.startswith("attachment") or "html" in answer.headers["Content-Type"]
        ):
            attack.note(f"the file of record {one['id']} is shown: {kind}")
