"""The door bell."""

from __future__ import annotations

import dataclasses
import logging

import config
from webapp import wake


def test_wake_reaches_whoever_listens(settings: config.Settings, valkey_server):
    """A wake-up lies in the list until somebody takes it, and the list does not grow."""
    settings = dataclasses.replace(settings, redis_url=f"redis://{valkey_server.host}:{valkey_server.port}/0")
    client = wake.connect(settings.redis)
    client.delete(wake.LIST)
    assert wake.ping(settings)
    for _turn in range(wake.KEEP + 20):
        assert wake.announce(settings)
    assert client.llen(wake.LIST) == wake.KEEP
    assert client.rpop(wake.LIST) == "run"
    client.delete(wake.LIST)


def test_a_missing_redis_is_a_line_in_the_log(settings: config.Settings, caplog):
    """Without Redis nothing fails: the dispatcher finds the work in the database."""
    with caplog.at_level(logging.WARNING):
        assert not wake.announce(settings)
        assert not wake.ping(settings)
    assert "finds the work by itself" in caplog.text
