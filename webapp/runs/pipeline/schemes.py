"""How the records of a rule are hashed, by name: what was hashed in another way says nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rules.documents import digest
from rules.reconcile.baseline import scheme
from rules.schema import Schema

_ASIDE = ("schedule", "service", "tests", "label", "guards", "errors", "explain")


def scheme_of(document: Mapping[str, Any], uses: Any, schemas: Mapping[str, Schema]) -> str:
    """Return the name of how records are hashed: another rule, other tables or other fields look at all anew."""
    kept = {name: part for name, part in document.items() if name not in _ASIDE}
    return scheme((digest(kept), json.dumps(uses, sort_keys=True)), schemas)
