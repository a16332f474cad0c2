"""How much of a run's CPU time is spent on proving it: outcomes of all records, digests, audit events and their seal.

The chunks that a first load has left are packed, digested and stored once more, exactly as the run did it, in a process
that does nothing else; packing uses several threads, so it cannot be told apart within the run itself.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from tests.houses import fresh_house
from webapp.audit.sealing import seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.signing import signer
from webapp.extensions import SYSTEM, open_database, utcnow
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.codec import digest, pack, unpack


def main(url: str, run_id: int) -> None:
    """Print the CPU seconds that the chunks of a run took to be proven."""
    db, spent = open_database(url), 0.0
    with tempfile.TemporaryDirectory() as folder, fresh_house(Path(folder)) as house:
        chunks = sa.Table("proven", sa.MetaData(), *(sa.Column(name, sa.LargeBinary) for name in ("blob", "digest")))
        with house.db.begin() as tx:
            chunks.create(tx)
        with db.read() as source:
            mine = run_chunk.c.run_id == run_id
            for number, counts in source.execute(sa.select(run_chunk.c.no, run_chunk.c.counts).where(mine)).all():
                blob = source.scalar(sa.select(run_chunk.c.outcomes).where(mine, run_chunk.c.no == number))
                frames = unpack(blob or b"")
                started = time.process_time()
                packed = pack(frames)
                mark = digest(packed)
                with house.db.begin() as tx:
                    tx.execute(sa.insert(chunks).values(blob=packed, digest=mark.encode()))
                    after = {"chunk": number, "counts": counts, "digest": mark}
                    event = Event(Tag.RUN_CHUNK, Subject("rule", "w1"), None, after, run_id=1)
                    record(tx, SYSTEM, utcnow(), event)
                spent += time.process_time() - started
        key = signer(house)
        started = time.process_time()
        seal_all(house, key)
        spent += time.process_time() - started
    db.engine.dispose()
    print(spent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
