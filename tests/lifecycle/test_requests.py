"""Asking for operations: what is refused and why, what force off ends, what is sent to the workers."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.http import Http404

from hypervisor.states import State
from lifecycle import operations
from lifecycle.models import Operation, Status
from machines.models import Grant, GrantRole, Host, Machine
from machines.operation_table import TABLE
from machines.refused import Refused
from tests.cast import MakeMachine

AWAKE = {"shutdown", "reboot", "suspend", "save", "reset", "destroy"}
ALLOWED = {
    State.UNDEFINED: set(),
    State.SHUTOFF: {"start"},
    State.RUNNING: AWAKE,
    State.IDLE: AWAKE,
    State.SHUTDOWN: {"suspend", "reset", "destroy"},
    State.PAUSED: {"resume", "save", "reset", "destroy"},
    State.SAVED: {"start", "restore"},
    State.CRASHED: {"start", "destroy"},
    State.DYING: {"shutdown", "reset", "keep-running", "destroy"},
    State.PMSUSPENDED: {"reset", "destroy"},
}


def ask(machine: Machine, kind: str, by: User, **parameters: object) -> Operation:
    return operations.request(machine, kind, by=by, parameters=parameters)


def refused(machine: Machine, kind: str, by: User, **parameters: object) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(machine, kind, by, **parameters)
    return caught.value


def underway(operation: Operation, **fields: object) -> Operation:
    """Give a queued row to a worker that does not exist."""
    row = operations.advance(operation, status=Status.RUNNING, worker="elsewhere:1", **fields)
    assert row
    return row


@pytest.mark.parametrize("kind", TABLE)
@pytest.mark.parametrize("state", State)
def test_every_operation_is_accepted_in_its_states_and_refused_in_all_others(
    make_machine: MakeMachine, owner: User, state: State, kind: str
) -> None:
    machine = make_machine(state=state, owner=owner)
    if kind in ALLOWED[state]:
        operation = ask(machine, kind, owner)
        assert (operation.kind, operation.status, operation.requested_by) == (kind, Status.QUEUED, owner)
    else:
        refusal = refused(machine, kind, owner)
        assert (refusal.code, refusal.status, refusal.details) == ("state_conflict", 409, {"state": state})
        assert not Operation.objects.exists()


def test_unknown_operation_is_refused_and_the_known_ones_named(machine: Machine, owner: User) -> None:
    refusal = refused(machine, "explode", owner)
    assert (refusal.code, refusal.status) == ("unknown_operation", 400)
    assert refusal.details["known"] == list(TABLE)


@pytest.mark.parametrize(
    ("kind", "parameters", "named"),
    [
        ("suspend", {"mode": "acpi"}, "mode"),
        ("shutdown", {"mode": "hammer"}, "mode"),
        ("shutdown", {"mode": ["acpi"]}, "mode"),
        ("shutdown", {"mode": None}, "mode"),
        ("shutdown", {"force": True}, "force"),
        ("save", {"path": "/etc/passwd"}, "path"),
    ],
)
def test_bad_parameters_are_refused_by_name(machine: Machine, owner: User, kind: str, parameters, named: str) -> None:
    refusal = refused(machine, kind, owner, **parameters)
    assert (refusal.code, refusal.status, refusal.details) == ("bad_parameters", 400, {"parameter": named})
    assert f"“{named}”" in refusal.sentence


def test_mode_is_kept_and_has_a_default(machine: Machine, make_machine: MakeMachine, owner: User) -> None:
    assert ask(machine, "shutdown", owner).parameters == {"mode": "default"}
    assert ask(make_machine(owner=owner), "reboot", owner, mode="agent").parameters == {"mode": "agent"}


def test_people_with_too_few_rights_are_refused_and_told_which_they_need(
    machine: Machine, viewer: User, helpdesk: User
) -> None:
    for person in (viewer, helpdesk):
        refusal = refused(machine, "suspend", person)
        assert (refusal.code, refusal.status) == ("forbidden", 403)
        assert "operator" in refusal.sentence


def test_operator_and_admin_may_ask(machine: Machine, make_machine: MakeMachine, stranger: User, admin: User) -> None:
    Grant.objects.create(machine=machine, user=stranger, role=GrantRole.OPERATOR)
    assert ask(machine, "suspend", stranger).requested_by == stranger
    assert ask(make_machine(), "suspend", admin).requested_by == admin


def test_machine_on_a_host_that_does_not_answer_is_refused(machine: Machine, owner: User, host: Host) -> None:
    Host.objects.update(reachable=False)
    refusal = refused(machine, "destroy", owner)
    assert (refusal.code, refusal.status) == ("host_unreachable", 409)


def test_machine_that_is_gone_is_not_found(machine: Machine, owner: User) -> None:
    with pytest.raises(Http404):
        ask(Machine(uuid=uuid.uuid4(), name="gone", host=machine.host), "start", owner)


def test_present_state_decides_not_the_one_the_caller_read(machine: Machine, owner: User) -> None:
    Machine.objects.update(state=State.SHUTOFF)
    assert refused(machine, "suspend", owner).code == "state_conflict"


def test_second_operation_is_refused_and_names_the_first(machine: Machine, owner: User, admin: User) -> None:
    first = ask(machine, "save", owner)
    refusal = refused(machine, "suspend", admin)
    assert (refusal.code, refusal.status) == ("operation_conflict", 409)
    assert refusal.details == {"operation": first.pk}
    assert "Saving" in refusal.sentence


def test_next_operation_is_accepted_when_the_first_has_ended(machine: Machine, owner: User) -> None:
    first = ask(machine, "save", owner)
    operations.advance(first, status=Status.FAILED)
    assert ask(machine, "suspend", owner).status == Status.QUEUED


def test_operations_on_different_machines_do_not_meet(make_machine: MakeMachine, owner: User) -> None:
    ask(make_machine("one", owner=owner), "save", owner)
    assert ask(make_machine("two", owner=owner), "save", owner)


# Force off


def test_force_off_cancels_what_is_queued(machine: Machine, owner: User) -> None:
    first = ask(machine, "save", owner)
    destroy = ask(machine, "destroy", owner)
    first.refresh_from_db()
    assert (first.status, first.message) == (Status.CANCELLED, "“Force off” was asked instead.")
    assert first.finished_at
    assert operations.open_operations([machine.uuid]) == {machine.uuid: destroy}


@pytest.mark.parametrize("kind", ["shutdown", "reboot"])
def test_force_off_ends_a_waiting_shutdown_or_reboot(machine: Machine, owner: User, kind: str) -> None:
    first = underway(ask(machine, kind, owner), waiting=True)
    ask(machine, "destroy", owner)
    first.refresh_from_db()
    assert (first.status, first.waiting, first.preempted) == (Status.CANCELLED, False, False)


def test_force_off_tells_the_worker_that_holds_an_operation_to_end_it(machine: Machine, owner: User) -> None:
    first = underway(ask(machine, "save", owner))
    destroy = ask(machine, "destroy", owner)
    first.refresh_from_db()
    assert (first.status, first.cancel_requested, first.preempted) == (Status.RUNNING, True, True)
    assert operations.open_operations([machine.uuid]) == {machine.uuid: destroy}


def test_second_force_off_is_refused_while_one_is_open(machine: Machine, owner: User) -> None:
    destroy = ask(machine, "destroy", owner)
    assert refused(machine, "destroy", owner).details == {"operation": destroy.pk}
    underway(destroy)
    assert refused(machine, "destroy", owner).code == "operation_conflict"


def test_nothing_gets_past_a_force_off(machine: Machine, owner: User) -> None:
    underway(ask(machine, "save", owner))
    destroy = ask(machine, "destroy", owner)
    assert refused(machine, "suspend", owner).details == {"operation": destroy.pk}


# The way to the workers


@pytest.mark.parametrize(
    ("kind", "state", "queue"),
    [
        ("start", State.SHUTOFF, "quick"),
        ("start", State.SAVED, "long"),
        ("restore", State.SAVED, "long"),
        ("save", State.RUNNING, "long"),
        ("suspend", State.RUNNING, "quick"),
        ("destroy", State.RUNNING, "quick"),
    ],
)
def test_operations_that_move_memory_go_to_the_long_queue(
    make_machine: MakeMachine, owner: User, kind: str, state: State, queue: str
) -> None:
    assert operations.queue_of(ask(make_machine(state=state, owner=owner), kind, owner)) == queue


def test_accepting_costs_few_queries(machine: Machine, owner: User, django_assert_max_num_queries) -> None:
    with django_assert_max_num_queries(12):
        ask(machine, "suspend", owner)
