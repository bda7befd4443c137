"""Carrying an operation out, in a worker: take the row, call libvirt, write truthfully how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import Error as DatabaseFailure
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.domain import Domain
from hypervisor.errors import DomainNotFound, HypervisorError, OperationAborted
from hypervisor.states import State
from lifecycle import definition_acts, disk_room, guest_acts, news, saved_file_acts
from lifecycle.calling import LOST, called
from lifecycle.connections import Purpose, domain_of, verdict_on_host
from lifecycle.following import follow
from lifecycle.models import Operation, Status
from lifecycle.operations import OF_POLICIES, advance, preempted_sentence
from lifecycle.outcomes import AIMS, Ending, broken, cancelled, failed, succeeded
from lifecycle.proofs import PROOFS, is_mirrored
from lifecycle.pulse import WORKER, pulse
from lifecycle.quota_demands import overtaken
from machines import mirror, reread
from machines.access import right_over
from machines.models import Machine
from machines.operation_table import TABLE, Queue
from machines.refusals import RefusalCode

log = logging.getLogger(__name__)

MIRROR_PATIENCE = 1.0
"""Seconds an operation that is done waits for the mirror to show it, so that whoever sees it succeed may ask the next
one at once. With a watcher at work the state is there before libvirt's call returns."""
PREEMPTED_PATIENCE = 2.0
"""Seconds a force off waits for the operation it pre-empted, before it acts regardless."""
_DONE = frozenset({State.SHUTOFF, State.UNDEFINED})
"""Where a shutdown has led to, as far as the host knows."""
ABORT_AFTER = 0.8
"""Seconds after which it aborts a pre-empted save itself: a living worker does so within half a second."""


def run(operation_id: int) -> None:
    """Carry out a queued operation; return quietly when it is gone or somebody else has taken it."""
    queued = Operation.objects.with_machine().filter(pk=operation_id, status=Status.QUEUED).first()
    if queued is None:
        return
    now = timezone.now()
    taken = advance(queued, status=Status.RUNNING, started_at=now, worker=WORKER, heartbeat_at=now)
    if taken is None:
        return
    with pulse.holding(taken.pk):
        if ending := _no_longer_allowed(taken) or _carry_out(taken):
            finish(taken, ending)


def _no_longer_allowed(operation: Operation) -> Ending | None:
    """Call off what somebody asked who has lost the right to it, or the room for it, while it was queued."""
    if not (_is_of_a_policy(operation) or _may_still(operation)):
        return cancelled(_("Whoever asked for this may not do it any more."))
    sentence = overtaken(operation) or disk_room.lacking(operation)
    return Ending(Status.FAILED, sentence, RefusalCode.QUOTA) if sentence else None


def _is_of_a_policy(operation: Operation) -> bool:
    """Return whether the portal asked it by itself, and may."""
    return operation.asked_by_portal and operation.requested_by is None and operation.kind in OF_POLICIES


def _may_still(operation: Operation) -> bool:
    person = operation.requested_by
    needed = TABLE[operation.kind].variant(operation.parameters).right
    return bool(person and person.is_active and right_over(person, operation.machine) >= needed)


def finish(operation: Operation, ending: Ending) -> None:
    """Write the end of an operation that this process holds."""
    if advance(operation, where=Q(worker=WORKER), **ending.changes) is None:
        log.warning("Operation %s was ended by somebody else before this worker could", operation.pk)


def _carry_out(operation: Operation) -> Ending | None:
    try:
        ending = _ACTS.get(operation.kind, _simply)(operation)
        reread.ask(operation.machine)
        if ending and ending.status == Status.SUCCEEDED:
            _wait_for_mirror(operation)
        return ending
    except HypervisorError as error:
        reread.ask(operation.machine)
        return _ending_of_error(operation, error)
    except DatabaseFailure:
        log.exception(
            "Operation %s (%s): the database failed; its host is asked how it ended", operation.pk, operation.kind
        )
        return LOST
    except Exception:
        log.exception("Operation %s (%s) failed", operation.pk, operation.kind)
        return broken()


def _ending_of_error(operation: Operation, error: HypervisorError) -> Ending | None:
    log.info("Operation %s (%s): %s", operation.pk, operation.kind, error)
    flags = Operation.objects.filter(pk=operation.pk).values_list("preempted", "cancel_requested").first()
    preempted, cancel_requested = flags or (False, False)
    if preempted:
        return cancelled(preempted_sentence())
    if cancel_requested and isinstance(error, OperationAborted):
        return cancelled(_("Cancelled. The machine goes on as it was."))
    return failed(error)


def _wait_for_mirror(operation: Operation) -> None:
    """Return when the mirror shows what this operation did, or after a moment."""
    until = time.monotonic() + MIRROR_PATIENCE
    while not _is_mirrored(operation) and time.monotonic() < until:
        time.sleep(0.02)


def _is_mirrored(operation: Operation) -> bool:
    if operation.kind in PROOFS:
        return is_mirrored(operation)
    aim = AIMS.get(operation.kind)
    return aim is None or Machine.objects.filter(pk=operation.machine_id, state__in=aim).exists()


