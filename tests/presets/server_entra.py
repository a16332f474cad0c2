"""Microsoft's token service (Entra ID), as its documentation describes it."""

from __future__ import annotations

from collections import defaultdict

from tests.delta_links import DeltaLinks
from tests.presets.server import Asked, Reply, Vendor, route


class Entra(Vendor):
    """A vendor that Entra's tokens lead to, and that remembers what was changed."""

    captured = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.deltas: dict[str, DeltaLinks] = defaultdict(DeltaLinks)

    def forget(self, name: str) -> None:
        self.deltas[name].changed(["id-1"])
        self.deltas[name].forgotten = len(self.deltas[name].log)

    @route("POST", "/acme.onmicrosoft.com/oauth2/v2.0/token", public=True, kind="application/x-www-form-urlencoded")
    def sign_in(self, asked: Asked) -> Reply:
        form = asked.form()
        assert form.pop("scope").endswith("/.default")
        if form != {"grant_type": "client_credentials", "client_id": "app", "client_secret": "shh"}:
            return Reply({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret"}, 401)
        return Reply({"token_type": "Bearer", "expires_in": 3599, "access_token": self.issue()})
