"""Feishu's contacts, as its documentation describes them: each answer has a code, and most errors are status 400."""

from __future__ import annotations

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

BASE = "/open-apis/contact/v3"
IDS = ("department_id_type", "user_id_type")
WRITABLE = {
    "users": {"user_id", "name", "en_name", "mobile", "email", "employee_no", "employee_type", "job_title", "city",
              "department_ids", "leader_user_id", "gender", "join_time"},
    "departments": {"name", "parent_department_id", "department_id", "leader_user_id", "order"},
}  # fmt: skip


class Feishu(Vendor):
    preset = "feishu"
    answers = {"cloud": "feishu.cn", "app_id": "cli_1", "app_secret": "shh"}
    hosts = {"open.feishu.cn"}
    samples = {
        "departments": ({"name": "新部门", "parent_department_id": "od-1"}, {"name": "研发部"}),
        "users": (
            {
                "user_id": "u900",
                "name": "李雷",
                "mobile": "+8613800000900",
                "employee_type": 1,
                "department_ids": '["od-2"]',
            },
            {"job_title": "工程师"},
        ),
    }
    bad = {"users": {"user_id": "u901", "name": "韩梅梅", "mobile": "+8613800000007", "department_ids": '["od-2"]'}}
    words = "mobile has been registered"
    truth = {
        "users": {"user_id": "u7", "name": "员工7", "department_ids": '["od-2","od-1"]', "gender": 1},
        "departments": {"open_department_id": "od-2", "parent_department_id": "od-1", "member_count": 3},
    }

    def records(self) -> dict[str, dict[str, Row]]:
        departments = {f"od-{n}": self._department(n) for n in range(1, 61)}
        return {"departments": departments, "users": {f"u{n}": self._user(n) for n in range(1, 121)}}

    def _department(self, n: int) -> Row:
        parent = "0" if n == 1 else "od-1"
        return {"open_department_id": f"od-{n}", "department_id": f"d{n}", "name": f"部门{n}", "order": str(n),
                "parent_department_id": parent, "leader_user_id": "u1", "member_count": 3,
                "status": {"is_deleted": False}}  # fmt: skip

    def _user(self, n: int) -> Row:
        places = {3: ["0"], 7: ["od-2", "od-1"]}.get(n, ["od-2"] if n <= 80 else ["od-3"])
        return {"user_id": f"u{n}", "open_id": f"ou_{n}", "union_id": f"on_{n}", "name": f"员工{n}", "en_name": "",
                "mobile": f"+86138{n:08d}", "email": f"u{n}@example.com", "employee_type": 1, "gender": 1,
                "department_ids": places, "status": {"is_activated": True}, "join_time": 1700000000}  # fmt: skip

    def _said(self, code: int, text: str, status: int = 400) -> Reply:
        return Reply({"code": code, "msg": text, "error": {"log_id": "2025"}}, status)

    def unauthorized(self) -> Reply:
        return self._said(
            99991663, "Invalid access token for authorization. Please make a request with token attached."
        )

    def too_many(self) -> Reply:
        return self._said(99991400, "request trigger frequency limit", 429)

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._said(99992402, f"field validation failed: {message}", status))

    @route("POST", "/open-apis/auth/v3/tenant_access_token/internal", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        if asked.json() != {"app_id": "cli_1", "app_secret": "shh"}:
            return self._said(10014, "app secret invalid", 200)
        return Reply({"code": 0, "msg": "ok", "tenant_access_token": self.issue(), "expire": 7200})

    def _page(self, asked: Asked, rows: list[Row]) -> Reply:
        size = int(asked.query.get("page_size", "10"))
        if not 1 <= size <= 50:
            raise self.wrong("page_size must be 1 to 50")
        at = int(asked.query.get("page_token", "0"))
        data: Row = {"has_more": at + size < len(rows)}
        if at < len(rows):
            data["items"] = rows[at : at + size]
        if data["has_more"]:
            data["page_token"] = str(at + size)
        return Reply({"code": 0, "msg": "success", "data": data})

    @route("GET", f"{BASE}/departments/{{key}}/children")
    def children(self, asked: Asked, key: str) -> Reply:
        self.only(asked.query, *IDS, "fetch_child", "page_size", "page_token")
        assert asked.query["department_id_type"] == "open_department_id"
        assert (key, asked.query["fetch_child"]) == ("0", "true")
        return self._page(asked, list(self.rows["departments"].values()))

    @route("GET", f"{BASE}/users/find_by_department")
    def members(self, asked: Asked) -> Reply:
        self.only(asked.query, *IDS, "department_id", "page_size", "page_token")
        place = asked.query["department_id"]
        if place != "0":
            self.there("departments", place)
        return self._page(asked, [u for u in self.rows["users"].values() if place in u["department_ids"]])

    @route("GET", f"{BASE}/{{kind}}/{{key}}")
    def show(self, asked: Asked, kind: str, key: str) -> Reply:
        self.only(asked.query, *IDS)
        return Reply({"code": 0, "msg": "success", "data": {kind[:-1]: self.there(kind, key)}})

    @route("POST", f"{BASE}/{{kind}}")
    def create(self, asked: Asked, kind: str) -> Reply:
        values = self._values(asked, kind)
        if kind == "users":
            if any(u["mobile"] == values["mobile"] for u in self.rows["users"].values()):
                return self._said(41001, "mobile has been registered")
            record = {**self._user(900), **values}
            self.rows["users"][record["user_id"]] = record
        else:
            record = {**self._department(900), **values}
            self.rows["departments"]["od-900"] = record
        return Reply({"code": 0, "msg": "success", "data": {kind[:-1]: record}})

    @route("PATCH", f"{BASE}/{{kind}}/{{key}}")
    def update(self, asked: Asked, kind: str, key: str) -> Reply:
        record = self.there(kind, key)
        record.update(self._values(asked, kind))
        return Reply({"code": 0, "msg": "success", "data": {kind[:-1]: record}})

    @route("DELETE", f"{BASE}/{{kind}}/{{key}}")
    def remove(self, asked: Asked, kind: str, key: str) -> Reply:
        self.only(asked.query, *IDS)
        self.removed(kind, key)
        return Reply({"code": 0, "msg": "success", "data": {}})

    def _values(self, asked: Asked, kind: str) -> Row:
        self.only(asked.query, *IDS, "client_token")
        values: Row = asked.json()
        self.only(values, *WRITABLE[kind])
        return values

    def no_such(self, kind: str, key: str) -> Refused:
        code, text = (41012, "user id invalid error") if kind == "users" else (40015, "department not exist")
        return Refused(self._said(code, text))
