"""ADBC alone: an Arrow file into a table of SQLite. Runs in the environment `adbc`: w1_ingest.py ARROW SQLITE."""

from __future__ import annotations

import sys
import time

import adbc_driver_sqlite.dbapi
import pyarrow as pa


def main(records: str, file: str) -> None:
    """Append the records in one transaction and print the wall seconds."""
    with pa.memory_map(records) as source, adbc_driver_sqlite.dbapi.connect(file) as connection:
        reader = pa.ipc.open_file(source)
        pages = map(reader.get_batch, range(reader.num_record_batches))
        batches = pa.RecordBatchReader.from_batches(reader.schema, pages)
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.adbc_ingest("customers", batches, mode="append")
        connection.commit()
        print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:3])
