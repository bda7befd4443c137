"""How a waiting shutdown or reboot ends: by the watcher's news of its machine, or by its deadline."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Q
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.states import State
from lifecycle.models import Operation, OperationQuerySet, Status
from lifecycle.operations import advance
from lifecycle.outcomes import OFF_STATES, Ending, cancelled, succeeded
from machines import mirror
from machines.models import Machine
from machines.signals import machine_changed


@receiver(machine_changed)
def on_machine_changed(machine: Machine, rebooted: bool = False, **_kwargs: Any) -> None:
    """End what waits for this machine, in the watcher's process. Costs no query while the machine just runs."""
    if not rebooted and State(machine.state) not in OFF_STATES:
        return
    for row in _waiting().filter(machine=machine.pk):
        _settle(row, machine, rebooted=rebooted)


def settle(row: Operation) -> Operation | None:
    """End a waiting row whose news came before the row was waiting, or was lost; return it if it ended."""
    machine = Machine.objects.get(pk=row.machine_id)
    rebooted = bool(machine.rebooted_at and row.started_at and machine.rebooted_at >= row.started_at)
    return _settle(row, machine, rebooted=rebooted)


def expire_waiting() -> None:
    """Settle waiting rows whose news was lost, and end those past their deadline."""
    for row in _waiting().with_machine():
        if settle(row) is None and row.deadline and row.deadline <= timezone.now():
            _expire(row)


def _waiting() -> OperationQuerySet:
    return Operation.objects.filter(status=Status.RUNNING, waiting=True)


def _settle(row: Operation, machine: Machine, *, rebooted: bool) -> Operation | None:
    ending = _ending(row, machine, rebooted=rebooted)
    ended = advance(row, where=Q(waiting=True), **ending.changes) if ending else None
    if ended and rebooted and row.kind == "shutdown":
        mirror.clear_notes(machine.uuid)
    return ended


def _ending(row: Operation, machine: Machine, *, rebooted: bool) -> Ending | None:
    """Return how this news ends the row, None when it does not."""
    match State(machine.state):
        case State.CRASHED if row.kind == "shutdown":
            return Ending(Status.FAILED, _("It crashed while shutting down."), "crashed")
        case State.CRASHED:
            return Ending(Status.FAILED, _("It crashed while rebooting."), "crashed")
        case State.SAVED:
            return cancelled(_("It was saved instead."))
        case State.SHUTOFF | State.UNDEFINED if row.kind == "shutdown":
            return succeeded()
        case State.SHUTOFF | State.UNDEFINED:
            return Ending(Status.FAILED, _("It shut down instead of rebooting."), "stopped_instead")
    if rebooted and row.kind == "shutdown":
        return Ending(Status.FAILED, _("It rebooted instead of shutting down."), "rebooted_instead")
    return succeeded() if rebooted else None


def _expire(row: Operation) -> None:
    if not row.machine.host.reachable:
        sentence = _("Its host stopped answering, so it is not known whether the guest did it.")
        advance(row, where=Q(waiting=True), **Ending(Status.INTERRUPTED, sentence, "host_unreachable").changes)
        return
    ended = advance(row, where=Q(waiting=True), **Ending(Status.FAILED, _overdue_sentence(row), "timeout").changes)
    if ended and row.kind == "shutdown":
        mirror.note_overdue(row.machine.uuid)


def _overdue_sentence(row: Operation) -> str:
    facts = {"name": row.machine.name, "seconds": settings.SHUTDOWN_LIMIT}
    if row.kind == "shutdown":
        sentence = _("%(name)s did not shut down within %(seconds)s s; it may be ignoring the power button.")
        return sentence % facts + " " + _("Force off is available.")
    sentence = _("%(name)s did not reboot within %(seconds)s s; it may be ignoring the power button.")
    return sentence % facts + " " + _("Reset is available.")
