"""The one writer of what mirrors libvirt: the columns of `Machine` and `Host` that no person edits.

Readings come only from the watcher that holds the host's lease (checked inside each transaction), so that an old
reading never overwrites a newer one. Portal facts (a shutdown was asked) may come from any process; they are columns
of their own, and the watcher is asked to read again. After the commit everybody concerned is told.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import prefetch_related_objects
from django.utils import timezone

from hypervisor.readings import Address, Capacity, Definition, HostFacts, Reading
from hypervisor.states import ACTIVE_STATES, State
from machines import leases, push, reread
from machines.access import people_who_see_any
from machines.leases import HeldLease
from machines.models import Host, Machine
from machines.reflection import UNSEEN, Moment, address_values, describe, disk_bytes, forget, reflect
from machines.row_updates import update_rows
from machines.signals import machine_changed
from people.models import Project

LISTED = frozenset(
    {
        "name",
        "title",
        "state",
        "persistent",
        "autostart",
        "has_saved_image",
        "snapshot_count",
        "memory_bytes",
        "addresses",
        "host",
    },
)
"""Fields by which lists are searched, filtered or sorted."""

AWAY_AFTER = timedelta(seconds=60)
"""How long a host may go unread before its machines may have run and stopped unseen."""

log = logging.getLogger(__name__)
Changes = dict[Machine, set[str]]


def apply(
    held: HeldLease,
    readings: Sequence[Reading],
    *,
    complete: bool = False,
    started: Collection[UUID] = (),
    rebooted: Collection[UUID] = (),
    quiet: Mapping[UUID, bool] | None = None,
) -> list[Machine]:
    """Write what libvirt says into the rows of one host, in one transaction; return the machines that changed.

    Args:
        held: the lease under which it was read.
        readings: what was read.
        complete: `readings` is every domain of the host: machines that are missing become `undefined`.
        started: machines of which a run began since they were last read.
        rebooted: machines whose guest rebooted or was reset since they were last read.
        quiet: which machines used next to no vCPU time lately; those not in it keep what is stored.

    Raises:
        LeaseLost: another watcher has taken the host over; nothing was written.
    """
    now, idle_after, quiet = timezone.now(), timedelta(seconds=settings.IDLE_AFTER), quiet or {}
    with transaction.atomic():
        host = leases.check(held)
        away = host.seen_at is not None and now - host.seen_at > AWAY_AFTER
        rows = _rows_of_host(host, readings) if complete else _rows(host, (reading.uuid for reading in readings))
        changes: Changes = {}
        for reading in readings:
            machine = rows.get(reading.uuid) or Machine(uuid=reading.uuid, host=host)
            changes[machine] = _claim(machine, host)
            if "host" in changes[machine] and reading.definition is None:
                transaction.on_commit(partial(reread.ask, machine))  # what is stored is the other host's
            if machine.host_id == host.pk:
                began, again = reading.uuid in started, reading.uuid in rebooted
                moment = Moment(now, idle_after, again, quiet.get(reading.uuid), away, began)
                changes[machine] |= reflect(machine, reading, moment)
        if complete:
            changes |= _without(host, rows, {reading.uuid for reading in readings}, now, away=away)
            Host.objects.filter(pk=host.pk).update(seen_at=now)
        return _write(changes, locked=not complete)


def gone(held: HeldLease, uuids: Iterable[UUID]) -> list[Machine]:
    """Mark machines of this host as `undefined`: libvirt does not know them any more.

    Raises:
        LeaseLost: another watcher has taken the host over.
    """
    with transaction.atomic():
        host = leases.check(held)
        rows = _rows(host, uuids).values()
        return _write({machine: forget(machine, timezone.now()) for machine in rows if machine.host_id == host.pk})


def expect(
    host: Host,
    uuid: UUID,
    name: str,
    definition: Definition,
    owner: User | Project | None = None,
    disk_bytes: int = 0,
) -> Machine:
    """Make the row of a machine that is about to be defined: undefined, with the definition it is to have.

    Args:
        host: where.
        uuid: its own.
        name: as the definition says.
        definition: as it was read.
        owner: who is to own it.
        disk_bytes: what its disks can hold, where that is known: of disks that are to be made.

    Raises:
        IntegrityError: there is a row of this UUID.
    """
    holder = {"project": owner} if isinstance(owner, Project) else {"owner": owner}
    machine = Machine(uuid=uuid, host=host, name=name, state=State.UNDEFINED, disk_bytes=disk_bytes, **holder)
    describe(machine, definition)
    with transaction.atomic():
        machine.save(force_insert=True)
        transaction.on_commit(partial(_tell, [machine], [], {}), robust=True)
    return machine


def set_addresses(held: HeldLease, uuid: UUID, addresses: Sequence[Address]) -> list[Machine]:
    """Write the addresses a guest's agent reported, if the guest still runs.

    Raises:
        LeaseLost: another watcher has taken the host over.
    """
    values = address_values(addresses)
    with transaction.atomic():
        host = leases.check(held)
        machine = _rows(host, [uuid]).get(uuid)
        active = machine and machine.host_id == host.pk and machine.state in ACTIVE_STATES
        if machine is None or not active or machine.addresses == values:
            return []
        machine.addresses = values
        return _write({machine: {"addresses"}})


def set_disk_bytes(held: HeldLease, capacities: Mapping[UUID, Capacity]) -> list[Machine]:
    """Write what the disks of machines can hold; one that is not completely known lowers nothing.

    Nothing is locked where nothing changes, which is nearly always so (one query).

    Raises:
        LeaseLost: another watcher has taken the host over.
    """
    stored = Machine.objects.filter(host=held.host_id, pk__in=capacities).values_list("pk", "disk_bytes")
    differing = [pk for pk, present in stored if disk_bytes(present, capacities[pk]) != present]
    if not differing:
        return []
    with transaction.atomic():
        host = leases.check(held)
        changes: Changes = {}
        for machine in _rows(host, differing).values():
            if machine.host_id == host.pk:
                machine.disk_bytes = disk_bytes(machine.disk_bytes, capacities[machine.pk])
                changes[machine] = {"disk_bytes"}
        return _write(changes)


def expect_disks(uuid: UUID, capacity: int) -> None:
    """Write what the disks of a machine can hold, in bytes, that is about to be defined; of one that is, nothing."""
    with transaction.atomic():
        query = Machine.objects.select_related("host", "owner", "project").select_for_update(of=("self",))
        machine = query.filter(pk=uuid, state=State.UNDEFINED).first()
        expected = disk_bytes(0, Capacity(capacity, complete=True))
        if machine and machine.disk_bytes != expected:
            machine.disk_bytes = expected
            _write({machine: {"disk_bytes"}})


def host_seen(held: HeldLease, facts: HostFacts | None = None) -> None:
    """Write that a host answers and, where it was asked, what it says of itself.

    Raises:
        LeaseLost: another watcher has taken the host over.
    """
    values: dict[str, Any] = {"reachable": True, "last_error": "", "seen_at": timezone.now()}
    if facts:
        said = {name: value for name, value in asdict(facts).items() if name not in {"capabilities_xml", "features"}}
        values |= {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
        values["facts_at"] = values["seen_at"]
    _write_host(held, values)


def host_lost(held: HeldLease, error: str) -> None:
    """Write that a host does not answer, and why. Its machines keep their last state.

    Raises:
        LeaseLost: another watcher has taken the host over.
    """
    _write_host(held, {"reachable": False, "last_error": error})


def note_shutdown_asked(uuid: UUID) -> None:
    """Note that libvirt accepted a shutdown of this machine now."""
    _note(uuid, shutdown_asked_at=timezone.now())


def note_overdue(uuid: UUID) -> None:
    """Note that shutting this machine down or destroying it failed or ran past its limit now."""
    _note(uuid, overdue_since=timezone.now())


def clear_notes(uuid: UUID) -> None:
    """Forget that this machine was asked to shut down: it shall keep running."""
    _note(uuid, shutdown_asked_at=None, overdue_since=None)


def note_saved_files(uuid: UUID, count: int, newest_run: int | None) -> None:
    """Note how many saved files a machine has, and of which run the newest is."""
    with transaction.atomic():
        query = Machine.objects.select_related("host", "owner", "project").select_for_update(of=("self",))
        machine = query.filter(pk=uuid).first()
        if machine is None or (machine.saved_file_count, machine.saved_at_run) == (count, newest_run):
            return
        machine.saved_file_count, machine.saved_at_run = count, newest_run
        _write({machine: {"saved_file_count", "saved_at_run"}})
        transaction.on_commit(partial(reread.ask, machine))


def _note(uuid: UUID, **values: datetime | None) -> None:
    """Write portal facts, and have the watcher find the state that follows from them."""
    with transaction.atomic():
        Machine.objects.filter(pk=uuid).update(**values)
        for machine in Machine.objects.filter(pk=uuid).only("host"):
            transaction.on_commit(partial(reread.ask, machine))


def _rows(host: Host, uuids: Iterable[UUID]) -> dict[UUID, Machine]:
    """Fetch and lock a few machines with all that their payload needs (one query)."""
    query = Machine.objects.select_related("owner", "project").select_for_update(of=("self",))
    rows = {machine.uuid: machine for machine in query.filter(uuid__in=set(uuids))}
    for machine in rows.values():
        if machine.host_id == host.pk:
            machine.host = host
    return rows


def _rows_of_host(host: Host, readings: Sequence[Reading]) -> dict[UUID, Machine]:
    """Fetch all machines of a host, and those of other hosts that it shows too; unlocked, there may be thousands."""
    query = Machine.objects.all()
    if not any(reading.definition for reading in readings):
        query = query.defer("definition_xml")
    rows = {machine.uuid: machine for machine in query.filter(host=host)}
    if elsewhere := {reading.uuid for reading in readings} - rows.keys():
        rows |= {machine.uuid: machine for machine in query.filter(uuid__in=elsewhere)}
    return rows


def _claim(machine: Machine, host: Host) -> set[str]:
    """Let the machine's host be this one if nobody else has it; otherwise note the conflict on its row."""
    if machine.host_id == host.pk:
        return set()
    if machine.state == State.UNDEFINED or not machine.host.enabled:
        machine.host, machine.conflict_host, machine.domain_id = host, None, None  # another host counts on its own
        machine.runs += 1  # it may have run on either, where nobody looked
        return {"host", "conflict_host", "domain_id", "runs"}
    if machine.conflict_host_id:  # one of several is enough; when that is gone, the next look of another writes its own
        return set()
    machine.conflict_host = host
    return {"conflict_host"}


