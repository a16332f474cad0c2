"""Calling the functions of the language directly, as the runtime does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from rules.language import ExpressionError, compile_expression
from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import FunctionError
from rules.schema import Schema


def function(name: str, count: int | None = None) -> Callable[..., Any]:
    """Return the implementation of the first signature, or of the first with so many parameters."""
    overloads = FUNCTIONS[name].overloads
    found = next(o for o in overloads if count is None or len(o.parameters) == count)
    assert found.implementation is not None
    return found.implementation


def refused(name: str, *args: Any) -> str:
    """Return why a function does not work on the arguments."""
    with pytest.raises(FunctionError) as failed:
        function(name, len(args))(*args)
    return str(failed.value.message)


def constant(text: str) -> Any:
    """Return the value of an expression without fields."""
    found = compile_expression(text, Schema(())).evaluate(pl.DataFrame({"row": [1]}))
    assert found.errors == ()
    return found.values[0]


def problem(text: str, *fields: Any) -> tuple[str, int]:
    """Return the one problem of an expression and its column."""
    with pytest.raises(ExpressionError) as failed:
        compile_expression(text, Schema(tuple(fields)))
    (found,) = failed.value.problems
    return str(found.message), found.column
