"""The API of rules: drafts, versions, checks, state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from webapp.rulebook import ownership, services
from webapp.rulebook.comparing import compared
from webapp.rulebook.errors import BadKind, BadName, NotPublishable, RulebookError, RuleBusy, RuleMissing, StaleDraft
from webapp.rulebook.ownership import NotOwned
from webapp.rulebook.pages import problem_json
from webapp.rulebook.services import RuleRow, VersionRow
from webapp.web.api import ApiError, RoomApi, listed, listing, operation
from webapp.web.storable import natural

T = TypeVar("T")

DOCUMENT = {"type": "object", "description": "A rule document; docs/schemas/sync.json describes it."}
PROBLEM = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where in the document: fields/3/to_right."},
        "detail": {"type": "string"},
        "line": {"type": ["integer", "null"], "description": "Within the expression, from 1."},
        "column": {"type": ["integer", "null"], "description": "Within the expression, from 1."},
        "suggestion": {"type": ["string", "null"]},
        "severity": {"enum": ["error", "warning"]},
    },
}
RULE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "label": {"type": "string"},
        "kind": {"type": "string"},
        "state": {"enum": ["active", "paused"]},
        "changed": {"type": "boolean", "description": "There is a draft that is not published."},
        "draft_version": {"type": "integer", "description": "Send it back when you save a draft."},
        "published_version": {"type": ["integer", "null"]},
        "published_at": {"type": ["string", "null"], "format": "date-time"},
        "published_by": {"type": ["string", "null"]},
        "updated_at": {"type": "string", "format": "date-time"},
        "updated_by": {"type": "string"},
        "owner": {
            "type": ["string", "null"],
            "description": "With whose rights it works; null: the installation's, empty: the owner has been deleted.",
        },
        "document": DOCUMENT,
        "published": {"type": ["object", "null"]},
    },
}
VERSION = {
    "type": "object",
    "properties": {
        "version": {"type": "integer"},
        "digest": {"type": "string"},
        "published_at": {"type": "string", "format": "date-time"},
        "published_by": {"type": "string"},
        "note": {"type": "string"},
        "document": DOCUMENT,
    },
}
DRAFT = {
    "type": "object",
    "properties": {"document": DOCUMENT, "draft_version": {"type": "integer"}},
    "required": ["document"],
    "additionalProperties": False,
}
PUBLISH = {
    "type": "object",
    "properties": {"note": {"type": "string", "maxLength": 1000, "default": ""}},
    "additionalProperties": False,
}
OWNER = {
    "type": "object",
    "properties": {"owner": {"type": "string", "description": "A user's name."}},
    "required": ["owner"],
    "additionalProperties": False,
}
PUBLISHED = {"type": "object", "properties": {"version": {"type": "integer"}}, "required": ["version"]}
CHECKED = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "problems": {"type": "array", "items": PROBLEM}},
    "required": ["ok", "problems"],
}
DIFFERENCES = {
    "type": "object",
    "properties": {"before": {"type": "object"}, "after": {"type": "object"}},
    "description": "Only the keys that differ, by their path.",
}
SIDES = {
    "from": {"type": "string", "description": "A version's number, or `draft`."},
    "to": {"type": "string", "default": "draft", "description": "A version's number, or `draft`."},
}


class RulesApi(RoomApi):
    """Rules under /api/v1/rules."""

    route_base = "/api/v1/rules"
    class_permission_name = "Rules"

    @operation("GET", "/", scope="rules:read", summary="List rules", response=listing(RULE))
    def list_rules(self) -> Any:
        """Return all rules."""
        with self.house.db.read() as tx:
            return listed([_rule(row) for row in services.list_rules(tx)])

    @operation(
        "POST",
        "/",
        scope="rules:create",
        summary="Create a rule from a document",
        body=DOCUMENT,
        response=RULE,
        status=201,
    )
    def create(self) -> Any:
        """Store a new rule as a draft."""
        return _rule(_asked(lambda: services.create(self.house, self.body, self.actor)))

    @operation("POST", "/check", scope="rules:read", summary="Check a document", body=DOCUMENT, response=CHECKED)
    def check(self) -> Any:
        """Return what keeps a document from being published."""
        problems = services.check(self.house, self.body)
        ok = not any(problem.severity == "error" for problem in problems)
        return {"ok": ok, "problems": [problem_json(problem) for problem in problems]}

    @operation("GET", "/<name>", scope="rules:read", summary="Get a rule", response=RULE)
    def get(self, name: str) -> Any:
        """Return one rule."""
        return _rule(self._row(name))

    @operation("PUT", "/<name>/draft", scope="rules:update", summary="Save the draft", body=DRAFT, response=RULE)
    def save_draft(self, name: str) -> Any:
        """Save the draft; 409 when it is not the version that the caller has seen."""
        expected = self.body.get("draft_version")
        saved = _asked(lambda: services.save_draft(self.house, name, self.body["document"], self.actor, expected))
        return _rule(saved)

    @operation(
        "POST", "/<name>/publish", scope="rules:publish", summary="Publish the draft", body=PUBLISH, response=PUBLISHED
    )
    def publish(self, name: str) -> Any:
        """Publish the draft; 422 with the problems while the check fails."""
        return {"version": _asked(lambda: services.publish(self.house, name, self.actor, self.body.get("note", "")))}

    @operation("GET", "/<name>/versions", scope="rules:read", summary="List versions", response=listing(VERSION))
    def list_versions(self, name: str) -> Any:
        """Return the versions, newest first."""
        self._row(name)
        with self.house.db.read() as tx:
            return listed([_version(row) for row in services.versions(tx, name)])

    @operation("GET", "/<name>/versions/<int:number>", scope="rules:read", summary="Get a version", response=VERSION)
    def get_version(self, name: str, number: int) -> Any:
        """Return one version."""
        with self.house.db.read() as tx:
            found = [row for row in services.versions(tx, name) if row.version == number]
        if not found:
            raise ApiError(404, RuleMissing(name, number).message)
        return _version(found[0])

    @operation("GET", "/<name>/diff", scope="rules:read", summary="Compare versions", query=SIDES, response=DIFFERENCES)
    def diff(self, name: str) -> Any:
        """Return the keys that differ between two versions, or a version and the draft."""
        row = self._row(name)
        old = self.query["from"] or (str(row.published_version) if row.published_version else "draft")
        found = compared(self._document(row, old), self._document(row, self.query["to"]), words=False)
        return {"before": found.before, "after": found.after}

    @operation(
        "POST",
        "/<name>/versions/<int:number>/roll-back",
        scope="rules:publish",
        summary="Publish an old version again",
        response=PUBLISHED,
    )
    def roll_back(self, name: str, number: int) -> Any:
        """Publish an old version's document as a new version."""
        return {"version": _asked(lambda: services.roll_back(self.house, name, number, self.actor))}

    @operation("POST", "/<name>/pause", scope="rules:update", summary="Pause a rule", response=RULE)
    def pause(self, name: str) -> Any:
        """Stop the rule from doing anything by itself."""
        return _rule(_asked(lambda: services.pause(self.house, name, self.actor)))

    @operation("POST", "/<name>/resume", scope="rules:update", summary="Resume a rule", response=RULE)
    def resume(self, name: str) -> Any:
        """Let the rule go on."""
        return _rule(_asked(lambda: services.resume(self.house, name, self.actor)))

    @operation("PUT", "/<name>/owner", scope="rules:update", summary="Change the owner", body=OWNER, response=RULE)
    def set_owner(self, name: str) -> Any:
        """Let another user own the rule; 422 where the owner may not do what it does."""
        _asked(lambda: ownership.set_owner(self.house, name, self.body["owner"], self.actor))
        return _rule(self._row(name))

    @operation("DELETE", "/<name>", scope="rules:delete", summary="Delete a rule")
    def delete(self, name: str) -> Any:
        """Delete the rule; its versions stay in the log."""
        _asked(lambda: services.delete(self.house, name, self.actor))

    def _row(self, name: str) -> RuleRow:
        with self.house.db.read() as tx:
            return _asked(lambda: services.get(tx, name))

    def _document(self, row: RuleRow, which: str) -> dict[str, Any]:
        if which == "draft":
            return row.document
        with self.house.db.read() as tx:
            found = services.version(tx, row.name, natural(which) or 0)
        if found is None:
            raise ApiError(404, f"The rule '{row.name}' has no version '{which}'.")
        return found.document


def _rule(row: RuleRow) -> dict[str, Any]:
    names = [name for name in RULE["properties"] if name != "document"]
    return {**{name: getattr(row, name) for name in names}, "document": row.document}


def _version(row: VersionRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in VERSION["properties"]}


def _asked(work: Callable[[], T]) -> T:
    """Do the work; what the rulebook refuses becomes an answer of the API."""
    try:
        return work()
    except NotPublishable as error:
        raise ApiError(422, error.message, [problem_json(problem) for problem in error.problems]) from None
    except RulebookError as error:
        status = _STATUS.get(type(error), 400)
        raise ApiError(status, error.message) from None


_STATUS = {RuleMissing: 404, StaleDraft: 409, RuleBusy: 409, BadName: 422, BadKind: 422, NotOwned: 422}
API = (RulesApi,)
