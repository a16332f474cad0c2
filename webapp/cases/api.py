"""The API of cases."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from webapp.cases import deciding, history, pair_api, seen, services
from webapp.cases.listing import AGES
from webapp.cases.services import Case, CaseMissing, CaseRefused, NewCase, Wanted
from webapp.runs.pair_cases import AnswerRefused
from webapp.runs.pair_choices import OPTIONS, ChoiceRefused
from webapp.wake import announce
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation
from webapp.web.storable import natural

CASE = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "kind": {"type": "string"},
        "title": {"type": "string"},
        "subject": {"type": "string"},
        "details": {"type": "object"},
        "rule_name": {"type": ["string", "null"]},
        "state": {"enum": list(services.STATES)},
        "assignee": {"type": ["string", "null"]},
        "resolution": {"type": ["string", "null"]},
        "situation": {"type": ["string", "null"]},
        "record": pair_api.RECORD,
    },
}
NEW = {
    "type": "object",
    "required": ["title"],
    "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 500},
        "subject": {"type": "string", "maxLength": 500},
        "details": {"type": "object"},
        "assignee": {"type": ["string", "null"], "maxLength": 128},
    },
}
TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string", "maxLength": services.LONGEST_TEXT}},
}
ASSIGNEE = {
    "type": "object",
    "required": ["assignee"],
    "additionalProperties": False,
    "properties": {"assignee": {"type": ["string", "null"], "maxLength": 128}},
}


class CasesApi(RoomApi):
    """Cases."""

    route_base = "/api/v1/cases"

    @operation(
        "GET",
        "/",
        scope="cases:read",
        summary="List cases, the latest first",
        query={
            **PAGING,
            "state": {"enum": list(services.STATES)},
            "kind": {"type": "string"},
            "rule": {"type": "string"},
            "situation": {"enum": list(OPTIONS)},
            "assignee": {"type": "string"},
            "older_than": {"enum": list(AGES)},
        },
        response=listing(CASE),
    )
    def list(self) -> Any:
        """Return cases."""
        asked = self.query
        age = AGES.get(asked["older_than"] or "")
        wanted = Wanted(
            asked["state"],
            asked["kind"],
            asked["rule"],
            asked["assignee"],
            _number(asked["after"]),
            asked["situation"],
            self.house.clock() - age if age else None,
        )
        with self.house.db.read() as tx:
            found = services.listing(tx, wanted, asked["limit"] + 1)
        shown = found[: asked["limit"]]
        return listed([asdict(case) for case in shown], shown[-1].id if len(found) > len(shown) else None)

    @operation("POST", "/", scope="cases:create", summary="Open a case", body=NEW, response=CASE, status=201)
    def open(self) -> Any:
        """Open a case."""
        asked = self.body
        new = NewCase("manual", asked["title"], asked.get("subject", ""), asked.get("details", {}))
        try:
            case_id = services.open_case(
                self.house, NewCase(**{**asdict(new), "assignee": asked.get("assignee")}), self.actor
            )
        except CaseRefused as refusal:
            raise ApiError(422, refusal.message) from None
        return self._found(case_id)

    @operation("GET", "/<int:case_id>", scope="cases:read", summary="Get a case with its comments", response=CASE)
    def get(self, case_id: int) -> Any:
        """Return a case."""
        return self._found(case_id)

    @operation(
        "POST", "/<int:case_id>/comments", scope="cases:update", summary="Comment on a case", body=TEXT, response=CASE
    )
    def comment(self, case_id: int) -> Any:
        """Say something about a case."""
        return self._do(case_id, lambda: services.comment(self.house, case_id, self.body["text"], self.actor))

    @operation(
        "POST", "/<int:case_id>/assign", scope="cases:update", summary="Assign a case", body=ASSIGNEE, response=CASE
    )
    def assign(self, case_id: int) -> Any:
        """Give a case to somebody."""
        return self._do(case_id, lambda: services.assign(self.house, case_id, self.body["assignee"], self.actor))

    @operation("POST", "/<int:case_id>/close", scope="cases:update", summary="Close a case", body=TEXT, response=CASE)
    def close(self, case_id: int) -> Any:
        """Close a case with what was decided."""
        return self._do(case_id, lambda: services.close(self.house, case_id, self.body["text"], self.actor))

    @operation("POST", "/<int:case_id>/reopen", scope="cases:update", summary="Open a closed case again", response=CASE)
    def reopen(self, case_id: int) -> Any:
        """Open a case again."""
        return self._do(case_id, lambda: services.reopen(self.house, case_id, self.actor))

    @operation(
        "POST",
        "/<int:case_id>/answer",
        scope="cases:update",
        summary="Decide about the record of a case; a run carries it out",
        body=pair_api.ANSWER,
        response=CASE,
    )
    def answer(self, case_id: int) -> Any:
        """Decide about a record that waits."""
        try:
            run_id = deciding.decide(self.house, case_id, self.body, self.actor)
        except CaseMissing as missing:
            raise ApiError(404, missing.message) from None
        except ChoiceRefused as refusal:
            raise ApiError(422, refusal.message) from None
        except (CaseRefused, AnswerRefused) as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        return {**self._found(case_id), "run": run_id}

    @operation(
        "POST",
        "/answer",
        scope="cases:update",
        summary="Decide about many records at once, or tell what would be decided",
        body=pair_api.BULK,
        response=pair_api.DECIDED,
    )
    def answer_many(self) -> Any:
        """Decide about the records of many cases."""
        body, dry_run = self.body, bool(self.body.get("dry_run"))
        with self.house.db.read() as tx:
            waiting = deciding.select(tx, Wanted(**pair_api.selection(body)))
            if dry_run:
                return pair_api.told(deciding.would_decide(tx, waiting, body["choice"]), dry_run=True)
        chosen = {one.group: body["choice"] for one in waiting}
        done = deciding.decide_many(self.house, waiting, chosen, self.actor)
        announce(self.house.settings)
        return pair_api.told(done, dry_run=False)

    def _do(self, case_id: int, deed: Any) -> Any:
        try:
            deed()
        except CaseMissing as missing:
            raise ApiError(404, missing.message) from None
        except CaseRefused as refusal:
            raise ApiError(409, refusal.message) from None
        return self._found(case_id)

    def _found(self, case_id: int) -> dict[str, Any]:
        try:
            with self.house.db.read() as tx:
                case: Case = services.get(tx, case_id)
                said, told = services.comments(tx, case_id), seen.deeds(tx, case, history.of_case(tx, case_id))
                record = pair_api.record_of(tx, case)
        except CaseMissing as missing:
            raise ApiError(404, missing.message) from None
        parts = {"comments": [asdict(one) for one in said], "history": [asdict(one) for one in told]}
        return {**asdict(case), **parts, "record": record}


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    number = natural(text)
    if number is None:
        raise ApiError(400, "`after` is the `next` of the page before.")
    return number


API = (CasesApi,)
