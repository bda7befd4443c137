"""Asking for operations, cancelling them, and the one way their rows move: compare-and-swap."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from typing import Any
from uuid import UUID

from celery import current_app
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.states import State
from lifecycle import trail
from lifecycle.demands import demanded
from lifecycle.models import OPEN, Bulk, Operation, Status
from lifecycle.payload import is_cancellable, operation_payload
from lifecycle.quota_demands import demand_room
from lifecycle.signals import tell_ended
from machines import mirror, push
from machines.access import Right, right_over
from machines.models import Machine
from machines.operation_table import TABLE, Kind, Queue
from machines.parameters import checked
from machines.refusals import RefusalCode, facts_of, in_maintenance, refusal
from machines.refused import Refused
from maintenance import notices

log = logging.getLogger(__name__)

RUN_TASK = "lifecycle.run"
MESSAGE_LIFE = 120
"""Seconds after which a message to the workers is worthless: by then beat has sent the row again."""
ATTEMPTS = 5
"""How often a request that lost a race looks again before it gives up."""
OF_POLICIES = frozenset({"save"})
"""What the portal may ask by itself. Whatever could lose something is asked by people."""


class _Moved(Exception):
    """The operation in the way moved on between looking and acting; look again."""


def request(
    machine: Machine, kind_name: str, *, by: User, parameters: dict[str, Any], bulk: Bulk | None = None
) -> Operation:
    """Accept an operation and hand it to the workers.

    The partial unique constraint settles races: whoever loses one looks again and is told what is in the way.

    Raises:
        Refused: it is unknown, badly parametrised, or not possible now (right, host, state, another operation).
        Http404: the machine's row is gone.
    """
    return _request(machine, kind_name, by, parameters, bulk)


def request_by_policy(machine: Machine, kind_name: str) -> Operation:
    """Accept an operation that a policy of the portal asks, and nobody: no right is looked at, all else is.

    A maintenance stops it as it stops people.

    Raises:
        Refused: it is not one `OF_POLICIES`, or not possible now (host, state, another operation, maintenance).
        Http404: the machine's row is gone.
    """
    if kind_name not in OF_POLICIES:
        raise Refused(RefusalCode.RIGHT, _("The portal does not ask for this by itself."), status=403)
    return _request(machine, kind_name, None, {}, None)


def _request(
    machine: Machine, kind_name: str, by: User | None, parameters: dict[str, Any], bulk: Bulk | None
) -> Operation:
    """Try until no race is lost; `by`: None for the portal itself."""
    kind = kind_named(kind_name)
    given = checked(kind.parameters, parameters, kind.label)
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return _accept(machine.uuid, kind, by, given, bulk)
        except (IntegrityError, _Moved):
            continue
    raise Refused(RefusalCode.OPERATION, _("Other operations keep getting in the way. Try again."))


def cancel(operation: Operation, by: User) -> Operation:
    """Cancel an operation, or ask the worker that holds it to; return the row as it is then.

    Raises:
        Refused: this person may not, it has ended, or it cannot be stopped halfway.
    """
    for _attempt in range(ATTEMPTS):
        fresh = Operation.objects.with_machine().get(pk=operation.pk)
        _refuse_cancel(fresh, by)
        if fresh.cancel_requested:
            return fresh
        if moved := _cancel_once(fresh):
            return moved
    raise Refused("not_cancellable", _("It is just ending."))


def advance(operation: Operation, *, where: Q | None = None, **changes: Any) -> Operation | None:
    """Move a row on by compare-and-swap on its primary key and the status this object has.

    Returns the fresh row, or None when somebody else moved it first (or `where` does not hold). An end also
    writes `finished_at`. Viewers, and who listens to `lifecycle.signals`, are told on commit.
    """
    ends = changes.get("status", Status.RUNNING) not in OPEN
    if ends:
        changes = {"finished_at": timezone.now(), "waiting": False, **changes}
    with transaction.atomic():
        rows = Operation.objects.filter(where or Q(), pk=operation.pk, status=operation.status)
        if not rows.update(version=F("version") + 1, **changes):
            return None
        fresh = Operation.objects.with_machine().get(pk=operation.pk)
        push.operation(fresh.machine_id, dict(operation_payload(fresh)))
        if ends:
            tell_ended(fresh)
            trail.ended(fresh)
    return fresh


def send(operation: Operation) -> bool:
    """Hand a queued row to the workers. Returns False, and logs, when the broker does not take it; beat tries again."""
    try:
        current_app.send_task(
            RUN_TASK,
            args=[operation.pk],
            queue=queue_of(operation).value,
            expires=MESSAGE_LIFE,
            ignore_result=True,
        )
    except Exception:  # whatever a broken broker raises (kombu, redis, OSError): the row is safe, beat sends it again
        log.warning("Operation %s could not be sent; it stays queued", operation.pk, exc_info=True)
        return False
    Operation.objects.filter(pk=operation.pk).update(sent_at=timezone.now())
    return True


def queue_of(operation: Operation) -> Queue:
    """Return the queue of the operation's kind; a start from a saved image reads as much as a restore does."""
    if operation.kind == "start" and operation.machine.state == State.SAVED:
        return Queue.LONG
    return TABLE[operation.kind].queue


