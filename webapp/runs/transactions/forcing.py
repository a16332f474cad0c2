"""What a person may do where the coordinator cannot: each deed is in the audit log with its reason.

What was decided is carried out by the coordinator only. A person can say that a system is gone for good, or that its
part was put in order by hand (`forget`), and can end what a system shows and nothing is stored of (`end_stray`).
"""

from __future__ import annotations

import sqlalchemy as sa

from connectors.two_phase import TwoPhase
from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.runs.models import installation
from webapp.runs.systems import Reached
from webapp.runs.transactions.deciding import conclude, load, note, prefix_of
from webapp.runs.transactions.models import global_transaction
from webapp.runs.transactions.recovery import state_of
from webapp.runs.transactions.states import ENDED, BranchState, State


class NotForced(Exception):
    """The deed is not possible, and why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


_NO_REASON = msg("Say why: the reason is kept in the audit log.")


def forget(house: House, number: int, side: str, reason: str, actor: Actor) -> None:
    """Take one system's part of a decided transaction for done without telling the system."""
    reason = _reason(reason)
    with house.db.begin() as tx:
        found = next(iter(load(tx, global_transaction.c.id == number)), None)
        branch = next((b for b in found.branches if b.side == side and b.gid), None) if found else None
        if found is None or branch is None:
            raise NotForced(msg("There is no such part of a transaction."))
        if found.state not in ENDED:
            raise NotForced(msg("The transaction has ended, or is not decided yet: look again in a moment."))
        done = BranchState.COMMITTED if found.state is State.COMMITTING else BranchState.ABORTED
        note(tx, number, side, done)
        told = {"transaction": number, "side": side, "gid": branch.gid, "deed": "taken for done", "as": done.value}
        subject = Subject("rule", found.rule_name, branch.connection)
        event = Event(Tag.TRANSACTION_FORCED, subject, None, told, reason, found.run_id)
        record(tx, actor, house.clock(), event)
    conclude(house, number)


def end_stray(house: House, connection: str, gid: str, reason: str, actor: Actor, *, commit: bool) -> None:
    """Commit or undo a prepared write that nothing is stored of; raises `ConnectorError` where the system does not."""
    reason = _reason(reason)
    with house.db.read() as tx:
        uid = tx.scalar(sa.select(installation.c.uid))
    if uid is None or not gid.startswith(prefix_of(uid)) or state_of(house, gid) is not None:
        raise NotForced(msg("Its transaction is known: Syncline ends it itself."))
    with house.db.begin() as tx:  # before the deed: one that nobody has heard of must not go without a trace
        told = {"gid": gid, "deed": "committed" if commit else "rolled back"}
        event = Event(Tag.TRANSACTION_FORCED, Subject("connection", connection, connection), None, told, reason)
        record(tx, actor, house.clock(), event)
    with Reached(house) as reached, reached.connect(connection) as connector:
        if not isinstance(connector, TwoPhase):
            raise NotForced(msg("{connection} is another kind of system now.", connection=connection))
        if gid not in {one.gid for one in connector.in_doubt(gid)}:
            raise NotForced(msg("{connection} does not show it any more.", connection=connection))
        (connector.commit_prepared if commit else connector.rollback_prepared)(gid)


def _reason(reason: str) -> str:
    if not reason.strip():
        raise NotForced(_NO_REASON)
    return reason.strip()
