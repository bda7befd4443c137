"""The one way rows move: compare-and-swap."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Machine


@pytest.fixture
def operation(machine: Machine, owner: User) -> Operation:
    return operations.request(machine, "save", by=owner, parameters={})


def test_row_moves_on_and_its_version_grows(operation: Operation) -> None:
    moved = operations.advance(operation, status=Status.RUNNING, worker="w")
    assert moved
    assert (moved.status, moved.worker, moved.version, moved.finished_at) == (Status.RUNNING, "w", 2, None)


def test_row_that_somebody_else_moved_stays_as_it_is(operation: Operation) -> None:
    assert operations.advance(operation, status=Status.RUNNING, worker="first")
    assert operations.advance(operation, status=Status.RUNNING, worker="second") is None
    operation.refresh_from_db()
    assert (operation.worker, operation.version) == ("first", 2)


def test_further_condition_must_hold_too(operation: Operation) -> None:
    running = operations.advance(operation, status=Status.RUNNING, worker="mine")
    assert running
    assert operations.advance(running, where=Q(worker="other"), progress=50) is None
    assert operations.advance(running, where=Q(worker="mine"), progress=50)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.INTERRUPTED])
def test_end_is_timed_and_waits_for_nothing(operation: Operation, status: Status) -> None:
    running = operations.advance(operation, status=Status.RUNNING, waiting=True)
    assert running
    ended = operations.advance(running, status=status)
    assert ended
    assert ended.finished_at
    assert not ended.waiting


def test_ended_row_never_moves_again(operation: Operation) -> None:
    ended = operations.advance(operation, status=Status.CANCELLED)
    assert ended
    assert operations.advance(operation, status=Status.RUNNING) is None


def test_database_itself_holds_one_open_operation_for_each_machine(operation: Operation) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Operation.objects.create(machine=operation.machine, kind="suspend")
    operations.advance(operation, status=Status.RUNNING, preempted=True)
    Operation.objects.create(machine=operation.machine, kind="destroy")
    with pytest.raises(IntegrityError), transaction.atomic():
        Operation.objects.create(machine=operation.machine, kind="destroy")


def test_viewers_are_told_once_for_each_move(operation: Operation, django_capture_on_commit_callbacks) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        operations.advance(operation, status=Status.RUNNING)
        operations.advance(operation, status=Status.RUNNING)
    assert len(callbacks) == 1
