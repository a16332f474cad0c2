"""What was under way when a backup was taken may have arrived since: it is left to people, nothing is sent again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from tests.backups.test_backups import back_up, elsewhere, world  # noqa: F401 - fixtures
from tests.backups.test_restored import put_back_in
from tests.runs.conftest import ADMIN, World
from tests.runs.sagas.conftest import SAGA, Office
from tests.runs.test_crash import Killed, dies
from webapp.entities import services as entities
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine as entries
from webapp.runs.models import quarantine
from webapp.runs.outbox.deliverer import deliver_due
from webapp.runs.outbox.models import delivery
from webapp.runs.sagas import deeds, reading
from webapp.runs.sagas.states import State
from webapp.vault import at_rest, people
from webapp.vault.journal import MARK, raw
from webapp.vault.models import vault_secret


def test_deliveries_that_waited_are_left_to_people(world: World, elsewhere: House, tmp_path: Path) -> None:  # noqa: F811
    """What was delivered and changed since is not written over; a record with two waiting changes is parked once."""
    world.rule(transaction="outbox")
    world.customers("Old", first=60)
    world.run()
    world.crm("UPDATE customer SET name = 'Older' WHERE id = 60")
    world.run()
    path = back_up(world, tmp_path / "b.tar")
    deliver_due(world.house)
    world.crm("UPDATE customer SET name = 'New' WHERE id = 60")
    world.run()
    deliver_due(world.house)
    clients = world.clients()
    assert clients[-1][:2] == (60, "New")
    done = put_back_in(world, elsewhere, path)
    people.register(elsewhere)
    assert (deliver_due(world.house), world.clients()) == (0, clients)
    assert done.settled.deliveries > 0
    q, c = quarantine.c, delivery.c
    with elsewhere.db.read() as tx:
        parked = tx.scalars(sa.select(q.stage).where(q.left_key == "60", q.state == "open")).all()
        assert (parked, tx.scalars(sa.select(c.state).where(c.key == "60")).all()) == (["deliver"], ["failed"] * 2)
    rulebook.resume(world.house, "customers", ADMIN)
    assert world.run().state == "succeeded"
    deliver_due(world.house)
    assert world.clients() == clients
    with elsewhere.db.read() as tx:
        assert tx.scalars(sa.select(q.state).where(q.left_key == "60")).all() == ["resolved"]


@pytest.fixture
def sealed(world: World) -> World:  # noqa: F811
    """Return an installation whose values are encrypted, with a delivery that waits."""
    hidden = {"name": "phone", "type": "text", "encrypted": True}
    entities.define(world.house, {"kind": "entity", "name": "secretive", "fields": [hidden]}, ADMIN)
    at_rest.register(world.house)  # as if a second had gone by
    world.rule(transaction="outbox")
    world.customers("Waiting", first=60)
    world.run()
    return world


def test_a_parked_delivery_keeps_its_record_where_values_are_encrypted(
    sealed: World,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
) -> None:
    """People see what was to be written, and can replay it; the database shows it to nobody else."""
    put_back_in(sealed, elsewhere, back_up(sealed, tmp_path / "b.tar"))
    people.register(elsewhere)
    q, kept = quarantine.c, raw(quarantine).c
    with elsewhere.db.read() as tx:
        number, shown = tx.execute(sa.select(q.id, q.record).where(q.left_key == "60")).one()
        assert "Waiting" in str(shown)
        assert str(tx.scalar(sa.select(kept.record).where(kept.left_key == "60"))).startswith(MARK)
    rulebook.resume(sealed.house, "customers", ADMIN)
    assert sealed.work(entries.replay(sealed.house, "customers", [number], ADMIN))
    deliver_due(sealed.house)
    assert sealed.clients()[-1][:2] == (60, "Waiting")


def test_a_delivery_whose_key_is_damaged_is_parked_without_its_record(
    sealed: World,
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
) -> None:
    """All else comes back; the next run reads the record anew."""
    with sealed.house.db.begin() as tx:
        tx.execute(sa.update(vault_secret).where(vault_secret.c.owner_kind == "journal").values(ciphertext=b"damaged"))
    done = put_back_in(sealed, elsewhere, back_up(sealed, tmp_path / "b.tar"))
    assert [name for name in done.unreadable if name.startswith("journal")]
    q = raw(quarantine).c
    with elsewhere.db.read() as tx:
        assert tx.execute(sa.select(q.stage, q.record).where(q.left_key == "60")).all() == [("deliver", None)]


def test_steps_that_were_under_way_are_not_taken_back_unasked(
    world: World,  # noqa: F811
    elsewhere: House,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The record may have come through since, so it waits for a person, and the next run leaves it alone."""
    office = Office(world)
    world.erp("DELETE FROM client")
    world.crm("DELETE FROM customer")
    world.rule(**SAGA)
    world.customers("Ada", first=60)
    number = world.request()
    with monkeypatch.context() as patch:
        dies(patch, SQLite, "write", 2, before=False)
        with pytest.raises(Killed):
            world.work(number)
    path = back_up(world, tmp_path / "b.tar")
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    world.work(number, "w2")
    arrived = office.state()
    assert [len(part) for part in arrived.values()] == [1, 1, 1]
    done = put_back_in(world, elsewhere, path)
    people.register(elsewhere)
    assert done.settled.sagas == 1
    rulebook.resume(world.house, "customers", ADMIN)
    assert world.run().state == "succeeded"
    assert office.state() == arrived
    (left,) = reading.listing(world.house)
    assert (left.state, "backup" in str(left.stuck and left.stuck.problem)) == (State.STUCK, True)
    deeds.give_up(world.house, left.id, "it has come through", ADMIN)
    assert world.run().state == "succeeded"
    assert office.state() == arrived
