"""Lists that belong to records of another list: read once for each parent, with the parent's key in the path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from connectors.builtin.rest_calls import Calls
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_objects import Parent, RestObject
from connectors.builtin.rest_paging import Asked, Batch, State, Walk
from connectors.errors import Fatal, Misconfigured
from connectors.json_records import decode, encode, member, text_of
from rules.text import msg


def batches(calls: Calls, described: RestObject, asked: Asked, state: State | None = None) -> Iterator[Batch]:
    """Yield the answers of a list, or of the lists of all its parents, from a state on."""
    if described.parent is None:
        yield from Walk(calls, described, asked).batches(state)
    else:
        yield from Family(calls, described, described.parent, asked).batches(state)


@dataclass(frozen=True)
class Family:
    """The lists of all parents, in the parents' order."""

    calls: Calls
    described: RestObject
    parent: Parent
    asked: Asked

    def batches(self, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on; it names the parent, so one that is new or gone does no harm."""
        parents = self._parents()
        place = 0 if state is None else self._place(parents, state)
        inner = None if state is None else state["inner"]
        if not parents:
            yield Batch([], {"parent": "", "at": 0, "inner": None}, None)
        for number in range(place, len(parents)):
            path = self.described.path.replace("{parent}", quote(parents[number], safe=""))
            for batch in Walk(self.calls, self.described, self.asked, path).batches(inner):
                mine = {"parent": parents[number], "at": number, "inner": batch.state}
                yield Batch(self._told(batch.records, parents[number]), mine, self._next(parents, number, batch))
            inner = None

    def _next(self, parents: Sequence[str], number: int, batch: Batch) -> State | None:
        if batch.next is not None:
            return {"parent": parents[number], "at": number, "inner": batch.next}
        if number + 1 == len(parents):
            return None
        return {"parent": parents[number + 1], "at": number + 1, "inner": None}

    def _place(self, parents: Sequence[str], state: State) -> int:
        if state["parent"] in parents:
            return parents.index(state["parent"])
        raise Fatal(
            msg("'{parent}' is not in the list '{name}' any more, so it is not known where to go on.",
                parent=state["parent"], name=self.parent.object),
            msg("Run again from the beginning."),
            object_name=self.described.name,
        )  # fmt: skip

    def _parents(self) -> list[str]:
        above = self.calls.options.objects[self.parent.object]
        found: dict[str, None] = {}
        for batch in batches(self.calls, above, Asked()):
            for record in batch.records:
                found[self._key(above, record)] = None
            if len(found) > self.parent.most:
                raise Fatal(
                    msg("'{name}' would be read more than {most} times, once for each record of '{parent}'.",
                        name=self.described.name, most=self.parent.most, parent=above.name),
                    msg("Allow more with the member 'most', if the service bears it."),
                    object_name=self.described.name,
                )  # fmt: skip
        return list(found)

    def _key(self, above: RestObject, record: Raw) -> str:
        name = self.parent.field or above.key
        try:
            text = text_of(member(decode(record), name))
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


def _begun(record: Raw, start: bytes) -> Raw:
    text = bytes(record)
    if text[:1] != b"{":
        return record
    return start + (b"}" if text[1:].strip() == b"}" else b"," + text[1:])
