"""The column forms of functions; importing it fills the registry of forms."""

from __future__ import annotations

from rules.language.columns.functions import dates, numbers, texts, values

__all__ = ["dates", "numbers", "texts", "values"]