def open_operations(machines: Collection[UUID]) -> dict[UUID, Operation]:
    """Return the open operation of each of these machines that has one (the force off, where it pre-empted another)."""
    rows = Operation.objects.with_machine().filter(machine__in=machines, status__in=OPEN)
    return {row.machine_id: row for row in rows.order_by("-preempted", "pk")}


def kind_named(name: str) -> Kind:
    """Return the operation of this name.

    Raises:
        Refused: `unknown_operation` (400).
    """
    if kind := TABLE.get(name):
        return kind
    sentence = _("There is no operation “%(name)s”.") % {"name": name[:40]}
    raise Refused("unknown_operation", sentence, status=400, details={"known": list(TABLE)})


def _accept(uuid: UUID, kind: Kind, by: User | None, given: dict[str, Any], bulk: Bulk | None) -> Operation:
    """Check, make way, insert; on commit, tell viewers and workers. Runs inside one transaction."""
    rows = Machine.objects.select_related("host", "owner", "project").defer("definition_xml", "description")
    machine = rows.filter(pk=uuid).first()
    if machine is None:
        raise Http404(_("There is no such machine."))
    first = open_operations([uuid]).get(uuid)
    _refuse(machine, kind, by, first, given)
    parameters = demanded(kind, machine, given, by or User())  # who has no right to anything
    demand_room(kind, machine)
    if first:
        _preempt(first, kind)
    operation = Operation.objects.create(
        machine=machine,
        kind=kind.name,
        parameters=parameters,
        requested_by=by,
        asked_by_portal=by is None,
        bulk=bulk,
    )
    trail.asked(operation)
    push.operation(uuid, dict(operation_payload(operation)))
    transaction.on_commit(partial(send, operation), robust=True)
    return operation


def _refuse(machine: Machine, kind: Kind, by: User | None, first: Operation | None, given: dict[str, Any]) -> None:
    closure = notices.closure()
    found = refusal(
        kind,
        state=State(machine.state),
        right=right_over(by, machine) if by else kind.variant(given).right,
        host_reachable=machine.host.reachable,
        in_the_way=TABLE.get(first.kind) if first else None,
        facts=facts_of(machine),
        given=given,
        closure=closure,
    )
    if found and closure and found.code is RefusalCode.MAINTENANCE:
        raise in_maintenance(closure)
    if found:
        status = 403 if found.code is RefusalCode.RIGHT else 409
        raise Refused(found.code, found.sentence, status=status, details=_details(found.code, machine, first))


def _details(code: RefusalCode, machine: Machine, first: Operation | None) -> dict[str, Any]:
    if code is RefusalCode.OPERATION and first:
        return {"operation": first.pk}
    return {"state": machine.state} if code is RefusalCode.STATE else {}


def _preempt(first: Operation, kind: Kind) -> None:
    """End what is in the way, or tell the worker that holds it to end it."""
    if first.status == Status.QUEUED or first.waiting:
        where = Q(waiting=first.waiting)
        moved = advance(first, where=where, status=Status.CANCELLED, message=preempted_sentence(kind))
    else:
        moved = advance(first, where=Q(waiting=False), preempted=True, cancel_requested=True)
    if moved is None:
        raise _Moved


def preempted_sentence(kind: Kind | None = None) -> str:
    """Say why a pre-empted operation ended."""
    return _("“%(operation)s” was asked instead.") % {"operation": (kind or TABLE["destroy"]).label}


def _refuse_cancel(operation: Operation, by: User) -> None:
    kind = TABLE.get(operation.kind)
    needed = kind.right if kind else Right.OPERATE
    if right_over(by, operation.machine) < needed:
        sentence = _("You need the right “%(right)s” on this machine.") % {"right": needed.word}
        raise Refused(RefusalCode.RIGHT, sentence, status=403)
    if operation.status not in OPEN:
        raise Refused("not_cancellable", _("It has already ended."), details={"status": operation.status})
    if not is_cancellable(operation) and not operation.cancel_requested:
        raise Refused("not_cancellable", _("It cannot be stopped halfway."), details={"status": operation.status})


def _cancel_once(operation: Operation) -> Operation | None:
    if operation.status == Status.QUEUED:
        return advance(operation, status=Status.CANCELLED, message=_("Cancelled before it began."))
    if not operation.waiting:
        return advance(operation, where=Q(waiting=False), cancel_requested=True)
    moved = advance(operation, where=Q(waiting=True), status=Status.CANCELLED, message=_not_waited_for(operation))
    if moved and moved.kind == "shutdown":
        mirror.clear_notes(moved.machine_id)
    return moved


def _not_waited_for(operation: Operation) -> str:
    if operation.kind == "shutdown":
        return _("No longer waited for. The guest was asked already and may still shut down.")
    return _("No longer waited for. The guest was asked already and may still reboot.")
