"""Proofs stand alone, machines see how the seal stands, and the notary keeps at it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import config
from tests.evidence.conftest import Clock, sealed, write
from webapp.audit.models import audit_checkpoint, audit_event, audit_head
from webapp.audit.notes import Signer, checkpoint
from webapp.audit.sealing import seal
from webapp.audit.verification import verify
from webapp.evidence import notary as notary_module
from webapp.evidence.gauges import metrics
from webapp.evidence.notary import Notary
from webapp.evidence.proofs import NotProvable, holds, of_event, of_growth
from webapp.evidence.signing import signer
from webapp.evidence.stored import StoredLog, opened
from webapp.extensions import House

SEALERS = """
import os, sys
import config
from webapp.audit.sealing import seal
from webapp.evidence.signing import signer
from webapp.extensions import open_house
for _ in sys.stdin:  # each line forks a sealer
    if pid := os.fork():
        print(pid, flush=True)
        os.waitpid(pid, 0)
        print("ended", flush=True)
        continue
    house = open_house(config.from_environment())
    key = signer(house)
    while seal(house, key, 4):
        pass
    os._exit(0)
"""


def test_a_proof_stands_alone(house: House):
    """A proof holds under the log's key, not under another, and not for anything else than what was sealed."""
    sealed(house, 20, 30)
    key = signer(house).public
    with house.db.read() as tx:
        notes = [note for _, note in StoredLog(tx).checkpoints()]
        newest = tx.scalar(sa.select(sa.func.max(audit_event.c.id)))
        proof = json.loads(json.dumps(of_event(tx, 7)))
        grown = json.loads(json.dumps(of_growth(tx, notes[0])))
        with pytest.raises(NotProvable, match="no event"):
            of_event(tx, 10**6)
    assert holds(proof, [key])
    assert holds(grown, [key])
    other = Signer(key.name, Ed25519PrivateKey.generate()).public
    assert not holds(proof, [other])
    assert not holds({**proof, "event": {**proof["event"], "actor_name": "x"}}, [key])
    assert not holds({**proof, "place": 5}, [key])
    assert not holds({**grown, "older": notes[-1]}, [key])
    assert not holds({**proof, "path": ["%"]}, [key])
    assert not holds({}, [key])
    write(house, 1)
    with house.db.read() as tx, pytest.raises(NotProvable, match="not sealed yet"):
        of_event(tx, newest + 1)


def test_growth_is_not_proven_from_elsewhere(house: House):
    """A checkpoint of another log, or of more events than there are, is refused."""
    sealed(house, 3, 3)
    with house.db.begin() as tx:
        newest = tx.scalar(sa.select(audit_checkpoint.c.note).order_by(audit_checkpoint.c.size.desc()).limit(1))
        tx.execute(
            sa.delete(audit_checkpoint).where(
                audit_checkpoint.c.size == checkpoint(newest, [signer(house).public]).size
            )
        )
        with pytest.raises(NotProvable, match="put back"):
            of_growth(tx, newest)
        with pytest.raises(NotProvable, match="not of this log"):
            of_growth(tx, "x\n\n")


def test_machines_see_how_the_seal_stands(house: House, clock: Clock):
    """The gauges tell what waits, and how far each target lags."""
    house = replace(house, settings=replace(house.settings, checkpoints_to=("file:/nowhere/x",)))
    sealed(house, 3)
    write(house, 2)
    clock.forward(minutes=1)
    lines = list(metrics(house))
    assert "syncline_audit_sealed_events 5" in lines
    assert "syncline_audit_unsealed_events 2" in lines
    assert 'syncline_audit_checkpoint_lag_seconds{target="1"} 60' in lines


def test_the_notary_seals_and_sends(house: House, tmp_path: Path):
    """The thread beside the dispatcher seals, sends, and seals what is left when it is stopped."""
    kept = tmp_path / "kept.txt"
    told = replace(house, settings=replace(house.settings, checkpoints_to=(f"file:{kept}",)))
    write(told, 3)
    notary = Notary(told, pause=0.02)
    notary.start()
    deadline = time.monotonic() + 10
    while not kept.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    write(told, 4)
    notary.close()
    assert kept.read_text().startswith("syncline/")
    with told.db.read() as tx:
        assert (StoredLog(tx).pending(), StoredLog(tx).size) == (0, 9)
        assert verify(StoredLog(tx)).intact


def test_a_backlog_holds_up_no_other_duty(house: House, monkeypatch: pytest.MonkeyPatch):
    """A round seals no more than its share, so checkpoints are sent behind any backlog; it ends early when stopped."""
    monkeypatch.setattr(notary_module, "BATCH", 2)
    monkeypatch.setattr(notary_module, "ROUND", 3)
    monkeypatch.setattr(notary_module, "seal", lambda own, key: seal(own, key, 2))
    write(house, 20)
    assert notary_module._round(house, lambda: False) == 6
    assert notary_module._round(house, lambda: True) == 2


def test_the_notary_tells_of_a_broken_seal(house: House, caplog: pytest.LogCaptureFixture):
    """A seal that was altered stops neither the notary nor the dispatcher, but the log says what to do."""
    sealed(house, 3)
    with house.db.begin() as tx:
        tx.execute(sa.update(audit_head).values(edge=bytes(64)))
    write(house, 1)
    notary = Notary(house, pause=60)
    notary.start()
    with caplog.at_level(logging.ERROR):
        notary.close()
    assert "syncline audit verify" in caplog.text


@pytest.mark.kill
def test_a_killed_sealer_leaves_a_whole_log(house: House, tmp_path: Path):
    """A sealer that is killed again and again leaves nothing half done; the last one seals the rest."""
    write(house, 400)
    url = house.db.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    environ = config.environment(SYNCLINE_DATA=str(tmp_path / "data"), SYNCLINE_DATABASE_URL=url)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environ}
    with subprocess.Popen([sys.executable, "-c", SEALERS], **pipes) as process:
        assert process.stdin
        assert process.stdout
        for wait in (0.03, 0.06, 0.1, 0.15, None):
            print("go", file=process.stdin, flush=True)
            pid = int(process.stdout.readline())
            if wait is not None:
                time.sleep(wait)
                os.kill(pid, signal.SIGKILL)
            assert process.stdout.readline() == "ended\n"
            with opened(house) as log:
                report = verify(log)
            assert report.intact, report.to_json()
        process.stdin.close()
    assert report.size == 402
