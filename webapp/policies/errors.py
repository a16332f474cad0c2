"""Why something may not be seen or done. As an answer of the console it is a refusal (403) with its sentence."""

from __future__ import annotations

from werkzeug.exceptions import Forbidden

from rules.text import Message


class NotPermitted(Forbidden):
    """What was asked for is not permitted; `message` says what and to whom to turn."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message

    def __str__(self) -> str:
        """Return the sentence in English."""
        return str(self.message)
