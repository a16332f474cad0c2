"""Yonyou BIP's open platform, as its documentation describes it: a signed request for the token, lists by POST."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import time

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

T0 = dt.datetime(2025, 3, 1, 8)
BASE = "/iuap-api-gateway/yonbip/digitalModel"


class Yonyou(Vendor):
    preset = "yonyou"
    answers = {"host": "https://c2.yonyoucloud.com", "app_key": "key1", "app_secret": "shh"}
    hosts = {"c2.yonyoucloud.com"}
    truth = {
        "merchants": {"id": 2000000000000007, "code": "C7", "name": "名称7", "shortname": "简称", "stopStatus": False},
        "products": {"id": 2000000000000007, "unitName": "件"},
        "staff": {"id": "2000000000000007", "enable": 1, "email": None},
    }
    since = {"staff": T0 + dt.timedelta(minutes=600)}

    def records(self) -> dict[str, dict[str, Row]]:
        made = {"merchants": _merchant, "products": _product, "staff": _member}
        return {name: {str(2000000000000000 + n): row(n) for n in range(1, 711)} for name, row in made.items()}

    def authorized(self, asked: Asked) -> bool:
        return asked.query.pop("access_token", "-") == self.token and bool(self.token)

    def unauthorized(self) -> Reply:
        return Reply({"code": "310036", "message": "非法token"})

    def too_many(self) -> Reply:
        return Reply({"code": "310046", "message": "接口调用过于频繁，请稍后再试"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply({"code": "999", "message": message}, 200 if status == 400 else status))

    @route("GET", "/iuap-api-auth/open-auth/selfAppAuth/base/v1/getAccessToken", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        self.only(asked.query, "appKey", "timestamp", "signature")
        key, moment = asked.query["appKey"], asked.query["timestamp"]
        wanted = base64.b64encode(hmac.digest(b"shh", f"appKey{key}timestamp{moment}".encode(), "sha256")).decode()
        if key != "key1" or asked.query["signature"] != wanted or abs(time.time() * 1000 - int(moment)) > 60_000:
            return Reply({"code": "10018", "message": "应用不存在或appKey已停用"})
        return Reply({"code": "00000", "message": "成功！", "data": {"access_token": self.issue(), "expire": 7200}})

    @route("POST", f"{BASE}/merchant/newlist")
    def merchants(self, asked: Asked) -> Reply:
        found, _ = self._page(asked, "merchants", 5000)
        return Reply({"code": 200, "message": "处理成功", "data": found or None})

    @route("POST", f"{BASE}/product/listproductbycondition")
    def products(self, asked: Asked) -> Reply:
        found, count = self._page(asked, "products", 500)
        return Reply({"code": "200", "message": "处理成功", "data": {"recordCount": count, "recordList": found}})

    @route("POST", f"{BASE}/staff/listForApi")
    def staff(self, asked: Asked) -> Reply:
        found, count = self._page(asked, "staff", 500, "pubts")
        return Reply({"code": "200", "message": "操作成功", "data": {"recordCount": count, "recordList": found}})

    def _page(self, asked: Asked, name: str, most: int, *known: str) -> tuple[list[Row], int]:
        self.only(asked.query)
        body = asked.json()
        self.only(body, "pageIndex", "pageSize", *known)
        page, size, since = body["pageIndex"], body["pageSize"], body.get("pubts", "")
        if not 1 <= size <= most:
            raise self.wrong(f"pageSize 最大 {most}")
        self.filtered += bool(since)
        rows = [row for row in self.rows[name].values() if row.get("pubts", "") >= since]
        return rows[(page - 1) * size : page * size], len(rows)


def _texts(text: str) -> Row:
    return {"simplifiedName": text, "englishName": None, "traditionalName": None}


def _merchant(n: int) -> Row:
    own = {"createOrgId": "666666", "createOrgCode": "global00", "customerClassCode": "001", "creditCode": None}
    changed = str(T0 + dt.timedelta(minutes=n))
    return {"id": 2000000000000000 + n, "code": f"C{n}", "name": _texts(f"名称{n}"), "shortname": _texts("简称"), **own,
            "stopStatus": False, "modifyTime": changed}  # fmt: skip


def _product(n: int) -> Row:
    unit = {"unitId": 1489246761411674000, "unitCode": "PCS", "unitName": "件"}
    own = {"shortName": None, "erpCode": f"a{n}", "manageClassCode": "01"}
    return {"id": 2000000000000000 + n, "code": f"M{n}", "name": f"名称{n}", **unit, **own}


def _member(n: int) -> Row:
    own = {"mobile": None, "email": None, "org_id": "666666", "dept_id": None, "enable": 1}
    changed = str(T0 + dt.timedelta(minutes=n))
    return {"id": str(2000000000000000 + n), "code": f"S{n}", "name": f"姓名{n}", **own, "pubts": changed}
