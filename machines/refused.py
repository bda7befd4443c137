"""The one exception for "no": what was asked is refused, with a code for scripts and a sentence for people."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """Something a person or script asked is refused. Pages show the sentence, the API answers the contract's error.

    Args:
        code: a stable word for scripts, for example `state_conflict`.
        sentence: what is in the way and what to do, in the reader's language.
        status: the HTTP status of the answer.
        details: more for scripts, JSON-serialisable.
        retry_after: in how many seconds it may be asked again, where that is known.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        status: int = 409,
        details: dict[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status
        self.details = details or {}
        self.retry_after = retry_after
