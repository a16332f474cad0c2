"""The function library; importing it fills the registry."""

from __future__ import annotations

from rules.language.functions import dates, numbers, standard, texts, values
from rules.language.functions.registry import FUNCTIONS

__all__ = ["FUNCTIONS", "dates", "numbers", "standard", "texts", "values"]
