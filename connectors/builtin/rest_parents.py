"""Lists that belong to records of another list: read once for each parent, with the parent's key in the path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from connectors.builtin.rest_bodies import filled
from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_objects import Parent, RestObject
from connectors.builtin.rest_paging import Asked, Batch, State, Walk
from connectors.errors import Fatal, Misconfigured
from connectors.json_records import decode, encode, member, text_of
from rules.schema import FieldType
from rules.text import msg


def batches(calls: Calls, described: RestObject, asked: Asked, state: State | None = None) -> Iterator[Batch]:
    """Yield the answers of a list, or of the lists of all its parents, from a state on."""
    if described.parent is None:
        yield from Walk(calls, described, asked).batches(state)
    else:
        yield from Family(calls, described, described.parent, asked).batches(state)


@dataclass
class Family:
    """The lists of all parents, in the parents' order; of a tree, each record that is found is a parent, too."""

    calls: Calls
    described: RestObject
    parent: Parent
    asked: Asked
    _met: set[str] = field(default_factory=set)

    def batches(self, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on; it names the parent, so one that is new or gone does no harm.

        What records are met once, and what is in a tree, is known only from the beginning: there, what is before the
        state is read again and left out.
        """
        tree = self.parent.object == self.described.name
        parents = self._parents()
        behind = None if state is None or not (tree or self.parent.once) else state
        place = 0 if state is None or behind else self._place(parents, state)
        inner = None if state is None or behind else state["inner"]
        if not parents:
            yield Batch([], {"parent": "", "at": 0, "inner": None}, None)
        while place < len(parents):
            for batch in Walk(self.calls, self.placed(parents[place]), self.asked).batches(inner):
                mine = {"parent": parents[place], "at": place, "inner": batch.state}
                records = self._told(self._once(batch.records), parents[place])
                if tree:
                    self._add(parents, batch.records)
                behind = None if behind and _same(mine, behind) else behind
                if behind is None:
                    yield Batch(records, mine, self._next(parents, place, batch))
            inner, place = None, place + 1
        if behind is not None:
            raise self._lost(behind)

    def first(self) -> str | None:
        """Return the first parent, None where there is none."""
        return next(self._found(), None)

    def placed(self, parent: str) -> RestObject:
        """Return the list of one parent, as if it were a list of its own."""
        above = self.calls.options.objects[self.parent.object]
        key = self.parent.field or above.key
        number = any(f.name == key and f.type is FieldType.INTEGER for f in above.fields) and parent.isdecimal()
        place = {"parent": int(parent) if number else parent}
        return msgspec.structs.replace(
            self.described,
            path=self.described.path.replace("{parent}", quote(parent, safe="")),
            query=filled(self.described.query, {"parent": parent}),
            body=filled(self.described.body, place),
        )

    def _once(self, records: Sequence[Raw]) -> list[Raw]:
        """Return the records that were not met under another parent, if each is to be met once."""
        if not self.parent.once:
            return list(records)
        keys = [self._key(self.described, self.described.key, record) for record in records]
        fresh = [record for key, record in zip(keys, records, strict=True) if key not in self._met]
        self._met.update(keys)
        return fresh

    def _add(self, parents: list[str], records: Sequence[Raw]) -> None:
        known = set(parents)
        for record in records:
            key = self._key(self.described, self.parent.field or self.described.key, record)
            if key not in known:
                known.add(key)
                parents.append(key)
        self._check_count(len(parents))

    def _next(self, parents: Sequence[str], number: int, batch: Batch) -> State | None:
        if batch.next is not None:
            return {"parent": parents[number], "at": number, "inner": batch.next}
        if number + 1 == len(parents):
            return None
        return {"parent": parents[number + 1], "at": number + 1, "inner": None}

    def _place(self, parents: Sequence[str], state: State) -> int:
        if state["parent"] in parents:
            return parents.index(state["parent"])
        raise self._lost(state)

    def _lost(self, state: State) -> Fatal:
        return Fatal(
            msg("'{parent}' is not in the list '{name}' any more, so it is not known where to go on.",
                parent=state["parent"], name=self.parent.object),
            msg("Run again from the beginning."),
            object_name=self.described.name,
        )  # fmt: skip

    def _parents(self) -> list[str]:
        found: dict[str, None] = {}
        for key in self._found():
            found[key] = None
            self._check_count(len(found))
        return list(found)

    def _found(self) -> Iterator[str]:
        """Yield the parents, one that is met again as well."""
        yield from self.parent.also
        if self.parent.object == self.described.name:
            return
        above = self.calls.options.objects[self.parent.object]
        for batch in batches(self.calls, above, Asked()):
            for record in batch.records:
                yield self._key(above, self.parent.field or above.key, record)

    def _check_count(self, count: int) -> None:
        if count > self.parent.most:
            raise Fatal(
                msg("'{name}' would be read more than {most} times, once for each record of '{parent}'.",
                    name=self.described.name, most=self.parent.most, parent=self.parent.object),
                msg("Allow more with the member 'most', if the service bears it."),
                object_name=self.described.name,
            )  # fmt: skip

    def _key(self, above: RestObject, name: str, record: Raw) -> str:
        try:
            text = text_of(member(decode(record), above.paths.get(name, name)))
        except KeyError:
            text = None
        if not text:
            raise Misconfigured(
                msg("A record of '{parent}' has no '{field}', so what belongs to it cannot be read.",
                    parent=above.name, field=name),
                msg("Correct the member 'parent' of the object '{name}'.", name=self.described.name),
                object_name=self.described.name,
            )  # fmt: skip
        return text

    def _told(self, records: Sequence[Raw], parent: str) -> list[Raw]:
        """Return the records with the parent's key in them."""
        if not self.parent.name:
            return list(records)
        start = b"{" + encode(self.parent.name) + b":" + encode(parent)
        return [_begun(record, start) for record in records]


def _same(mine: State, state: State) -> bool:
    """Tell whether a state asks for an answer; the first answer of a parent is asked for without a place."""
    return mine["parent"] == state["parent"] and state["inner"] in (None, mine["inner"])


def _begun(record: Raw, start: bytes) -> Raw:
    text = bytes(record)
    if text[:1] != b"{":
        return record
    return start + (b"}" if text[1:].strip() == b"}" else b"," + text[1:])
