"""What goes wrong for real: workers killed, QEMU stopped or killed, libvirtd restarted; each row says the truth."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.utils import timezone

from demo.libvirtd import PrivateLibvirtd
from demo.portal import Process
from lifecycle import operations, tasks
from lifecycle.models import Operation, Status
from lifecycle.pulse import DEAD_AFTER, EVERY
from lifecycle.reconcile import SLOW_AFTER
from machines.models import Host, Machine
from tests.guest import Guest
from tests.lifecycle.conftest import Ask, MakeVm, StartWorker, ended, eventually, fresh
from tests.lifecycle.slow_save import SlowSave, slow_save, wait_until_caught

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]


def kill(process: Process) -> None:
    """Kill a worker as the kernel's out-of-memory killer would."""
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not process.running)


def let_its_heartbeat_grow_old(operation: Operation) -> None:
    """Spare the test the 20 s that a heartbeat takes to be called old."""
    Operation.objects.filter(pk=operation.pk).update(heartbeat_at=timezone.now() - DEAD_AFTER - timedelta(seconds=1))


@contextmanager
def killed_in_the_middle_of_a_save(
    guest: Guest, machine: Machine, ask: Ask, start_worker: StartWorker
) -> Iterator[tuple[Operation, SlowSave]]:
    """Have a worker killed while it saves; the save itself stands still until the end of the block, or `go_on`."""
    worker = start_worker("long")
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: fresh(save).total_bytes)
        kill(worker)
        let_its_heartbeat_grow_old(save)
        yield save, slow


