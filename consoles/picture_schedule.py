"""Whose picture is taken next: no machine more often than wanted, and none of which one is under way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from consoles.picture_shelf import Wishes
from consoles.picture_sizes import MAKING, Size

UNDER_WAY_AT_MOST = 3
"""Pictures of one host that are taken at the same time: one that hangs does not keep the others waiting."""
FIRST_REST = 5.0
LONGEST_REST = 60.0
"""Seconds for which a machine is left alone after a picture failed, twice as long each time."""

AT_ONCE = float("-inf")


@dataclass(slots=True)
class _Record:
    """What is known of one machine: when each size was begun last, and its rest after failures."""

    begun: dict[Size, float]
    rests_until: float = 0.0
    rest: float = FIRST_REST


class Schedule:
    """The wishes for one host, and what became of them. For one thread; times are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._wishes: Wishes = {}
        self._records: dict[UUID, _Record] = {}
        self._under_way: set[UUID] = set()

    @property
    def wanted(self) -> bool:
        """Whether anything is wanted."""
        return bool(self._wishes)

    def follow(self, wishes: Wishes) -> None:
        """Want these from now on, and nothing else."""
        self._wishes = wishes
        for machine in self._records.keys() - wishes.keys() - self._under_way:
            del self._records[machine]

    def next(self, now: float) -> tuple[UUID, set[Size]] | None:
        """Begin what has been due for the longest: a machine, and the sizes to make of its picture."""
        if len(self._under_way) >= UNDER_WAY_AT_MOST:
            return None
        since = {machine: self._due_since(machine, sizes) for machine, sizes in self._wishes.items()}
        due = {machine: at for machine, at in since.items() if at <= now and machine not in self._under_way}
        if not due:
            return None
        machine = min(due, key=due.__getitem__)
        return machine, self._begin(machine, now)

    def done(self, machine: UUID, now: float, *, well: bool) -> None:
        """Take note that the picture of a machine was taken, or that it failed."""
        self._under_way.discard(machine)
        record = self._records[machine]
        record.rests_until = 0.0 if well else now + record.rest
        record.rest = FIRST_REST if well else min(record.rest * 2, LONGEST_REST)

    def _begin(self, machine: UUID, now: float) -> set[Size]:
        record = self._records.setdefault(machine, _Record({}))
        sizes = {size for size in self._wishes[machine] if _due(record, size) <= now}
        record.begun |= dict.fromkeys(sizes, now)
        self._under_way.add(machine)
        return sizes

    def _due_since(self, machine: UUID, sizes: Collection[Size]) -> float:
        """Return when the first of its sizes was or will be due."""
        record = self._records.get(machine)
        return max(min(_due(record, size) for size in sizes), record.rests_until) if record else AT_ONCE


def _due(record: _Record, size: Size) -> float:
    return record.begun[size] + MAKING[size].every if size in record.begun else AT_ONCE
