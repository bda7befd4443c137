"""The pictures of screens that the portal makes: how large, how often, and how long one is kept."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Size(StrEnum):
    """Small ones stand in lists and large ones on a machine's page; the stream is a console session made of them."""

    SMALL = "small"
    LARGE = "large"
    STREAM = "stream"


THUMBNAILS = frozenset({Size.SMALL, Size.LARGE})
"""What a policy may forbid. The stream is a console session, which is on record and shown to all who are there."""


@dataclass(frozen=True, slots=True)
class Making:
    """How pictures of one size are made."""

    box: tuple[int, int]
    """Pixels into which they fit."""
    quality: int
    """Of the WebP, 0 to 100."""
    every: float
    """Seconds from one picture of a machine to the next, as long as somebody looks."""
    kept: int
    """Seconds for which the last one is kept."""


MAKING: dict[Size, Making] = {
    Size.SMALL: Making((320, 180), quality=55, every=10.0, kept=300),
    Size.LARGE: Making((1280, 1024), quality=70, every=5.0, kept=60),
    Size.STREAM: Making((1280, 1024), quality=70, every=1.0, kept=30),
}

WANTED_SECONDS = 30
"""How long a machine is wanted after somebody said so."""