def _simply(operation: Operation) -> Ending | None:
    """Make the one call of a kind that needs no more than that."""
    purpose = Purpose.LONG if _is_long(operation) else Purpose.QUICK
    domain = domain_of(operation.machine, purpose)
    return called(operation, lambda: _VERBS[operation.kind](domain))


def _is_long(operation: Operation) -> bool:
    return TABLE[operation.kind].queue is Queue.LONG or operation.machine.state == State.SAVED


def _save(operation: Operation) -> Ending | None:
    if operation.parameters.get("file"):
        return saved_file_acts.save(operation)
    domain = domain_of(operation.machine, Purpose.LONG)
    return called(operation, lambda: follow(operation, domain.save_managed))


def _reset(operation: Operation) -> Ending | None:
    ending = _simply(operation)
    if ending:
        mirror.clear_notes(operation.machine.uuid)
    return ending


def _ask_guest(operation: Operation) -> Ending | None:
    """Ask the guest to shut down or reboot; from then on the row waits without a worker."""
    domain = domain_of(operation.machine, Purpose.QUICK)
    ask = domain.shutdown if operation.kind == "shutdown" else domain.reboot
    try:
        ending = called(operation, lambda: ask(operation.parameters["mode"]))
    except HypervisorError:
        if operation.kind == "shutdown" and verdict_on_host(operation.machine).state in _DONE:
            return succeeded()  # its guest was off before the call had returned, which libvirt calls an error
        raise
    if ending is LOST:
        return LOST
    if operation.kind == "shutdown":
        mirror.note_shutdown_asked(operation.machine.uuid)
    deadline = timezone.now() + timedelta(seconds=settings.SHUTDOWN_LIMIT)
    waiting = advance(operation, where=Q(worker=WORKER, cancel_requested=False), waiting=True, deadline=deadline)
    if waiting is None:
        return _called_off(operation)
    news.settle(waiting)
    return LOST


def _called_off(operation: Operation) -> Ending:
    """Return the end of a shutdown or reboot that was cancelled while the guest was being asked."""
    if Operation.objects.filter(pk=operation.pk, preempted=True).exists():
        return cancelled(preempted_sentence())
    mirror.clear_notes(operation.machine.uuid)
    return cancelled(_("No longer waited for. The guest was asked already and may still do it."))


def _keep_running(operation: Operation) -> Ending | None:
    """Forget that a shutdown is overdue; a machine that libvirt itself holds in the middle of one cannot go on."""
    mirror.clear_notes(operation.machine.uuid)
    if verdict_on_host(operation.machine).state is State.DYING:
        sentence = _("Its guest has shut down but its process has not ended. Reset it, or force it off.")
        return Ending(Status.FAILED, sentence, "domain_in_wrong_state")
    return succeeded()


def _destroy(operation: Operation) -> Ending | None:
    domain = domain_of(operation.machine, Purpose.QUICK)
    _make_way(operation, domain)
    try:
        return called(operation, domain.destroy)
    except DomainNotFound:
        raise
    except HypervisorError:
        mirror.note_overdue(operation.machine.uuid)  # it should be off and is not: dying
        raise


def _make_way(operation: Operation, domain: Domain) -> None:
    """Give the pre-empted operation's worker a moment to end it, abort its job if it does not, and go on regardless."""
    began = time.monotonic()
    asked = False
    while (kinds := _preempted_kinds(operation)) and time.monotonic() < began + PREEMPTED_PATIENCE:
        if not asked and "save" in kinds and time.monotonic() > began + ABORT_AFTER:
            threading.Thread(target=_abort, args=[domain], daemon=True).start()  # it may wait for the domain's job
            asked = True
        time.sleep(0.05)


def _preempted_kinds(operation: Operation) -> set[str]:
    rows = Operation.objects.filter(machine=operation.machine_id, status=Status.RUNNING, preempted=True)
    return set(rows.values_list("kind", flat=True))


def _abort(domain: Domain) -> None:
    try:
        domain.abort_job()
    except HypervisorError as error:
        log.info("The job in the way could not be aborted: %s", error)


_VERBS: dict[str, Callable[[Domain], None]] = {
    "discard-image": Domain.remove_saved_image,
    "suspend": Domain.suspend,
    "resume": Domain.resume,
    "reset": Domain.reset,
    "wakeup": Domain.pm_wakeup,
    "inject-nmi": Domain.inject_nmi,
}
_ACTS: dict[str, Callable[[Operation], Ending | None]] = {
    "shutdown": _ask_guest,
    "reboot": _ask_guest,
    "start": saved_file_acts.start,
    "fresh-boot": saved_file_acts.fresh_boot,
    "restore": saved_file_acts.restore,
    "save": _save,
    "delete-file": saved_file_acts.delete,
    "reset": _reset,
    "keep-running": _keep_running,
    "destroy": _destroy,
    "define": definition_acts.define,
    "create": definition_acts.create,
    "undefine": definition_acts.undefine,
    "autostart": definition_acts.autostart,
    "pmsuspend": guest_acts.pmsuspend,
    "send-keys": guest_acts.send_keys,
}
