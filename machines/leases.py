"""Which watcher may write a host's state: the rows of `Lease`, moved by compare-and-swap on the database's clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from machines.models import Host, Lease

LENGTH = timedelta(seconds=5)
"""How long a lease stands without being renewed, and so how long a dead watcher's hosts go unwatched."""


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
UNWANTED_AFTER = timedelta(seconds=1.5)
"""How long a host that was given back is left to watchers that have less than their share."""


class LeaseLost(Exception):
    """Another watcher has taken the host over: stop writing its state."""


@dataclass(frozen=True, slots=True)
class HeldLease:
    """The proof that this process may write a host's state."""

    host_id: int
    holder: str
    epoch: int


def take(host_id: int, holder: str) -> HeldLease | None:
    """Take a host's lease if nobody holds it, or if it has expired; the epoch grows, which ends the last holder's."""
    lease, _ = Lease.objects.get_or_create(host_id=host_id, defaults={"expires_at": LONG_AGO})
    free = Lease.objects.filter(pk=lease.pk, epoch=lease.epoch, expires_at__lte=Now())
    if free.update(holder=holder, epoch=F("epoch") + 1, taken_at=Now(), expires_at=Now() + LENGTH):
        return HeldLease(host_id, holder, lease.epoch + 1)
    return None


def free_hosts(*, abandoned: bool = False) -> list[Host]:
    """Return the enabled hosts that nobody watches (one query).

    Args:
        abandoned: only those whose watcher died, or that nobody has wanted since they were given back.
    """
    free = Host.objects.filter(enabled=True).exclude(lease__expires_at__gt=Now())
    if abandoned:
        unwanted = Q(lease__holder="", lease__expires_at__lte=Now() - UNWANTED_AFTER)
        free = free.filter(unwanted | Q(lease__holder__gt=""))
    return list(free)


def renew(leases: Iterable[HeldLease]) -> set[int]:
    """Renew these leases of one holder; return the hosts whose lease is lost (two queries for any number)."""
    held = {lease.host_id: lease for lease in leases}
    if not held:
        return set()
    ours = Lease.objects.filter(holder=next(iter(held.values())).holder, host__in=held)
    renewed = ours.update(expires_at=Now() + LENGTH)
    if renewed == len(held):
        return set()
    return set(held) - set(ours.values_list("host_id", flat=True))


def give_back(leases: Collection[HeldLease]) -> None:
    """End these leases now, so that another watcher need not wait for them to expire."""
    for lease in leases:
        _row(lease).update(holder="", expires_at=Now())


def check(lease: HeldLease) -> Host:
    """Lock the lease until the end of the transaction, so that nobody takes over while state is written.

    Returns:
        The lease's host, for whoever writes it.

    Raises:
        LeaseLost: another watcher has it.
    """
    row = _row(lease).select_for_update(of=("self",)).select_related("host").first()
    if row is None:
        raise LeaseLost(f"host {lease.host_id}, epoch {lease.epoch}")
    return row.host


def _row(lease: HeldLease) -> QuerySet[Lease]:
    return Lease.objects.filter(host_id=lease.host_id, holder=lease.holder, epoch=lease.epoch)
