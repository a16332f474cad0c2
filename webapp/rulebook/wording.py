"""A rule in plain sentences: the overview, the choices of the editor, what each key is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.schema import FieldType, Schema
from webapp.rulebook import demands, relations_form, timetable, two_way_summary, two_way_words
from webapp.rulebook.editing import EXPRESSION, PARK, Flow, Row, is_two_way, part_of, rows
from webapp.rulebook.pairs import Pair, pairs
from webapp.rulebook.translation import translate as _

Document = Mapping[str, Any]
Choices = list[tuple[str, str]]


def side_name(document: Document, side: str) -> str:
    """Return "crm › Account"."""
    part = part_of(document, side)
    return f"{part.get('connection') or '?'} › {part.get('object') or '?'}"


def arrow(document: Document) -> str:
    """Return the icon of the direction."""
    icons = {"right_to_left": "arrow-left", "two_way": "arrow-left-right"}
    return icons.get(str(document.get("direction")), "arrow-right")


def summary(document: Document) -> list[str]:
    """Return the rule as a few sentences."""
    if is_two_way(document):
        names = {side: side_name(document, side) for side in ("left", "right")}
        return [*two_way_summary.sentences(document, names), _on_errors(document)]
    flow = Flow.of(document)
    source, target = side_name(document, flow.source), side_name(document, flow.target)
    sentences = [_("Brings records of %(source)s to %(target)s.", source=source, target=target)]
    sentences.append(_("It runs %(when)s.", when=timetable.words(part_of(document, "schedule"))))
    sentences += relations_form.sentences(document)
    where = part_of(document, flow.source).get("where")
    if where:
        sentences.append(_("Only records that meet this condition count: %(where)s", where=where))
    sentences += demands.sentences(document)
    sentences += _situations(document, flow, target)[: 3 if where else 2]
    sentences.append(_found_how(document, flow, source))
    sentences.append(_on_errors(document))
    return sentences


def _situations(document: Document, flow: Flow, target: str) -> list[str]:
    chosen = part_of(document, "situations")
    new = str(chosen.get(f"unmatched_{flow.source}") or "create")
    changed = str(chosen.get("linked_changed") or "update")
    left = str(chosen.get("out_of_scope") or "unlink")
    return [
        {
            "create": _("A new record is created in %(target)s.", target=target),
            "ignore": _("A new record is not created in %(target)s; only what exists there is updated.", target=target),
            "case": _("A new record waits for a person to decide."),
        }.get(new, _("New records: %(action)s.", action=action_name(new))),
        {
            "update": _("A record that changed is updated in %(target)s, field by field.", target=target),
            "ignore": _("A record that changed later is left as it is in %(target)s.", target=target),
            "case": _("A record that changed waits for a person to decide."),
        }.get(changed, _("Changed records: %(action)s.", action=action_name(changed))),
        {
            "unlink": _(
                "A record that no longer meets the condition stays in %(target)s but is not updated any more.",
                target=target,
            ),
            "ignore": _("A record that no longer meets the condition is left as it is."),
        }.get(left, _("Records that no longer meet the condition: %(action)s.", action=action_name(left))),
    ]


def _found_how(document: Document, flow: Flow, source: str) -> str:
    detect = part_of(part_of(document, "detect"), flow.source)
    if detect.get("by") == "cursor":
        field = detect.get("field") or "?"
        return _("Each run reads what is new in %(source)s, by the field %(field)s.", source=source, field=field)
    if detect.get("by") == "cdc":
        return _("Each run reads what the log of %(source)s says has changed, deletions included.", source=source)
    return _("Each run reads all records of %(source)s.", source=source)


def _on_errors(document: Document) -> str:
    errors = part_of(document, "errors")
    if errors.get("data") == "suspend":
        return _("The run stops at the first record that is refused.")
    count = errors.get("stop_after", 1000)
    told = _("A refused record is parked in the quarantine; after %(count)s of them the run stops.", count=count)
    if not errors.get("expire"):
        return told
    gone = _("What nobody has settled %(span)s after its last attempt is discarded.", span=errors["expire"])
    return f"{told} {gone}"


def action_name(action: str) -> str:
    """Return what an action is called."""
    return action_names().get(action, action)


def action_names() -> dict[str, str]:
    """Return what the actions are called."""
    return {
        "create": _("Create it"),
        "update": _("Update it"),
        "ignore": _("Do nothing"),
        "unlink": _("Let it go: stop updating it"),
        "delete": _("Delete it"),
        "deactivate": _("Deactivate it"),
        "case": _("Ask a person"),
        "recreate": _("Create it again"),
        "merge": _("Merge field by field"),
        "link": _("Link them"),
        "link_update": _("Link and update"),
    }


def situations(
    document: Document, allowed: Mapping[str, Sequence[str]], defaults: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the situations of a form: name, question, choices, what is chosen."""
    flow = Flow.of(document)
    source, target = side_name(document, flow.source), side_name(document, flow.target)
    chosen = part_of(document, "situations")
    questions = {
        f"unmatched_{flow.source}": _(
            "A record of %(source)s that is not in %(target)s yet", source=source, target=target
        ),
        "linked_changed": _("A record of %(source)s that has changed", source=source),
        "out_of_scope": _("A record of %(source)s that no longer meets the condition", source=source),
        "linked_conflict": _("A field that was changed in %(target)s as well", target=target),
        "edit_vs_delete": _("A record that was changed on one side and is gone from the other"),
        "disputed": _("A record with several possible partners in %(target)s", target=target),
    }
    unsaid = {
        "linked_conflict": _("%(source)s wins", source=source),
        "edit_vs_delete": _("As if it had not been changed"),
        "disputed": _("Park it in the quarantine"),
    }
    return [
        {
            "name": name,
            "question": question,
            "value": chosen.get(name) or ("" if name in unsaid else defaults.get(name, "")),
            "choices": [
                *([("", unsaid[name])] if name in unsaid else []),
                *((action, _choice(name, action)) for action in allowed.get(name, ())),
            ],
        }
        for name, question in questions.items()
        if len(allowed.get(name, ())) > 1
    ]


