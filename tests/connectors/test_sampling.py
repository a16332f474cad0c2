"""Which types the fields of an object probably have."""

from __future__ import annotations

import polars as pl
import pytest

from connectors.json_records import columns_of, decode, member, sample_of
from connectors.sampling import Sample, schema_of
from rules.schema import Field, FieldType

T = FieldType


def judged(values: list[str | None], name: str = "f", *, complete: bool = True) -> Field:
    return schema_of(Sample(pl.DataFrame({name: values}, schema={name: pl.String}), complete=complete))[name]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "0", "-5", None, ""], T.INTEGER),
        (["999999999999999999"], T.INTEGER),
        (["1", "2.50"], T.DECIMAL),
        (["true", "FALSE"], T.BOOLEAN),
        (["是", "否"], T.BOOLEAN),
        (["2024-01-31", "2024/2/1"], T.DATE),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00+08:00"], T.DATETIME),
        (["2024-01-31 10:00", "2024-02-01"], T.LOCAL_DATETIME),
        (["007", "123"], T.TEXT),
        (["1234567890123456789"], T.TEXT),
        (["+8613800138000"], T.TEXT),
        (["13800138000", "13900139000"], T.TEXT),
        (["1E5", "2E7"], T.TEXT),
        (["1,000"], T.TEXT),
        (["01.50"], T.TEXT),
        (["0.1234567890123456789"], T.TEXT),
        (["123456789012345678901.5"], T.TEXT),
        (["1", "x"], T.TEXT),
        (["2024-01-31", "31.01.2024"], T.TEXT),
        (["01/02/2024"], T.TEXT),
        (["12:30"], T.TEXT),
        (["2024-02-30"], T.TEXT),
        ([None, "", " "], T.TEXT),
        (["20240131"], T.INTEGER),
    ],
)
def test_types_are_judged_carefully(values: list[str | None], kind: FieldType) -> None:
    """A column has a type only if all its values are plainly of that type."""
    assert judged(values).type is kind


@pytest.mark.parametrize(
    "name", ["Phone", "mobile_no", "tel", "home tel", "fax", "zip", "手机号", "account_no", "id_card"]
)
def test_numbers_that_name_things_are_text(name: str) -> None:
    """A column whose name speaks of phones, post codes or accounts holds text even if all are digits."""
    assert judged(["12345", "23456"], name).type is T.TEXT


@pytest.mark.parametrize("name", ["hotel", "telemetry", "zipped_files", "account", "amount"])
def test_other_names_are_no_reason(name: str) -> None:
    """Names that only contain such a word hold numbers."""
    assert judged(["12345", "23456"], name).type is T.INTEGER


def test_decimals_keep_their_scale() -> None:
    """The scale is the longest one seen, or the free one where not all records were seen."""
    assert judged(["1.5", "2.125", "3"]).scale == 3
    assert judged(["1.5"], complete=False).scale == 18


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ({"name": ["a", "b"], "id": ["1", "2"]}, ("id",)),
        ({"编号": ["1", "2"], "id": ["1", "1"]}, ("编号",)),
        ({"ID": ["1", None]}, ()),
        ({"customer_id": ["1", "2"], "x": ["1", "2"]}, ("customer_id",)),
        ({"x": ["1", "2"], "customer_id": ["1", "2"]}, ()),
        ({"客户编号": ["1", "2"]}, ("客户编号",)),
        ({"name": ["a", "b"]}, ()),
        ({"id": []}, ()),
    ],
)
def test_the_key_looks_like_one(columns: dict[str, list[str | None]], key: tuple[str, ...]) -> None:
    """A key has a key's name, always a value, and never the same one twice."""
    frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
    schema = schema_of(Sample(frame))
    assert schema.key == key
    assert all(not schema[name].nullable for name in key)


def test_a_configured_key_counts_and_detection_can_be_off() -> None:
    """The admin's key is taken as it is, and without detection all is text."""
    schema = schema_of(Sample(pl.DataFrame({"a": ["1", "1"], "b": ["2024-01-01", None]})), ("a",), detect=False)
    assert schema.key == ("a",)
    assert {field.type for field in schema.fields} == {T.TEXT}


def test_json_values_keep_their_kinds() -> None:
    """A quoted number is text, an exponent makes a float, nested values are JSON, and mixed kinds are text."""
    text = '{"id": 1, "s": "5", "n": 1.50, "e": 1E3, "b": true, "j": {"z": 1, "a": [1.10]}, "m": 1, "d": "2024-01-31"}'
    other = '{"id": 2, "m": "x", "j": "plain", "n": null, "late": 1}'
    records = [decode(text), decode(other)]
    sample = sample_of(records, complete=True)
    types = {field.name: field.type for field in schema_of(sample).fields}
    assert types == {
        "id": T.INTEGER, "s": T.TEXT, "n": T.DECIMAL, "e": T.FLOAT, "b": T.BOOLEAN, "j": T.JSON, "m": T.TEXT,
        "d": T.DATE, "late": T.INTEGER,
    }  # fmt: skip
    assert schema_of(sample).key == ("id",)
    rows = columns_of(records, ["n", "e", "j", "b"], ["j"]).rows()
    assert rows == [("1.50", "1000", '{"a":[1.10],"z":1}', "true"), (None, None, '"plain"', None)]


def test_members_are_found_by_path() -> None:
    """A path leads through objects, and says what is not there."""
    assert member({"data": {"items": [1]}}, "data.items") == [1]
    assert member([1], "") == [1]
    with pytest.raises(KeyError, match="items"):
        member({"data": []}, "data.items")
