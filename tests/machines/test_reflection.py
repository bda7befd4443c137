"""How a reading changes a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hypervisor.readings import Address, Reading
from hypervisor.states import DomainState, State
from machines.models import Machine
from machines.reflection import UNSEEN, Moment, address_values, forget, reflect
from tests.machines.readings import DEFINITION, reading

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
IDLE_AFTER = timedelta(seconds=300)


def at(seconds: float, **noticed: bool) -> Moment:
    return Moment(BEGIN + timedelta(seconds=seconds), IDLE_AFTER, **noticed)


@pytest.fixture
def running() -> Machine:
    machine = Machine()
    reflect(machine, reading(definition=DEFINITION, agent_connected=True), at(0))
    return machine


def test_everything_that_libvirt_says_is_in_the_row(running):
    assert (running.name, running.title, running.vcpus, running.memory_bytes) == ("machine", "A title", 2, 2**30)
    assert (running.state, running.state_reason, running.state_since) == ("running", "booted", BEGIN)
    assert (running.graphics, running.video_model, running.definition_xml) == (["vnc"], "vga", "<domain/>")
    assert running.consoles == ["vnc", "serial"]
    assert running.agent_connected


def test_the_same_reading_twice_changes_nothing(running):
    assert reflect(running, reading(definition=DEFINITION, agent_connected=True), at(9)) == set()


def test_what_was_not_read_keeps_its_value(running):
    assert reflect(running, reading(), at(9)) == set()


def test_a_change_beside_the_state_leaves_its_time(running):
    assert reflect(running, reading(autostart=True), at(9)) == {"autostart"}
    assert running.state_since == BEGIN


def test_a_new_reason_of_the_same_state_leaves_its_time(running):
    assert reflect(running, reading(reason="unpaused"), at(9)) == {"state_reason"}
    assert running.state_since == BEGIN


def test_a_new_state_has_a_new_time(running):
    changed = reflect(running, reading(DomainState.PAUSED, "user"), at(9))
    assert changed == {"state", "state_reason", "state_since", "domain_state"}
    assert running.state_since == BEGIN + timedelta(seconds=9)


@pytest.mark.parametrize(
    ("before", "reason", "saved", "state"),
    [
        (DomainState.SHUTOFF, "crashed", False, State.CRASHED),
        (DomainState.SHUTOFF, "saved", True, State.SAVED),
        (DomainState.SHUTOFF, "destroyed", False, State.SHUTOFF),
        (DomainState.RUNNING, "booted", False, State.RUNNING),
        (DomainState.PAUSED, "I/O error", False, State.PAUSED),
        (DomainState.PAUSED, "crashed", False, State.CRASHED),
        (DomainState.CRASHED, "panicked", False, State.CRASHED),
    ],
)
def test_a_reason_that_libvirt_forgot_stays(before, reason, saved, state):
    machine = Machine()
    reflect(machine, reading(before, reason, has_saved_image=saved), at(0))
    assert machine.state == state
    assert reflect(machine, reading(before, "unknown", has_saved_image=saved), at(9)) == set()
    assert (machine.state, machine.state_reason) == (state, reason)


def test_an_unknown_reason_of_another_state_is_not_the_old_one(running):
    reflect(running, reading(DomainState.SHUTOFF, "unknown"), at(9))
    assert (running.state, running.state_reason) == ("shutoff", "unknown")


def test_crashed_is_over_when_the_machine_has_run_since(running):
    reflect(running, reading(DomainState.SHUTOFF, "crashed"), at(1))
    reflect(running, reading(), at(2))
    reflect(running, reading(DomainState.SHUTOFF, "unknown"), at(3))
    assert running.state == "shutoff"


def test_a_machine_asked_to_shut_down_is_on_its_way_until_it_is_off(running):
    running.shutdown_asked_at = BEGIN
    reflect(running, reading(), at(1))
    assert running.state == "shutdown"
    reflect(running, reading(DomainState.SHUTOFF, "shutdown"), at(2))
    assert (running.state, running.shutdown_asked_at) == ("shutoff", None)


def test_a_machine_that_should_be_off_long_ago_is_dying_until_it_is(running):
    running.shutdown_asked_at = running.overdue_since = BEGIN
    reflect(running, reading(), at(1))
    assert running.state == "dying"
    reflect(running, reading(DomainState.SHUTOFF, "destroyed"), at(2))
    assert (running.state, running.shutdown_asked_at, running.overdue_since) == ("shutoff", None, None)


def test_a_reboot_or_reset_ends_the_way_down(running):
    running.shutdown_asked_at = running.overdue_since = BEGIN
    reflect(running, reading(), at(1))
    changed = reflect(running, reading(), at(2, rebooted=True))
    assert (running.state, running.rebooted_at) == ("running", BEGIN + timedelta(seconds=2))
    assert {"shutdown_asked_at", "overdue_since", "rebooted_at", "state"} <= changed


def test_a_reboot_alone_makes_no_new_version(running):
    assert reflect(running, reading(), at(2, rebooted=True)) == {"rebooted_at"} <= UNSEEN


def test_a_machine_is_idle_after_being_quiet_long_enough_and_not_before(running):
    reflect(running, reading(), at(10, quiet=True))
    reflect(running, reading(), at(309, quiet=True))
    assert running.state == "running"
    reflect(running, reading(), at(310, quiet=True))
    assert (running.state, running.quiet_since) == ("idle", BEGIN + timedelta(seconds=10))


def test_an_idle_machine_stays_idle_where_nobody_measured(running):
    reflect(running, reading(), at(0, quiet=True))
    reflect(running, reading(), at(300, quiet=True))
    assert reflect(running, reading(), at(301)) == set()


def test_a_busy_machine_is_running_at_once(running):
    reflect(running, reading(), at(0, quiet=True))
    reflect(running, reading(), at(300, quiet=True))
    reflect(running, reading(), at(305, quiet=False))
    assert (running.state, running.quiet_since) == ("running", None)


def test_a_paused_machine_was_not_quiet(running):
    reflect(running, reading(), at(0, quiet=True))
    reflect(running, reading(DomainState.PAUSED, "user"), at(100, quiet=True))
    reflect(running, reading(reason="unpaused"), at(400))
    assert running.state == "running"


def test_a_machine_that_is_off_has_no_agent_and_no_address(running):
    running.addresses = address_values([Address("eth0", "52:54:00:00:00:01", "10.0.0.2", 24)])
    reflect(running, reading(DomainState.SHUTOFF, "shutdown"), at(1))
    assert (running.agent_connected, running.addresses) == (False, [])


def test_addresses_have_one_order():
    first, second = Address("eth0", "", "10.0.0.2", 24), Address("eth0", "", "fe80::1", 64)
    assert address_values([first, second]) == address_values([second, first])


def test_a_forgotten_machine_keeps_its_definition_and_nothing_that_runs(running):
    running.overdue_since = BEGIN
    forget(running, BEGIN + timedelta(seconds=5))
    assert (running.state, running.agent_connected, running.overdue_since) == ("undefined", False, None)
    assert (running.definition_xml, running.name) == ("<domain/>", "machine")
    assert forget(running, BEGIN + timedelta(seconds=6)) == set()


def test_a_machine_comes_back_when_it_is_defined_again(running):
    forget(running, BEGIN)
    reflect(running, reading(DomainState.SHUTOFF, "unknown", definition=replace(DEFINITION, title="New")), at(5))
    assert (running.state, running.state_reason, running.title) == ("shutoff", "unknown", "New")


# Runs, and saved files that no longer fit the disks


def off(reason: str = "unknown") -> Reading:
    return reading(DomainState.SHUTOFF, reason)


def on(number: int) -> Reading:
    return reading(domain_id=number)


@pytest.mark.parametrize(
    ("readings", "runs"),
    [
        ([off()], 0),
        ([on(1)], 1),
        ([on(1), on(1)], 1),
        ([on(1), reading(DomainState.PAUSED, "user", domain_id=1), on(1)], 1),
        ([on(1), off("shutdown")], 1),
        ([on(1), off("shutdown"), on(2)], 2),
        ([on(1), off("shutdown"), on(1)], 2),
        ([on(1), on(2)], 2),
        ([on(1), off("saved"), off("shutdown")], 2),
        ([on(1), off("saved"), off("destroyed")], 2),
        ([on(1), off("saved"), off("saved")], 1),
        ([on(1), off("saved"), off("unknown")], 1),
        ([on(1), off("saved"), off("unknown"), off("shutdown")], 2),
        ([off("unknown"), off("shutdown")], 0),
    ],
    ids=[
        "never seen running",
        "running",
        "still running",
        "paused and resumed",
        "shut down",
        "started again",
        "started again under the same number, as after the host's own start",
        "another run than the one last seen",
        "ended otherwise than it was last seen to: it ran in between",
        "forced off in a run that nobody saw",
        "nothing new",
        "libvirtd restarted and forgot why",
        "forgot why, and then ran unseen",
        "nothing known to compare with",
    ],
)
def test_runs_are_counted_also_those_that_nobody_saw_begin(readings, runs):
    machine = Machine()
    for seconds, one in enumerate(readings):
        reflect(machine, one, at(seconds))
    assert machine.runs == runs


def test_counting_a_run_makes_no_new_version(running):
    assert reflect(running, on(7), at(1)) == {"domain_id", "runs"} <= UNSEEN


def saved_to_a_file(*, at_run: int = 1) -> Machine:
    """Return a machine that ran once, was saved to a file in that run, and is off."""
    machine = Machine()
    reflect(machine, on(1), at(0))
    machine.saved_file_count, machine.saved_at_run = 1, at_run
    reflect(machine, off("saved"), at(1))
    return machine


def test_a_machine_saved_to_a_file_is_saved():
    machine = saved_to_a_file()
    assert (machine.state, machine.state_reason, machine.has_saved_image) == ("saved", "saved", False)


def test_it_stays_saved_when_libvirt_forgets_why():
    machine = saved_to_a_file()
    assert reflect(machine, off("unknown"), at(2)) == set()
    assert (machine.state, machine.state_reason) == ("saved", "saved")


def test_a_file_of_an_earlier_run_makes_nothing_saved():
    assert saved_to_a_file(at_run=0).state == "shutoff"


def test_a_machine_saved_elsewhere_is_not_saved_by_us(running):
    reflect(running, off("saved"), at(1))
    assert running.state == "shutoff"


def test_what_ran_since_is_shut_off_and_not_saved():
    machine = saved_to_a_file()
    reflect(machine, on(2), at(2))
    assert machine.state == "running"
    reflect(machine, off("shutdown"), at(3))
    assert (machine.state, machine.runs) == ("shutoff", 2)


def test_what_ran_since_unseen_is_shut_off_and_not_saved():
    machine = saved_to_a_file()
    reflect(machine, off("shutdown"), at(2))
    assert (machine.state, machine.runs) == ("shutoff", 2)


def test_saved_in_its_second_run_it_is_saved_again():
    machine = saved_to_a_file()
    reflect(machine, on(2), at(2))
    machine.saved_at_run = 2
    reflect(machine, off("saved"), at(3))
    assert machine.state == "saved"


def test_a_machine_that_was_saved_and_undefined_is_still_saved_when_it_is_defined_again():
    machine = saved_to_a_file()
    forget(machine, BEGIN)
    assert (machine.state, machine.domain_id, machine.runs, machine.saved_at_run) == ("undefined", None, 1, 1)
    reflect(machine, off("unknown"), at(9))
    assert (machine.state, machine.state_reason, machine.runs) == ("saved", "saved", 1)
    assert reflect(machine, off("unknown"), at(10)) == set()


@pytest.mark.parametrize(
    ("reason", "noticed"),
    [("unknown", {"away": True}), ("unknown", {"started": True}), ("destroyed", {}), ("saved", {})],
)
def test_it_is_not_when_it_may_have_run_before_it_was_defined_again(reason, noticed):
    machine = saved_to_a_file()
    forget(machine, BEGIN)
    reflect(machine, off(reason), at(9, **noticed))
    assert (machine.state, machine.runs) == ("shutoff", 2)


def test_nor_when_nobody_looked_while_it_was_undefined():
    machine = saved_to_a_file()
    forget(machine, BEGIN)
    assert forget(machine, BEGIN, away=True) == {"runs"}
    reflect(machine, off("unknown"), at(9))
    assert (machine.state, machine.runs) == ("shutoff", 2)


@pytest.mark.parametrize(("away", "state"), [(False, "saved"), (True, "shutoff")])
def test_a_saved_machine_that_nobody_watched_may_have_run_when_its_reason_is_forgotten(away, state):
    machine = saved_to_a_file()
    reflect(machine, off("unknown"), at(9, away=away))
    assert machine.state == state


def test_a_host_that_nobody_looked_at_may_have_been_restarted_and_counts_from_one_again():
    machine = Machine()
    reflect(machine, on(1), at(0))
    reflect(machine, on(1), replace(at(100), away=True))
    assert machine.runs == 2


def test_a_run_between_two_readings_that_ended_as_the_last_one_did_is_counted():
    machine = saved_to_a_file()
    reflect(machine, off("saved"), at(9, started=True))
    assert (machine.state, machine.runs) == ("shutoff", 2)