def field_choices(schema: Schema) -> Choices:
    """Return the fields of an object for a select, with an empty choice first."""
    return [("", _("Choose …")), *((f.name, f"{f.label or f.name} · {type_name(f.type)}") for f in schema.fields)]


def cursor_choices(schema: Schema) -> Choices:
    """Return the fields that can grow with every change: times and whole numbers."""
    growing = {FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.DATE, FieldType.INTEGER}
    found = tuple(f for f in schema.fields if f.type in growing)
    text = tuple(f for f in schema.fields if f.type is FieldType.TEXT)
    return field_choices(Schema(found + text))


@dataclass(frozen=True)
class FieldLine:
    """One filled field, as the overview lists it; `back` is the expression for the other way, where there is one."""

    target: str
    source: str
    expression: str
    is_key: bool
    note: str
    icon: str = "arrow-right"
    back: str = ""


def field_lines(document: Document) -> list[FieldLine]:
    """Return the filled fields of a rule."""
    if is_two_way(document):
        named = two_way_words.policy_names(side_name(document, "left"), side_name(document, "right"))
        return [_pair_line(pair, part_of(document, "key"), named) for pair in pairs(document)]
    flow = Flow.of(document)
    key = part_of(document, "key").get(flow.target)
    return [_line(row, row.name == key) for row in rows(document, None) if row.source]


def _pair_line(pair: Pair, key: Document, named: Mapping[str, str]) -> FieldLine:
    icons = {"left_to_right": "arrow-right", "right_to_left": "arrow-left"}
    notes = [_("if %(condition)s", condition=text) for text in dict.fromkeys((pair.when, pair.when_left)) if text]
    is_key = bool(pair.left or pair.right) and (key.get("left"), key.get("right")) == (pair.left, pair.right)
    icon = icons.get(pair.direction, "arrow-left-right")
    told = " · ".join([*pair_notes(pair, named), *notes])
    return FieldLine(pair.right or "–", pair.left or "–", pair.to_right, is_key, told, icon, pair.to_left)


def pair_notes(pair: Pair, named: Mapping[str, str] | None = None) -> list[str]:
    """Return what a pair says besides its expressions, in a few words each; `named` says who wins by name."""
    wins = named or dict(two_way_words.policies())
    notes = [dict(on_choices()).get(pair.on, pair.on)] if pair.on != "both" else []
    notes += [dict(strength_choices()).get(pair.strength, pair.strength)] if pair.strength in {"strong", "weak"} else []
    notes += [wins.get(pair.conflict, pair.conflict)] if pair.conflict else []
    notes += [dict(on_error_choices()).get(pair.on_error, pair.on_error)] if pair.on_error != PARK else []
    return notes


