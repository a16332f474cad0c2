"""The interpolation of declarative manifests: expressions in double braces, in a sandbox with the format's own macros.

Only expressions and `{% if %}` are possible. What could run for long or grow without bounds (loops, powers, large
products, formatting) is not there, and an expression reaches nothing but the values that it is given.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import re2
from jinja2 import TemplateError, Undefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.filters import do_round
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import htmlsafe_json_dumps

from connectors.builtin.airbyte_times import duration, moment_of, written
from connectors.errors import Misconfigured
from connectors.json_records import text_of
from rules.text import msg

_LONGEST = 1_000_000
_DIGITS = 100
_FILTERS = ("abs", "default", "d", "first", "float", "int", "last", "length", "list", "lower", "max", "min", "sort",
            "sum", "string", "title", "trim", "unique", "upper", "urlencode")  # fmt: skip
_METHODS = frozenset(
    {"get", "items", "keys", "values", "split", "strip", "lstrip", "rstrip", "lower", "upper", "replace", "startswith",
     "endswith", "join", "title", "capitalize", "strftime", "isoformat", "timestamp", "date", "days", "index", "count",
     "year", "month", "day", "hour", "minute", "second", "total_seconds", "removeprefix", "removesuffix", "isdigit",
     "find", "weekday", "seconds"}
)  # fmt: skip
_STATEMENTS = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends,
               nodes.Block, nodes.FilterBlock, nodes.With, nodes.Assign, nodes.AssignBlock)  # fmt: skip


class _Sandbox(ImmutableSandboxedEnvironment):
    """Lets expressions do what they need and no more."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Allow the methods of texts, lists and moments that cannot grow."""
        return attr in _METHODS and super().is_safe_attribute(obj, attr, value)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a member of an object before a method of the same name."""
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def wrap_str_format(self, value: Any) -> Any:
        """Refuse the formatting of texts, which can ask for any width."""
        if getattr(value, "__name__", "") in ("format", "format_map") and isinstance(value.__self__, str):
            raise SecurityError("formatting is not possible here")

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as in the base
        """Refuse a replacement, or a joining, that would make a text very long."""
        name, text = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        if name == "replace" and isinstance(text, str):
            _check_growth(text, *args)
        if name == "join" and isinstance(text, str):
            return _joined(args[0], text)
        return super().call(__context, __obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Refuse products of texts and powers."""
        plain = isinstance(left, (int, float, Decimal)) and isinstance(right, (int, float, Decimal))
        if operator == "**" or (operator in "*%" and not plain):
            raise SecurityError(f"'{operator}' is not possible here")
        if operator == "*" and max(abs(left), abs(right)) > 10**30:
            raise SecurityError("the number is too large")
        return super().call_binop(context, operator, left, right)


def _check_growth(text: Any, old: Any = "", new: Any = "", *_more: Any) -> None:
    if str(text).count(str(old)) * len(str(new)) > _LONGEST:
        raise SecurityError("the result is too long")


def _replaced(text: Any, old: str, new: str, count: int = -1) -> str:
    _check_growth(text, old, new)
    return str(text).replace(old, new, count)


def _joined(parts: Any, between: Any = "", attribute: Any = None) -> str:
    found = [str(part if attribute is None else part[attribute]) for part in parts]
    if sum(map(len, found)) + len(str(between)) * len(found) > _LONGEST:
        raise SecurityError("the result is too long")
    return str(between).join(found)


def _as_json(value: Any, indent: int | None = None) -> Any:
    if (indent or 0) > _DIGITS:
        raise SecurityError("the result is too long")
    return htmlsafe_json_dumps(value, indent=indent, sort_keys=True)


def _rounded(value: float, precision: int = 0, method: Any = "common") -> float:
    if abs(precision) > _DIGITS:
        raise SecurityError("so many digits are not possible here")
    return do_round(value, precision, method)


def _environment() -> _Sandbox:
    sandbox = _Sandbox(undefined=Undefined, autoescape=False)
    sandbox.globals = {
        "now_utc": _now, "today_utc": lambda: _now().date(), "timestamp": lambda value: moment_of(value).timestamp(),
        "max": max, "min": min, "day_delta": _day_delta, "duration": duration, "format_datetime": _format_datetime,
        "str_to_datetime": moment_of, "today_with_timezone": lambda _zone: _now().date(),
        "sanitize_url": lambda text: quote(str(text), safe=""), "generate_uuid": lambda: str(uuid.uuid4()),
        "camel_case_to_snake_case": _snake,
    }  # fmt: skip
    sandbox.filters = {name: sandbox.filters[name] for name in _FILTERS} | {
        "replace": _replaced, "join": _joined, "round": _rounded, "tojson": _as_json,
        "hash": _hash, "base64encode": _encoded, "base64decode": _decoded, "regex_search": searched, "hmac": _hmac,
    }  # fmt: skip
    return sandbox


