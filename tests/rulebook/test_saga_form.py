"""The steps of a saga in the form of a rule: shown, changed, added, moved and removed, with nothing else touched."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents import parse_sync
from tests.runs.conftest import ADMIN, RULE
from tests.runs.sagas.conftest import SAGA
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.rulebook import services as rulebook
from webapp.rulebook.saga_form import anchor, own_back, own_undo, saga_rows, with_saga

DOCUMENT: dict[str, Any] = {**RULE, **SAGA}


def submitted(document: dict[str, Any], **more: str) -> dict[str, str]:
    """Return what the browser sends of a form that nobody has changed."""
    form = {"saga_asked": "1", **{f"own-{name}": value for name, value in own_back(document).items()}}
    for number, step in enumerate(saga_rows(document)):
        prefix = f"step-{number}"
        form |= {f"{prefix}-{name}": value for name, value in {**step.texts, **step.back}.items()}
        for part, rows in (("fields", step.fields), ("undo", step.undo)):
            for place, row in enumerate(rows):
                form |= {f"{prefix}-{part}-{name}-{place}": value for name, value in row.items()}
    return {**form, **more}


def names(document: dict[str, Any]) -> list[str]:
    return [step["name"] for step in document["saga"]["steps"]]


def test_a_form_that_nobody_has_changed_changes_nothing():
    """What is shown and sent back is the same document, and still a rule."""
    again = with_saga(DOCUMENT, submitted(DOCUMENT))
    assert again == DOCUMENT
    assert parse_sync(again).saga is not None
    assert with_saga(DOCUMENT, {}) == DOCUMENT


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        ("step-up-1", ["line", "account"]),
        ("step-down-0", ["line", "account"]),
        ("step-up-0", ["account", "line"]),
        ("step-drop-0", ["line"]),
        ("step-add", ["account", "line", "step_3"]),
        ("step-drop-9", ["account", "line"]),
        ("step-drop-" + "9" * 5000, ["account", "line"]),
        ("step-stay-1", ["account", "line"]),
        ("step-own", ["account", "line"]),
        ("save", ["account", "line"]),
    ],
)
def test_buttons_add_move_and_remove_steps(deed: str, expected: list[str]):
    """Each button does to the order of steps what it says."""
    assert names(with_saga(DOCUMENT, submitted(DOCUMENT, do=deed))) == expected


def test_the_last_step_takes_the_saga_along():
    """Without steps there is no saga in the document."""
    one = with_saga(DOCUMENT, submitted(DOCUMENT, do="step-drop-0"))
    assert "saga" not in with_saga(one, submitted(one, do="step-drop-0"))


def test_fields_are_changed_added_and_removed():
    """A filled spare line becomes a field, an emptied one is gone; so does what is written to take a step back."""
    changed = submitted(
        DOCUMENT,
        **{"step-0-fields-field-3": "memo", "step-0-fields-value-3": "phone", "step-0-fields-field-1": ""},
        **{"step-0-fields-value-1": "", "step-1-undo-field-0": "", "step-1-undo-value-0": "", "own-created": "none"},
    )
    saga = with_saga(DOCUMENT, changed)["saga"]
    assert [one["field"] for one in saga["steps"][0]["fields"]] == ["reference", "client", "memo"]
    assert "fields" not in saga["steps"][1]["compensate"]
    assert saga["compensate"] == {"created": "none"}


@given(st.lists(st.sampled_from(["step-add", "step-up-1", "step-down-0", "step-drop-0", "step-drop-1", "save"])))
def test_any_clicks_keep_what_is_left(deeds: list[str]):
    """Whatever is clicked, steps that were not removed stay as they were."""
    document = DOCUMENT
    for deed in deeds:
        document = with_saga(document, submitted(document, do=deed))
    before = {step["name"]: step for step in SAGA["saga"]["steps"]}
    for step in document.get("saga", {}).get("steps", ()):
        assert step["name"].startswith("step_") or step == before[step["name"]]


def test_the_form_is_shown_saved_and_added_to(admin_client: Any, app: Any):  # noqa: F811
    """The page shows each step with its fields and a spare line; a button adds a step to the draft."""
    house = app.extensions["syncline"]
    rulebook.create(house, DOCUMENT, ADMIN)
    page = admin_client.get("/rules/customers/behaviour").text
    for told in ("Which steps follow?", "Step 2", "account_key", "Its record is found by the field", "Remove the step"):
        assert told in page, told
    version = re.search(r'name="draft_version" value="([^"]*)"', page)
    assert version is not None
    form = submitted(DOCUMENT, do="step-add", draft_version=version.group(1), transaction="saga")
    assert admin_client.post("/rules/customers/behaviour", data=form).status_code == 302
    with house.db.read() as tx:
        draft = rulebook.draft(tx, "customers") or {}
    assert names(draft) == ["account", "line", "step_3"]
    assert "Step 3" in admin_client.get("/rules/customers/behaviour").text


@pytest.mark.parametrize(
    ("deed", "steps", "place"),
    [
        ("save", 2, ""),
        ("step-add", 3, "#step-2"),
        ("step-up-1", 2, "#step-0"),
        ("step-down-0", 2, "#step-1"),
        ("step-stay-1", 2, "#step-1"),
        ("step-drop-1", 1, "#step-0"),
        ("step-drop-0", 0, "#saga"),
        ("step-own", 2, "#saga"),
        ("step-up-" + "9" * 5000, 2, "#step-1"),
    ],
)
def test_the_page_goes_on_where_the_button_was(deed: str, steps: int, place: str):
    """Whoever works on a step is not sent to the top of a long form."""
    assert anchor(deed, steps) == place


def test_the_rules_own_record_is_taken_back_by_fields_too():
    """Where "write the fields below" is chosen for it there are fields below."""
    asked = {"own-created": "update", "own-undo-field-0": "note", "own-undo-value-0": "'void'"}
    document = with_saga(DOCUMENT, submitted(DOCUMENT, **asked))
    assert document["saga"]["compensate"] == {"created": "update", "fields": [{"field": "note", "value": "'void'"}]}
    assert own_undo(document)[0] == {"field": "note", "value": "'void'"}


def test_steps_are_offered_and_never_out_of_reach(admin_client: Any, app: Any):  # noqa: F811
    """A rule without steps offers them, while it is set up as well; one whose transaction ignores them shows them."""
    house = app.extensions["syncline"]
    rulebook.create(house, RULE, ADMIN)
    page = admin_client.get("/rules/customers/behaviour?setup=1").text
    assert "own-undo-field-0" in page
    version = re.search(r'name="draft_version" value="([^"]*)"', page)
    assert version is not None
    form = {"saga_asked": "1", "transaction": "saga", "do": "step-add", "setup": "1", "draft_version": version.group(1)}
    answer = admin_client.post("/rules/customers/behaviour", data=form)
    assert answer.headers["Location"] == "/rules/customers/behaviour?setup=1#step-0"
    assert 'class="note is-bad"' in admin_client.get("/rules/customers/behaviour").text
    ignored = {**DOCUMENT, "name": "others", "transaction": "none"}
    rulebook.create(house, ignored, ADMIN)
    page = admin_client.get("/rules/others/behaviour").text
    assert "The steps are not done" in page
    assert "Remove the step" in page
