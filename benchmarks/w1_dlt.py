"""dlt from PostgreSQL to PostgreSQL, in its own environment: w1_dlt.py SOURCE TARGET default|best replace|merge."""

from __future__ import annotations

import sys

import dlt
from dlt.sources.sql_database import sql_table


def main(source: str, target: str, kind: str, write: str) -> None:
    """Load the customers once; `merge` goes on at the cursor of the last time."""
    more = {"backend": "connectorx"} if kind == "best" else {}
    if write == "merge":
        more |= {"incremental": dlt.sources.incremental("updated_at"), "primary_key": "id"}
    table = sql_table(source, table="customers", schema="public", **more)
    pipeline = dlt.pipeline(
        f"w1_{kind}", pipelines_dir="pipelines", destination=dlt.destinations.postgres(target), dataset_name=write
    )
    form = {"loader_file_format": "csv"} if kind == "best" else {}
    pipeline.run(table, write_disposition=write, **form).raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:5])