def _line(row: Row, is_key: bool) -> FieldLine:
    notes = [dict(on_choices()).get(row.on, row.on)] if row.on != "both" else []
    notes += [dict(strength_choices())[row.strength]] if row.strength in {"strong", "weak"} else []
    notes += [_("if %(condition)s", condition=row.when)] if row.when else []
    notes += [_on_error_note(row)] if row.on_error != PARK else []
    source = "" if row.source == EXPRESSION else row.source
    return FieldLine(row.name, source, row.expression, is_key, " · ".join(notes))


def _on_error_note(row: Row) -> str:
    if row.on_error == "default":
        return _("without a value: %(default)s", default=row.default)
    return _("without a value: %(deed)s", deed=dict(on_error_choices()).get(row.on_error, row.on_error).lower())


def schedule_kinds() -> Choices:
    """Return the kinds of schedules."""
    return [
        (timetable.MANUAL, _("By hand")),
        (timetable.MINUTES, _("Every few minutes")),
        (timetable.HOURLY, _("Hourly")),
        (timetable.DAILY, _("Daily")),
        (timetable.WEEKLY, _("Weekly")),
        (timetable.CRON, _("Cron")),
    ]


def minute_choices() -> Choices:
    """Return how often within an hour."""
    return [(str(n), _("minute") if n == 1 else _("%(count)d minutes", count=n)) for n in timetable.STEPS]


def zone_choices(zones: Sequence[str], chosen: str) -> Choices:
    """Return the time zones, with the chosen one even if it is unusual."""
    return [(zone, zone) for zone in (zones if chosen in zones else [chosen, *zones])]


def _choice(situation: str, action: str) -> str:
    if situation == "out_of_scope" and action == "ignore":
        return _("Leave it for now, stay linked")
    return action_name(action)


def strength_choices() -> Choices:
    """Return when a value is written."""
    return [
        ("normal", _("When it changed")),
        ("strong", _("Always, undo changes there")),
        ("weak", _("Only while empty there")),
    ]


def on_error_choices() -> Choices:
    """Return what is done about a record for which a field has no value."""
    return [
        ("quarantine", _("Park the record")),
        ("null", _("Leave the field empty")),
        ("default", _("Write another value")),
        ("stop", _("Stop the run")),
    ]


def on_choices(chosen: str = "") -> Choices:
    """Return which writes set a field, and what is `chosen` where it is none of them."""
    known = [
        ("both", _("Create and update")),
        ("create", _("Only create")),
        ("update", _("Only update")),
    ]
    return known if chosen in {"", *dict(known)} else [*known, (chosen, chosen)]


def type_name(name: str) -> str:
    """Return what a field type is called."""
    return type_names().get(name, name)


def type_names() -> dict[str, str]:
    """Return what the field types are called."""
    return {
        "text": _("text"),
        "integer": _("whole number"),
        "decimal": _("decimal number"),
        "float": _("number"),
        "number": _("number"),
        "boolean": _("yes or no"),
        "date": _("date"),
        "time": _("time of day"),
        "datetime": _("date and time"),
        "local_datetime": _("date and time without a zone"),
        "binary": _("bytes"),
        "json": "JSON",
        "any": _("any value"),
        "null": _("nothing"),
        "duration": _("time span"),
    }


def endings() -> Choices:
    """Return what can become of the record of a test."""
    return [
        ("mapped", _("It is written")),
        ("out_of_scope", _("It is out of scope")),
        ("rejected", _("It is left out")),
        ("quarantined", _("It is parked")),
    ]


def policies() -> Choices:
    """Return the hit policies in the words of people who do not know DMN."""
    return [
        ("unique", _("Unique: at most one row may apply")),
        ("first", _("First: the uppermost row that applies")),
        ("priority", _("Priority: the row with the most important result")),
        ("any", _("Any: several rows may apply if they agree")),
        ("collect", _("Collect: the results of all rows that apply")),
        ("rule_order", _("Rule order: all results, in the order of the rows")),
        ("output_order", _("Output order: all results, the most important first")),
    ]


def aggregations() -> Choices:
    """Return what `collect` can make of the results."""
    return [
        ("list", _("as a list")),
        ("sum", _("added up")),
        ("min", _("the smallest")),
        ("max", _("the largest")),
        ("count", _("how many")),
    ]
