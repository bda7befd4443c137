"""Nothing goes over a quota: looked at before an operation is accepted, and again before a worker carries it out.

An open operation is a reservation: two starts asked at once count each other, since the quota's row is locked while
one is looked at and written down.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from hypervisor.states import ACTIVE_STATES, State
from lifecycle.models import OPEN, Operation
from machines import mirror, quotas
from machines.models import Machine
from machines.operation_table import TABLE, Kind
from machines.quotas import Amounts, Holder, Resource
from machines.refusals import RefusalCode
from machines.refused import Refused
from people.models import Quota

MAKING = frozenset({"define", "create"})
_RUNNING = frozenset(kind.name for kind in TABLE.values() if kind.runs)


def demand_room(kind: Kind, machine: Machine) -> None:
    """Refuse what would go over the quota of the machine's owner. Runs in the transaction that writes the operation.

    Raises:
        Refused: `quota_exceeded`, with the figures.
    """
    if holder := quotas.holder_of(machine):
        demand(holder, machine.holder, needed(kind.name, machine), but=machine)


def demand(holder: Holder, whose: str, more: Amounts, *, but: Machine | None = None) -> None:
    """Refuse so much more for a person or project; until the transaction ends, nobody else is given any.

    Raises:
        Refused: `quota_exceeded`, with the figures.
    """
    if not any(more.values()):
        return
    quota = holder.quotas.select_for_update().first()
    if quota and (over := _over(holder, quota, more, _reserved(holder, but), but)):
        details: dict[str, Any] = {"resource": over.resource, "used": over.used - more[over.resource]}
        details |= {"wanted": over.used, "limit": over.limit, "whose": whose}
        raise Refused(RefusalCode.QUOTA, quotas.over_sentence(over, whose), details=details)


def overtaken(operation: Operation) -> str:
    """Say that there is no room any more for an operation that was accepted; empty where there is.

    What was asked before it counts, what was asked after it was refused or waits for it.
    """
    machine, holder = operation.machine, quotas.holder_of(operation.machine)
    more = needed(operation.kind, machine)
    quota = holder.quotas.first() if holder and more else None
    if holder is None or quota is None:
        return ""
    before = _reserved(holder, machine).filter(pk__lt=operation.pk)
    over = _over(holder, quota, more, before, machine)
    return quotas.over_sentence(over, machine.holder) if over else ""


def over_with_disks(operation: Operation, capacity: int) -> str:
    """Say that there is no room for the disks of a machine that is about to be defined; empty where there is.

    They are only known now. From here on they count for whoever asks next, and of workers that look at the same moment
    for the second one: the quota's row is locked meanwhile.

    Args:
        operation: its define or create.
        capacity: what its disks can hold, in bytes.
    """
    machine, holder = operation.machine, quotas.holder_of(operation.machine)
    if holder is None:
        return ""
    with transaction.atomic():
        quota = holder.quotas.select_for_update().first()
        mirror.expect_disks(machine.uuid, capacity)
        more = {Resource.DISK: capacity}
        over = _over(holder, quota, more, _reserved(holder, machine), machine) if quota else None
    return quotas.over_sentence(over, machine.holder) if over else ""


def over_for(machine: Machine) -> quotas.Use | None:
    """Return what of its owner's quota a machine would go over if it ran now, defined first where it has to be.

    `used` is what would be used then. None where there is room, or no quota.
    """
    holder = quotas.holder_of(machine)
    quota = holder.quotas.first() if holder else None
    if holder is None or quota is None:
        return None
    return _over(holder, quota, needed("create", machine), _reserved(holder, machine), machine)


def needed(kind: str, machine: Machine) -> dict[Resource, int]:
    """Return how much more than now an operation makes a machine count for."""
    more: dict[Resource, int] = {}
    if kind in MAKING and machine.state == State.UNDEFINED:
        more |= quotas.definition_amounts(machine)
    if kind in _RUNNING and machine.state not in ACTIVE_STATES:
        more[Resource.RUNNING] = 1
    return more


def _reserved(holder: Holder, but: Machine | None) -> QuerySet[Operation]:
    """Return the open operations of other machines that will use more."""
    rows = Operation.objects.order_by().filter(
        holder.owning("machine__"), Q(kind__in=MAKING | _RUNNING), status__in=OPEN
    )
    return rows.exclude(machine=but) if but else rows


def _over(
    holder: Holder, quota: Quota, more: Amounts, reserved: QuerySet[Operation], but: Machine | None
) -> quotas.Use | None:
    used = quotas.used_by(holder, but=but)
    for operation in reserved.select_related("machine"):
        for resource, amount in needed(operation.kind, operation.machine).items():
            used[resource] += amount
    return quotas.first_over(quota, used, more)
