"""The command line on an initialised installation."""

from tests.cli.conftest import quiet_logs, syncline  # noqa: F401 - fixtures