@pytest.mark.full
def test_running_operation_has_a_heartbeat_until_its_worker_is_killed(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    worker = start_worker("long")
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        first = eventually(lambda: fresh(save).heartbeat_at)
        eventually(lambda: fresh(save).heartbeat_at > first, EVERY + 2)
        kill(worker)
        last = fresh(save).heartbeat_at
        time.sleep(EVERY + 1)
        assert fresh(save).heartbeat_at == last
        assert fresh(save).status == Status.RUNNING


def test_save_whose_worker_was_killed_is_looked_after_and_succeeds(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    """Nobody serves the long queue any more: beat's rounds alone see it through, and no second save is made."""
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        before = fresh(save).version
        tasks.find_orphans()
        time.sleep(1)
        assert fresh(save).status == Status.RUNNING, "libvirt is still at it"
        assert "Save" in guest.virsh("domjobinfo")
        slow.go_on()
        guest.wait_for_state("shut off")
        tasks.find_orphans()
    row = ended(save)
    assert (row.status, row.error_code, row.progress) == (Status.SUCCEEDED, "", 100)
    assert row.message == "Contact with it was lost on the way; its host confirms that it was done."
    assert row.version > before
    assert "Managed save:   yes" in guest.virsh("dominfo")
    restore = ask(Machine.objects.get(pk=machine.pk), "restore")
    start_worker("long")
    assert ended(restore).status == Status.SUCCEEDED
    guest.wait_for_agent()


def test_save_whose_worker_was_killed_is_followed_by_the_next_worker(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        killed = fresh(save).worker
        start_worker("long")
        tasks.find_orphans()
        eventually(lambda: fresh(save).worker not in {killed, ""})
        slow.go_on()
        row = ended(save, 15)
    assert row.status == Status.SUCCEEDED
    assert "Managed save:   yes" in guest.virsh("dominfo")


def test_save_that_is_followed_by_the_next_worker_can_be_cancelled(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        killed = fresh(save).worker
        start_worker("long")
        tasks.find_orphans()
        eventually(lambda: fresh(save).worker not in {killed, ""})
        operations.cancel(fresh(save), machine.owner)
        time.sleep(1)  # the worker looks at the row twice a second
        slow.go_on()
        row = ended(save, 15)
    assert row.status == Status.CANCELLED
    guest.wait_for_state("running")
    assert "Managed save:   no" in guest.virsh("dominfo")


def test_save_that_failed_after_its_worker_was_killed_says_so_and_the_machine_can_be_used(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        guest.virsh("domjobabort")
        slow.go_on()
        guest.wait_for_state("running")
        tasks.find_orphans()
    row = ended(save)
    assert (row.status, row.error_code) == (Status.FAILED, "worker_lost")
    assert "The machine is running now" in row.message
    assert ended(ask(machine, "suspend")).status == Status.SUCCEEDED
    assert guest.state == "paused"


@pytest.mark.full
def test_cancel_reaches_a_save_whose_worker_was_killed(make_vm: MakeVm, ask: Ask, start_worker: StartWorker) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        operations.cancel(fresh(save), machine.owner)
        tasks.find_orphans()
        time.sleep(1)
        slow.go_on()
        guest.wait_for_state("running")
        tasks.find_orphans()
    assert ended(save).status == Status.CANCELLED
    assert "Managed save:   no" in guest.virsh("dominfo")


def test_force_off_ends_a_save_whose_worker_was_killed(make_vm: MakeVm, ask: Ask, start_worker: StartWorker) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, _slow):
        assert ended(ask(machine, "destroy")).status == Status.SUCCEEDED
    assert guest.state == "shut off"
    tasks.find_orphans()
    assert ended(save).status == Status.CANCELLED


def test_restart_of_libvirtd_in_the_middle_of_a_save_is_told_as_it_ended(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker, libvirtd: PrivateLibvirtd
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    start_worker("long")
    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: fresh(save).total_bytes)
        libvirtd.restart()
        slow.go_on()
        eventually(lambda: fresh(save).worker == "")
        assert fresh(save).status == Status.RUNNING
    eventually(lambda: (tasks.find_orphans(), time.sleep(0.5), fresh(save).status != Status.RUNNING)[-1], 60)
    row = fresh(save)
    assert guest.state == "running", "libvirt itself gives up a save that it was restarted in"
    assert (row.status, row.error_code) == (Status.FAILED, "host_lost")
    assert "The machine is running now" in row.message
    assert "Managed save:   no" in guest.virsh("dominfo"), "nobody can start from half an image"
    eventually(lambda: Host.objects.get().reachable, 30)
    assert ended(ask(machine, "suspend")).status == Status.SUCCEEDED


def test_guest_killed_with_its_worker_in_the_middle_of_a_save_is_not_called_saved(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    with killed_in_the_middle_of_a_save(guest, machine, ask, start_worker) as (save, slow):
        os.kill(guest.qemu_pid, signal.SIGKILL)
        slow.go_on()
        guest.wait_for_state("shut off")
        tasks.find_orphans()
        row = ended(save)
    assert row.status == Status.FAILED
    assert ended(ask(Machine.objects.get(pk=machine.pk), "start")).status == Status.SUCCEEDED
    guest.wait_for_agent()


# QEMU itself


def test_guest_that_is_killed_while_it_shuts_down_has_crashed(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm()
    start_worker("quick")
    guest.run("killall acpid")
    shutdown = ask(machine, "shutdown", mode="acpi")
    eventually(lambda: fresh(shutdown).waiting)
    os.kill(guest.qemu_pid, signal.SIGKILL)
    row = ended(shutdown)
    assert (row.status, row.error_code, row.message) == (Status.FAILED, "crashed", "It crashed while shutting down.")
    assert guest.reason == "crashed"
    assert ended(ask(machine, "start")).status == Status.SUCCEEDED


def test_stopped_qemu_holds_up_no_other_machine_and_is_forced_off(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    stuck, stuck_machine = make_vm()
    other, other_machine = make_vm(wait=False)
    start_worker("quick")
    os.kill(stuck.qemu_pid, signal.SIGSTOP)
    suspend = ask(stuck_machine, "suspend")
    eventually(lambda: fresh(suspend).status == Status.RUNNING)
    for kind in ("suspend", "resume") * 3:
        began = time.monotonic()
        assert ended(ask(other_machine, kind)).status == Status.SUCCEEDED
        assert time.monotonic() - began < 2
    Operation.objects.filter(pk=suspend.pk).update(started_at=timezone.now() - SLOW_AFTER)
    tasks.find_orphans()
    assert "force it off" in fresh(suspend).message
    assert fresh(suspend).status == Status.RUNNING
    assert ended(ask(stuck_machine, "destroy"), 40).status == Status.SUCCEEDED
    assert (stuck.state, other.state) == ("shut off", "running")
    row = ended(suspend)
    assert (row.status, row.message) == (Status.CANCELLED, "“Force off” was asked instead.")
    assert ended(ask(stuck_machine, "start")).status == Status.SUCCEEDED


@pytest.mark.full
def test_four_stopped_qemus_hold_up_no_other_machine(make_vm: MakeVm, ask: Ask, start_worker: StartWorker) -> None:
    stuck = [make_vm(wait=False) for _ in range(4)]
    _other, other_machine = make_vm(wait=False)
    start_worker("quick")
    for guest, machine in stuck:
        os.kill(guest.qemu_pid, signal.SIGSTOP)
        ask(machine, "suspend")
    time.sleep(1)
    began = time.monotonic()
    assert ended(ask(other_machine, "suspend")).status == Status.SUCCEEDED
    assert time.monotonic() - began < 3
    forced = [ask(machine, "destroy") for _guest, machine in stuck]
    assert {ended(each, 40).status for each in forced} == {Status.SUCCEEDED}
    assert {guest.state for guest, _machine in stuck} == {"shut off"}