def value_of(template: Any, known: Mapping[str, Any]) -> Any:
    """Return what a template stands for: a single expression gives its value, anything else a text.

    Args:
        template: A text with expressions, or a list or object of such; other values stand for themselves.
        known: The values that expressions can name: config, parameters, response, record and so on.
    """
    if isinstance(template, Mapping):
        return {str(value_of(name, known)): value_of(inner, known) for name, inner in template.items()}
    if isinstance(template, list):
        return [value_of(inner, known) for inner in template]
    if not isinstance(template, str) or ("{{" not in template and "{%" not in template):
        return template
    try:
        found = _compiled(template)(**known)
    except (SecurityError, TemplateError) as error:
        raise _wrong(template, error.message or type(error).__name__) from None
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise _wrong(template, f"{type(error).__name__}: {error}") from None
    if callable(found) and not isinstance(found, Undefined):
        raise _wrong(template, "this is no value")
    if isinstance(found, str) and len(found) > _LONGEST:
        raise _wrong(template, "the result is too long")
    return None if isinstance(found, Undefined) else found


def text_value(template: Any, known: Mapping[str, Any]) -> str:
    """Return what a template stands for as a text, "" for nothing."""
    found = value_of(template, known)
    if isinstance(found, (dt.date, dt.timedelta)):
        return str(found)
    if isinstance(found, float):
        return str(int(found)) if found.is_integer() else str(found)
    return text_of(found) or ""


def number_value(template: Any, known: Mapping[str, Any]) -> float | None:
    """Return the number that a template stands for, None for nothing; raises `Misconfigured` for what is none."""
    found = value_of(template, known)
    if found in (None, ""):
        return None
    try:
        return float(found)
    except (TypeError, ValueError):
        raise _wrong(str(template), f"{found} is no number") from None


def duration_value(template: Any, known: Mapping[str, Any]) -> dt.timedelta:
    """Return the duration that a template stands for, none for nothing; raises `Misconfigured` for what is none."""
    text = text_value(template, known)
    try:
        return duration(text) if text else dt.timedelta()
    except (ValueError, OverflowError):
        raise _wrong(str(template), f"{text} is no duration such as P1D") from None


def holds(condition: str, known: Mapping[str, Any]) -> bool:
    """Tell whether a condition is met; an empty one is."""
    if not condition:
        return True
    found = value_of(condition, known)
    return (
        found.strip().lower() not in ("", "false", "none", "0", "[]", "{}") if isinstance(found, str) else bool(found)
    )


@lru_cache(maxsize=2_000)
def _compiled(template: str) -> Any:
    inner = template.strip()
    if inner.startswith("{{") and inner.endswith("}}") and inner.count("{{") == 1 and "{%" not in inner:
        return _ENVIRONMENT.compile_expression(inner[2:-2].strip() or "''")
    tree = _ENVIRONMENT.parse(template)
    bad = next(tree.find_all(_STATEMENTS), None)
    if bad is not None:
        raise SecurityError(f"{type(bad).__name__} is not possible here")
    return _ENVIRONMENT.from_string(tree).render


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _day_delta(days: int, format: str = "%Y-%m-%dT%H:%M:%S.%f%z") -> str:  # noqa: A002 - the format's own name
    return written(_now() + dt.timedelta(days=days), format)


def _format_datetime(value: Any, format: str, input_format: str = "") -> str:  # noqa: A002 - the format's own name
    return written(moment_of(value, (input_format,) if input_format else ()), format)


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(text)).lower()


def _hash(value: Any, kind: str = "md5", salt: str = "") -> str:
    if kind not in hashlib.algorithms_guaranteed or kind.startswith("shake"):
        raise SecurityError(f"there is no hash {kind}")
    found = hashlib.new(kind, usedforsecurity=False)
    found.update((str(value) + str(salt)).encode())
    return found.hexdigest()


def _hmac(value: Any, key: str, kind: str = "sha256") -> str:
    return hmac.new(str(key).encode(), str(value).encode(), kind).hexdigest()


def _encoded(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()


def _decoded(value: Any) -> str:
    return base64.b64decode(str(value), validate=False).decode(errors="replace")


def searched(value: Any, pattern: str) -> str:
    """Return the first group, or all, of what a pattern finds, "" for nothing."""
    try:
        found = re2.search(pattern, str(value))
    except re2.error as error:
        raise SecurityError(f"the pattern is wrong: {error}") from None
    if found is None:
        return ""
    return str(found.group(1)) if found.groups() else str(found.group(0))


_ENVIRONMENT = _environment()


def _wrong(template: str, problem: str) -> Misconfigured:
    return Misconfigured(
        msg("The expression {expression} of the manifest cannot be computed: {problem}.",
            expression=template[:200], problem=str(problem)[:200].rstrip(".")),
        msg("Correct it in the manifest."),
    )  # fmt: skip
