"""Saved files of real guests, with virsh and the file system as witnesses: nothing is lost, whatever goes wrong."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from django.db import connection

from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from hypervisor.states import State
from lifecycle import operations, running, saved_file_acts, tasks
from lifecycle.models import Operation, SavedFile, Status
from machines.models import Machine
from machines.refused import Refused
from tests.guest import Guest
from tests.lifecycle.conftest import Ask, MakeVm, StartWorker, ended, eventually, fresh
from tests.lifecycle.memory_reader import reader_found, reads_memory
from tests.lifecycle.slow_save import SlowSave, slow_save, wait_until_caught
from tests.lifecycle.test_guest_failures import kill, let_its_heartbeat_grow_old
from tests.small_storage import small_storage

pytestmark = [pytest.mark.guest, pytest.mark.django_db(transaction=True)]

Do = Callable[..., Operation]


@pytest.fixture(autouse=True)
def saved(libvirtd: PrivateLibvirtd, settings) -> Path:
    """The directory of the saved files."""
    settings.SAVED_FILES_DIR = str(libvirtd.directory / "saved")
    return Path(settings.SAVED_FILES_DIR)


@pytest.fixture
def do(ask: Ask) -> Do:
    """A function with which the owner asks for an operation, and this process is the worker that carries it out."""

    def do(machine: Machine, kind: str, **parameters: object) -> Operation:
        row = ask(machine, kind, **parameters)
        running.run(row.pk)
        return fresh(row)

    return do


@contextmanager
def under_way(operation: Operation) -> Iterator[None]:
    """Carry an operation out in a thread, which has ended at the end of the block."""

    def work() -> None:
        try:
            running.run(operation.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)


def succeeds(row: Operation) -> None:
    assert row.status == Status.SUCCEEDED, (row.kind, row.message, row.error_text)


def state_becomes(machine: Machine, state: State) -> None:
    eventually(lambda: Machine.objects.get(pk=machine.pk).state == state)


def file_of(machine: Machine, directory: Path, name: str) -> Path:
    return directory / f"{machine.uuid}.{name}.save"


def remembers(guest: Guest, word: str) -> bool:
    guest.wait_for_agent()
    return guest.run("cat /tmp/note") == word


def test_machine_is_saved_to_files_and_goes_on_from_the_one_that_fits(
    make_vm: MakeVm, ask: Ask, do: Do, saved: Path
) -> None:
    guest, machine = make_vm()
    guest.run("echo one > /tmp/note")
    cancelled = ask(machine, "save", file="first")
    with slow_save(guest) as slow, under_way(cancelled):
        wait_until_caught(slow)
        eventually(lambda: fresh(cancelled).total_bytes > 100 * 2**20)
        assert 0 < fresh(cancelled).processed_bytes < fresh(cancelled).total_bytes
        assert not SavedFile.objects.get().complete
        saved_file_acts.settle(SavedFile.objects.get())
        assert file_of(machine, saved, "first").exists(), "libvirt still writes it, whoever has given it up"
        operations.cancel(fresh(cancelled), machine.owner)
        time.sleep(1)  # the worker looks at the row twice a second
        slow.go_on()
    assert (fresh(cancelled).status, guest.state) == (Status.CANCELLED, "running")
    assert not SavedFile.objects.exists()
    assert not list(saved.glob(f"{machine.uuid}*"))

    succeeds(do(machine, "save", file="first"))
    assert (guest.state, guest.reason) == ("shut off", "saved")
    state_becomes(machine, State.SAVED)
    first = SavedFile.objects.get()
    assert first.complete
    assert first.saved_by == machine.owner
    assert 0 < first.bytes == file_of(machine, saved, "first").stat().st_blocks * 512
    with pytest.raises(Refused) as refused:
        ask(machine, "restore", file="second")
    assert refused.value.code == "no_saved_file"

    succeeds(do(machine, "restore", file="first"))
    assert guest.reason == "restored"
    assert remembers(guest, "one")
    guest.run("echo two > /tmp/note")
    state_becomes(machine, State.RUNNING)
    with pytest.raises(Refused) as refused:
        ask(machine, "save", file="first")
    assert refused.value.code == "file_exists"
    succeeds(do(machine, "save", file="second"))
    state_becomes(machine, State.SAVED)

    with pytest.raises(Refused) as refused:
        ask(machine, "restore", file="first")
    assert (refused.value.code, refused.value.details["needs"]) == ("stale_file", "confirm")
    succeeds(do(machine, "start"))
    assert guest.reason == "restored"
    assert remembers(guest, "two")
    state_becomes(machine, State.RUNNING)
    succeeds(do(machine, "destroy"))
    state_becomes(machine, State.SHUTOFF)
    with pytest.raises(Refused):
        ask(machine, "restore", file="first", confirm="yes")
    succeeds(do(machine, "restore", file="first", confirm=machine.name))
    assert remembers(guest, "one")

    succeeds(do(machine, "delete-file", file="first"))
    assert not file_of(machine, saved, "first").exists()
    assert file_of(machine, saved, "second").exists()
    assert Machine.objects.get(pk=machine.pk).saved_file_count == 1


def test_vanished_and_exchanged_files_do_nothing_but_say_so(
    make_vm: MakeVm, do: Do, saved: Path, libvirtd: PrivateLibvirtd
) -> None:
    guest, machine = make_vm()
    other, _other_machine = make_vm_beside(make_vm)
    guest.run("echo kept > /tmp/note")
    succeeds(do(machine, "save", file="only"))
    state_becomes(machine, State.SAVED)
    path, aside = file_of(machine, saved, "only"), saved / "aside"
    path.rename(aside)
    failed = do(machine, "start")
    assert (failed.status, failed.error_code) == (Status.FAILED, "saved_file_missing")
    assert "not on its host any more" in failed.message
    assert SavedFile.objects.get().missing
    assert guest.state == "shut off"
    state_becomes(machine, State.SAVED)  # it does not boot as if nothing was lost

    other.virsh("save", str(path))
    failed = do(machine, "restore", file="only")
    assert (failed.status, failed.error_code) == (Status.FAILED, "other_machine")
    assert (guest.state, other.state) == ("shut off", "shut off")

    path.unlink()
    tasks.look_at_saved_files_of(machine.host_id)
    assert SavedFile.objects.get().missing
    aside.rename(path)
    tasks.look_at_saved_files_of(machine.host_id)
    tasks.look_at_saved_files_of(machine.host_id)
    assert not SavedFile.objects.get().missing

    with reader_found(libvirtd, guest, signal.SIGKILL):
        interrupted = do(machine, "restore", file="only")
    assert interrupted.status == Status.FAILED
    assert "file is still there" in interrupted.message
    assert path.exists()
    eventually(lambda: Machine.objects.get(pk=machine.pk).state in {State.SHUTOFF, State.SAVED, State.CRASHED})
    succeeds(do(machine, "restore", file="only", confirm=machine.name))
    assert remembers(guest, "kept")


def make_vm_beside(make_vm: MakeVm) -> tuple[Guest, Machine]:
    """Make a second guest that nobody needs to talk to."""
    return make_vm(wait=False)


def test_fresh_boot_discarded_image_and_forced_off_save(make_vm: MakeVm, ask: Ask, do: Do, saved: Path) -> None:
    guest, machine = make_vm()
    succeeds(do(machine, "save", file="before"))
    state_becomes(machine, State.SAVED)
    succeeds(do(machine, "fresh-boot"))
    assert guest.reason == "booted"
    state_becomes(machine, State.RUNNING)
    guest.wait_for_agent()

    succeeds(do(machine, "save"))
    state_becomes(machine, State.SAVED)
    with pytest.raises(Refused) as refused:
        ask(machine, "restore", file="before", confirm=machine.name)
    assert "managed-save image" in refused.value.sentence
    succeeds(do(machine, "discard-image"))
    assert "Managed save:   no" in guest.virsh("dominfo")
    state_becomes(machine, State.SHUTOFF)
    succeeds(do(machine, "start"))
    assert guest.reason == "booted"
    state_becomes(machine, State.RUNNING)
    guest.wait_for_agent()

    save = ask(machine, "save", file="never")
    with slow_save(guest) as slow, under_way(save):
        wait_until_caught(slow)
        state_becomes(machine, State.PAUSED)
        succeeds(do(machine, "destroy"))
        slow.go_on()
    assert (fresh(save).status, fresh(save).message) == (Status.CANCELLED, "“Force off” was asked instead.")
    assert guest.state == "shut off"
    assert [file.name for file in SavedFile.objects.all()] == ["before"]
    assert list(saved.glob(f"{machine.uuid}*")) == [file_of(machine, saved, "before")]


def test_transient_machine_is_saved_to_a_file_and_comes_back(make_vm: MakeVm, do: Do) -> None:
    guest, machine = make_vm()
    guest.run("echo kept > /tmp/note")
    guest.virsh("undefine")
    eventually(lambda: not Machine.objects.get(pk=machine.pk).persistent)
    with pytest.raises(Refused):
        do(machine, "save")
    succeeds(do(machine, "save", file="it"))
    state_becomes(machine, State.UNDEFINED)
    back = do(machine, "restore", file="it")
    succeeds(back)
    assert "keeps no definition" in back.message
    assert remembers(guest, "kept")


def test_machine_that_was_saved_to_a_file_is_still_saved_after_undefine_and_define(make_vm: MakeVm, do: Do) -> None:
    guest, machine = make_vm()
    guest.run("echo kept > /tmp/note")
    succeeds(do(machine, "save", file="it"))
    state_becomes(machine, State.SAVED)
    succeeds(do(machine, "undefine"))
    state_becomes(machine, State.UNDEFINED)
    defined = do(machine, "define")
    succeeds(defined)
    assert "“it”" in defined.message
    assert guest.reason == "unknown"
    state_becomes(machine, State.SAVED)
    succeeds(do(machine, "start"))
    assert guest.reason == "restored"
    assert remembers(guest, "kept")


def test_worker_killed_in_the_middle_leaves_a_whole_file_or_none(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker, saved: Path, libvirtd: PrivateLibvirtd
) -> None:
    guest, machine = make_vm()
    for name, aborted in (("half", True), ("whole", False)):
        worker = start_worker("long", SAVED_FILES_DIR=str(saved))
        with slow_save(guest) as slow:
            save = ask(machine, "save", file=name)
            wait_until_caught(slow)
            eventually(lambda row=save: fresh(row).total_bytes)
            kill(worker)
            let_its_heartbeat_grow_old(save)
            tasks.look(save.pk)
            assert fresh(save).status == Status.RUNNING, "libvirt is still at it"
            if aborted:
                guest.virsh("domjobabort")
            slow.go_on()
            guest.wait_for_state("running" if aborted else "shut off")
        eventually(lambda row=save: (tasks.look(row.pk), fresh(row).status != Status.RUNNING)[-1])
        if aborted:
            assert (fresh(save).status, fresh(save).error_code) == (Status.FAILED, "worker_lost")
            assert not SavedFile.objects.exists()
            assert not list(saved.glob(f"{machine.uuid}*"))
        else:
            assert ended(save).status == Status.SUCCEEDED
            assert SavedFile.objects.get().complete
            state_becomes(machine, State.SAVED)
    worker = start_worker("long", SAVED_FILES_DIR=str(saved))
    with reader_found(libvirtd, guest, signal.SIGSTOP):
        start = ask(machine, "start")
        eventually(lambda: reads_memory(libvirtd, guest))
        kill(worker)
    os.kill(libvirtd.qemu_pid(guest.name), signal.SIGCONT)
    let_its_heartbeat_grow_old(start)
    eventually(lambda: (tasks.look(start.pk), fresh(start).status != Status.RUNNING)[-1], 60)
    succeeds(fresh(start))
    guest.wait_for_state("running")
    assert guest.reason == "restored"
    assert file_of(machine, saved, "whole").exists()


@pytest.fixture
def small_pool(libvirtd: PrivateLibvirtd, saved: Path, settings) -> Iterator[None]:
    """A pool on a file system that is too small, for the files that are saved."""
    place = libvirtd.directory / "small"
    settings.SAVED_FILES_POOL, settings.SAVED_FILES_DIR = "kvmportal-small", str(place)
    with small_storage(libvirtd, place):
        yield
        with suppress(LibvirtFailed):
            libvirtd.virsh("pool-destroy", "kvmportal-small")
            libvirtd.virsh("pool-undefine", "kvmportal-small")
    place.rmdir()


def test_full_disk_loses_nothing(make_vm: MakeVm, do: Do, small_pool: None) -> None:
    guest, machine = make_vm()
    guest.run("echo kept > /tmp/note")
    failed = do(machine, "save", file="large")
    assert failed.status == Status.FAILED
    assert "full" in failed.message
    assert not SavedFile.objects.exists()
    guest.wait_for_state("running")
    assert remembers(guest, "kept")
    state_becomes(machine, State.RUNNING)


@pytest.mark.full
def test_save_of_a_gigabyte_of_memory_shows_percent_and_bytes_rising_and_can_be_cancelled(
    make_vm: MakeVm, ask: Ask, start_worker: StartWorker
) -> None:
    guest, machine = make_vm(memory_mib=1536)
    guest.run("mkdir /filled && mount -t tmpfs -o size=1100m filled /filled")
    guest.run("dd if=/dev/urandom of=/filled/random bs=1M count=1024", 300)
    assert int(guest.run("stat -c %s /filled/random")) == 2**30
    start_worker("long")
    seen: set[tuple[int, int]] = set()

    def rising(slow: SlowSave) -> bool:
        slow.creep(0.1)
        row = fresh(save)
        assert row.status == Status.RUNNING
        if row.total_bytes:
            assert row.progress == row.processed_bytes * 100 // row.total_bytes
            seen.add((row.processed_bytes, row.progress))
        time.sleep(0.4)
        return len({percent for _bytes, percent in seen if percent}) >= 4

    with slow_save(guest) as slow:
        save = ask(machine, "save")
        wait_until_caught(slow)
        eventually(lambda: rising(slow), 180)
        assert fresh(save).total_bytes > 2**30
        operations.cancel(fresh(save), machine.owner)
        time.sleep(1)  # the worker looks at the row twice a second
    row = ended(save, 120)
    assert (row.status, row.message) == (Status.CANCELLED, "Cancelled. The machine goes on as it was.")
    assert sorted(seen) == sorted(seen, key=lambda pair: pair[1]), "bytes and percent rise together"
    guest.wait_for_state("running")
    assert int(guest.run("stat -c %s /filled/random")) == 2**30
    assert "Managed save:   no" in guest.virsh("dominfo")
