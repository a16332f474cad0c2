"""`transaction: saga`: a record goes through all its steps, or is taken back from all that it had come to."""

from __future__ import annotations

from tests.runs.conftest import numbers
from tests.runs.sagas.conftest import Office


def test_each_record_goes_through_all_steps(office: Office):
    """Created in all systems with the keys of the steps before; once more there is nothing to do."""
    office.world.customers("Ada", "Bea")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 2}), str(run.message)
    assert office.state() == {
        "clients": [(1, "Ada"), (2, "Bea")],
        "accounts": [("C1", "Ada", 1), ("C2", "Bea", 2)],
        "lines": [("L1", 1, None), ("L2", 1, None)],
    }
    assert numbers(office.world.run()) == {"read": 2, "unchanged": 2}


def test_a_refused_record_is_taken_back_everywhere(office: Office):
    """What the last step refuses is gone from the systems before, and waits in the quarantine with the reason."""
    office.sql(
        "book", "CREATE TRIGGER no BEFORE INSERT ON line WHEN new.code = 'L2' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    office.world.customers("Ada", "Bea", "Cid")
    run = office.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "created": 2, "quarantined": 1}), str(run.message)
    assert office.state() == {
        "clients": [(1, "Ada"), (3, "Cid")],
        "accounts": [("C1", "Ada", 1), ("C3", "Cid", 3)],
        "lines": [("L1", 1, None), ("L3", 1, None)],
    }
    (parked,) = [shown for shown in office.world.records(run.id) if shown.row.outcome == "quarantined"]
    assert "The step 'line' in book › line was refused: The database refuses the record: no." in str(parked.reason)
    office.sql("book", "DROP TRIGGER no")
    assert numbers(office.world.run()) == {"read": 3, "created": 1, "unchanged": 2}
    assert office.state()["lines"][1] == ("L2", 1, None)
