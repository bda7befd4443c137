"""How long to wait before trying again what failed."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from `first` up to `longest` seconds; waits are shortened by chance, so that many do not try at once."""

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def wait(self) -> float:
        """Return the seconds to wait after this failure: between half of the present step and all of it."""
        step, self._next = self._next, min(self._next * 2, self._longest)
        return random.uniform(step / 2, step)  # noqa: S311  # spreads load, guards nothing

    def reset(self) -> None:
        """Begin anew: it worked."""
        self._next = self._first
