"""What a rule must not ask for if the database of both sides is to carry it out itself."""

from __future__ import annotations

from collections.abc import Iterator

from rules.documents.policies import Execute
from rules.documents.problems import DocumentProblem
from rules.documents.sync import DeleteDetect, DetectBy, Direction, SyncRule, Transaction
from rules.text import Message, msg

NO_DATABASE = msg("Both sides have to be in one database: PostgreSQL or SQLite.")


def unpushed(rule: SyncRule) -> list[DocumentProblem]:
    """Return what keeps a rule, as it is executed, from being carried out inside a database; none where it is not."""
    return list(_problems(rule)) if rule.execute is Execute.PUSHDOWN else []


def _problems(rule: SyncRule) -> Iterator[DocumentProblem]:
    side = "right" if rule.direction is Direction.RIGHT_TO_LEFT else "left"
    deletions = rule.deletes.detect in (DeleteDetect.NONE, DeleteDetect.FULL_SCAN)
    fitting: tuple[tuple[bool, str, Message], ...] = (
        (rule.direction is not Direction.TWO_WAY, "execute", _ONE_WAY),
        (getattr(rule.detect, side).by is DetectBy.FULL, f"detect/{side}/by", _FULL),
        (not rule.correlate, "correlate", _KEYS),
        (not rule.decisions, "decisions", _TABLES),
        (rule.transaction is Transaction.NONE, "transaction", _ALONE),
        (deletions, "deletes/detect", _SCAN),
        (getattr(rule, "split", None) is None, "split", _WHOLE),
    )
    for fits, path, text in fitting:
        if not fits:
            yield DocumentProblem(path, text)


_ONE_WAY = msg("Only a rule that flows one way, and asks for no cases, is carried out inside the database.")
_FULL = msg("A rule that is carried out inside the database compares all records: choose full.")
_KEYS = msg("A rule that is carried out inside the database finds partners by their key only.")
_TABLES = msg("A rule that is carried out inside the database asks no decision tables.")
_ALONE = msg("A rule that is carried out inside the database writes to one system, in transactions of its own.")
_SCAN = msg("A rule that is carried out inside the database notices deletions by full_scan.")
_WHOLE = msg("A rule that is carried out inside the database is not split over workers: the database does the work.")
