"""Every verb on real guests, with virsh and the guest itself as witnesses."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from demo.guest import GuestImage
from demo.libvirtd import PrivateLibvirtd
from hypervisor.connection import Connection
from hypervisor.errors import DomainInWrongState, HypervisorError, OperationAborted
from hypervisor.events import EventKind
from hypervisor.readings import JobProgress
from hypervisor.states import DomainState, reason_word
from tests.guest import BOOT_LIMIT
from tests.hypervisor.conftest import Heard, Real, eventually

pytestmark = pytest.mark.guest


def why(real: Real) -> tuple[DomainState, str]:
    reading = real.read()
    return reading.state, reason_word(reading.state, reading.reason)


def boot_id(real: Real) -> str:
    return real.guest.run("cat /proc/sys/kernel/random/boot_id")


def test_start_suspend_resume_reset_and_destroy(make_real: Callable[..., Real]) -> None:
    real = make_real(start=False)
    real.domain.start()
    assert real.guest.state == "running"
    with pytest.raises(DomainInWrongState):
        real.domain.start()
    real.domain.suspend()
    assert (real.guest.state, real.guest.reason) == ("paused", "user")
    real.domain.suspend()  # a second time changes nothing
    with pytest.raises(DomainInWrongState):
        real.domain.shutdown("acpi")
    real.domain.reset()
    assert real.guest.state == "paused"
    real.domain.resume()
    assert (real.guest.state, real.guest.reason) == ("running", "unpaused")
    real.domain.destroy()
    assert (real.guest.state, real.guest.reason) == ("shut off", "destroyed")
    real.domain.destroy()
    verbs = (real.domain.suspend, real.domain.resume, real.domain.reset, real.domain.reboot, real.domain.save_managed)
    for verb in (*verbs, real.domain.shutdown, real.domain.addresses):
        with pytest.raises(DomainInWrongState):
            verb()
    real.domain.abort_job()
    assert real.domain.job_progress() is None


@pytest.mark.parametrize("mode", ["acpi", "agent", pytest.param("default", marks=pytest.mark.full)])
def test_shutdown_ends_the_guest(make_real: Callable[..., Real], mode: str) -> None:
    real = make_real()
    real.domain.shutdown(mode)
    real.guest.wait_for_state("shut off")
    assert real.guest.reason == "shutdown"


@pytest.mark.parametrize("mode", ["acpi", "agent", pytest.param("default", marks=pytest.mark.full)])
def test_reboot_is_told_and_the_guest_never_looks_off(make_real: Callable[..., Real], mode: str) -> None:
    """By ACPI libvirt lets the guest power off and resets it, by the agent the guest reboots: both look the same."""
    real = make_real()
    heard = Heard(real.connection)
    pid, before = real.guest.qemu_pid, boot_id(real)
    real.domain.reboot(mode)
    heard.wait_for(real.uuid, EventKind.REBOOTED)
    assert why(real) == (DomainState.RUNNING, "booted")
    heard.wait_for(real.uuid, EventKind.AGENT, BOOT_LIMIT)
    real.guest.wait_for_agent()
    assert real.guest.qemu_pid == pid
    assert boot_id(real) != before
    assert EventKind.CHANGED not in {event.kind for event in heard.drain() if event.uuid == real.uuid}


def test_reset_is_told_as_a_reboot(make_real: Callable[..., Real]) -> None:
    real = make_real(wait=False)
    heard = Heard(real.connection)
    real.domain.reset()
    heard.wait_for(real.uuid, EventKind.REBOOTED)


def test_a_guest_goes_on_from_its_saved_memory(make_real: Callable[..., Real]) -> None:
    real = make_real()
    real.guest.run("echo 'still here' >/mark")
    real.domain.save_managed()
    assert (real.guest.state, real.guest.reason) == ("shut off", "saved")
    assert real.read().has_saved_image
    real.domain.start()
    assert (real.guest.state, real.guest.reason) == ("running", "restored")
    assert not real.read().has_saved_image
    real.guest.wait_for_agent()
    assert real.guest.run("cat /mark") == "still here"


def test_a_saved_image_can_be_given_up(make_real: Callable[..., Real]) -> None:
    real = make_real(wait=False)
    real.domain.save_managed()
    real.domain.remove_saved_image()
    real.domain.remove_saved_image()
    assert "Managed save:   no" in real.guest.virsh("dominfo")


def saving(real: Real, threads: ThreadPoolExecutor, seen: list[JobProgress]) -> Future[None]:
    """Begin to save, and return when its job shows that it is under way."""
    begun = threads.submit(real.domain.save_managed)
    while not begun.done() and not any(progress.processed_bytes for progress in seen):
        if progress := real.domain.job_progress():
            seen.append(progress)
    return begun


def test_a_save_shows_its_progress(make_real: Callable[..., Real]) -> None:
    real = make_real(memory_mib=512)
    seen: list[JobProgress] = []
    with ThreadPoolExecutor(1) as threads:
        saved = saving(real, threads, seen)
        while not saved.done():
            if progress := real.domain.job_progress():
                seen.append(progress)
        saved.result()
    assert {progress.operation for progress in seen} == {"save"}
    assert all(512 * 2**20 <= progress.total_bytes < 700 * 2**20 for progress in seen if progress.total_bytes)
    assert [progress.percent for progress in seen] == sorted(progress.percent for progress in seen)
    assert real.domain.job_progress() is None


def test_a_save_can_be_aborted_and_the_guest_goes_on(make_real: Callable[..., Real]) -> None:
    real = make_real(memory_mib=512)
    with ThreadPoolExecutor(1) as threads:
        saved = saving(real, threads, [])
        real.domain.abort_job()
        with pytest.raises(OperationAborted):
            saved.result()
    assert (real.guest.state, real.guest.reason) == ("running", "save canceled")
    assert not real.read().has_saved_image
    assert real.guest.agent_answers()
    real.domain.abort_job()


def test_a_guest_can_be_forced_off_in_the_middle_of_a_save(make_real: Callable[..., Real]) -> None:
    real = make_real(memory_mib=512)
    with ThreadPoolExecutor(1) as threads:
        saved = saving(real, threads, [])
        real.domain.destroy()
        with pytest.raises(HypervisorError):
            saved.result()
    assert real.guest.state == "shut off"
    assert not real.read().has_saved_image


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_save_on_a_full_disk_fails_with_advice_and_the_guest_goes_on(
    make_real: Callable[..., Real], libvirtd: PrivateLibvirtd
) -> None:
    real = make_real()
    place = "/var/lib/libvirt/qemu/save"
    inside = ["nsenter", "--target", str(libvirtd.pid), "--mount"]
    subprocess.run([*inside, "mkdir", "-p", place], check=True)
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], check=True)
    try:
        with pytest.raises(HypervisorError) as caught:
            real.domain.save_managed()
    finally:
        subprocess.run([*inside, "umount", place], check=True)
    assert "storage may be full" in caught.value.sentence
    assert caught.value.text
    assert real.guest.state == "running"
    assert real.guest.agent_answers()


def test_a_killed_guest_has_crashed(make_real: Callable[..., Real]) -> None:
    real = make_real(wait=False)
    os.kill(real.guest.qemu_pid, signal.SIGKILL)
    eventually(lambda: why(real) == (DomainState.SHUTOFF, "crashed"))
    assert real.guest.reason == "crashed"
    real.domain.start()
    assert real.guest.state == "running"


def test_a_panicked_guest_stays_to_be_looked_at_and_starts_anew(make_real: Callable[..., Real]) -> None:
    real = make_real()
    pid = real.guest.qemu_pid
    panic = {"path": "/bin/sh", "arg": ["-c", "echo c >/proc/sysrq-trigger"]}
    with suppress(HypervisorError):  # the agent may go with its kernel before it can answer
        real.domain.agent_command({"execute": "guest-exec", "arguments": panic}, timeout=2)
    eventually(lambda: why(real) == (DomainState.CRASHED, "panicked"))
    assert real.domain.is_active()
    with real.domain.open_graphics("vnc") as display:
        assert display.recv(3) == b"RFB"
    real.domain.start()
    assert (real.guest.state, real.guest.reason) == ("running", "booted")
    assert real.guest.qemu_pid != pid


def test_a_guest_that_cannot_start_says_where_to_look(make_real: Callable[..., Real], guest_image: GuestImage) -> None:
    real = make_real(start=False)
    real.connection.define(real.domain.xml().replace(str(guest_image.kernel), "/nonexistent/vmlinuz"))
    with pytest.raises(HypervisorError) as caught:
        real.domain.start()
    assert "did not start" in caught.value.sentence
    assert "/nonexistent" not in caught.value.sentence
    assert "/nonexistent/vmlinuz" in caught.value.text
    assert real.guest.state == "shut off"


def test_twenty_displays_are_opened_at_once(make_real: Callable[..., Real], host: Connection) -> None:
    real = make_real(wait=False)
    barrier = threading.Barrier(20)

    def banner() -> bytes:
        barrier.wait()
        with real.domain.open_graphics("vnc") as display:
            display.settimeout(10)
            return display.recv(12)

    begun = time.monotonic()
    with ThreadPoolExecutor(20) as threads:
        banners = [future.result() for future in [threads.submit(banner) for _ in range(20)]]
    assert banners == [b"RFB 003.008\n"] * 20
    assert time.monotonic() - begun < 5
