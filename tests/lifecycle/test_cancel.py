"""Cancelling: who may, what can be, and what becomes of the row."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Machine
from machines.refused import Refused


@pytest.fixture
def save(machine: Machine, owner: User) -> Operation:
    return operations.request(machine, "save", by=owner, parameters={})


def refused(operation: Operation, by: User) -> Refused:
    with pytest.raises(Refused) as caught:
        operations.cancel(operation, by)
    return caught.value


def underway(operation: Operation, **fields: object) -> Operation:
    row = operations.advance(operation, status=Status.RUNNING, worker="elsewhere:1", **fields)
    assert row
    return row


def test_queued_operation_is_cancelled_at_once(save: Operation, owner: User) -> None:
    cancelled = operations.cancel(save, owner)
    assert (cancelled.status, cancelled.message) == (Status.CANCELLED, "Cancelled before it began.")


def test_any_queued_operation_can_be_cancelled(machine: Machine, owner: User) -> None:
    suspend = operations.request(machine, "suspend", by=owner, parameters={})
    assert operations.cancel(suspend, owner).status == Status.CANCELLED


def test_running_save_is_asked_to_stop(save: Operation, owner: User) -> None:
    cancelled = operations.cancel(underway(save), owner)
    assert (cancelled.status, cancelled.cancel_requested) == (Status.RUNNING, True)


def test_asking_twice_changes_nothing_more(save: Operation, owner: User) -> None:
    first = operations.cancel(underway(save), owner)
    assert operations.cancel(first, owner).version == first.version


def test_running_operation_that_cannot_stop_halfway_says_so(machine: Machine, owner: User) -> None:
    suspend = underway(operations.request(machine, "suspend", by=owner, parameters={}))
    refusal = refused(suspend, owner)
    assert (refusal.code, refusal.status) == ("not_cancellable", 409)


def test_waiting_shutdown_is_no_longer_waited_for_and_the_machine_just_runs(machine: Machine, owner: User) -> None:
    shutdown = operations.request(machine, "shutdown", by=owner, parameters={})
    waiting = underway(shutdown, waiting=True, deadline=timezone.now() + timedelta(seconds=60))
    Machine.objects.update(shutdown_asked_at=timezone.now())
    cancelled = operations.cancel(waiting, owner)
    assert (cancelled.status, cancelled.waiting) == (Status.CANCELLED, False)
    assert "may still shut down" in cancelled.message
    machine.refresh_from_db()
    assert machine.shutdown_asked_at is None


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED])
def test_ended_operation_cannot_be_cancelled(save: Operation, owner: User, status: Status) -> None:
    operations.advance(save, status=status)
    refusal = refused(save, owner)
    assert (refusal.code, refusal.details) == ("not_cancellable", {"status": status})


def test_viewer_and_helpdesk_may_not_cancel(save: Operation, viewer: User, helpdesk: User) -> None:
    for person in (viewer, helpdesk):
        refusal = refused(save, person)
        assert (refusal.code, refusal.status) == ("forbidden", 403)
    save.refresh_from_db()
    assert save.status == Status.QUEUED


def test_admin_may_cancel_what_others_asked(save: Operation, admin: User) -> None:
    assert operations.cancel(save, admin).status == Status.CANCELLED
