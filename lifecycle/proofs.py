"""What shows that an operation was done where no state tells: in the mirror, or on the host when a worker was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from hypervisor.readings import Reading
from hypervisor.states import State
from lifecycle.models import Operation, Status
from lifecycle.outcomes import Ending, succeeded
from machines.models import Machine

Shown = Machine | Reading
Proof = Callable[[Shown | None, Mapping[str, Any]], bool]
"""Takes the machine as its row or its host shows it, None when libvirt does not know it, and the parameters."""

PROOFS: dict[str, Proof] = {
    "define": lambda shown, _given: shown is not None and shown.persistent,
    "undefine": lambda shown, _given: shown is None or not shown.persistent,
    "autostart": lambda shown, given: shown is not None and shown.autostart == given["on"],
}


def is_mirrored(operation: Operation) -> bool:
    """Say whether the machine's row shows already that this operation, one of PROOFS, was done."""
    fields = ("state", "persistent", "autostart")
    machine = Machine.objects.only(*fields).exclude(state=State.UNDEFINED).filter(pk=operation.machine_id).first()
    return PROOFS[operation.kind](machine, operation.parameters)


def proven_ending(operation: Operation, reading: Reading | None) -> Ending | None:
    """Return the end of an operation of PROOFS whose worker was lost, None when the host shows that it was not done."""
    if not PROOFS[operation.kind](reading, operation.parameters):
        return None
    if operation.kind == "define" and "xml" in operation.parameters:
        return _unknown(_("Contact with it was lost; look at the definition whether it is the new one."))
    if disks := operation.parameters.get("disks"):
        sentence = _(
            "Its host has forgotten it. Contact was lost: it is not known whether these disks were deleted: %s."
        )
        return _unknown(sentence % ", ".join(disks))
    return succeeded(_("Contact with it was lost on the way; its host confirms that it was done."))


def _unknown(sentence: str) -> Ending:
    return Ending(Status.INTERRUPTED, sentence, "outcome_unknown")
