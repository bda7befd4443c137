"""What a list offers to ask of many machines at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifecycle.bulk import MOST
from lifecycle.sight import Sight
from machines.access import Right
from machines.operation_table import TABLE, Kind, Place

IN_SIGHT = ("start", "shutdown", "suspend", "resume", "save")
"""What is asked of many most often; the rest is in a menu."""


@dataclass(frozen=True, slots=True)
class BulkBar:
    """The operations that need no parameters and that this person may ask of one of the machines in sight at least."""

    buttons: list[Kind]
    menu: list[Kind]
    total: int
    elsewhere: bool

    @classmethod
    def over(cls, rows: Sequence[Sight], *, total: int) -> BulkBar | None:
        """Return the bar for these rows of a list of `total`."""
        right = max((row.right for row in rows), default=Right.NONE)
        kinds = [kind for kind in TABLE.values() if kind.place is not Place.FORM and kind.right <= right]
        if not kinds:
            return None
        buttons = [kind for kind in kinds if kind.name in IN_SIGHT]
        return cls(buttons, [kind for kind in kinds if kind not in buttons], total, total > len(rows))

    @property
    def too_many(self) -> bool:
        """Whether more machines match than can be asked at once."""
        return self.total > MOST

    @property
    def most(self) -> int:
        """Return how many can be asked at once."""
        return MOST
