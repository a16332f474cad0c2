"""What can be wrong with a request to the rulebook.

RulebookError
├── RuleMissing      there is no such rule or version
├── BadName          the name is missing, malformed, taken or may not be changed
├── BadKind          the kind is unknown or may not be changed
├── StaleDraft       somebody else has saved the draft meanwhile
├── NotPublishable   the document has problems; nothing was published
└── RuleBusy         a run is at work with the rule
"""

from __future__ import annotations

from collections.abc import Sequence

from rules.documents import DocumentProblem
from rules.text import N_, Message, msg


class RulebookError(Exception):
    """The rulebook refuses; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class RuleMissing(RulebookError):
    """There is no such rule or version."""

    def __init__(self, name: str, version: int | None = None) -> None:
        if version is None:
            super().__init__(msg("There is no rule '{name}'.", name=name))
        else:
            super().__init__(msg("The rule '{name}' has no version {version}.", name=name, version=version))


class BadName(RulebookError):
    """The name is missing, malformed, taken or may not be changed."""


class BadKind(RulebookError):
    """The kind is unknown or may not be changed."""


class StaleDraft(RulebookError):
    """Somebody else has saved the draft meanwhile; `by` is who, `draft_version` what is stored now."""

    def __init__(self, name: str, by: str, draft_version: int) -> None:
        text = N_(
            "{by} saved a newer draft of the rule '{name}' while you were editing. Reload it and change it again."
        )
        super().__init__(msg(text, name=name, by=by))
        self.by = by
        self.draft_version = draft_version


class NotPublishable(RulebookError):
    """The document has problems; nothing was published."""

    def __init__(self, name: str, problems: Sequence[DocumentProblem]) -> None:
        first = str(problems[0].message)
        text = N_("The rule '{name}' cannot be published: {count} problem(s), the first is: {first}")
        super().__init__(msg(text, name=name, count=len(problems), first=first))
        self.problems = tuple(problems)


class RuleBusy(RulebookError):
    """A run is at work with the rule."""
