"""WeCom's contacts, as its documentation describes them: every answer is status 200 and has an errcode."""

from __future__ import annotations

from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

WRITABLE = {
    "user": {"userid", "name", "alias", "mobile", "department", "main_department", "position", "gender", "email",
             "biz_mail", "telephone", "enable", "direct_leader"},
    "department": {"id", "name", "name_en", "parentid", "order"},
}  # fmt: skip


class WeCom(Vendor):
    preset = "wecom"
    answers = {"corp_id": "ww1", "secret": "shh"}
    hosts = {"qyapi.weixin.qq.com"}
    samples = {
        "departments": ({"id": 900, "name": "新部门", "parentid": 1}, {"name": "研发部"}),
        "users": (
            {"userid": "lilei", "name": "李雷", "mobile": "13900000900", "department": "[2]"},
            {"position": "工程师"},
        ),
    }
    bad = {"users": {"userid": "hanmm", "name": "韩梅梅", "mobile": "13800000007", "department": "[2]"}}
    words = "mobile existed"
    truth = {"users": {"userid": "u7", "name": "员工7", "department": "[1,2]", "main_department": 2, "status": 1}}

    def records(self) -> dict[str, dict[str, Row]]:
        departments = {str(n): {"id": n, "name": f"部门{n}", "name_en": f"D{n}", "parentid": int(n > 1), "order": n,
                                "department_leader": ["u1"]} for n in range(1, 6)}  # fmt: skip
        return {"departments": departments, "users": {f"u{n}": self._user(n) for n in range(1, 41)}}

    def _user(self, n: int) -> Row:
        return {"userid": f"u{n}", "name": f"员工{n}", "department": [1, 2] if n == 7 else [n % 5 + 1],
                "main_department": 2, "mobile": f"138{n:08d}", "gender": "1", "enable": 1, "status": 1,
                "position": "", "extattr": {"attrs": []}}  # fmt: skip

    def authorized(self, asked: Asked) -> bool:
        return asked.query.pop("access_token", "-") == self.token and bool(self.token)

    def _said(self, code: int, text: str) -> Reply:
        return Reply({"errcode": code, "errmsg": text})

    def unauthorized(self) -> Reply:
        return self._said(42001, "access_token expired, hint: [1741], from ip: 1.2.3.4")

    def too_many(self) -> Reply:
        return self._said(45009, "api freq out of limit")

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._said(40058 if status == 400 else 404, f"invalid request: {message}"))

    def _fine(self, **more: Any) -> Reply:
        return Reply({"errcode": 0, "errmsg": "ok", **more})

    @route("GET", "/cgi-bin/gettoken", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        if asked.query != {"corpid": "ww1", "corpsecret": "shh"}:
            return self._said(40001, "invalid credential")
        return self._fine(access_token=self.issue(), expires_in=7200)

    @route("GET", "/cgi-bin/department/list")
    def departments(self, asked: Asked) -> Reply:
        self.only(asked.query, "id")
        return self._fine(department=list(self.rows["departments"].values()))

    @route("GET", "/cgi-bin/user/list")
    def users(self, asked: Asked) -> Reply:
        self.only(asked.query, "department_id")
        place = int(asked.query["department_id"])
        return self._fine(userlist=[u for u in self.rows["users"].values() if place in u["department"]])

    @route("GET", "/cgi-bin/user/get")
    def user(self, asked: Asked) -> Reply:
        self.only(asked.query, "userid")
        return self._fine(**self._there("user", asked.query["userid"]))

    @route("GET", "/cgi-bin/department/get")
    def department(self, asked: Asked) -> Reply:
        self.only(asked.query, "id")
        return self._fine(department=self._there("department", asked.query["id"]))

    @route("POST", "/cgi-bin/{kind}/create")
    def create(self, asked: Asked, kind: str) -> Reply:
        values = self._values(asked, kind)
        if kind == "user":
            if any(u["mobile"] == values["mobile"] for u in self.rows["users"].values()):
                return self._said(60104, "mobile existed: u7")
            self.rows["users"][values["userid"]] = {**self._user(900), **values}
            return self._fine()
        self.rows["departments"][str(values["id"])] = values
        return self._fine(id=values["id"])

    @route("POST", "/cgi-bin/{kind}/update")
    def update(self, asked: Asked, kind: str) -> Reply:
        values = self._values(asked, kind)
        self._there(kind, str(values["userid" if kind == "user" else "id"])).update(values)
        return self._fine()

    @route("GET", "/cgi-bin/{kind}/delete")
    def remove(self, asked: Asked, kind: str) -> Reply:
        name = "userid" if kind == "user" else "id"
        self.only(asked.query, name)
        self._there(kind, asked.query[name])
        del self.rows[f"{kind}s"][asked.query[name]]
        return self._fine()

    def _values(self, asked: Asked, kind: str) -> Row:
        self.only(asked.query)
        values: Row = asked.json()
        self.only(values, *WRITABLE[kind])
        return values

    def _there(self, kind: str, key: str) -> Row:
        if key not in self.rows[f"{kind}s"]:
            raise Refused(
                self._said(*((60111, "userid not found") if kind == "user" else (60003, "department not found")))
            )
        return self.rows[f"{kind}s"][key]
