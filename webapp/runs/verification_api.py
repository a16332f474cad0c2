"""The API of comparisons of both systems, and of the proof that a run is complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.runs import proof, reading, verification
from webapp.runs.parts import Wanted
from webapp.runs.requests import RunRefused
from webapp.runs.shapes import RECORD, RUN, number_of, run_json
from webapp.wake import announce
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

VERIFY = {
    "type": "object",
    "required": ["rule"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "sample": {"type": "integer", "description": "Compare about so many records only."},
        "where": {"type": "string", "description": "A condition over the fields of the side that is read first."},
        "field": {"type": "string", "description": "A field whose value lies from `from` to before `to`."},
        "from": {"type": "string"},
        "to": {"type": "string"},
    },
}
FOUND = {
    "type": "object",
    "properties": {
        "run": {"type": "integer"},
        "state": {"enum": list(reading.STATES)},
        "agrees": {"type": ["boolean", "null"], "description": "Null while the comparison has not ended well."},
        "counts": {"type": "object", "description": "By side, how many of its records agree, differ, ..."},
        "fields": {"type": "object", "description": "In how many pairs each field differs."},
        "agree_one_way_only": {"type": "integer"},
        "checksums": {"type": "object", "description": "Of the compared values of each side; equal if all agree."},
        "listed": {"type": "integer"},
    },
}
PROOF = {
    "type": "object",
    "properties": {
        "run": {"type": "integer"},
        "counts": {"type": "object"},
        "left_out": {"type": "integer", "description": "Records out of scope that the source did not send."},
        "adds_up": {"type": "boolean"},
        "digest": {"type": "string"},
        "chunks": {"type": "array", "items": RECORD},
        "recount": {"type": ["object", "null"], "description": "What reading all stored parts again has shown."},
    },
}


class VerificationApi(RoomApi):
    """Comparisons and proofs."""

    route_base = "/api/v1/runs"

    @operation(
        "POST",
        "/verify",
        scope="runs:run",
        summary="Compare both systems of a rule",
        body=VERIFY,
        response=RUN,
        status=201,
    )
    def verify(self) -> Any:
        """Request a comparison of all records, of a part of them, or of a sample."""
        body = self.body
        span = [body.get(name) for name in ("where", "field", "from", "to")]
        part = Wanted(None, *span) if any(span) else None
        return self._started(
            lambda: verification.request(self.house, body["rule"], self.actor, part=part, sample=body.get("sample"))
        )

    @operation(
        "POST",
        "/<int:run_id>/comparison/run",
        scope="runs:run",
        summary="Run the rule for the listed records that do not agree",
        response=RUN,
        status=201,
    )
    def settle(self, run_id: int) -> Any:
        """Start a run over the records that a comparison has listed."""
        with self.house.db.read() as tx:
            self._comparison(tx, run_id)
        return self._started(lambda: verification.settle(self.house, run_id, self.actor))

    def _started(self, deed: Callable[[], int]) -> Any:
        try:
            run_id = deed()
        except RunRefused as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        with self.house.db.read() as tx:
            return run_json(reading.get(tx, run_id))

    @operation(
        "GET",
        "/<int:run_id>/comparison",
        scope="runs:read",
        summary="Get what a comparison of both systems has found",
        response=FOUND,
    )
    def comparison(self, run_id: int) -> Any:
        """Return counts and checksums."""
        with self.house.db.read() as tx:
            row, found = self._comparison(tx, run_id), verification.find(tx, run_id)
        head = {"run": run_id, "state": row.state, "agrees": None}
        return head if found is None else {**head, **found.to_json()}

    @operation(
        "GET",
        "/<int:run_id>/comparison/records",
        scope="runs:read",
        summary="List the records that do not agree, the first thousand",
        query={**PAGING, "kind": {"enum": list(verification.KINDS)}},
        response=listing(RECORD),
    )
    def comparison_records(self, run_id: int) -> Any:
        """Return differences in the order found."""
        query = self.query
        after = number_of(query.get("after")) or 0
        with self.house.db.read() as tx:
            self._comparison(tx, run_id)
            rows = verification.differences(tx, run_id, kind=query.get("kind"), after=after, limit=query["limit"] + 1)
        shown = rows[: query["limit"]]
        return listed([row.to_json() for row in shown], shown[-1].no if len(rows) > len(shown) else None)

    @operation(
        "GET",
        "/<int:run_id>/proof",
        scope="runs:read",
        summary="Get the proof that a run is complete",
        query={"recompute": {"type": "boolean", "default": False, "description": "Read all stored parts again."}},
        response=PROOF,
    )
    def proof(self, run_id: int) -> Any:
        """Return counts that add up and the digests of all chunks."""
        with self.house.db.read() as tx:
            row = self._row(tx, run_id)
            known = proof.proof(tx, row)
            again = proof.recount(tx, row).to_json() if self.query["recompute"] else None
        chunks = [{"no": one.no, "records": one.records, "digest": one.digest} for one in known.chunks]
        head = {"run": run_id, "counts": known.counts, "left_out": known.left_out, "adds_up": known.agrees}
        return {**head, "digest": known.digest, "chunks": chunks, "recount": again}

    def _comparison(self, tx: Any, run_id: int) -> reading.RunRow:
        row = self._row(tx, run_id)
        if row.kind != "verify":
            raise ApiError(404, "This run is not a comparison of both systems.")
        return row

    @staticmethod
    def _row(tx: Any, run_id: int) -> reading.RunRow:
        try:
            return reading.get(tx, run_id)
        except reading.RunMissing as missing:
            raise ApiError(404, missing.message) from None
