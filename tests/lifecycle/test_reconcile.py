"""Rows whose worker died: found by their heartbeat, and ended as the host says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisor.domain import Domain
from hypervisor.states import State, Verdict
from lifecycle import operations, reconcile, running
from lifecycle.models import Operation, Status
from lifecycle.pulse import DEAD_AFTER, WORKER, pulse
from machines.models import Host, Machine
from tests.lifecycle.conftest import Ask, MakeDomain, eventually, fresh

RUNNING = Verdict(State.RUNNING, "booted")


def orphan(operation: Operation, *, age: timedelta = DEAD_AFTER, **fields: object) -> Operation:
    """Make it a row whose worker was killed that long ago, just after it had taken it."""
    then = timezone.now() - age - timedelta(seconds=1)
    row = operations.advance(
        operation, status=Status.RUNNING, worker="killed:1", started_at=then, heartbeat_at=then, **fields
    )
    assert row
    return row


def ending(machine: Machine, kind: str, state: State, by: User, **fields: object) -> tuple[str, str]:
    row = orphan(Operation.objects.create(machine=machine, kind=kind, requested_by=by), **fields)
    found = reconcile.ending_of(row, Verdict(state, "saved" if state is State.SAVED else "unknown"))
    return found.status, found.code


@pytest.mark.parametrize(
    ("kind", "state", "end"),
    [
        ("start", State.RUNNING, (Status.SUCCEEDED, "")),
        ("start", State.SHUTOFF, (Status.FAILED, "worker_lost")),
        ("start", State.CRASHED, (Status.FAILED, "worker_lost")),
        ("restore", State.RUNNING, (Status.SUCCEEDED, "")),
        ("restore", State.SAVED, (Status.FAILED, "worker_lost")),
        ("save", State.SAVED, (Status.SUCCEEDED, "")),
        ("save", State.RUNNING, (Status.FAILED, "worker_lost")),
        ("save", State.PAUSED, (Status.FAILED, "worker_lost")),
        ("save", State.SHUTOFF, (Status.FAILED, "worker_lost")),
        ("suspend", State.PAUSED, (Status.SUCCEEDED, "")),
        ("suspend", State.RUNNING, (Status.FAILED, "worker_lost")),
        ("resume", State.RUNNING, (Status.SUCCEEDED, "")),
        ("resume", State.PAUSED, (Status.FAILED, "worker_lost")),
        ("destroy", State.SHUTOFF, (Status.SUCCEEDED, "")),
        ("destroy", State.UNDEFINED, (Status.SUCCEEDED, "")),
        ("destroy", State.RUNNING, (Status.FAILED, "worker_lost")),
        ("shutdown", State.SHUTOFF, (Status.SUCCEEDED, "")),
        ("shutdown", State.RUNNING, (Status.INTERRUPTED, "outcome_unknown")),
        ("reboot", State.RUNNING, (Status.INTERRUPTED, "outcome_unknown")),
        ("reset", State.RUNNING, (Status.INTERRUPTED, "outcome_unknown")),
        ("keep-running", State.RUNNING, (Status.SUCCEEDED, "")),
        ("create", State.RUNNING, (Status.SUCCEEDED, "")),
        ("create", State.UNDEFINED, (Status.FAILED, "worker_lost")),
        ("create", State.SHUTOFF, (Status.FAILED, "worker_lost")),
        ("pmsuspend", State.PMSUSPENDED, (Status.SUCCEEDED, "")),
        ("pmsuspend", State.RUNNING, (Status.FAILED, "worker_lost")),
        ("wakeup", State.RUNNING, (Status.SUCCEEDED, "")),
        ("wakeup", State.PMSUSPENDED, (Status.FAILED, "worker_lost")),
        ("inject-nmi", State.RUNNING, (Status.INTERRUPTED, "outcome_unknown")),
        ("send-keys", State.RUNNING, (Status.INTERRUPTED, "outcome_unknown")),
    ],
)
def test_real_state_of_the_machine_says_how_it_ended(
    machine: Machine, owner: User, kind: str, state: State, end: tuple[str, str]
) -> None:
    assert ending(machine, kind, state, owner) == end


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("saved", (Status.SUCCEEDED, "")),
        ("crashed", (Status.FAILED, "image_broken")),
        ("unknown", (Status.INTERRUPTED, "outcome_unknown")),
    ],
)
def test_image_alone_does_not_prove_that_a_save_was_done(
    machine: Machine, owner: User, reason: str, end: tuple[str, str]
) -> None:
    row = orphan(operations.request(machine, "save", by=owner, parameters={}))
    found = reconcile.ending_of(row, Verdict(State.SAVED, reason))
    assert (found.status, found.code) == end


def test_sentence_of_an_undone_operation_names_the_present_state(machine: Machine, owner: User) -> None:
    row = orphan(operations.request(machine, "save", by=owner, parameters={}))
    assert "The machine is running now" in reconcile.ending_of(row, RUNNING).message


def test_reboot_that_the_mirror_saw_succeeded(machine: Machine, owner: User) -> None:
    row = orphan(operations.request(machine, "reboot", by=owner, parameters={}))
    Machine.objects.update(rebooted_at=timezone.now())
    assert reconcile.ending_of(row, RUNNING).status == Status.SUCCEEDED


def test_save_that_was_to_be_cancelled_or_pre_empted_and_did_not_happen_is_cancelled(
    machine: Machine, owner: User
) -> None:
    assert ending(machine, "save", State.RUNNING, owner, cancel_requested=True) == (Status.CANCELLED, "")
    Operation.objects.all().delete()
    assert ending(machine, "save", State.SHUTOFF, owner, preempted=True) == (Status.CANCELLED, "")


def test_save_that_was_to_be_cancelled_but_was_done_says_so(machine: Machine, owner: User) -> None:
    assert ending(machine, "save", State.SAVED, owner, cancel_requested=True) == (Status.SUCCEEDED, "")


def test_operation_whose_host_was_lost_says_so(machine: Machine, owner: User) -> None:
    row = orphan(operations.request(machine, "save", by=owner, parameters={}))
    row = operations.advance(row, worker="", error_text="end of file")
    found = reconcile.ending_of(row, RUNNING)
    assert (found.code, found.text) == ("host_lost", "end of file")


def test_only_quick_operations_that_take_long_are_remarked_on(make_machine, owner: User, ask: Ask) -> None:
    long_ago = timezone.now() - timedelta(seconds=11)
    rows = {}
    for kind, fields in {
        "suspend": {"started_at": long_ago},
        "reset": {"started_at": timezone.now()},
        "save": {"started_at": long_ago},
        "shutdown": {"started_at": long_ago, "waiting": True},
        "destroy": {"started_at": long_ago},
    }.items():
        rows[kind] = operations.advance(ask(make_machine(kind, owner=owner), kind), status=Status.RUNNING, **fields)
    reconcile.remark_on_slow_ones()
    reconcile.remark_on_slow_ones()
    assert {kind for kind, row in rows.items() if fresh(row).message} == {"suspend"}
    assert fresh(rows["suspend"]).version == rows["suspend"].version + 1


# Which rows are orphans


def test_row_with_a_fresh_heartbeat_is_nobodys_orphan(machine: Machine, ask: Ask) -> None:
    orphan(ask(machine, "save"), age=timedelta(seconds=10))
    assert not list(reconcile.orphans())


def test_row_without_any_heartbeat_is_an_orphan(machine: Machine, ask: Ask) -> None:
    row = operations.advance(ask(machine, "save"), status=Status.RUNNING)
    assert list(reconcile.orphans()) == [row]


@pytest.mark.parametrize("fields", [{"waiting": True}, {"status": Status.QUEUED}, {"status": Status.SUCCEEDED}])
def test_waiting_queued_and_ended_rows_are_no_orphans(machine: Machine, ask: Ask, fields: dict) -> None:
    row = orphan(ask(machine, "shutdown"))
    Operation.objects.filter(pk=row.pk).update(**fields)
    assert not list(reconcile.orphans())


@pytest.mark.django_db(transaction=True)
def test_rows_that_this_process_holds_get_heartbeats(machine: Machine, ask: Ask, monkeypatch) -> None:
    mine = orphan(ask(machine, "save"))
    Operation.objects.update(worker=WORKER)
    with pulse.holding(mine.pk):
        pulse._beat()
    assert not list(reconcile.orphans())
    Operation.objects.update(heartbeat_at=mine.heartbeat_at)
    pulse._beat()
    assert list(reconcile.orphans()), "it is not held any more"


@pytest.mark.django_db(transaction=True)
def test_row_that_another_worker_has_taken_over_gets_none_of_this_ones_heartbeats(machine: Machine, ask: Ask) -> None:
    row = orphan(ask(machine, "save"))
    with pulse.holding(row.pk):
        pulse._beat()
    assert list(reconcile.orphans()) == [row]


# With a host to ask (libvirt's test driver)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "act", "end"),
    [
        ("save", Domain.save_managed, (Status.SUCCEEDED, "")),
        ("save", None, (Status.FAILED, "worker_lost")),
        ("suspend", Domain.suspend, (Status.SUCCEEDED, "")),
        ("suspend", None, (Status.FAILED, "worker_lost")),
        ("destroy", Domain.destroy, (Status.SUCCEEDED, "")),
        ("reset", Domain.reset, (Status.INTERRUPTED, "outcome_unknown")),
    ],
)
def test_host_is_asked_how_an_orphan_ended(
    make_domain: MakeDomain, ask: Ask, kind: str, act: Callable[[Domain], None] | None, end: tuple[str, str]
) -> None:
    domain, machine = make_domain()
    row = orphan(ask(machine, kind))
    if act:
        act(domain)
    assert reconcile.look(row.pk) is False
    assert (fresh(row).status, fresh(row).error_code) == end
    assert fresh(row).message


@pytest.mark.django_db(transaction=True)
def test_orphan_on_a_domain_that_is_gone_ends(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    row = orphan(ask(machine, "save"))
    domain.destroy()
    domain.undefine()
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "worker_lost")
    assert "undefined" in fresh(row).message


@pytest.mark.django_db(transaction=True)
def test_host_that_does_not_answer_is_asked_again_and_given_up_at_last(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    row = orphan(ask(machine, "save"))
    Host.objects.update(uri="qemu+unix:///system?socket=/nonexistent/socket")
    reconcile.look(row.pk)
    assert fresh(row).status == Status.RUNNING
    Operation.objects.update(heartbeat_at=timezone.now() - reconcile.GIVE_UP_AFTER)
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.INTERRUPTED, "host_unreachable")


def test_fault_of_the_portal_does_not_hold_a_machine_for_ever(
    machine: Machine, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = orphan(ask(machine, "save"))
    monkeypatch.setattr(reconcile, "_job_runs", lambda _row: {}["a fault"])
    assert not reconcile.look(row.pk)
    assert fresh(row).status == Status.RUNNING
    Operation.objects.update(heartbeat_at=timezone.now() - reconcile.GIVE_UP_AFTER)
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "internal_error")


@pytest.mark.django_db(transaction=True)
def test_worker_that_was_only_slow_finds_its_row_ended_and_leaves_it(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    row = orphan(ask(machine, "suspend"))
    reconcile.look(row.pk)
    end = fresh(row)
    running.finish(row, running.succeeded())
    assert fresh(row).version == end.version


@pytest.mark.django_db(transaction=True)
def test_machine_can_be_used_again_after_its_orphan_has_ended(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    reconcile.look(orphan(ask(machine, "save")).pk)
    again = ask(machine, "save")
    running.run(again.pk)
    assert fresh(again).status == Status.SUCCEEDED
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == State.SAVED)


@pytest.mark.django_db(transaction=True)
def test_looking_at_what_is_no_orphan_does_nothing(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    row = orphan(ask(machine, "save"), age=timedelta(seconds=5))
    reconcile.look(row.pk)
    reconcile.follow(row.pk)
    reconcile.look(1_000_000)
    assert fresh(row).version == row.version
