"""Reading the lists of a GraphQL service: connections with cursors, lists with offsets, and records with errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from connectors.builtin.graphql_calls import GraphAnswer, GraphCalls, GraphError, failed, placed
from connectors.builtin.graphql_objects import GraphObject
from connectors.builtin.rest_listing import Raw
from connectors.builtin.rest_paging import Asked, Batch, State
from connectors.builtin.rest_read import Reading
from connectors.errors import Fatal, Misconfigured
from connectors.json_records import decode, encode, member
from connectors.spi import Page, ReadRequest
from rules.text import msg


class GraphReading(Reading):
    """One scan of an object of a GraphQL service."""

    def __init__(self, graph: GraphCalls, described: GraphObject, request: ReadRequest) -> None:
        super().__init__(graph.calls, described.as_list, request)
        self.lists = GraphLists(graph, described)

    def batches(self, asked: Asked, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on."""
        return self.lists.batches(asked, state)

    def _page(self, part: list[Raw], after: dict[str, Any]) -> Page:
        """Return the page, with the service's words where it could not give a record."""
        page = super()._page(part, after)
        told = tuple(
            replace(r, message=msg("The service reports an error for this record: {said}", said=decode(r.raw)))
            if r.raw.startswith('"')
            else r
            for r in page.rejects
        )
        return replace(page, rejects=told)


class GraphLists:
    """Walks through a list."""

    def __init__(self, graph: GraphCalls, described: GraphObject) -> None:
        self.graph = graph
        self.described = described

    def batches(self, asked: Asked, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on; a list that turns in a circle is an error."""
        state = state or {"at": 0 if self.described.paging.by == "offset" else None, "read": 0}
        seen: set[str] = set()
        while True:
            if repr(state["at"]) in seen:
                raise self._endless()
            seen.add(repr(state["at"]))
            answer = self.graph.ask(self.described.query, self._variables(asked, state), self.described.name)
            found = self._found(answer)
            records = self._records(found, answer.errors)
            following = self._following(state, answer, found, len(records))
            yield Batch(records, state, following)
            if following is None:
                return
            state = following

    def _variables(self, asked: Asked, state: State) -> dict[str, Any]:
        paging = self.described.paging
        variables: dict[str, Any] = dict(self.described.variables)
        for path, value in asked.body.items():
            variables = placed(variables, path, value)
        if paging.by != "none" and paging.size_variable:
            variables = placed(variables, paging.size_variable, paging.size)
        if paging.by != "none" and state["at"] is not None:
            variables = placed(variables, paging.variable, state["at"])
        return variables

    def _found(self, answer: GraphAnswer) -> Any:
        """Return the list or the connection; raises where the errors leave none."""
        try:
            found = member(answer.data or {}, self.described.records)
        except KeyError:
            found = None
        if isinstance(found, (list, dict)):
            return found
        if answer.errors:
            raise failed(answer.errors, self.described.name)
        raise Misconfigured(
            msg("There is no list of records at '{path}' in the data of the answer.",
                path=self.described.records or "-"),
            msg("Correct the member 'records' of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip

    def _records(self, found: Any, errors: Sequence[GraphError]) -> list[Raw]:
        """Return the records; in place of one that an error is about stands the error."""
        depth = len([part for part in self.described.records.split(".") if part])
        told, others = _by_record(errors, depth)
        if others:
            raise failed(others, self.described.name)
        values = _nodes(found)
        return [msgspec.Raw(encode(told.get(number, value))) for number, value in enumerate(values)]

    def _following(self, state: State, answer: GraphAnswer, found: Any, count: int) -> State | None:
        paging, read = self.described.paging, state["read"] + count
        if paging.by == "relay":
            page = found.get("pageInfo") if isinstance(found, dict) else None
            if not isinstance(page, dict) or "hasNextPage" not in page:
                raise self._no_page_info()
            return {"at": page.get("endCursor"), "read": read} if page["hasNextPage"] else None
        if paging.by == "offset":
            total = self._total(answer)
            return None if not count or (total is not None and read >= total) else {"at": read, "read": read}
        return None

    def _total(self, answer: GraphAnswer) -> int | None:
        if not self.described.paging.total:
            return None
        try:
            return int(member(answer.data, self.described.paging.total))
        except (KeyError, TypeError, ValueError):
            raise Misconfigured(
                msg("There is no number at '{path}' in the data of the answer.", path=self.described.paging.total),
                msg("Correct the paging of the object '{name}'.", name=self.described.name),
                object_name=self.described.name,
            ) from None

    def _no_page_info(self) -> Misconfigured:
        return Misconfigured(
            msg("The answer has no pageInfo with hasNextPage and endCursor at '{path}'.", path=self.described.records),
            msg("Ask for pageInfo in the query of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )

    def _endless(self) -> Fatal:
        return Fatal(
            msg("The list '{name}' does not end: the service sends the same page again.", name=self.described.name),
            msg("Check the paging of the object: the variable, and that the query uses it."),
            object_name=self.described.name,
        )


def _nodes(found: Any) -> list[Any]:
    """Return the records of a list or a connection."""
    if isinstance(found, list):
        return found
    nodes = found.get("nodes")
    if isinstance(nodes, list):
        return nodes
    edges = found.get("edges")
    return [edge.get("node") if isinstance(edge, Mapping) else None for edge in edges or []]


def _by_record(errors: Sequence[GraphError], depth: int) -> tuple[dict[int, str], list[GraphError]]:
    """Return what is said about single records, by their number in the answer, and the errors about all."""
    told: dict[int, str] = {}
    others: list[GraphError] = []
    for error in errors:
        number = next((part for part in error.path[depth : depth + 2] if isinstance(part, int)), None)
        if number is None:
            others.append(error)
            continue
        field = [
            part for part in error.path[depth:] if isinstance(part, str) and part not in ("edges", "node", "nodes")
        ]
        words = f"{error.said} ({'.'.join(field)})" if field else error.said
        told[number] = f"{told[number]}; {words}" if number in told else words
    return told, others
