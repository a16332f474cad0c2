"""The console that is attacked: an installation of its own on loopback, with people and keys of every role."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from tests.installation import installed
from tests.supervisor.conftest import ROOT, Installation, _end, environ
from webapp.access import approving, keys, models, roles, service_accounts, users
from webapp.access.keys import NewKey
from webapp.evidence import holds
from webapp.extensions import Actor, House
from webapp.vault import people

PASSWORD = "correct-horse-battery-staple"
CLERK = "Clerk"
ROLES = (*(role.name for role in roles.ROLES), CLERK)
CLI = Actor("cli", "attack")
FIRST, SECOND = "-1", "-2"
"""End the names of a role's two users: the first one tries to reach what is the second one's."""
_PLACES = iter(range(2, 250))


@dataclass
class Target:
    """A console that runs; `keys` are API keys by role, `accounts` those of service accounts."""

    installation: Installation
    house: House
    keys: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    told: int = 0
    """So much of the log was looked at."""

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.installation.port}"

    @property
    def log(self) -> Path:
        """Return the console's log."""
        return self.installation.data / "logs" / "web.log"

    def failures(self) -> list[str]:
        """Return what went wrong inside since the last look, as the log tells it."""
        text, begins = self.log.read_text(errors="replace"), self.told
        self.told = len(text)
        return failures(text[begins:])

    def new_user(self, role: str, username: str) -> int:
        """Add a user of a role; returns the id."""
        wanted = users.NewUser(username, username.title(), "Test", f"{username}@example.com", (role,))
        with self.house.db.begin() as tx:
            return users.insert_user(tx, wanted, PASSWORD, CLI, self.house.clock())

    def browser(self, username: str) -> Browser:
        """Return a browser that is signed in."""
        browser = Browser(self.url)
        browser.sign_in(username)
        return browser

    def caller(self, token: str) -> httpx.Client:
        """Return a client of the API with a key."""
        return _client(self.url, headers={"Authorization": f"Bearer {token}"})

    def one(self, query: str, **values: Any) -> Any:
        """Return the first value that the metadata database gives."""
        with self.house.db.read() as tx:
            return tx.execute(sa.text(query), values).scalar()


class Browser:
    """A browser: keeps cookies also over plain HTTP on loopback, and sends the token of the pages."""

    def __init__(self, url: str) -> None:
        self.client = _client(url, event_hooks={"request": [self._send], "response": [self._keep]})
        self.token, self._kept = "", dict[str, str]()

    def sign_in(self, username: str, password: str = PASSWORD) -> None:
        self.learn("/login/")
        answer = self.post("/login/", {"username": username, "password": password})
        assert answer.status_code == 302, answer.text[:500]
        self.learn("/")
        assert self.signed_in, "something is asked for before anything else"

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path, **more)

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        return self.client.post(path, data={"csrf_token": self.token, **(data or {})}, **more)

    @property
    def signed_in(self) -> bool:
        """Tell whether the session still lives."""
        return self.get("/account/").status_code == 200

    @property
    def cookies(self) -> str:
        """Return the header that other programs send."""
        return "; ".join(f"{name}={value}" for name, value in self._kept.items())

    def _send(self, request: httpx.Request) -> None:
        request.headers["Cookie"] = self.cookies

    def _keep(self, answer: httpx.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self._kept[name] = value

    def learn(self, path: str) -> None:
        """Take over the token of a page."""
        found = re.search(r'name="csrf-token" content="([^"]+)"', self.get(path, follow_redirects=True).text)
        assert found, path
        self.token = found[1]


def failures(log: str) -> list[str]:
    """Return the failed requests of a log, each with the place and the kind of the error."""
    found = []
    for part in re.split(r"(?m)^(?=.*request \S+ [A-Z]+ .* failed)", log)[1:]:
        lines = part.splitlines()
        trace = [line for line in lines if line.startswith("  File ")]
        kinds = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Warning|Refused|\w+): ?", line)]
        found.append(" | ".join((lines[0][:300], *trace[-1:], *kinds[-1:]))[:900])
    return found


