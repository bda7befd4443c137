"""What a client may do at a console."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """Whether it may touch the machine, or only look."""

    CONTROL = "control"
    VIEW = "view"


def mode_of(word: str | None) -> Mode | None:
    """Return the mode that a word names, None when it names none."""
    return Mode(word) if word in set(Mode) else None
