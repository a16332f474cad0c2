"""From plain data to the dataclasses of a document, and back."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar

from rules.documents.shape import hints

T = TypeVar("T")


def build(cls: type[T], data: Mapping[str, Any]) -> T:
    """Return the dataclass that plain, already validated data describes."""
    types_ = hints(cls)
    return cls(**{name: _value(types_[name], value) for name, value in data.items()})


def _value(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        return _value(typing.get_args(hint)[0], value) if _optional(hint) else value
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, item) for item in value)
    if typing.get_origin(hint) is Mapping:
        inner = typing.get_args(hint)[1]
        return {name: _value(inner, item) for name, item in value.items()}
    if is_dataclass(hint):
        return build(typing.cast(type, hint), value)
    return hint(value) if isinstance(hint, type) and issubclass(hint, (StrEnum, float)) else value


def _optional(hint: types.UnionType) -> bool:
    return type(None) in typing.get_args(hint)


def plain(item: Any) -> Any:
    """Return plain data for a document dataclass, without the keys that have their default value."""
    if is_dataclass(item):
        kept = {f.name: getattr(item, f.name) for f in fields(item) if getattr(item, f.name) != f.default}
        return {name: plain(value) for name, value in kept.items()}
    if isinstance(item, tuple):
        return [plain(value) for value in item]
    if isinstance(item, Mapping):
        return {name: plain(value) for name, value in item.items()}
    return item.value if isinstance(item, StrEnum) else item