def _without(host: Host, rows: dict[UUID, Machine], present: Collection[UUID], now: datetime, *, away: bool) -> Changes:
    """Return what changes because a host does not show some machines: they are gone, or their conflict is."""
    absent = [row for row in rows.values() if row.host_id == host.pk and row.uuid not in present]
    missing = {row: forget(row, now, away=away) for row in absent}
    for machine in Machine.objects.filter(conflict_host=host):
        if machine.uuid not in present:
            machine.conflict_host = None
            missing[machine] = {"conflict_host"}
    return missing


def _write(changes: Changes, *, locked: bool = True) -> list[Machine]:
    """Write changed rows and have everybody told after the commit; return the machines that changed."""
    new = [machine for machine in changes if machine._state.adding]
    kept = {machine: fields for machine, fields in changes.items() if fields and not machine._state.adding}
    if kept and not locked:
        kept = _lock(kept)
    seen = [machine for machine, fields in kept.items() if fields - UNSEEN]
    for machine in seen:
        machine.version += 1
    Machine.objects.bulk_create(new, ignore_conflicts=True)
    update_rows({machine: {*fields, "version"} for machine, fields in kept.items()})
    transaction.on_commit(partial(_tell, new, seen, kept), robust=True)
    return new + seen


def _lock(changes: Changes) -> Changes:
    """Lock rows that were fetched unlocked: meanwhile one may have been given a new owner and version, or deleted."""
    rows = Machine.objects.select_for_update().filter(uuid__in=[machine.uuid for machine in changes])
    present = {uuid: rest for uuid, *rest in rows.values_list("uuid", "version", "owner", "project")}
    kept = {machine: fields for machine, fields in changes.items() if machine.uuid in present}
    for machine in kept:
        machine.version, machine.owner_id, machine.project_id = present[machine.uuid]
    return kept


def _tell(new: Sequence[Machine], seen: Sequence[Machine], kept: Changes) -> None:
    """Tell open pages first, then the portal's other parts. `kept` names the changed fields of rows that existed."""
    prefetch_related_objects(seen, "host", "owner", "project")
    for machine in seen:
        push.machine(machine)
    listed = [machine for machine in seen if kept[machine] & LISTED]
    if new or listed:
        push.listing(people_who_see_any(listed), everything=True, changed="machines" if new else "state")
    rebooted = {machine for machine, fields in kept.items() if "rebooted_at" in fields}
    for machine in {*new, *seen, *rebooted}:
        machine_changed.send_robust(sender=Machine, machine=machine, rebooted=machine in rebooted)


def _write_host(held: HeldLease, values: dict[str, Any]) -> None:
    with transaction.atomic():
        host = leases.check(held)
        news = any(values[name] != getattr(host, name) for name in ("reachable", "last_error"))
        for name, value in values.items():
            setattr(host, name, value)
        Host.objects.filter(pk=host.pk).update(**values)
        if news:
            push.host(host)
