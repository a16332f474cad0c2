"""Alembic's environment: runs revisions on the connection that `webapp.migrations.services` hands over."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from webapp.extensions import UtcDateTime
from webapp.migrations.tables import all_tables, ours
from webapp.vault.journal import stored_type

_TRUTH: dict[str, str | Literal[False]] = {"true": "sa.true()", "false": "sa.false()"}


def render(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write our own types and truth values so that a revision means the same on every database."""
    if kind == "type" and (kept := stored_type(item)) is not item:
        return render(kind, kept, autogen) or f"sa.{type(kept).__name__}()"
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen.imports.add("from webapp.extensions import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return "sa.JSON().with_variant(postgresql.JSONB(), 'postgresql')"
    if kind == "server_default" and isinstance(item, sa.DefaultClause):
        return _TRUTH.get(str(item.arg).lower(), False)
    return False


def run() -> None:
    """Run the revisions in the caller's transaction."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=all_tables(),
        include_object=ours,
        render_item=render,
        render_as_batch=context.config.attributes["batch"],
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
