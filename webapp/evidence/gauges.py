"""What machines read of the seal: how many events wait for it, and how far checkpoints lag behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webapp.evidence.deliveries import state
from webapp.evidence.stored import opened
from webapp.extensions import House


def metrics(house: House) -> Iterator[str]:
    """Yield the lines of Prometheus' text format; targets are told apart by their number in the settings."""
    with opened(house) as log:
        waiting, size = log.pending(), log.size
    yield from _gauge("sealed_events", "Audit events that are sealed.", [("", size)])
    yield from _gauge("unsealed_events", "Audit events that wait to be sealed.", [("", waiting)])
    sent = state(house)
    lags = [(f'{{target="{number}"}}', one.lag_seconds) for number, one in enumerate(sent, 1)]
    failed = [(f'{{target="{number}"}}', one.attempts) for number, one in enumerate(sent, 1)]
    yield from _gauge("checkpoint_lag_seconds", "Age of the oldest checkpoint that was not sent.", lags)
    yield from _gauge("checkpoint_failures", "Failed attempts since a checkpoint was sent.", failed)


def _gauge(name: str, text: str, values: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield f"# HELP syncline_audit_{name} {text}"
    yield f"# TYPE syncline_audit_{name} gauge"
    for labels, value in values:
        yield f"syncline_audit_{name}{labels} {round(value, 3):.12g}"
