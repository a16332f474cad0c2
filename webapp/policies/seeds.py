"""The policies of the roles that every installation starts with; like these roles they belong to this version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEEDS: Mapping[str, Mapping[str, Any]] = {"Auditor": {"personal": "hide"}}
"""Role -> policy; an auditor reads of changes, but what tells of people only if another role grants it."""
