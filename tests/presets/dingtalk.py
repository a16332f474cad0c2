"""DingTalk's contacts, as its documentation describes them: POST with JSON, status 200 and an errcode."""

from __future__ import annotations

from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

WRITABLE = {
    "user": {"userid", "name", "mobile", "email", "org_email", "title", "job_number", "dept_id_list", "telephone",
             "work_place", "hired_date"},
    "department": {"dept_id", "name", "parent_id", "create_dept_group", "auto_add_user"},
}  # fmt: skip


class DingTalk(Vendor):
    preset = "dingtalk"
    answers = {"app_key": "ding1", "app_secret": "shh"}
    hosts = {"oapi.dingtalk.com"}
    samples = {
        "departments": ({"name": "新部门", "parent_id": 2}, {"name": "研发部"}),
        "users": (
            {"userid": "lilei", "name": "李雷", "mobile": "13900000900", "dept_id_list": "2,3"},
            {"title": "工程师", "dept_id_list": "3"},
        ),
    }
    bad = {"users": {"userid": "hanmm", "name": "韩梅梅", "mobile": "13800000007", "dept_id_list": "2"}}
    words = "手机号码在公司中已存在"
    truth = {"users": {"userid": "u7", "name": "员工7", "dept_id_list": "1,2", "active": True},
             "departments": {"dept_id": 11, "name": "部门11", "parent_id": 10}}  # fmt: skip

    def records(self) -> dict[str, dict[str, Row]]:
        departments = {str(n): self._department(n, n - 1 if n > 5 else 1) for n in range(2, 13)}
        return {"departments": departments, "users": {f"u{n}": self._user(n) for n in range(1, 251)}}

    def _department(self, n: int, parent: int) -> Row:
        own = {"dept_id": n, "name": f"部门{n}", "parent_id": parent}
        return {**own, "create_dept_group": True, "auto_add_user": False}

    def _user(self, n: int) -> Row:
        places = [1, 2] if n == 7 else [2] if n < 220 else [n % 10 + 1]
        return {"userid": f"u{n}", "unionid": f"x{n}", "name": f"员工{n}", "mobile": f"138{n:08d}", "email": "",
                "dept_id_list": places, "active": True, "hired_date": 1600000000000}  # fmt: skip

    def authorized(self, asked: Asked) -> bool:
        return asked.query.pop("access_token", "-") == self.token and bool(self.token)

    def _said(self, code: int, text: str) -> Reply:
        return Reply({"errcode": code, "errmsg": text, "request_id": "r1"})

    def unauthorized(self) -> Reply:
        return self._said(40014, "不合法的access_token")

    def too_many(self) -> Reply:
        return self._said(90018, "您的服务器调用钉钉开放平台所有接口的请求都被暂时禁用了")

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._said(40035 if status == 400 else 404, f"不合法的参数 {message}"))

    def _fine(self, result: Any = None) -> Reply:
        return Reply(
            {"errcode": 0, "errmsg": "ok", "request_id": "r1", **({} if result is None else {"result": result})}
        )

    @route("GET", "/gettoken", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        if asked.query != {"appkey": "ding1", "appsecret": "shh"}:
            return self._said(40089, "不合法的corpid或corpsecret")
        return Reply({"errcode": 0, "errmsg": "ok", "access_token": self.issue(), "expires_in": 7200})

    @route("POST", "/topapi/v2/department/listsub")
    def departments(self, asked: Asked) -> Reply:
        body = self._body(asked, "dept_id", "language")
        self._known(body["dept_id"])
        return self._fine([d for d in self.rows["departments"].values() if d["parent_id"] == int(body["dept_id"])])

    @route("POST", "/topapi/v2/user/list")
    def users(self, asked: Asked) -> Reply:
        body = self._body(asked, "dept_id", "cursor", "size", "order_field", "contain_access_limit", "language")
        self._known(body["dept_id"])
        at, size = int(body["cursor"]), int(body["size"])
        if not 1 <= size <= 100:
            raise self.wrong("size")
        found = [u for u in self.rows["users"].values() if int(body["dept_id"]) in u["dept_id_list"]]
        more = at + size < len(found)
        result: Row = {"has_more": more, "list": found[at : at + size]}
        return self._fine({**result, "next_cursor": at + size} if more else result)

    @route("POST", "/topapi/v2/{kind}/get")
    def show(self, asked: Asked, kind: str) -> Reply:
        body = self._body(asked, "userid" if kind == "user" else "dept_id", "language")
        return self._fine(self._there(kind, str(body["userid" if kind == "user" else "dept_id"])))

    @route("POST", "/topapi/v2/{kind}/create")
    def create(self, asked: Asked, kind: str) -> Reply:
        values = self._values(asked, kind)
        if kind == "user":
            if any(u["mobile"] == values["mobile"] for u in self.rows["users"].values()):
                return self._said(40019, "手机号码在公司中已存在")
            self.rows["users"][values["userid"]] = {**self._user(900), **values}
            return self._fine({"userid": values["userid"]})
        self.rows["departments"]["900"] = {**self._department(900, 1), **values}
        return self._fine({"dept_id": 900})

    @route("POST", "/topapi/v2/{kind}/update")
    def update(self, asked: Asked, kind: str) -> Reply:
        values = self._values(asked, kind)
        self._there(kind, str(values["userid" if kind == "user" else "dept_id"])).update(values)
        return self._fine()

    @route("POST", "/topapi/v2/{kind}/delete")
    def remove(self, asked: Asked, kind: str) -> Reply:
        name = "userid" if kind == "user" else "dept_id"
        key = str(self._body(asked, name)[name])
        self._there(kind, key)
        del self.rows[f"{kind}s"][key]
        return self._fine()

    def _body(self, asked: Asked, *known: str) -> Row:
        self.only(asked.query)
        body: Row = asked.json()
        self.only(body, *known)
        return body

    def _values(self, asked: Asked, kind: str) -> Row:
        values = self._body(asked, *WRITABLE[kind])
        if "dept_id_list" in values:
            assert isinstance(values["dept_id_list"], str)
            values["dept_id_list"] = [int(part) for part in values["dept_id_list"].split(",")]
        return values

    def _known(self, place: Any) -> None:
        if str(place) != "1":
            self._there("department", str(place))

    def _there(self, kind: str, key: str) -> Row:
        if key not in self.rows[f"{kind}s"]:
            code, text = (60121, "找不到该用户") if kind == "user" else (60003, "部门不存在")
            raise Refused(self._said(code, text))
        return self.rows[f"{kind}s"][key]
