"""Invented people and companies, Chinese and Latin."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FAMILY = (
    ("王", "Wang"), ("李", "Li"), ("张", "Zhang"), ("刘", "Liu"), ("陈", "Chen"), ("杨", "Yang"), ("黄", "Huang"),
    ("赵", "Zhao"), ("吴", "Wu"), ("周", "Zhou"), ("徐", "Xu"), ("孙", "Sun"), ("马", "Ma"), ("欧阳", "Ouyang"),
)  # fmt: skip
GIVEN = (
    ("伟", "Wei"), ("芳", "Fang"), ("秀英", "Xiuying"), ("敏", "Min"), ("静", "Jing"), ("丽", "Li"), ("强", "Qiang"),
    ("磊", "Lei"), ("洋", "Yang"), ("艳", "Yan"), ("勇", "Yong"), ("军", "Jun"), ("杰", "Jie"), ("娟", "Juan"),
    ("梓涵", "Zihan"), ("雨桐", "Yutong"), ("浩然", "Haoran"), ("子墨", "Zimo"), ("嘉怡", "Jiayi"),
)  # fmt: skip
WESTERN = (
    ("Anna", "Müller"), ("José", "García"), ("Zoë", "O'Brien"), ("Søren", "Ødegård"), ("Marie", "Dubois"),
    ("Łukasz", "Nowak"), ("Giulia", "Ricci"), ("Tomáš", "Dvořák"), ("Emma", "van der Berg"), ("John", "Smith"),
)  # fmt: skip
CHINESE_CITIES = (
    ("上海", "Shanghai"),
    ("北京", "Beijing"),
    ("深圳", "Shenzhen"),
    ("杭州", "Hangzhou"),
    ("成都", "Chengdu"),
)
OTHER_CITIES = (("DE", "München"), ("FR", "Lyon"), ("ES", "Málaga"), ("GB", "Leeds"), ("PL", "Łódź"), ("US", "Austin"))
BRANDS = (
    ("华信", "Huaxin"), ("东方", "Dongfang"), ("天瑞", "Tianrui"), ("博远", "Boyuan"), ("嘉禾", "Jiahe"),
    ("云海", "Yunhai"), ("金石", "Jinshi"), ("远航", "Yuanhang"), ("绿洲", "Lüzhou"), ("星辰", "Xingchen"),
)  # fmt: skip
TRADES = (("电子", "Electronics"), ("机械", "Machinery"), ("物流", "Logistics"), ("医药", "Pharma"), ("食品", "Foods"))
WESTERN_BRANDS = ("Acme", "Nordwind", "Brightwater", "Kestrel", "Sol y Mar", "Blauberg", "Chêne", "Fjord", "Redwood")
WESTERN_TRADES = ("GmbH", "Ltd", "S.A.", "& Co. KG", "Inc.", "sp. z o.o.")


@dataclass(frozen=True)
class Company:
    """An invented company; `ascii` is what its mail domain is made of."""

    name: str
    country: str
    city: str
    ascii: str


@dataclass(frozen=True)
class Person:
    """An invented person; `latin` is the name in Latin letters."""

    name: str
    latin: str


def company(random: Random, number: int) -> Company:
    """Return an invented company; two in three are Chinese."""
    if random.random() < 0.67:
        (brand, latin), (trade, what) = random.choice(BRANDS), random.choice(TRADES)
        city, _ = random.choice(CHINESE_CITIES)
        form = random.choice(("有限公司", "股份有限公司", "集团"))
        return Company(f"{city}{brand}{trade}{form}", "CN", city, f"{_ascii(latin)}-{_ascii(what)}{number}.example.cn")
    country, city = random.choice(OTHER_CITIES)
    brand = random.choice(WESTERN_BRANDS)
    name = f"{brand} {random.choice(TRADES)[1]} {random.choice(WESTERN_TRADES)}"
    return Company(name, country, city, f"{_ascii(brand)}{number}.example.com")


def person(random: Random) -> Person:
    """Return an invented person; three in four are Chinese."""
    if random.random() < 0.75:
        (family, family_latin), (given, given_latin) = random.choice(FAMILY), random.choice(GIVEN)
        return Person(family + given, f"{given_latin} {family_latin}")
    name = " ".join(random.choice(WESTERN))
    return Person(name, name)


def _ascii(text: str) -> str:
    return "".join(c for c in text.lower() if c.isascii() and c.isalnum()) or "firm"
