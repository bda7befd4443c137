"""Every operation on a real guest, carried out by real worker processes, with virsh as the witness."""

from __future__ import annotations

import time

import pytest

from lifecycle import news, operations
from lifecycle.models import Operation, Status
from machines.models import Machine
from tests.guest import Guest
from tests.lifecycle.conftest import Ask, MakeVm, StartWorker, ended, eventually, fresh
from tests.lifecycle.slow_save import slow_save, wait_until_caught

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]

LIMIT = "3"
"""SHUTDOWN_LIMIT of the workers of this module, in seconds; none of the guests needs more."""


@pytest.fixture
def crew(start_worker: StartWorker) -> None:
    start_worker("quick", SHUTDOWN_LIMIT=LIMIT)
    start_worker("long")


def uptime(guest: Guest) -> float:
    return float(guest.run("cut -d' ' -f1 /proc/uptime"))


def succeeds(operation: Operation) -> None:
    row = ended(operation)
    assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)


def test_a_machine_goes_through_its_life(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm(start=False)
    life = [
        ("start", "running", "booted"),
        ("suspend", "paused", "user"),
        ("resume", "running", "unpaused"),
        ("save", "shut off", "saved"),
        ("restore", "running", "restored"),
        ("save", "shut off", "saved"),
        ("start", "running", "restored"),
        ("destroy", "shut off", "destroyed"),
        ("start", "running", "booted"),
        ("destroy", "shut off", "destroyed"),
    ]
    for kind, state, reason in life:
        succeeds(ask(machine, kind))
        assert (guest.state, guest.reason) == (state, reason), kind


def test_restored_guest_goes_on_where_it_was(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    guest.run("echo remembered > /tmp/note")
    succeeds(ask(machine, "save"))
    succeeds(ask(machine, "restore"))
    guest.wait_for_agent()
    assert guest.run("cat /tmp/note") == "remembered"


@pytest.mark.parametrize("mode", ["acpi", "agent", pytest.param("default", marks=pytest.mark.full)])
def test_guest_shuts_down_when_asked(crew: None, make_vm: MakeVm, ask: Ask, mode: str) -> None:
    guest, machine = make_vm()
    shutdown = ask(machine, "shutdown", mode=mode)
    succeeds(shutdown)
    assert (guest.state, guest.reason) == ("shut off", "shutdown")
    assert fresh(shutdown).waiting is False
    eventually(lambda: Machine.objects.get(pk=machine.pk).shutdown_asked_at is None)


@pytest.mark.parametrize("mode", ["acpi", pytest.param("agent", marks=pytest.mark.full), "default"])
def test_guest_reboots_when_asked(crew: None, make_vm: MakeVm, ask: Ask, mode: str) -> None:
    guest, machine = make_vm()
    before, process = uptime(guest), guest.qemu_pid
    time.sleep(1)
    succeeds(ask(machine, "reboot", mode=mode))
    guest.wait_for_agent()
    assert uptime(guest) < before + 1
    assert guest.qemu_pid == process


def test_reset_restarts_the_guest_at_once(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    guest.run("echo lost > /tmp/note")
    succeeds(ask(machine, "reset"))
    eventually(lambda: not guest.agent_answers())
    guest.wait_for_agent()
    assert "No such file" in guest.run("cat /tmp/note")


def test_guest_without_an_agent_says_so(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm(agent=False, wait=False)
    failed = ended(ask(machine, "shutdown", mode="agent"))
    assert (failed.status, failed.error_code) == (Status.FAILED, "agent_unavailable")
    assert "agent" in failed.message
    machine.refresh_from_db()
    assert machine.shutdown_asked_at is None
    assert guest.state == "running"


def test_guest_that_ignores_the_power_button_is_dying_and_then_forced_off(
    crew: None, make_vm: MakeVm, ask: Ask
) -> None:
    guest, machine = make_vm()
    guest.run("killall acpid")
    shutdown = ask(machine, "shutdown", mode="acpi")
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "shutdown")
    eventually(lambda: fresh(shutdown).waiting)
    time.sleep(float(LIMIT))
    news.expire_waiting()
    assert (fresh(shutdown).status, fresh(shutdown).error_code) == (Status.FAILED, "timeout")
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "dying")
    assert guest.state == "running"
    succeeds(ask(machine, "destroy"))
    assert guest.state == "shut off"
    assert Machine.objects.get(pk=machine.pk).state == "shutoff"


def test_dying_machine_can_be_kept_running_and_shut_down_later(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    guest.run("killall acpid")
    eventually(lambda: fresh(ask_once(machine, ask)).waiting)
    time.sleep(float(LIMIT))
    news.expire_waiting()
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "dying")
    succeeds(ask(machine, "keep-running"))
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "running")
    guest.run("acpid")
    succeeds(ask(machine, "shutdown", mode="acpi"))
    assert guest.state == "shut off"


def ask_once(machine: Machine, ask: Ask) -> Operation:
    """Ask for a shutdown, the first time."""
    return Operation.objects.filter(machine=machine).first() or ask(machine, "shutdown", mode="acpi")


def test_cancelled_shutdown_is_not_waited_for(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    guest.run("killall acpid")
    shutdown = ask(machine, "shutdown", mode="acpi")
    eventually(lambda: fresh(shutdown).waiting)
    operations.cancel(fresh(shutdown), machine.owner)
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == "running")
    assert guest.state == "running"


# Save: progress, cancel, force off


def test_save_shows_its_progress(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: fresh(save).total_bytes > 100 * 2**20)
        row = fresh(save)
        assert 0 < row.processed_bytes < row.total_bytes
        assert row.progress < 50
    succeeds(save)
    assert fresh(save).progress == 100


def test_cancelled_save_leaves_the_machine_running(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: fresh(save).status == Status.RUNNING)
        operations.cancel(fresh(save), machine.owner)
        time.sleep(1)  # the worker looks at the row twice a second
    row = ended(save)
    assert (row.status, row.message) == (Status.CANCELLED, "Cancelled. The machine goes on as it was.")
    guest.wait_for_state("running")
    assert "Managed save:   no" in guest.virsh("dominfo")
    guest.wait_for_agent()
    succeeds(ask(machine, "save"))


def test_force_off_aborts_a_save(crew: None, make_vm: MakeVm, ask: Ask) -> None:
    guest, machine = make_vm()
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: Machine.objects.get(pk=machine.pk).state == "paused")
        destroy = ask(machine, "destroy")
        guest.wait_for_state("shut off", 20)
    succeeds(destroy)
    row = ended(save)
    assert (row.status, row.message) == (Status.CANCELLED, "“Force off” was asked instead.")
    assert "Managed save:   no" in guest.virsh("dominfo")
    succeeds(ask(machine, "start"))
    assert guest.state == "running"
