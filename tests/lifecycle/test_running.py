"""Carrying operations out on libvirt's test driver, with a watcher beside: what is done, and what the rows say."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hypervisor.domain import Domain
from lifecycle import operations, running
from lifecycle.models import Operation, Status
from lifecycle.pulse import WORKER
from machines.models import Host, Machine
from tests.lifecycle.conftest import Ask, MakeDomain, eventually, fresh

pytestmark = pytest.mark.django_db(transaction=True)


def run(operation: Operation) -> Operation:
    """Do what the worker's task does, and return the row after it."""
    running.run(operation.pk)
    return fresh(operation)


@pytest.mark.parametrize(
    ("before", "kind", "state"),
    [
        ([], "suspend", "paused"),
        (["suspend"], "resume", "running"),
        ([], "save", "saved"),
        (["save"], "restore", "running"),
        (["save"], "start", "running"),
        ([], "reset", "running"),
        ([], "destroy", "shutoff"),
        (["destroy"], "start", "running"),
    ],
)
def test_operation_does_what_it_says_and_the_portal_shows_it(
    make_domain: MakeDomain, ask: Ask, before: list[str], kind: str, state: str
) -> None:
    _domain, machine = make_domain()
    for each in before:
        assert run(ask(machine, each)).status == Status.SUCCEEDED
    done = run(ask(machine, kind))
    assert (done.status, done.message, done.error_code) == (Status.SUCCEEDED, "", "")
    assert (done.progress, done.worker) == (100, WORKER)
    assert done.created_at <= done.started_at <= done.finished_at
    assert Machine.objects.get(pk=machine.pk).state == state


def test_what_was_asked_is_not_done_for_someone_who_lost_the_right_meanwhile(
    make_domain: MakeDomain, ask: Ask, owner: User
) -> None:
    domain, machine = make_domain()
    asked = ask(machine, "destroy")
    User.objects.filter(pk=asked.requested_by_id).update(is_active=False)
    assert run(asked).status == Status.CANCELLED
    assert domain.is_active()


def test_what_a_policy_asked_is_done_and_nothing_else_that_nobody_asks(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    for fields in ({"kind": "destroy", "asked_by_portal": True}, {"kind": "save", "asked_by_portal": False}):
        assert run(Operation.objects.create(machine=machine, **fields)).status == Status.CANCELLED
    assert domain.is_active()
    assert run(operations.request_by_policy(machine, "save")).status == Status.SUCCEEDED
    assert Machine.objects.get(pk=machine.pk).state == "saved"


def test_next_operation_can_be_asked_as_soon_as_one_has_succeeded(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    for kind in ("suspend", "resume", "save", "restore", "destroy", "start") * 3:
        assert run(ask(machine, kind)).status == Status.SUCCEEDED


def test_shutdown_that_is_over_before_the_call_returns_is_seen(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    running.run(ask(machine, "shutdown").pk)
    operation = Operation.objects.get()
    eventually(lambda: fresh(operation).status == Status.SUCCEEDED)
    eventually(lambda: Machine.objects.get(pk=machine.pk).shutdown_asked_at is None)
    machine.refresh_from_db()
    assert (machine.state, fresh(operation).waiting) == ("shutoff", False)


def test_operation_that_libvirt_refuses_fails_with_its_words(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    operation = ask(machine, "save")
    domain.destroy()
    failed = run(operation)
    assert (failed.status, failed.error_code) == (Status.FAILED, "domain_in_wrong_state")
    assert failed.message.startswith("The machine cannot be saved now:")
    assert failed.error_text
    assert failed.finished_at


def test_operation_on_a_domain_that_is_gone_fails(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    operation = ask(machine, "suspend")
    domain.destroy()
    domain.undefine()
    assert run(operation).error_code == "domain_not_found"


def test_operation_on_a_host_that_does_not_answer_fails(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "suspend")
    Host.objects.update(uri="qemu+unix:///system?socket=/nonexistent/socket")
    failed = run(operation)
    assert (failed.status, failed.error_code) == (Status.FAILED, "host_unreachable")


def test_fault_of_the_portal_itself_fails_the_row_and_is_logged(
    make_domain: MakeDomain, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "shutdown")
    Operation.objects.update(parameters={})  # a row that no code writes
    failed = run(operation)
    assert (failed.status, failed.error_code) == (Status.FAILED, "internal_error")
    assert "KeyError" in caplog.text
    assert "KeyError" not in failed.message + failed.error_text


def test_message_delivered_twice_acts_once(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "suspend")
    first = run(operation)
    again = run(operation)
    assert (first.version, first.finished_at) == (again.version, again.finished_at)


def test_two_workers_that_get_one_message_at_once_act_once(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "reset")
    _at_once(8, lambda: running.run(operation.pk))
    assert (fresh(operation).status, fresh(operation).version) == (Status.SUCCEEDED, 3)


def test_message_about_a_row_that_is_gone_or_cancelled_does_nothing(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    running.run(1_000_000)
    cancelled = operations.advance(ask(machine, "destroy"), status=Status.CANCELLED)
    assert run(cancelled).version == cancelled.version
    assert Machine.objects.get(pk=machine.pk).state == "running"


def test_shutdown_of_what_is_off_by_then_has_its_aim(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain()
    operation = ask(machine, "shutdown")
    domain.destroy()  # libvirt's call fails then, as it does when a guest is off before its agent has answered
    running.run(operation.pk)
    assert fresh(operation).status == Status.SUCCEEDED


def test_shutdown_cancelled_while_the_guest_is_asked_does_not_wait(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "shutdown")
    Operation.objects.update(cancel_requested=True)
    cancelled = run(operation)
    assert (cancelled.status, cancelled.waiting) == (Status.CANCELLED, False)
    assert Machine.objects.get(pk=machine.pk).shutdown_asked_at is None


def test_keep_running_forgets_that_a_shutdown_is_overdue(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    Machine.objects.update(overdue_since=timezone.now(), shutdown_asked_at=timezone.now(), state="dying")
    assert run(ask(machine, "keep-running")).status == Status.SUCCEEDED
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "running")


def test_row_that_somebody_else_ended_keeps_that_end(make_domain: MakeDomain, ask: Ask) -> None:
    _domain, machine = make_domain()
    operation = ask(machine, "suspend")
    taken = operations.advance(operation, status=Status.RUNNING, worker=WORKER)
    operations.advance(taken, status=Status.INTERRUPTED, message="asked elsewhere")
    running.finish(taken, running.succeeded())
    assert fresh(operation).message == "asked elsewhere"


def test_force_off_waits_a_moment_for_what_it_pre_empted(make_domain: MakeDomain, ask: Ask, owner: User) -> None:
    domain, machine = make_domain(start=False)
    start = operations.advance(ask(machine, "start"), status=Status.RUNNING, worker=WORKER)
    Machine.objects.update(state="running")
    destroy = ask(machine, "destroy")
    thread = threading.Thread(target=_start_late, args=[domain, start])
    thread.start()
    assert run(destroy).status == Status.SUCCEEDED
    thread.join()
    assert not domain.is_active()


def _start_late(domain: Domain, start: Operation) -> None:
    """Be the worker that is in the middle of a start when force off is asked."""
    eventually(lambda: Operation.objects.filter(kind="destroy", status=Status.RUNNING).exists())
    domain.start()
    running.finish(fresh(start), running.succeeded())


def _at_once(number: int, call: Callable[[], None]) -> None:
    barrier = threading.Barrier(number)

    def one() -> None:
        barrier.wait()
        call()

    threads = [threading.Thread(target=one) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
