"""What people call a rule, wherever a page names one."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Flask, g

from webapp.rulebook.models import rule
from webapp.rulebook.reading import find
from webapp.rulebook.side_names import SideNames, side_names
from webapp.web.request import house


def register(app: Flask) -> None:
    """Give the templates `rule_title` and `side_title`."""
    app.jinja_env.globals["rule_title"] = rule_title
    app.jinja_env.globals["side_title"] = side_title


def rule_title(name: str) -> str:
    """Return the title of a rule, or its name where it has none or is not there any more."""
    if "rule_titles" not in g:
        with house().db.read() as tx:
            named = tx.execute(sa.select(rule.c.name, rule.c.label).where(rule.c.label != ""))
            g.rule_titles = {row.name: row.label for row in named}
    return str(g.rule_titles.get(name, name))


def side_title(name: str, side: str | None) -> str:
    """Return what people call the system on a side of a rule; empty where the rule is not there any more."""
    known: dict[str, SideNames | None] = g.setdefault("side_titles", {})
    if name not in known:
        with house().db.read() as tx:
            row = find(tx, name)
            known[name] = side_names(tx, row.published or row.document) if row else None
    names = known[name]
    return names.of(side or "left") if names else ""
