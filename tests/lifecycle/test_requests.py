"""Asking for operations: what is refused and why, what force off ends, what is sent to the workers."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.http import Http404
from django.utils import timezone

from audit.models import Entry, Via
from hypervisor.states import State
from lifecycle import operations
from lifecycle.models import Operation, SavedFile, Status
from machines.models import Grant, GrantRole, Host, Machine
from machines.operation_table import TABLE
from machines.refused import Refused
from maintenance.models import Level, Maintenance
from tests.cast import MakeMachine
from tests.lifecycle.allowed import ALLOWED, ASKS, FILE, XML, sentence_in, states_of

RIGHTS = ("helpdesk", "viewer", "operator", "owner", "admin")
"""Each contains the ones before it."""


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


def definition_of(name: str, identity: uuid.UUID) -> str:
    """Return a definition that a host would take."""
    return (
        f"<domain type='test'><name>{name}</name><uuid>{identity}</uuid><memory unit='MiB'>64</memory>"
        "<vcpu>1</vcpu><os><type>hvm</type></os></domain>"
    )


@pytest.fixture
def make_ready(make_machine: MakeMachine, owner: User) -> MakeMachine:
    """A function that makes a machine that has all that an operation may need beside its state."""

    def make(state: str, **fields: object) -> Machine:
        identity = uuid.uuid4()
        ready = {
            "uuid": identity,
            "owner": owner,
            "state": state,
            "has_saved_image": state == "saved",
            "saved_file_count": 1,
            "saved_at_run": 0,
            "agent_connected": True,
            "definition_xml": definition_of("machine", identity),
        }
        machine = make_machine("machine", **(ready | fields))
        SavedFile.objects.create(
            machine=machine,
            host=machine.host,
            name=FILE,
            pool="saved",
            volume=f"{machine.uuid}-{FILE}",
            runs=0,
            complete=True,
        )
        return machine

    return make


def answer(machine: Machine, name: str, by: User) -> tuple[object, ...]:
    """Ask for it and take it back; return what was answered: the row's beginnings, or the refusal."""
    asked = ASKS[name]
    image = machine.has_saved_image and name != "restore a file"  # an image goes before any file
    runs = int(asked.kind == "create")  # it is not created past a file that fits
    Machine.objects.filter(pk=machine.pk).update(has_saved_image=image, runs=runs)
    before = Operation.objects.count()
    parameters = {key: machine.definition_xml if value == XML else value for key, value in asked.parameters.items()}
    try:
        operation = ask(machine, asked.kind, by, **parameters)
    except Refused as refusal:
        assert Operation.objects.count() == before
        return refusal.code, refusal.status, refusal.sentence, refusal.details
    operation.delete()
    return operation.kind, operation.status, operation.requested_by


# Every state, every operation


def test_the_specification_is_whole() -> None:
    assert set(ALLOWED) == set(State)
    assert set.union(*ALLOWED.values()) == set(ASKS)
    assert {asked.kind for asked in ASKS.values()} == set(TABLE)
    ways = {(kind.name, name) for kind in TABLE.values() for name in kind.variants}
    assert ways <= {(asked.kind, name) for asked in ASKS.values() for name in asked.parameters}


@pytest.mark.parametrize("state", State)
def test_every_operation_is_accepted_in_its_states_and_refused_in_all_others(
    make_ready: MakeMachine, admin: User, state: State
) -> None:
    machine = make_ready(state)
    accepted = {name: (asked.kind, Status.QUEUED, admin) for name, asked in ASKS.items() if name in ALLOWED[state]}
    refused = {
        name: ("state_conflict", 409, sentence_in(state, name), {"state": state})
        for name in ASKS
        if name not in accepted
    }
    assert {name: answer(machine, name, admin) for name in ASKS} == accepted | refused


@pytest.mark.parametrize("name", ASKS)
def test_every_operation_needs_its_right_and_no_more(
    make_ready: MakeMachine, owner: User, viewer: User, helpdesk: User, admin: User, name: str
) -> None:
    asked = ASKS[name]
    machine = make_ready(states_of(name)[0])
    Grant.objects.create(machine=machine, user=viewer, role=GrantRole.VIEWER)
    operator = User.objects.create_user("operator")
    Grant.objects.create(machine=machine, user=operator, role=GrantRole.OPERATOR)
    people = dict(zip(RIGHTS, (helpdesk, viewer, operator, owner, admin), strict=True))
    needed = RIGHTS.index(asked.right)
    told = ("forbidden", 403, f"You need the right “{asked.right}” on this machine.", {})
    expected = {
        right: (asked.kind, Status.QUEUED, person) if RIGHTS.index(right) >= needed else told
        for right, person in people.items()
    }
    assert {right: answer(machine, name, person) for right, person in people.items()} == expected


@pytest.mark.parametrize("name", [name for name, asked in ASKS.items() if asked.lacking])
def test_what_a_machine_lacks_beside_its_state_is_said(make_ready: MakeMachine, admin: User, name: str) -> None:
    column, sentence = ASKS[name].lacking
    for state in states_of(name):
        machine = make_ready(state, **{column: 0})
        assert answer(machine, name, admin) == ("state_conflict", 409, sentence, {"state": state})


