"""How a waiting shutdown or reboot ends: by news of its machine (early or lost news too), or by its deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisor.states import State
from lifecycle import news, operations
from lifecycle.models import Operation, Status
from machines.models import Host, Machine
from machines.signals import machine_changed


def waiting(machine: Machine, kind: str, by: User, *, seconds: float = 60) -> Operation:
    """Return a row whose guest has been asked and has so many seconds left."""
    now = timezone.now()
    row = operations.request(machine, kind, by=by, parameters={})
    row = operations.advance(row, status=Status.RUNNING, started_at=now, worker="elsewhere:1", heartbeat_at=now)
    assert row
    row = operations.advance(row, waiting=True, deadline=now + timedelta(seconds=seconds))
    assert row
    Machine.objects.filter(pk=machine.pk).update(shutdown_asked_at=now)
    return row


def tell(machine: Machine, state: State, *, rebooted: bool = False) -> None:
    """Be the mirror, which has just written this."""
    Machine.objects.filter(pk=machine.pk).update(state=state)
    machine.refresh_from_db()
    machine_changed.send(sender=Machine, machine=machine, rebooted=rebooted)


def end_of(row: Operation) -> tuple[str, str]:
    row.refresh_from_db()
    return row.status, row.error_code


@pytest.mark.parametrize(
    ("kind", "state", "rebooted", "end"),
    [
        ("shutdown", State.SHUTOFF, False, (Status.SUCCEEDED, "")),
        ("shutdown", State.UNDEFINED, False, (Status.SUCCEEDED, "")),
        ("shutdown", State.CRASHED, False, (Status.FAILED, "crashed")),
        ("shutdown", State.SAVED, False, (Status.CANCELLED, "")),
        ("shutdown", State.RUNNING, True, (Status.FAILED, "rebooted_instead")),
        ("shutdown", State.SHUTDOWN, False, (Status.RUNNING, "")),
        ("shutdown", State.PAUSED, False, (Status.RUNNING, "")),
        ("reboot", State.RUNNING, True, (Status.SUCCEEDED, "")),
        ("reboot", State.SHUTOFF, False, (Status.FAILED, "stopped_instead")),
        ("reboot", State.UNDEFINED, False, (Status.FAILED, "stopped_instead")),
        ("reboot", State.CRASHED, False, (Status.FAILED, "crashed")),
        ("reboot", State.SAVED, False, (Status.CANCELLED, "")),
        ("reboot", State.RUNNING, False, (Status.RUNNING, "")),
    ],
)
def test_news_ends_what_waits_for_it(
    machine: Machine, owner: User, kind: str, state: State, rebooted: bool, end: tuple[str, str]
) -> None:
    row = waiting(machine, kind, owner)
    tell(machine, state, rebooted=rebooted)
    assert end_of(row) == end
    assert row.waiting == (row.status == Status.RUNNING)


def test_machine_that_rebooted_instead_of_shutting_down_is_no_longer_on_its_way_down(
    machine: Machine, owner: User
) -> None:
    waiting(machine, "shutdown", owner)
    tell(machine, State.RUNNING, rebooted=True)
    machine.refresh_from_db()
    assert machine.shutdown_asked_at is None


def test_news_of_a_machine_that_just_runs_costs_no_query(machine: Machine, django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        machine_changed.send(sender=Machine, machine=machine, rebooted=False)


def test_news_of_another_machine_ends_nothing(machine: Machine, make_machine, owner: User) -> None:
    row = waiting(machine, "shutdown", owner)
    tell(make_machine("other", owner=owner), State.SHUTOFF)
    assert end_of(row) == (Status.RUNNING, "")


def test_news_does_not_end_what_a_worker_still_holds(machine: Machine, owner: User) -> None:
    row = operations.request(machine, "save", by=owner, parameters={})
    operations.advance(row, status=Status.RUNNING, worker="elsewhere:1")
    tell(machine, State.SHUTOFF)
    assert end_of(row) == (Status.RUNNING, "")


@pytest.mark.parametrize(
    ("kind", "fields"), [("shutdown", {"state": State.SHUTOFF}), ("reboot", {"rebooted_at": timezone.now})]
)
def test_news_that_was_lost_is_found_by_beat(machine: Machine, owner: User, kind: str, fields: dict) -> None:
    row = waiting(machine, kind, owner)
    values = {name: value() if callable(value) else value for name, value in fields.items()}
    Machine.objects.filter(pk=machine.pk).update(**values)
    news.expire_waiting()
    assert end_of(row) == (Status.SUCCEEDED, "")


def test_reboot_before_the_operation_is_not_its_own(machine: Machine, owner: User) -> None:
    Machine.objects.update(rebooted_at=timezone.now() - timedelta(seconds=1))
    row = waiting(machine, "reboot", owner)
    news.expire_waiting()
    assert end_of(row) == (Status.RUNNING, "")


# The deadline


def test_shutdown_past_its_deadline_fails_and_leaves_the_machine_dying(machine: Machine, owner: User, settings) -> None:
    settings.SHUTDOWN_LIMIT = 90
    row = waiting(machine, "shutdown", owner, seconds=-1)
    news.expire_waiting()
    assert end_of(row) == (Status.FAILED, "timeout")
    assert row.message == (
        "machine did not shut down within 90 s; it may be ignoring the power button. Force off is available."
    )
    machine.refresh_from_db()
    assert machine.overdue_since


def test_reboot_past_its_deadline_fails_and_the_machine_just_runs(machine: Machine, owner: User) -> None:
    row = waiting(machine, "reboot", owner, seconds=-1)
    news.expire_waiting()
    assert end_of(row) == (Status.FAILED, "timeout")
    assert "Reset is available." in row.message
    machine.refresh_from_db()
    assert machine.overdue_since is None


def test_nothing_expires_before_its_deadline(machine: Machine, owner: User) -> None:
    row = waiting(machine, "shutdown", owner, seconds=5)
    news.expire_waiting()
    assert end_of(row) == (Status.RUNNING, "")


def test_deadline_on_a_host_that_does_not_answer_ends_in_not_knowing(machine: Machine, owner: User) -> None:
    row = waiting(machine, "shutdown", owner, seconds=-1)
    Host.objects.update(reachable=False)
    news.expire_waiting()
    assert end_of(row) == (Status.INTERRUPTED, "host_unreachable")
    machine.refresh_from_db()
    assert machine.overdue_since is None
