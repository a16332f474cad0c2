"""The conformance suite: one class to inherit, and a connector is tested against every promise of `connectors.spi`.

    from connectors.testing import ConnectorConformance

    class TestAcme(ConnectorConformance):
        connector = Acme

        @pytest.fixture
        def settings(self, acme_server): return {"host": acme_server.host, "password": "secret"}

        def seed(self, settings, schema, records): ...      # create the object by Acme's own means
        def broken(self, settings): return [{**settings, "host": "nowhere.invalid"}]

Tests of capabilities that the connector does not claim are skipped. The module is a pytest plugin too, which is how
its assertions get their detailed failure texts, and how `--connector-quality=FILE` writes down what the suite finds;
the product never imports it.
"""

from __future__ import annotations

import pytest

_PARTS = ("sample", "read", "changes", "deletions", "filter", "ranges", "messages", "write")
pytest.register_assert_rewrite(*(f"connectors.testing_{part}" for part in _PARTS))

from connectors.testing_changes import CaptureLaws  # noqa: E402 - after the registration
from connectors.testing_deletions import DeletionLaws  # noqa: E402
from connectors.testing_filter import FilterLaws  # noqa: E402
from connectors.testing_messages import MessageLaws  # noqa: E402
from connectors.testing_quality import add_options, configure  # noqa: E402
from connectors.testing_ranges import RangeLaws  # noqa: E402
from connectors.testing_read import CursorLaws, SpecLaws  # noqa: E402
from connectors.testing_sample import EXTREMES, KEY, TITLE, VERSION, Settings, name_of  # noqa: E402
from connectors.testing_write import FenceLaws  # noqa: E402

__all__ = ["EXTREMES", "KEY", "TITLE", "VERSION", "ConnectorConformance", "Settings", "name_of"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options about quality."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of evidence, and watch the run where quality is asked for."""
    configure(config)


class ConnectorConformance(
    SpecLaws, CursorLaws, CaptureLaws, DeletionLaws, FilterLaws, RangeLaws, MessageLaws, FenceLaws
):
    """Every promise of a connector as a test; inherit it and fill in the hooks."""