@pytest.mark.parametrize("state", State)
def test_nothing_is_possible_on_a_host_that_does_not_answer(make_ready: MakeMachine, admin: User, state: State) -> None:
    machine = make_ready(state)
    Host.objects.update(reachable=False)
    told = ("host_unreachable", 409, "Its host does not answer. It is tried again all the time.", {})
    assert {name: answer(machine, name, admin) for name in ASKS} == dict.fromkeys(ASKS, told)


@pytest.mark.parametrize("state", State)
def test_nothing_but_force_off_gets_past_an_open_operation(make_ready: MakeMachine, admin: User, state: State) -> None:
    machine = make_ready(state)
    first = Operation.objects.create(machine=machine, kind="save", status=Status.RUNNING, requested_by=admin)
    told = ("operation_conflict", 409, "Another operation is in the way: Saving.", {"operation": first.pk})
    held_up = [name for name in ASKS if name != "destroy"]
    assert {name: answer(machine, name, admin) for name in held_up} == dict.fromkeys(held_up, told)
    force_off = "destroy" if "destroy" in ALLOWED[state] else "state_conflict"
    assert answer(machine, "destroy", admin)[0] == force_off


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
        ("shutdown", {"force": True}, "force"),
        ("pmsuspend", {"mode": "nap"}, "mode"),
        ("save", {"path": "/etc/passwd"}, "path"),
        ("save", {"file": "/etc/passwd"}, "file"),
        ("save", {"file": "../before"}, "file"),
        ("save", {"file": ".hidden"}, "file"),
        ("save", {"file": "a" * 65}, "file"),
        ("save", {"file": ["before"]}, "file"),
        ("restore", {"confirm": 1}, "confirm"),
        ("delete-file", {}, "file"),
        ("delete-file", {"file": "a b"}, "file"),
        ("autostart", {}, "on"),
        ("autostart", {"on": "yes"}, "on"),
        ("autostart", {"on": 1}, "on"),
        ("send-keys", {}, "keys"),
        ("send-keys", {"keys": "KEY_A"}, "keys"),
        ("send-keys", {"keys": ["a"]}, "keys"),
        ("send-keys", {"keys": ["KEY_A"] * 17}, "keys"),
        ("send-keys", {"keys": ["KEY_A"], "hold_ms": 0}, "hold_ms"),
        ("send-keys", {"keys": ["KEY_A"], "hold_ms": 10_001}, "hold_ms"),
        ("send-keys", {"keys": ["KEY_A"], "hold_ms": True}, "hold_ms"),
        ("define", {"xml": "x" * (256 * 1024 + 1)}, "xml"),
        ("create", {"persistent": "no"}, "persistent"),
        ("undefine", {"saved_image": "no"}, "saved_image"),
        ("undefine", {"disks": "vda"}, "disks"),
        ("undefine", {"disks": ["/dev/sda"]}, "disks"),
    ],
)
def test_bad_parameters_are_refused_by_name(machine: Machine, owner: User, kind: str, parameters, named: str) -> None:
    refusal = refused(machine, kind, owner, **parameters)
    assert (refusal.code, refusal.status, refusal.details) == ("bad_parameters", 400, {"parameter": named})
    assert f"“{named}”" in refusal.sentence
    assert not Operation.objects.exists()


def test_mode_is_kept_and_has_a_default(machine: Machine, make_machine: MakeMachine, owner: User) -> None:
    assert ask(machine, "shutdown", owner).parameters == {"mode": "default"}
    assert ask(make_machine(owner=owner), "shutdown", owner, mode=None).parameters == {"mode": "default"}
    assert ask(make_machine(owner=owner), "reboot", owner, mode="agent").parameters == {"mode": "agent"}


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


def test_a_policy_asks_what_it_may_and_no_persons_right_is_needed(machine: Machine) -> None:
    row = operations.request_by_policy(machine, "save")
    assert (row.requested_by, row.asked_by_portal, row.parameters) == (None, True, {})
    [entry] = Entry.objects.filter(kind="operation.asked")
    assert (entry.who, entry.via, entry.machine) == ("", Via.PORTAL, machine.pk)


@pytest.mark.parametrize("kind", sorted(set(TABLE) - operations.OF_POLICIES))
def test_a_policy_asks_nothing_else(machine: Machine, kind: str) -> None:
    with pytest.raises(Refused) as caught:
        operations.request_by_policy(machine, kind)
    assert caught.value.code == "forbidden"
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("code", "hindered"),
    [
        ("maintenance", lambda _machine: close()),
        ("state_conflict", lambda _machine: Machine.objects.update(state=State.DYING)),
        ("state_conflict", lambda _machine: Machine.objects.update(persistent=False)),
        ("host_unreachable", lambda _machine: Host.objects.update(reachable=False)),
        ("operation_conflict", lambda machine: ask(machine, "reset", machine.owner)),
    ],
)
def test_a_policy_is_refused_what_people_are_refused(
    machine: Machine, code: str, hindered: Callable[[Machine], object]
) -> None:
    hindered(machine)
    with pytest.raises(Refused) as caught:
        operations.request_by_policy(machine, "save")
    assert caught.value.code == code


def close() -> None:
    """Let nothing new begin from now on."""
    Maintenance.objects.create(text="Now.", level=Level.CLOSED, begins_at=timezone.now())
