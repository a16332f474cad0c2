"""The API of the seal."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient

from tests.evidence.conftest import write
from tests.webapp.conftest import client_of
from webapp.audit.keys import public_keys
from webapp.audit.sealing import seal_all
from webapp.evidence.proofs import holds
from webapp.evidence.signing import signer
from webapp.extensions import House


def test_programs_read_state_checkpoints_and_proofs(house: House, admin_client: FlaskClient):
    """A program gets what it needs to check the log itself; an event that is not sealed has no proof yet."""
    for number in range(3):
        write(house, 2, number)
        seal_all(house, signer(house))
    write(house, 1)
    state = admin_client.get("/api/v1/evidence/").json
    assert (state["waiting"], len(state["keys"]), state["targets"]) == (1, 1, [])
    first = admin_client.get("/api/v1/evidence/checkpoints?limit=2").json
    second = admin_client.get(f"/api/v1/evidence/checkpoints?limit=2&after={first['next']}").json
    sizes = [one["size"] for one in first["items"] + second["items"]]
    assert sizes == sorted(sizes, reverse=True)
    assert (len(sizes), sizes[0], second["next"]) == (3, state["sealed"], None)
    assert admin_client.get("/api/v1/evidence/checkpoints?after=x").status_code == 422
    with house.db.read() as tx:
        keys = public_keys(tx)
    assert holds(admin_client.get("/api/v1/evidence/proofs/1").json, keys)
    assert admin_client.get(f"/api/v1/evidence/proofs/{state['sealed'] + 1}").status_code == 404
    assert admin_client.get("/api/v1/evidence/proofs/99999").status_code == 404


def test_only_who_may_read_the_log_reads_its_seal(app: Flask):
    """The seal is as open as the log is."""
    for name, role, status in (("vic", "Viewer", 403), ("aud", "Auditor", 200)):
        assert client_of(app, name, role).get("/api/v1/evidence/").status_code == status
