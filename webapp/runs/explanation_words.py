"""What an explanation says in sentences: what was done, what was found, and values as people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from rules.documents.sync import Action
from rules.reconcile.situations import MOVED, REFUSED, REJECTED, UNDONE, Outcome, Situation
from rules.text import N_, Message, msg
from rules.trace import State, Step, plain
from webapp.runs.explanation import Explanation

_DEEDS = {
    Outcome.CREATED: (N_("It was created in {target}."), N_("It would be created in {target}.")),
    Outcome.UPDATED: (N_("It was updated in {target}."), N_("It would be updated in {target}.")),
    Outcome.UNCHANGED: (N_("It was left alone: {target} says the same already."),) * 2,
    Outcome.SKIPPED: (N_("It was left alone."),) * 2,
    Outcome.QUARANTINED: (N_("It was parked in the quarantine."), N_("It would be parked in the quarantine.")),
    Outcome.CASES: (N_("It waits for a person to decide."),) * 2,
    Outcome.DELETED: (N_("It was deleted in {target}."), N_("It would be deleted in {target}.")),
}
_SKIPPED: dict[str, str] = {
    Situation.OUT_OF_SCOPE: N_("It was left alone: it does not meet the condition of the rule."),
    REJECTED: N_("It was left out: it does not meet a validation of the rule."),
    MOVED: N_("It was left alone: it has changed since the plan or the run was made."),
    REFUSED: N_("It was left alone: the target did not take it back."),
}
_SITUATIONS: dict[str, str] = {
    Situation.LINKED_UNCHANGED: N_("Its partner was found, and all fields that the rule writes hold these values."),
    Situation.LINKED_CHANGED: N_("Its partner was found, and some fields there differ."),
    Situation.LINKED_CONFLICT: N_("Its partner was found, and both sides have changed."),
    Situation.UNLINKED: N_("A record with the same key or match was found there, which was not linked to it so far."),
    Situation.DISPUTED: N_("More than one record there fits."),
    Situation.UNMATCHED_LEFT: N_("There is no such record on the other side yet."),
    Situation.UNMATCHED_RIGHT: N_("There is no such record on the other side yet."),
    Situation.DELETED_LEFT: N_("It was linked, and its partner is gone."),
    Situation.DELETED_RIGHT: N_("It was linked, and its partner is gone."),
    Situation.EDIT_VS_DELETE: N_("It was changed on one side and deleted on the other."),
    Situation.OUT_OF_SCOPE: N_("It does not meet the condition of the rule."),
    REJECTED: N_("It does not meet a validation of the rule, so its partner was not looked for."),
    MOVED: N_("It is not as it was when the plan or the run was made."),
    UNDONE: N_("It held what an earlier run had written."),
    REFUSED: N_("It held what an earlier run had written."),
}
_ACTIONS = {
    Action.IGNORE: N_("do nothing"),
    Action.UPDATE: N_("update it"),
    Action.MERGE: N_("merge it field by field"),
    Action.LINK: N_("link them"),
    Action.LINK_UPDATE: N_("link and update it"),
    Action.CREATE: N_("create it"),
    Action.DELETE: N_("delete it"),
    Action.DEACTIVATE: N_("deactivate it"),
    Action.UNLINK: N_("let it go: stop updating it"),
    Action.RECREATE: N_("create it again"),
    Action.CASE: N_("ask a person"),
}
_TO_PARTNER = {**_ACTIONS, Action.DEACTIVATE: N_("deactivate its partner")}


def deed(explanation: Explanation) -> Message:
    """Return what was done with the record, or would be in a run that writes nothing."""
    result, target = explanation.result, explanation.sides.target
    if result.outcome == Outcome.SKIPPED and result.situation in _SKIPPED:
        return msg(_SKIPPED[result.situation])
    done, would = _DEEDS[Outcome(result.outcome)]
    places = [target] if result.after or result.before or not result.own_after else []
    places += [explanation.sides.source] if result.own_after else []
    names = [f"{place.connection} › {place.object}" for place in places]
    place = msg("{one} and {other}", one=names[0], other=names[1]) if len(names) > 1 else names[0]
    return msg(done if explanation.run.mode == "live" else would, target=place)


def found(explanation: Explanation) -> Message | None:
    """Return what was found for the record on the other side, None where nobody looked."""
    situation = explanation.result.situation
    if explanation.result.gone:
        source = explanation.sides.source
        return msg("It is gone from {place}.", place=f"{source.connection} › {source.object}")
    return None if situation is None else msg(_SITUATIONS[situation])


def then(explanation: Explanation) -> Message | None:
    """Return what the rule says to do in the situation."""
    action = explanation.result.action
    if action is None:
        return None
    words = _TO_PARTNER if explanation.result.gone else _ACTIONS
    return msg("The rule says: {action}.", action=msg(words[Action(action)]))


def shown(value: Any) -> str | None:
    """Return a value as people read it, text in quotes; None is empty."""
    if value is None:
        return None
    form = next((form for kind, form in _FORMS if isinstance(value, kind)), None)
    return str(plain(value)) if form is None else form(value)


def _decimal(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _list(value: Sequence[Any]) -> str:
    return "[" + ", ".join(shown(part) or "null" for part in value) + "]"


_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], str]], ...] = (
    (str, lambda value: f"“{value}”"),
    (bool, lambda value: "true" if value else "false"),
    (Decimal, _decimal),
    (datetime, lambda value: value.isoformat(sep=" ")),
    ((list, tuple), _list),
)


def pieces(step: Step) -> tuple[str, str, str]:
    """Return the text of an expression before, at and behind the part that failed; all of it first if none did."""
    cause = step.cause
    if step.state is not State.ERROR or cause is None:
        return step.text, "", ""
    return step.text[: cause.start], step.text[cause.start : cause.end], step.text[cause.end :]
