"""The names by which services page, and what they tell about a list: from a description or from an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

PAGES = ("page", "page_number", "page_no", "page_index", "page_num", "current_page", "p")
OFFSETS = ("offset", "skip", "start", "start_at", "start_index", "from", "first_result", "start_row")
CURSORS = ("cursor", "page_token", "next_token", "next_page_token", "after", "continuation_token", "continuation",
           "next_cursor", "page_cursor", "marker", "bookmark", "scroll_id", "sync_token",
           "next")  # fmt: skip
SIZES = ("limit", "per_page", "page_size", "size", "top", "max_results", "count", "take", "page_limit", "rows", "max",
         "max_page_size", "max_items", "results_per_page", "items_per_page")  # fmt: skip
KEYSETS = ("starting_after", "start_after", "after_id", "since_id", "last_id", "min_id", "id_gt")
MORES = ("has_more", "has_next", "has_next_page", "more", "is_more", "has_more_items")
NEXTS = ("next_cursor", "next_page_token", "next_token", "continuation_token", "end_cursor", "cursor", "next_page",
         "next", "after", "next_start", "offset", "page_token", "marker", "bookmark", "scroll_id")  # fmt: skip
LINKS = ("next", "next_link", "next_url", "next_page_url", "next_href", "next_page", "next_uri", "odata_next_link")
TOTALS = ("total", "total_count", "total_items", "total_results", "total_elements", "total_records", "total_size",
          "count", "record_count", "total_entries", "total_hits", "num_found")  # fmt: skip
SINCES = ("updated_since", "modified_since", "updated_after", "modified_after", "updated_at_min", "since",
          "changed_since", "last_modified_after", "if_modified_since", "updated_from", "updated_gte",
          "updated_at_gte", "modified_gte", "last_updated_after", "min_updated_at", "start_date_updated",
          "changed_after", "last_update_from")  # fmt: skip
LISTS = ("items", "data", "results", "records", "value", "values", "entries", "elements", "rows", "list", "content",
         "objects", "resources", "members", "hits")  # fmt: skip
KEYS = ("id", "uuid", "guid", "key", "code", "number", "_id", "no")


def plain(name: str) -> str:
    """Return a name in small letters with words parted by `_`: `pageSize`, `page[size]` and `$top` are like others."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


def named(names: Iterable[str], wanted: Sequence[str]) -> str:
    """Return the first of the names that is among the wanted, by the order of the wanted; "" for none."""
    found = {plain(name): name for name in reversed(list(names))}
    return next((found[name] for name in wanted if name in found), "")


def key_of(members: Iterable[str], hints: Sequence[str] = ()) -> str:
    """Return the member that tells records apart: one that a path names, else one that is called like a key.

    Args:
        members: The names of the members of a record.
        hints: Names of the place in an address, such as `petId`, which mean `petId` or `id`.
    """
    names = list(members)
    for hint in hints:
        short = plain(hint).rpartition("_")[2]
        found = named(names, (plain(hint),)) or (named(names, (short,)) if short in KEYS else "")
        if found:
            return found
    return named(names, KEYS)


def paging_of(queries: Mapping[str, Mapping[str, Any]], answer: Mapping[str, str], *, linked: bool) -> dict[str, Any]:
    """Return how a list is probably paged, as the member `paging` of an object has it.

    Args:
        queries: The parameters of the list, each with what is known: `default`, `minimum`, `maximum`.
        answer: The members of the answer beside the list, by their path, each with its kind:
            text, number, flag, address.
        linked: Whether the answer has a `Link` header.
    """
    found = _kind(queries, answer, linked=linked)
    if not found:
        return {}
    size = named(queries, SIZES)
    if size and size != found.get("parameter"):
        found |= {"size_parameter": size, "size": _size(queries[size])}
    total = _by_path(answer, TOTALS, "number")
    if total and found["by"] in ("page", "offset"):
        found["total"] = total
    return found


def _kind(queries: Mapping[str, Mapping[str, Any]], answer: Mapping[str, str], *, linked: bool) -> dict[str, Any]:
    cursor, keyset, page, offset = (named(queries, names) for names in (CURSORS, KEYSETS, PAGES, OFFSETS))
    following = _by_path(answer, NEXTS, "text")
    target = _by_path(answer, LINKS, "address")
    found: dict[str, Any] = {}
    if cursor and following:
        found = {"by": "cursor", "parameter": cursor, "next": following}
    elif target or linked:
        found = {"by": "link", "next": target}
    elif keyset:
        found = {"by": "keyset", "parameter": keyset, "more": _by_path(answer, MORES, "flag")}
    elif page:
        first = _whole(queries[page].get("default"), _whole(queries[page].get("minimum"), 1))
        found = {"by": "page", "parameter": page, "start": None if first == 1 else first}
    elif offset:
        found = {"by": "offset", "parameter": offset}
    return {name: value for name, value in found.items() if value not in ("", None)}


def _by_path(answer: Mapping[str, str], wanted: Sequence[str], kind: str) -> str:
    """Return the path whose last part has a wanted name; what is less deep comes first."""
    paths = [path for path, found in answer.items() if found == kind]
    paths.sort(key=lambda path: path.count("."))
    depths = sorted({path.count(".") for path in paths})
    for depth in depths:
        lasts = {path.rpartition(".")[2]: path for path in paths if path.count(".") == depth}
        name = named(lasts, wanted)
        if name:
            return lasts[name]
    return ""


def _size(known: Mapping[str, Any]) -> int:
    largest, usual = _whole(known.get("maximum"), 0), _whole(known.get("default"), 0)
    return min(largest, 1000) if largest > 0 else max(usual, 100)


def _whole(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
