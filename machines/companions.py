"""What follows a host beside its watch, in threads and with connections of its own; apps above register it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from machines.leases import HeldLease


class Companion(Protocol):
    """Follows one host for as long as its lease is held by this process; brings itself back when the host fails."""

    def close(self) -> None:
        """End soon; waits for nothing. Called again is fine."""


companions: list[Callable[[str, str, HeldLease], Companion]] = []
"""Each is called with a host's name, its URI and the lease, when the watch of that host begins."""
