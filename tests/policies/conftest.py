"""The console from tests/webapp."""

from __future__ import annotations

from tests.webapp.conftest import admin_client, app, client, house, settings  # noqa: F401 - fixtures
