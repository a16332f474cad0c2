"""What a description of objects must hold beyond its form: names that exist, members that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rules.text import Message, msg

if TYPE_CHECKING:
    from connectors.builtin.rest_objects import RestObject

_COUNTED = ("page", "offset", "cursor", "keyset")


def described_wrongly(
    described: RestObject, before: Sequence[str], names: Sequence[str], number: int
) -> Message | None:
    """Return what is wrong with an object, or None.

    Args:
        described: The object.
        before: Names of the objects before it.
        names: Names of all objects.
        number: Which object of the list it is, from 1.
    """
    if not described.name or described.name in before:
        return msg("Object {number} needs a name that no other object has.", number=number)
    return next(filter(None, (check(described) for check in _CHECKS)), None) or _parent(described, names)


def _paging(described: RestObject) -> Message | None:
    paging, name = described.paging, described.name
    if paging.by in _COUNTED and not paging.parameter:
        return msg("Object '{name}': paging by {by} needs the member 'parameter'.", name=name, by=paging.by)
    if paging.by in ("cursor", "next_url") and not paging.next:
        return msg("Object '{name}': paging by cursor needs the member 'next'.", name=name)
    if paging.by == "keyset" and not (paging.field or described.key):
        return msg("Object '{name}': paging by keyset needs the member 'field'.", name=name)
    if paging.size < 1:
        return msg("Object '{name}': the size of a page has to be 1 or more.", name=name)
    return None


def _bodies(described: RestObject) -> Message | None:
    placed = described.paging.place == "body" or (described.since is not None and described.since.place == "body")
    if (placed or described.body is not None) and described.method != "POST":
        return msg("Object '{name}': parameters in the body need 'method': 'POST'.", name=described.name)
    if placed and not isinstance(described.body, (dict, type(None))):
        return msg("Object '{name}': the member 'body' has to be an object.", name=described.name)
    return None


def _since(described: RestObject) -> Message | None:
    since = described.since
    if since is not None and since.format == "template" and not since.template:
        return msg(
            "Object '{name}': the format 'template' of 'since' needs the member 'template'.", name=described.name
        )
    return None


def _writing(described: RestObject) -> Message | None:
    if (described.update or described.delete) and not described.key:
        return msg("Object '{name}': to change records it needs the member 'key'.", name=described.name)
    for call in (described.create, described.update, described.delete, described.upsert):
        if call is not None and call.batch is not None and call.batch.size < 1:
            return msg("Object '{name}': the size of a batch has to be 1 or more.", name=described.name)
    return None


def _parent(described: RestObject, names: Sequence[str]) -> Message | None:
    parent = described.parent
    if parent is None:
        return None
    if parent.object not in names:
        return msg("Object '{name}': there is no other object '{parent}'.", name=described.name, parent=parent.object)
    if parent.object == described.name and not parent.also:
        return msg("Object '{name}': its own parent needs the member 'also', where it begins.", name=described.name)
    if "{parent}" not in f"{described.path} {described.query} {described.body}":
        return msg("Object '{name}': its path, query or body needs '{{parent}}'.", name=described.name)
    return None


_CHECKS: tuple[Callable[[RestObject], Message | None], ...] = (_paging, _bodies, _since, _writing)
