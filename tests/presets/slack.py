"""Slack's Web API, as its documentation describes it: status 200 with `ok`, and 429 with Retry-After."""

from __future__ import annotations

from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

BOTH = {"application/json", "application/x-www-form-urlencoded"}


class Slack(Vendor):
    preset = "slack"
    answers = {"token": "xoxb-secret"}
    hosts = {"slack.com"}
    static = True
    delay = 7.0
    samples = {"channels": ({"name": "new-channel", "is_private": False}, {"name": "renamed"})}
    bad = {"channels": {"name": "c7"}}
    words = "name_taken"
    truth = {"users": {"id": "U0007", "email": "u7@example.com", "updated": 1741000007, "is_bot": False}}
    since = {"users": 1741000100}

    def records(self) -> dict[str, dict[str, Row]]:
        users = {f"U{n:04d}": self._user(n) for n in range(1, 251)}
        return {"users": users, "channels": {f"C{n:04d}": self._channel(f"C{n:04d}", f"c{n}") for n in range(1, 211)}}

    def _user(self, n: int) -> Row:
        profile = {"email": f"u{n}@example.com", "title": "", "display_name": f"u{n}", "phone": ""}
        return {"id": f"U{n:04d}", "name": f"u{n}", "real_name": f"User {n}", "deleted": False, "is_bot": False,
                "is_admin": n == 1, "updated": 1741000000 + n, "tz": "Asia/Shanghai", "profile": profile}  # fmt: skip

    def _channel(self, key: str, name: str) -> Row:
        return {"id": key, "name": name, "is_channel": True, "is_private": False, "is_archived": False,
                "creator": "U0001", "created": 1741000000, "num_members": 2, "topic": {"value": ""},
                "purpose": {"value": ""}}  # fmt: skip

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == "Bearer xoxb-secret" and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def unauthorized(self) -> Reply:
        return Reply({"ok": False, "error": "token_revoked"})

    def too_many(self) -> Reply:
        return Reply({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": "7"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        del status
        return self._no(f"invalid_arguments: {message}")

    def _no(self, error: str) -> Refused:
        return Refused(Reply({"ok": False, "error": error}))

    def _page(self, asked: Asked, member: str, name: str) -> Reply:
        limit, at = int(asked.query.get("limit", "0")), int(asked.query.get("cursor", "c0").removeprefix("c"))
        if not 0 < limit <= 200:
            raise self._no("limit_required")
        rows = list(self.rows[name].values())
        following = f"c{at + limit}" if at + limit < len(rows) else ""
        return Reply({"ok": True, member: rows[at : at + limit], "response_metadata": {"next_cursor": following}})

    @route("GET", "/api/users.list")
    def users(self, asked: Asked) -> Reply:
        self.only(asked.query, "limit", "cursor", "include_locale", "team_id")
        return self._page(asked, "members", "users")

    @route("GET", "/api/conversations.list")
    def channels(self, asked: Asked) -> Reply:
        self.only(asked.query, "limit", "cursor", "types", "exclude_archived", "team_id")
        return self._page(asked, "channels", "channels")

    @route("GET", "/api/users.info")
    def user(self, asked: Asked) -> Reply:
        self.only(asked.query, "user", "include_locale")
        return Reply({"ok": True, "user": self._there("users", asked.query["user"], "user_not_found")})

    @route("GET", "/api/conversations.info")
    def channel(self, asked: Asked) -> Reply:
        self.only(asked.query, "channel", "include_num_members")
        return Reply({"ok": True, "channel": self._there("channels", asked.query["channel"])})

    @route("POST", "/api/conversations.create")
    def create(self, asked: Asked) -> Reply:
        values = self._values(asked, "name", "is_private")
        if any(c["name"] == values["name"] for c in self.rows["channels"].values()):
            raise self._no("name_taken")
        key = f"C{len(self.rows['channels']) + 1:04d}"
        self.rows["channels"][key] = self._channel(key, values["name"])
        return Reply({"ok": True, "channel": self.rows["channels"][key]})

    @route("POST", "/api/conversations.rename")
    def rename(self, asked: Asked) -> Reply:
        values = self._values(asked, "channel", "name")
        channel = self._there("channels", values["channel"])
        channel["name"] = values["name"]
        return Reply({"ok": True, "channel": channel})

    @route("POST", "/api/conversations.archive")
    def archive(self, asked: Asked) -> Reply:
        key = self._values(asked, "channel")["channel"]
        self._there("channels", key)
        del self.rows["channels"][key]
        return Reply({"ok": True})

    def _values(self, asked: Asked, *known: str) -> Row:
        self.only(asked.query)
        values: Row = asked.json()
        self.only(values, *known)
        return values

    def _there(self, name: str, key: Any, error: str = "channel_not_found") -> Row:
        if key not in self.rows[name]:
            raise self._no(error)
        return self.rows[name][key]
