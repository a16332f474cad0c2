"""Presets: ready connections for well-known products, each a document `<name>.yaml` of this folder.

A preset asks an admin for a few values and knows the rest: addresses, sign-in, objects, keys, fields and what they are
called. What it makes is an ordinary connection of an ordinary connector.
"""

from __future__ import annotations

from connectors.presets.document import Asked, Checked, Document, Preset, PresetField, PresetObject, Said, Tested, parse
from connectors.presets.filling import Offer, answers_of, filled, offer, problems_with
from connectors.presets.shelf import all_presets, find_preset, named

__all__ = [
    "Asked",
    "Checked",
    "Document",
    "Offer",
    "Preset",
    "PresetField",
    "PresetObject",
    "Said",
    "Tested",
    "all_presets",
    "answers_of",
    "filled",
    "find_preset",
    "named",
    "offer",
    "parse",
    "problems_with",
]
