"""The version that follows this one: its code is the same but for a column of runs, which it adds and writes."""

from __future__ import annotations

import shutil
from pathlib import Path

from webapp.migrations.services import head

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("webapp", "rules", "connectors", "templates", "config.py", "wsgi.py")
REVISION = '''"""Adds what the version before does not know."""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "{name}", "{before}"
branch_labels = depends_on = None


def upgrade():
    op.add_column("run", sa.Column("made_by", sa.Integer(), server_default="1", nullable=False))


def downgrade():
    op.drop_column("run", "made_by")
'''
COLUMN = """
run.append_column(sa.Column("made_by", sa.Integer, nullable=False, server_default="1", default=2))
"""


def next_version(folder: Path) -> Path:
    """Write the next version into a folder; a run that one of its consoles has started says `made_by` 2."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, folder / part)
    name = f"{int(head()[:4]) + 1:04d}"
    revision = folder / "webapp" / "migrations" / "versions" / f"{name}_next.py"
    revision.write_text(REVISION.format(name=name, before=head()))
    with (folder / "webapp" / "runs" / "models.py").open("a") as models:
        models.write(COLUMN)
    return folder
