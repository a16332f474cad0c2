"""What people call a rule, wherever a page names one."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask, g

from webapp.rulebook.models import rule
from webapp.web.request import house


def register(app: Flask) -> None:
    """Give the templates `rule_title`."""
    app.jinja_env.globals["rule_title"] = rule_title


def rule_title(name: str) -> str:
    """Return the title of a rule, or its name where it has none or is not there any more."""
    if "rule_titles" not in g:
        with house().db.read() as tx:
            named = tx.execute(sa.select(rule.c.name, rule.c.label).where(rule.c.label != ""))
            g.rule_titles = {row.name: row.label for row in named}
    return str(g.rule_titles.get(name, name))
