"""A two-way rule in plain sentences, for its overview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webapp.rulebook import demands, relations_form, timetable, two_way_words
from webapp.rulebook.editing import listed, part_of
from webapp.rulebook.pairs import SIDES, Pair, pairs
from webapp.rulebook.shares import percent
from webapp.rulebook.situations import defaults_of
from webapp.rulebook.translation import translate as _

Document = Mapping[str, Any]
SHOWN = 6
"""Fields that one sentence names."""


def sentences(document: Document, names: Mapping[str, str]) -> list[str]:
    """Return what a two-way rule does; `names` is what each side is called."""
    first = _("Keeps %(left)s and %(right)s the same, both ways.", left=names["left"], right=names["right"])
    runs = _("It runs %(when)s.", when=timetable.words(part_of(document, "schedule")))
    rest = (_scopes, _partners, _alone, _changes, _conflicts, _deletions, _found_how)
    told = [first, runs, *relations_form.sentences(document), *demands.sentences(document)]
    return [*told, *(sentence for tell in rest for sentence in tell(document, names)), *_limits(document)]


def _actions(document: Document) -> dict[str, str]:
    said = part_of(document, "situations")
    return {name: str(said.get(name) or usual) for name, usual in defaults_of(document).items()}


def _scopes(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    for side in SIDES:
        if where := part_of(document, side).get("where"):
            yield _("Of %(name)s only records that meet this condition count: %(where)s", name=names[side], where=where)


def _partners(document: Document, _names: Mapping[str, str]) -> Iterator[str]:
    ways, link, review = listed(document, "correlate"), document.get("auto_link"), document.get("review")
    if not ways:
        yield _("Records with the same key are partners.")
        return
    fields = [str(m.get("left")) for way in ways for m in listed(way, "match") if m.get("left")]
    yield _(
        "Records are partners if they have the same key, or are recognised by %(fields)s; "
        "from %(link)s%% on they are linked, from %(review)s%% on a person is asked.",
        fields=", ".join(dict.fromkeys(fields)),
        link=percent(link, 0.95),
        review=percent(review, 0.6),
    )


def _alone(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    actions = _actions(document)
    left, right = actions["unmatched_left"], actions["unmatched_right"]
    if left == right == "create":
        yield _("A record that only one side has is created on the other one.")
        return
    for side, action in (("left", left), ("right", right)):
        yield _situation(f"unmatched_{side}", action, names)


def _situation(name: str, action: str, names: Mapping[str, str]) -> str:
    told = two_way_words.situations(names["left"], names["right"])
    question, labels = next((question, labels) for key, question, labels in told if key == name)
    return _("%(situation)s: %(action)s.", situation=question, action=_small(labels.get(action, action)))


def _changes(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    action = _actions(document)["linked_changed"]
    if action != "update":
        yield _situation("linked_changed", action, names)
        return
    yield _("A change on one side is brought to the other one, field by field.")
    for side, way in (("right", "left_to_right"), ("left", "right_to_left")):
        if found := [pair for pair in pairs(document) if pair.direction == way]:
            yield _("Only to %(name)s flows: %(fields)s.", name=names[side], fields=_listed(found))


def _conflicts(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    action = _actions(document)["linked_conflict"]
    if action != "merge":
        yield _situation("linked_conflict", action, names)
        return
    default = str(part_of(document, "conflict").get("default") or "manual")
    said = two_way_words.policy_names(names["left"], names["right"])
    yield _("If both sides changed the same field: %(policy)s.", policy=said.get(default, default))
    own = [pair for pair in pairs(document) if pair.conflict and pair.conflict != default and pair.direction == "both"]
    for policy in dict.fromkeys(pair.conflict for pair in own):
        fields = _listed([pair for pair in own if pair.conflict == policy])
        yield _("For %(fields)s: %(policy)s.", fields=fields, policy=said.get(policy, policy))


def _small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _listed(found: list[Pair]) -> str:
    names = [pair.left or pair.right for pair in found]
    shown = ", ".join(names[:SHOWN])
    more = len(names) - SHOWN
    return _("%(what)s and %(count)d more", what=shown, count=more) if more > 0 else shown


def _deletions(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    if part_of(document, "deletes").get("detect", "none") == "none":
        yield _("Deletions are not noticed: what is gone from one side stays on the other.")
        return
    actions = _actions(document)
    for name in ("deleted_left", "deleted_right"):
        yield _situation(name, actions[name], names)


def _found_how(document: Document, names: Mapping[str, str]) -> Iterator[str]:
    detect = part_of(document, "detect")
    if all(part_of(detect, side).get("by", "full") == "full" for side in SIDES):
        yield _("Each run reads all records of both sides.")
        return
    for side, source in names.items():
        told = part_of(detect, side)
        if told.get("by") == "cursor":
            field = told.get("field") or "?"
            yield _("Each run reads what is new in %(source)s, by the field %(field)s.", source=source, field=field)
        elif told.get("by") == "cdc":
            yield _("Each run reads what the log of %(source)s says has changed, deletions included.", source=source)
        else:
            yield _("Each run reads all records of %(source)s.", source=source)


def _limits(document: Document) -> Iterator[str]:
    metrics = dict(two_way_words.metrics())
    for guard in listed(document, "guards"):
        if guard.get("do", "suspend") == "suspend":
            what = metrics.get(str(guard.get("metric")), "?")
            yield _("It stops before more than this: %(what)s: %(over)s.", what=_small(what), over=guard.get("over"))
