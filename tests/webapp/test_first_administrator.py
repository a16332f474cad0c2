"""The first administrator, and what may be reached, by the settings."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

import config
from connectors import egress
from tests.houses import fresh_house
from webapp.access import models
from webapp.access.services import ensure_admin


def test_the_first_administrator_has_the_chosen_name(tmp_path):
    """The name of the settings is taken, once; one that no user can have is refused."""
    with fresh_house(tmp_path / "data") as house:
        named = dataclasses.replace(house, settings=dataclasses.replace(house.settings, admin_name="wei.chen"))
        with house.db.begin() as tx:
            tx.execute(sa.delete(models.user))
        assert ensure_admin(named)
        assert ensure_admin(named) is None
        with house.db.read() as tx:
            assert tx.scalars(sa.select(models.user.c.username)).all() == ["wei.chen"]
    with pytest.raises(config.SettingError):
        config.from_environment({"SYNCLINE_ADMIN_NAME": "wei chen"})


def test_public_addresses_can_be_left_out():
    """With SYNCLINE_EGRESS_PUBLIC=no only the list of the operator may be reached."""
    closed = config.from_environment({"SYNCLINE_EGRESS_PUBLIC": "no", "SYNCLINE_EGRESS_ALLOW": "10.0.0.0/8"})
    assert closed.egress_allow == ("10.0.0.0/8", egress.ONLY)
    assert egress.ONLY not in config.from_environment({}).egress_allow
