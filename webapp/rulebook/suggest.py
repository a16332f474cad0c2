"""Which source field fills which target field: proposals by equal, similar or synonymous names and by types.

A name is cut into words (`CustomerName`, `customer_name`, `CUSTOMER-NAME`), and words are alike when they are equal,
stand for the same concept (`tel`, `phone`, `电话`) or are spelled alike. Chinese names are cut by the longest known
word first. Pairs are given away best score first, each field once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache

from rules.schema import Field, FieldType, Schema

ENOUGH = 0.58
SIMILAR_WORDS = 0.84

CONCEPTS: dict[str, str] = {
    "id": "id identifier guid uuid key no number num nr code 编号 编码 号码 代码 标识 主键 工号 单号 税号",
    "name": "name title caption 名称 名字 姓名 名 全称 标题",
    "first": "first given forename 名字",
    "last": "last family surname 姓氏 姓",
    "short": "short abbreviation abbr 简称",
    "customer": "customer client account cust buyer 客户 顾客 买家",
    "supplier": "supplier vendor seller 供应商 卖家",
    "company": "company firm organization organisation org enterprise corp 公司 企业 单位 机构",
    "contact": "contact person 联系人 联系",
    "employee": "employee staff worker emp personnel 员工 职员 人员 雇员 工号",
    "department": "department dept division 部门 科室",
    "position": "position job role post 职位 岗位 职务",
    "manager": "manager supervisor boss superior 经理 上级 主管",
    "phone": "phone tel telephone mobile cell cellphone msisdn 电话 手机 手机号 联系电话 座机",
    "fax": "fax 传真",
    "email": "email mail 邮箱 邮件 电子邮件 电子邮箱",
    "web": "web website url homepage site 网址 网站 主页",
    "address": "address addr street 地址 住址 街道",
    "city": "city town 城市 市",
    "region": "region state province district 省 省份 地区 区域",
    "country": "country nation land 国家 国别",
    "postcode": "postcode zip zipcode postal plz 邮编 邮政编码",
    "tax": "tax vat taxation duty 税 税号 税务",
    "bank": "bank 银行 开户行",
    "order": "order purchase 订单 单据 单号",
    "invoice": "invoice bill 发票 账单",
    "product": "product item article goods material sku 产品 商品 物料 货品",
    "quantity": "quantity qty amount count pieces 数量 件数",
    "price": "price cost rate 价格 单价",
    "money": "amount total sum value 金额 总额 合计",
    "salary": "salary wage pay 工资 薪资 薪水",
    "currency": "currency ccy curr 币种 货币",
    "unit": "unit uom 计量",
    "status": "status state stage 状态 阶段",
    "active": "active enabled valid 启用 有效 激活",
    "kind": "kind type category class group 类型 类别 种类 分类",
    "level": "level grade rank tier 级别 等级",
    "industry": "industry sector branch 行业",
    "description": "description desc note notes remark remarks comment comments memo text 备注 描述 说明 注释",
    "birth": "birth birthday birthdate dob 生日 出生 出生日期",
    "gender": "gender sex 性别",
    "date": "date day on 日期",
    "time": "time at timestamp datetime 时间",
    "created": "created create creation inserted added 创建 新建",
    "updated": "updated update modified changed edited lastmodified 更新 修改 变更",
    "start": "start begin from since hire hired join 开始 起始 入职",
    "end": "end until to finish 结束 截止 离职",
    "owner": "owner responsible assignee 负责人 所有者",
    "user": "user login username 用户 用户名",
    "language": "language lang locale 语言",
    "version": "version revision 版本",
    "discount": "discount rebate 折扣",
    "credit": "credit limit 信用 额度",
    "weight": "weight mass 重量",
}

_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[\u3400-\u9fff]+")
_NUMBERS = {FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT}
_TIMES = {FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME}


def _index() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for concept, words in CONCEPTS.items():
        for word in words.split():
            found.setdefault(word, set()).add(concept)
    return {word: frozenset(concepts) for word, concepts in found.items()}


WORDS = _index()
_CHINESE = sorted((word for word in WORDS if word[0] >= "\u3400"), key=len, reverse=True)


@dataclass(frozen=True)
class Suggestion:
    """A proposal: `source` fills `target`; `score` from 0 to 1 tells how sure it is."""

    target: str
    source: str
    score: float


def suggest(source: Schema, target: Schema, taken: Iterable[str] = ()) -> list[Suggestion]:
    """Return proposals for the target fields that may be written and are not among `taken`, in the target's order."""
    open_fields = [f for f in target.fields if not f.generated and f.name not in set(taken)]
    pairs = [(likeness(s, t), i, j) for i, t in enumerate(open_fields) for j, s in enumerate(source.fields)]
    chosen: dict[int, Suggestion] = {}
    used: set[int] = set()
    for score, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if score < ENOUGH:
            break
        if i not in chosen and j not in used:
            chosen[i] = Suggestion(open_fields[i].name, source.fields[j].name, round(score, 3))
            used.add(j)
    return [chosen[i] for i in sorted(chosen)]


def likeness(source: Field, target: Field) -> float:
    """Return how likely it is, from 0 to 1, that two fields mean the same."""
    best = max(_names_alike(a, b) for a in _names(source) for b in _names(target))
    return best * _types_fit(source.type, target.type)


def _names(field: Field) -> tuple[str, ...]:
    return (field.name, field.label) if field.label and field.label != field.name else (field.name,)


def _names_alike(a: str, b: str) -> float:
    if a == b:
        return 1.0
    if _squeeze(a) == _squeeze(b):
        return 0.99
    left, right = words(a), words(b)
    if not left or not right:
        return 0.0
    return 0.96 * _overlap(left, right)


def _squeeze(name: str) -> str:
    return "".join(ch for ch in name.casefold() if ch.isalnum())


@cache
def words(name: str) -> tuple[str, ...]:
    """Return the words of a field's name in lower case: "CustomerTel2" -> customer, tel, 2."""
    return tuple(word for part in _CAMEL.findall(name) for word in _cut(part))


def _cut(part: str) -> Iterator[str]:
    if part[0] < "\u3400":
        yield part.lower()
        return
    while part:
        known = next((word for word in _CHINESE if part.startswith(word)), part[0])
        yield known
        part = part[len(known) :]


def _overlap(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    """Return the share of words that find a partner: Dice's measure over the better partner of each word."""
    matched = sum(max(_words_alike(a, b) for b in right) for a in left)
    matched += sum(max(_words_alike(a, b) for a in left) for b in right)
    return matched / (len(left) + len(right))


def _words_alike(a: str, b: str) -> float:
    if a == b:
        return 1.0
    if WORDS.get(a, frozenset()) & WORDS.get(b, frozenset()):
        return 0.92
    if min(len(a), len(b)) < 4 or a.isdigit() or b.isdigit():
        return 0.0
    ratio = SequenceMatcher(None, a, b).ratio()
    return ratio * 0.9 if ratio >= SIMILAR_WORDS or a.startswith(b) or b.startswith(a) else 0.0


def _types_fit(source: FieldType, target: FieldType) -> float:
    if source is target:
        return 1.0
    if FieldType.TEXT in (source, target):
        return 0.95
    for family in (_NUMBERS, _TIMES):
        if source in family and target in family:
            return 0.98
    return 0.6
