"""From the errors of the rooms to mistakes at their place in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors.errors import ConnectorError
from rules.documents import DocumentError, DocumentProblem
from rules.text import N_, Message, msg
from webapp.access.errors import Refused
from webapp.approvals.errors import ApprovalProblem
from webapp.configuration.errors import ConfigurationRefused, Mistake
from webapp.connections.services import ConnectionInvalid, ConnectionProblem, sentence
from webapp.entities.services import ChangeRefused
from webapp.events.hooks import HookRefused
from webapp.rulebook.errors import NotPublishable, RulebookError
from webapp.vault.errors import VaultError

Place = Callable[[str, Message], Mistake]
"""Makes a mistake of a path in the document and a sentence."""


@contextmanager
def refusals(place: Place) -> Iterator[None]:
    """Turn what a room refuses into `ConfigurationRefused`."""
    try:
        yield
    except ConnectionInvalid as error:
        raise ConfigurationRefused([place("/".join(p.path), p.message) for p in error.problems]) from None
    except (DocumentError, NotPublishable) as error:
        raise ConfigurationRefused([place(p.path, with_column(p)) for p in error.problems]) from None
    except ChangeRefused as error:
        raise ConfigurationRefused([place("", _hint(error))]) from None
    except Refused as error:
        raise ConfigurationRefused([place("", error.message)]) from None
    except (ConnectionProblem, RulebookError, ApprovalProblem, HookRefused) as error:
        raise ConfigurationRefused([place("", error.message)]) from None
    except (ConnectorError, VaultError) as error:
        raise ConfigurationRefused([place("", sentence(error))]) from None


def with_column(problem: DocumentProblem) -> Message:
    """Return what is wrong, with the place inside the expression where it is in one."""
    if problem.column is None:
        return problem.message
    text = N_("{problem} (line {line}, column {column} of the expression)")
    return msg(text, problem=problem.message, line=problem.line or 1, column=problem.column)


def _hint(error: ChangeRefused) -> Message:
    steps = [str(step.message) for step in error.plan.steps if step.tone in {"blocked", "loses"}]
    text = N_("{steps} Values would be lost; add --allow-loss if that is meant.")
    return msg("{steps}" if error.plan.blocked else text, steps=" ".join(steps))
