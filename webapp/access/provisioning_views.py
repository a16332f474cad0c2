"""The page about users and roles that the company's directory manages by SCIM."""

from __future__ import annotations

from typing import Any

from werkzeug.wrappers import Response

from webapp.access import scim_calls
from webapp.access.scim_views import ROOT
from webapp.web.views import RoomView, expose, has_access, permission_name


class ProvisioningView(RoomView):
    """What a directory needs to manage users here, and what it did."""

    route_base = "/provisioning"
    class_permission_name = "Provisioning"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the address, the keys, what is provisioned, the last calls and how directories are set up."""
        with self.house.db.read() as connection:
            keys = scim_calls.keys_for_it(connection, self.house)
            calls = scim_calls.recent(connection)
            brought = scim_calls.brought(connection)
        context: dict[str, Any] = {"keys": keys, "calls": calls, "brought": brought, "scopes": scim_calls.SCOPES}
        return self.page("access/provisioning.html", address=self.house.settings.console_url + ROOT, **context)
