"""Rows whose worker died: the host is asked how they ended, and the row says so.

A worker that is killed takes its connection with it, but libvirtd carries a call that has begun to its end. So a row
without a heartbeat is first compared with its machine's job: while one runs, it is followed (by `follow`, in the long
queue; if no such worker lives, by the next look in a few seconds). Then the machine's real state says how it ended.
A host that does not answer is asked again until `GIVE_UP_AFTER`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.errors import DomainNotFound, HypervisorError
from hypervisor.states import ACTIVE_STATES, State, Verdict
from lifecycle import following, saved_file_acts
from lifecycle.connections import Purpose, domain_of, reading_on_host, verdict_of, verdict_on_host
from lifecycle.models import Operation, OperationQuerySet, Status
from lifecycle.operations import advance, preempted_sentence
from lifecycle.outcomes import AIMS, Ending, broken, cancelled, succeeded
from lifecycle.proofs import PROOFS, proven_ending
from lifecycle.pulse import DEAD_AFTER, WORKER, pulse
from machines import mirror, reread
from machines.models import Machine
from machines.operation_table import TABLE, Queue
from machines.state_words import STATE_WORDS

log = logging.getLogger(__name__)

GIVE_UP_AFTER = timedelta(hours=1)
"""How long a host that does not answer is asked how an operation ended, from the last sign of its worker on."""
SLOW_AFTER = timedelta(seconds=10)
"""From when on a quick operation is called slow; most take a tenth of a second."""

_RESTORING = frozenset({"start", "restore"})
_BEING_RESTORED = Verdict(State.PAUSED, "starting up")
"""What libvirt shows while it reads a machine's memory, for which it shows no job."""


def orphans() -> OperationQuerySet:
    """Return the running rows that no living worker holds."""
    stale = Q(heartbeat_at__lt=timezone.now() - DEAD_AFTER) | Q(heartbeat_at__isnull=True)
    return Operation.objects.filter(stale, status=Status.RUNNING, waiting=False)


def remark_on_slow_ones() -> None:
    """Tell whoever waits for a quick operation that takes long what may help; its end overwrites that."""
    quick = [kind.name for kind in TABLE.values() if kind.queue is Queue.QUICK and not kind.preempts]
    slow = Operation.objects.filter(status=Status.RUNNING, waiting=False, message="", kind__in=quick)
    sentence = _("Its host has not answered yet. If the machine does not respond either, force it off.")
    for row in slow.filter(started_at__lt=timezone.now() - SLOW_AFTER):
        advance(row, where=Q(waiting=False, message=""), message=sentence)


def look(operation_id: int) -> bool:
    """Ask the host about one orphan: end the row, or write how far its job is. Returns whether a job still runs."""
    row = _orphan(operation_id)
    if row is None:
        return False
    try:
        if _job_runs(row):
            return True
        ending = _ending(row)
    except HypervisorError as error:
        _not_answered(row, error)
        return False
    except Exception:  # a fault of the portal must not keep the machine from everything else for ever
        log.exception("Operation %s: how it ended could not be found out", row.pk)
        if _is_given_up(row):
            _end(row, broken())
        return False
    if ending:
        _end(row, ending)
    return False


def follow(operation_id: int) -> None:
    """Take over an orphan whose job still runs, follow the job to its end, and end the row."""
    row = _orphan(operation_id)
    taken = row and advance(row, where=_still(row), worker=WORKER, heartbeat_at=timezone.now())
    if not taken:
        return
    with pulse.holding(taken.pk):
        try:
            following.follow_job(taken)
            taken.refresh_from_db(fields=["cancel_requested", "preempted"])
            ending = _ending(taken)
        except HypervisorError as error:
            log.warning("Operation %s could not be followed to its end: %s", taken.pk, error)
            return
        if ending:
            _end(taken, ending)


def ending_of(row: Operation, verdict: Verdict) -> Ending:
    """Return how an operation ended, from its machine's real state now that no job runs."""
    state, aim = verdict.state, AIMS.get(row.kind)
    if aim and state in aim:
        if row.kind == "save" and verdict.reason != "saved":
            return _doubtful_image(verdict)
        return succeeded(_("Contact with it was lost on the way; its host confirms that it was done."))
    if row.kind == "keep-running":
        mirror.clear_notes(row.machine.uuid)
        return succeeded()
    if row.kind == "reboot" and _rebooted_since(row):
        return succeeded()
    if aim is None or row.kind == "shutdown":
        return _called_off(row) or _unknown(state)
    return _not_done(row, verdict)


