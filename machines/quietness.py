"""Which running machines do next to nothing: told from the CPU time that each has used between two looks.

QEMU never reports VIR_DOMAIN_BLOCKED, and x86 has no vcpu.N.halted statistic, so CPU time is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from uuid import UUID

from hypervisor.readings import Reading

QUIET_BELOW = 0.05
"""Share of one host CPU below which a machine counts as quiet.

Measured over 5 s each: the small guest at its prompt under TCG 0.2 to 0.8 %; a shell loop in it 100 %.
"""
SHORTEST = 2.0
"""Seconds between two looks, below which the measure would be too coarse."""


class Quietness:
    """Remembers the last look at each machine of one host."""

    def __init__(self) -> None:
        self._last: dict[UUID, int] = {}
        self._at = -math.inf

    def observe(self, readings: Iterable[Reading], at: float) -> dict[UUID, bool]:
        """Say of each machine whether it was quiet since the last look; those not seen before are left out.

        Args:
            readings: all of the host.
            at: when they were read, on a clock of seconds that never jumps.
        """
        seconds = at - self._at
        if seconds < SHORTEST:
            return {}
        used = {one.uuid: one.cpu_time_ns for one in readings if one.cpu_time_ns is not None}
        since = {uuid: total - self._last[uuid] for uuid, total in used.items() if uuid in self._last}
        self._last, self._at = used, at
        return {uuid: 0 <= spent < QUIET_BELOW * seconds * 1e9 for uuid, spent in since.items()}
