"""Odoo's JSON-2 interface, as its documentation describes it: arguments by name, status codes for errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.presets.odoo import Odoo
from tests.presets.server import Asked, Refused, Reply, route

STATUS = {"UserError": 422, "ValidationError": 422, "AccessError": 403, "MissingError": 404}


class Odoo19(Odoo):
    preset = "odoo19"
    answers = {"url": "https://acme.odoo.com", "database": "acme", "api_key": "k3y"}
    static = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.token = "k3y"

    def authorized(self, asked: Asked) -> bool:
        assert asked.headers["x-odoo-database"] == "acme"
        return asked.headers.get("authorization", "").lower() == f"bearer {self.token}" and bool(self.token)

    def _error(self, code: int, name: str, message: str) -> Reply:
        status = STATUS.get(name.rpartition(".")[2], code)
        return Reply({"name": name, "message": message, "arguments": [message], "context": {}, "debug": "T"}, status)

    def unauthorized(self) -> Reply:
        return self._error(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey")

    @route("POST", "/json/2/{model}/{method}")
    def called(self, asked: Asked, model: str, method: str) -> Reply:
        body = asked.json()
        if model not in self.rows:
            raise Refused(self._error(404, "werkzeug.exceptions.NotFound", f"the model '{model}' does not exist"))
        deeds: dict[str, Callable[..., Any]] = {
            "search_read": self._search,
            "create": lambda model, vals_list: [self._create(model, values) for values in vals_list],
            "write": self._write,
            "unlink": self._unlink,
        }
        return Reply(deeds[method](model, **body))