def _not_done(row: Operation, verdict: Verdict) -> Ending:
    return _called_off(row) or _undone(row, verdict.state)


def _called_off(row: Operation) -> Ending | None:
    if row.preempted:
        return cancelled(preempted_sentence())
    if row.cancel_requested:
        return cancelled(_("Cancelled, while contact with it was lost."))
    return None


def _ending(row: Operation) -> Ending | None:
    """Ask the host how an operation ended; None while it is still at it without showing a job.

    Raises:
        HypervisorError: the host could not say.
    """
    if row.kind == "delete-file":
        return saved_file_acts.ending_of_delete(row)
    if row.kind in PROOFS:
        reading = reading_on_host(row.machine)
        return proven_ending(row, reading) or _not_done(row, verdict_of(reading))
    verdict = _aftermath(row)
    if verdict == _BEING_RESTORED and row.kind in _RESTORING and not _is_given_up(row):
        return None
    return ending_of(row, verdict)


def _aftermath(row: Operation) -> Verdict:
    """Return the machine's real state; an image beside a running machine, left by a broken save, is removed.

    libvirt restarted in the middle of a save lets the guest go on but keeps what was written (tried with 9.0), and the
    machine would be called saved when it is next off.
    """
    verdict = verdict_on_host(row.machine)
    if row.kind == "save" and row.parameters.get("file"):
        return saved_file_acts.verdict_after_save(row, verdict)
    if row.kind == "save" and verdict.state in ACTIVE_STATES:
        domain_of(row.machine, Purpose.QUICK).remove_saved_image()
    return verdict


def _doubtful_image(verdict: Verdict) -> Ending:
    """Return the end of a save that left an image, but whose machine is not off because of it (QEMU was killed)."""
    if verdict.reason == "unknown":
        return _unknown(verdict.state)
    sentence = _(
        "Contact with it was lost before it was done, and the machine ended (%(reason)s). Its image is broken."
    )
    return Ending(Status.FAILED, sentence % {"reason": verdict.reason}, "image_broken")


def _undone(row: Operation, state: State) -> Ending:
    sentence = _("Contact with it was lost before it was done. The machine is %(state)s now; you can ask again.")
    code = "worker_lost" if row.worker else "host_lost"
    return Ending(Status.FAILED, sentence % {"state": STATE_WORDS[state]}, code, row.error_text)


def _unknown(state: State) -> Ending:
    sentence = _("Contact with it was lost; it is not known whether it was done. The machine is %(state)s now.")
    return Ending(Status.INTERRUPTED, sentence % {"state": STATE_WORDS[state]}, "outcome_unknown")


def _orphan(operation_id: int) -> Operation | None:
    return orphans().with_machine().filter(pk=operation_id).first()


def _still(row: Operation) -> Q:
    """Hold only while nobody else has taken the row over."""
    return Q(worker=row.worker, heartbeat_at=row.heartbeat_at, waiting=False)


def _job_runs(row: Operation) -> bool:
    try:
        return following.look(row, following.ProgressWriter(row))
    except DomainNotFound:
        return False


def _not_answered(row: Operation, error: HypervisorError) -> None:
    log.info("Operation %s: its host cannot say how it ended: %s", row.pk, error)
    if not _is_given_up(row):
        return
    sentence = _("Its worker and its host stopped answering, so it is not known how it ended.")
    _end(row, Ending(Status.INTERRUPTED, sentence, error.word, error.text))


def _is_given_up(row: Operation) -> bool:
    return not row.heartbeat_at or row.heartbeat_at <= timezone.now() - GIVE_UP_AFTER


def _end(row: Operation, ending: Ending) -> None:
    if ended := advance(row, where=_still_or_mine(row), **ending.changes):
        log.info("Operation %s, whose worker was lost, %s", ended.pk, ended.status)
        reread.ask(ended.machine)


def _still_or_mine(row: Operation) -> Q:
    return Q(worker=WORKER) if row.worker == WORKER else _still(row)


def _rebooted_since(row: Operation) -> bool:
    machine = Machine.objects.get(pk=row.machine_id)
    return bool(machine.rebooted_at and row.started_at and machine.rebooted_at >= row.started_at)
