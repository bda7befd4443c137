"""Where each operation wants its machine to be, and how an operation ended, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from hypervisor.errors import HypervisorError
from hypervisor.states import ACTIVE_STATES, State
from lifecycle.models import Status

OFF_STATES = frozenset({State.SHUTOFF, State.SAVED, State.CRASHED, State.UNDEFINED})
MESSAGE_LENGTH = 500

AIMS: dict[str, frozenset[State]] = {
    "start": ACTIVE_STATES,
    "restore": ACTIVE_STATES,
    "fresh-boot": ACTIVE_STATES,
    "shutdown": OFF_STATES,
    "suspend": frozenset({State.PAUSED}),
    "resume": frozenset({State.RUNNING, State.IDLE}),
    "save": frozenset({State.SAVED}),
    "destroy": OFF_STATES,
    "discard-image": frozenset({State.SHUTOFF, State.CRASHED}),
    "create": ACTIVE_STATES,
    "pmsuspend": frozenset({State.PMSUSPENDED, State.SHUTOFF}),
    "wakeup": frozenset({State.RUNNING, State.IDLE}),
}
"""The states in which an operation has reached its aim; those that leave no such trace (reboot, reset) are not here.
What shows that autostart, define and undefine were done stands in `lifecycle.proofs`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How an operation ended. `code` and `text` are filled in when it failed or was interrupted."""

    status: Status
    message: str = ""
    code: str = ""
    text: str = ""

    @property
    def changes(self) -> dict[str, Any]:
        """Return the columns to write."""
        done = {"progress": 100} if self.status == Status.SUCCEEDED else {}
        return {
            "status": self.status,
            "message": self.message[:MESSAGE_LENGTH],
            "error_code": self.code,
            "error_text": self.text,
            **done,
        }


def succeeded(message: str = "") -> Ending:
    """Return the end of an operation that did what it was asked."""
    return Ending(Status.SUCCEEDED, message)


def cancelled(message: str) -> Ending:
    """Return the end of an operation that somebody called off."""
    return Ending(Status.CANCELLED, message)


def failed(error: HypervisorError) -> Ending:
    """Return the end of an operation that libvirt refused or could not do, with libvirt's own words kept."""
    return Ending(Status.FAILED, error.sentence, error.word, error.text)


def broken() -> Ending:
    """Return the end of an operation that met a fault of the portal itself (the traceback is in the worker's log)."""
    return Ending(Status.FAILED, _("The portal failed while doing this. Its log says more."), "internal_error")
