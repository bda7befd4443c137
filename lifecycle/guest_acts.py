"""The worker's part of what is asked of a guest or pressed on its keyboard."""

from __future__ import annotations

from lifecycle.calling import called
from lifecycle.connections import Purpose, domain_of
from lifecycle.linux_keys import numbers
from lifecycle.models import Operation
from lifecycle.outcomes import Ending


def pmsuspend(operation: Operation) -> Ending | None:
    """Have the guest put itself to sleep; returns when it sleeps."""
    domain = domain_of(operation.machine, Purpose.QUICK)
    return called(operation, lambda: domain.pm_suspend(operation.parameters["mode"]))


def send_keys(operation: Operation) -> Ending | None:
    """Press keys together, and let them go."""
    domain, given = domain_of(operation.machine, Purpose.QUICK), operation.parameters
    return called(operation, lambda: domain.send_keys(numbers(given["keys"]), given["hold_ms"]))
