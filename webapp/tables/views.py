"""The pages of tables: decision tables, lookup tables, and both as files."""

from __future__ import annotations

from flask import Response as Download
from flask import abort, flash, redirect
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import decision_table, lookup
from webapp.rulebook.kinds import kind_of
from webapp.rulebook.reading import RuleRow
from webapp.tables import exchange
from webapp.tables.exchange import FileRefused
from webapp.tables.lookup_views import LookupView
from webapp.tables.pages import TablePage
from webapp.tables.table_views import DecisionTableView
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class TableFilesView(TablePage):
    """Tables as files: CSV, XLSX, and DMN for decision tables."""

    @expose("/<name>/file/<form>")
    @has_access
    @permission_name("read")
    def download(self, name: str, form: str) -> Response:
        """Download what the draft holds."""
        rule = self._table(name)
        made = exchange.written(rule.document, form)
        if made is None:
            abort(404)
        headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
        return Download(made.data, mimetype=made.mimetype, headers=headers)

    @expose("/<name>/file")
    @has_access
    @permission_name("update")
    def file(self, name: str) -> Response:
        """Ask for a file."""
        return self._form(self._table(name))

    @expose("/<name>/file", methods=["POST"])
    @has_access
    @permission_name("update")
    def replace(self, name: str) -> Response:
        """Replace rows and columns of the draft by those of a file."""
        rule = self._table(name)
        try:
            document = exchange.uploaded(rule.document)
        except FileRefused as error:
            return self._form(rule, translated(error.message), 422)
        if stale := self.save(rule, document):
            return self._form(rule, translated(stale.message), 409)
        flash(_("The draft now holds what the file says. Look at it before you publish it."), "success")
        return redirect(f"/rules/{name}/{kind_of(document).home}")

    def _table(self, name: str) -> RuleRow:
        rule = self.rule(name)
        if rule.kind not in (decision_table.KIND, lookup.KIND):
            abort(404)
        return rule

    def _form(self, rule: RuleRow, error: str = "", status: int = 200) -> Response:
        chosen = {"accept": exchange.accepted(rule.kind), "file_help": exchange.help_on(rule.kind)}
        return self.frame("tables/file.html", rule, "", status, error=error, **chosen)


VIEWS = (DecisionTableView, LookupView, TableFilesView)
