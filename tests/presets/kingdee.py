"""Kingdee Cloud's WebAPI, as its documentation describes it: one address for each deed, status 200 also for errors."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

STUB = "/k3cloud/Kingdee.BOS.WebApi.ServicesStub"
KEYS = {"BD_Customer": "FCUSTID", "BD_Supplier": "FSupplierId", "BD_MATERIAL": "FMATERIALID",
        "BD_Department": "FDEPTID", "SAL_SaleOrder": "FID"}  # fmt: skip
ORGS = ["FCreateOrgId.FNumber", "FUseOrgId.FNumber"]
OWN = {
    "BD_Customer": ["FNumber", "FName", "FShortName", *ORGS, "FTEL", "FADDRESS", "FTAXREGISTERCODE", "FForbidStatus"],
    "BD_Supplier": ["FNumber", "FName", "FShortName", *ORGS],
    "BD_MATERIAL": ["FNumber", "FName", "FSpecification", *ORGS, "FMaterialGroup.FNumber"],
    "BD_Department": ["FNumber", "FName", *ORGS, "FParentID.FNumber"],
    "SAL_SaleOrder": ["FBillNo", "FDate", "FCustId.FNumber", "FSaleOrgId.FNumber"],
}
T0 = dt.datetime(2025, 3, 1, 8)


class Kingdee(Vendor):
    preset = "kingdee"
    answers = {
        "url": "https://acme.ik3cloud.com/k3cloud",
        "acct_id": "62777efb5510ce",
        "username": "sync",
        "app_id": "235685",
        "app_secret": "shh",
    }
    hosts = {"acme.ik3cloud.com"}
    samples = {
        "BD_Customer": ({"FNumber": "N1", "FName": "新客户", "FCreateOrgId": "100"}, {"FShortName": "新"}),
        "BD_Supplier": ({"FNumber": "N1", "FName": "新供应商", "FUseOrgId": "100"}, {"FShortName": "新"}),
        "BD_MATERIAL": ({"FNumber": "N1", "FName": "台灯", "FMaterialGroup": "G1"}, {"FSpecification": "LED"}),
        "BD_Department": ({"FNumber": "N1", "FName": "研发部"}, {"FName": "研发中心"}),
    }
    bad = {"BD_Customer": {"FName": "", "FNumber": "N9"}}
    words = "字段“名称”是必填项"
    truth = {
        "BD_Customer": {"FCUSTID": 100007, "FNumber": "C0007", "FCreateOrgId": "100", "FTEL": None},
        "SAL_SaleOrder": {"FID": 100007, "FDate": dt.datetime(2025, 3, 1), "FCustId": "C0001"},
    }
    since = {name: T0 + dt.timedelta(minutes=50) for name in KEYS}

    def records(self) -> dict[str, dict[str, Row]]:
        return {form: {str(100000 + n): self._record(form, n) for n in range(1, 101)} for form in KEYS}

    def _record(self, form: str, n: int) -> Row:
        own: Row = dict.fromkeys(OWN[form])
        own |= {name: "100" for name in ORGS if name in own}
        known = {"FNumber": f"C{n:04d}", "FName": f"名称{n}", "FDate": "2025-03-01T00:00:00", "FBillNo": f"S{n}",
                 "FCustId.FNumber": "C0001"}  # fmt: skip
        own |= {name: value for name, value in known.items() if name in own}
        changed = (T0 + dt.timedelta(minutes=n)).isoformat()
        return {KEYS[form]: 100000 + n, **own, "FDocumentStatus": "C", "FModifyDate": changed}

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("cookie") == f"kdservice-sessionid={self.token}" and bool(self.token)

    def _status(self, message: str, code: int = 0) -> Row:
        errors = [{"FieldName": None, "Message": message, "DIndex": 0}]
        status = {"ErrorCode": 500, "IsSuccess": False, "Errors": errors, "SuccessEntitys": [], "MsgCode": code}
        return {"Result": {"ResponseStatus": status}}

    def unauthorized(self) -> Reply:
        return Reply([[self._status("会话信息已丢失，请重新登录", 1)]])

    def too_many(self) -> Reply:
        return Reply({"message": "请求过于频繁"}, 429, {"Retry-After": "2"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply(self._status(message), 200 if status == 400 else status))

    @route("POST", f"{STUB}.AuthService.LoginByAppSecret.common.kdsvc", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        wanted = {"acctID": "62777efb5510ce", "username": "sync", "appId": "235685", "appSecret": "shh", "lcid": 2052}
        if asked.json() != wanted:
            return Reply({"Message": "应用密钥无效", "LoginResultType": 0, "KDSVCSessionId": None})
        return Reply({"Message": None, "LoginResultType": 1, "KDSVCSessionId": self.issue()})

    @route("POST", f"{STUB}.DynamicFormService.BillQuery.common.kdsvc")
    def query(self, asked: Asked) -> Reply:
        body = asked.json()
        self.only(body, "data")
        data = body["data"]
        self.only(
            data,
            "FormId",
            "FieldKeys",
            "FilterString",
            "OrderString",
            "TopRowCount",
            "StartRow",
            "Limit",
            "SubSystemId",
        )
        form = data["FormId"]
        if data["Limit"] > 2000:
            raise self.wrong("Limit 不能超过2000")
        rows = [row for row in self.rows[form].values() if self._meets(row, form, data.get("FilterString", ""))]
        fields = data["FieldKeys"].split(",")
        unknown = [name for name in fields if name not in rows[0]] if rows else []
        if unknown:
            return Reply(self._status(f"字段 {unknown[0]} 不存在")["Result"])
        found = rows[data["StartRow"] : data["StartRow"] + data["Limit"]]
        return Reply([{name: row[name] for name in fields} for row in found])

    def _meets(self, row: Row, form: str, wanted: str) -> bool:
        if not wanted:
            return True
        if found := re.fullmatch(r"FModifyDate >= '(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)'", wanted):
            self.filtered += 1
            return dt.datetime.fromisoformat(row["FModifyDate"]) >= dt.datetime.fromisoformat(found[1])
        found = re.fullmatch(rf"{KEYS[form]} = (\d+)", wanted)
        assert found
        return bool(row[KEYS[form]] == int(found[1]))

    @route("POST", f"{STUB}.DynamicFormService.Save.common.kdsvc")
    def save(self, asked: Asked) -> Reply:
        body = asked.json()
        self.only(body, "formid", "data")
        self.only(body["data"], "Model", "NeedUpDateFields", "IsDeleteEntry", "NeedReturnFields")
        form, model = body["formid"], _flat(body["data"]["Model"])
        key = model.pop(KEYS[form], 0)
        self.only(model, *OWN[form])
        if key:
            self.there(form, str(key)).update(model)
        elif not model.get("FName"):
            raise self.wrong("字段“名称”是必填项")
        else:
            key = 100001 + len(self.rows[form])
            self.rows[form][str(key)] = {**self._record(form, key - 100000), **model}
        return Reply({"Result": {"ResponseStatus": {"IsSuccess": True, "Errors": [], "MsgCode": 0}, "Id": key}})

    @route("POST", f"{STUB}.DynamicFormService.Delete.common.kdsvc")
    def remove(self, asked: Asked) -> Reply:
        body = asked.json()
        key = str(body["data"]["Ids"])
        self.there(body["formid"], key)
        del self.rows[body["formid"]][key]
        return Reply({"Result": {"ResponseStatus": {"IsSuccess": True, "Errors": [], "MsgCode": 0}}})

    def no_such(self, form: str, key: str) -> Refused:
        return self.wrong("内码不存在对应的数据")


def _flat(model: Row) -> Row:
    flat: dict[str, Any] = {}
    for name, value in model.items():
        flat |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat
