"""What another process has committed holds for the next request here: nothing about permissions is remembered."""

from __future__ import annotations

import subprocess
import sys

import pytest
import sqlalchemy as sa
from flask import Flask

import config
from tests.webapp.conftest import add_user, app, settings, sign_in  # noqa: F401 - the console's fixtures

ELSEWHERE = """
import sys
from webapp.extensions import open_database
db = open_database(sys.argv[1])
with db.begin() as tx:
    tx.exec_driver_sql(sys.argv[2])
"""


def do_elsewhere(given: config.Settings, statement: str) -> None:
    """Commit a statement in a process of its own."""
    subprocess.run([sys.executable, "-c", ELSEWHERE, given.database_url, statement], check=True)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ab_user_role WHERE user_id = {user}",
        "DELETE FROM ab_permission_view_role WHERE role_id IN "
        "(SELECT role_id FROM ab_user_role WHERE user_id = {user})",
        "UPDATE ab_user SET active = {false} WHERE id = {user}",
        "DELETE FROM access_session WHERE user_id = {user}",
    ],
)
def test_what_was_revoked_in_another_process_is_gone_with_its_commit(app: Flask, statement: str) -> None:  # noqa: F811
    """A role, its permissions, the user or the session: the very next request is refused."""
    house = app.extensions["syncline"]
    user = add_user(house, "eve", "Viewer")
    browser = sign_in(app.test_client(), "eve")
    assert [browser.get("/rules/").status_code for _ in range(3)] == [200] * 3
    false = sa.false().compile(dialect=house.db.engine.dialect)
    do_elsewhere(house.settings, statement.format(user=user, false=false))
    assert browser.get("/rules/").status_code in (302, 403)
    assert browser.get("/api/v1/rules/").status_code in (401, 403)
