"""Yonyou BIP's open platform, as its documentation describes it: a signed request for the token, lists by POST."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import time

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

OWN: dict[str, Row] = {
    "merchant": {"shortname": "简称", "createOrgName": "企业账号级"},
    "product": {"unitName": "件"},
    "staff": {"email": None},
}
T0 = dt.datetime(2025, 3, 1, 8)
BASE = "/iuap-api-gateway/yonbip/digitalModel"


class Yonyou(Vendor):
    preset = "yonyou"
    answers = {"host": "https://c2.yonyoucloud.com", "app_key": "key1", "app_secret": "shh"}
    hosts = {"c2.yonyoucloud.com"}
    truth = {"merchants": {"id": 2000000000000007, "code": "C7", "shortname": "简称"}}
    since = {name: T0 + dt.timedelta(minutes=600) for name in ("merchants", "products", "staff")}

    def records(self) -> dict[str, dict[str, Row]]:
        names = {"merchants": "merchant", "products": "product", "staff": "staff"}
        return {
            name: {str(2000000000000000 + n): self._record(own, n) for n in range(1, 711)}
            for name, own in names.items()
        }

    def _record(self, name: str, n: int) -> Row:
        key: int | str = 2000000000000000 + n
        changed = str(T0 + dt.timedelta(minutes=n))
        return {
            "id": str(key) if name == "staff" else key,
            "code": f"C{n}",
            "name": f"名称{n}",
            "pubts": changed,
            **OWN[name],
        }

    def authorized(self, asked: Asked) -> bool:
        return asked.query.pop("access_token", "-") == self.token and bool(self.token)

    def unauthorized(self) -> Reply:
        return Reply({"code": "310036", "message": "非法token"})

    def too_many(self) -> Reply:
        return Reply({"code": "310046", "message": "接口调用过于频繁，请稍后再试"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply({"code": "999", "message": message}, 200 if status == 400 else status))

    @route("GET", "/iuap-api-auth/open-auth/selfAppAuth/getAccessToken", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        self.only(asked.query, "appKey", "timestamp", "signature")
        key, moment = asked.query["appKey"], asked.query["timestamp"]
        wanted = base64.b64encode(hmac.digest(b"shh", f"appKey{key}timestamp{moment}".encode(), "sha256")).decode()
        if key != "key1" or asked.query["signature"] != wanted or abs(time.time() * 1000 - int(moment)) > 60_000:
            return Reply({"code": "50000", "message": "签名错误"})
        return Reply({"code": "00000", "message": "成功！", "data": {"access_token": self.issue(), "expire": 7200}})

    @route("POST", f"{BASE}/{{name}}/list")
    def list(self, asked: Asked, name: str) -> Reply:
        self.only(asked.query)
        body = asked.json()
        self.only(body, "pageIndex", "pageSize", "simpleVOs")
        page, size = body["pageIndex"], body["pageSize"]
        if not 1 <= size <= 500:
            raise self.wrong("pageSize 最大 500")
        rows = [*self.rows[name if name == "staff" else f"{name}s"].values()]
        found = rows[(page - 1) * size : page * size]
        data: Row = {"pageIndex": page, "pageSize": size, "recordCount": len(rows), "recordList": found}
        return Reply({"code": "200", "message": "操作成功", "data": data})