def _client(url: str, **more: Any) -> httpx.Client:
    # each client has an address of its own, so that nobody waits for another one's wrong passwords
    transport = httpx.HTTPTransport(local_address=f"127.0.0.{next(_PLACES)}")
    return httpx.Client(base_url=url, transport=transport, timeout=60, trust_env=False, **more)


@contextlib.contextmanager
def running(folder: Path, database: str = "") -> Iterator[Target]:
    """Run a console as in production, filled, on SQLite or behind the given URL, and stop it whatever happens."""
    data = folder / "data"
    (data / "files").mkdir(parents=True)
    more = {
        "SYNCLINE_DATABASE_URL": database, "SYNCLINE_PROFILE": "production",
        "SYNCLINE_FILE_ROOTS": str(data / "files"), "SYNCLINE_LOG_LEVEL": "warning", "SYNCLINE_HOST": "127.0.0.1",
        # tools know no second factor, and would be held up; the ordinary suite shows both
        "SYNCLINE_REQUIRE_SECOND_FACTOR": "no", "SYNCLINE_REQUESTS_PER_MINUTE": "0",
    }  # fmt: skip
    installation = Installation(data, more=more)
    with installed(data, database, SYNCLINE_PROFILE="production", SYNCLINE_FILE_ROOTS=str(data / "files")) as house:
        people.register(house)
        approving.prepare(house)
        try:
            installation.start()
            target = Target(installation, house)
            _fill(target)
            yield target
        finally:
            _end(installation)


def _fill(target: Target) -> None:
    one = target.installation
    _syncline(one, "demo")
    _syncline(one, "apply", str(Path(__file__).with_name("configuration.yaml")))
    for role in ROLES:
        name = f"{role.lower()}{FIRST}"
        number = target.new_user(role, name)
        target.new_user(role, f"{role.lower()}{SECOND}")
        scopes = _scopes(target.house, number)
        target.keys[role] = keys.create_key(target.house, NewKey(f"{name} key", scopes, 1), _who(name, number))
        wanted = service_accounts.Wanted(f"{name}-program", "Attacks.", "admin", (role,))
        account = service_accounts.create(target.house, wanted, CLI)
        new = NewKey(f"{name} program", scopes, 1)
        target.accounts[role] = keys.create_key(target.house, new, _who(name, number), account)
    _records(target)


def _who(name: str, number: int) -> Actor:
    return Actor("user", name, str(number))


def _scopes(house: House, number: int) -> tuple[str, ...]:
    """Return all scopes that a user can give to a key."""
    query = sa.select(models.user_role.c.role_id).where(models.user_role.c.user_id == number)
    with house.db.read() as tx:
        held = tx.execute(models.granted().where(models.role_permission.c.role_id.in_(query))).all()
    permitted = {(room.lower(), action.removeprefix("can_")) for action, room in held}
    return tuple(scope for scope in keys.scopes() if tuple(scope.split(":")) in permitted)


def _records(target: Target) -> None:
    with target.caller(target.keys["Admin"]) as caller:
        for number in range(6):
            values = {
                "number": f"C-{number}", "subject": "Delivery", "parts": number, "weight": "1.5", "signed": True,
                "state": "open" if number % 2 else "closed", "email": f"person{number}@example.com",
                "phone": "+8613800138000", "price": "1234.50", "signed_on": "2026-01-31", "tags": ["urgent"],
                "more": {"a": [1, 2]},
            }  # fmt: skip
            answer = caller.post("/api/v1/entities/contract/records", json=values)
            assert answer.status_code < 300, answer.text
    holds.place(target.house, "court", "Kept for a court.", holds.Scope("user", "viewer-1", None), CLI)


def _syncline(one: Installation, *arguments: str) -> None:
    command = [sys.executable, "-m", "webapp.cli", *arguments]
    done = subprocess.run(
        command, env=environ(one.data, one.port, **one.more), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
