"""Following a real libvirt with real guests; virsh acts, the rows must tell."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from machines import host_watch, mirror
from machines.models import Host, Machine
from tests.guest import Guest
from tests.machines.conftest import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.guest]

BY_A_LOOK = host_watch.PASS_EVERY + 3
"""Seconds within which a change is seen for which libvirt sends no event."""


def row(guest: Guest) -> Machine:
    return Machine.objects.get(pk=guest.uuid)


def wait(guest: Guest, limit: float = 3, **fields: object) -> None:
    until(lambda: Machine.objects.filter(pk=guest.uuid, **fields).exists(), limit)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Let a process hang."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_machines_life_by_virsh(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    guest = make_guest(start=False, title="A title")
    wait(guest, state="shutoff", title="A title", persistent=True)
    guest.virsh("start")
    wait(guest, state="running", state_reason="booted")
    guest.virsh("suspend")
    wait(guest, state="paused", state_reason="user")
    guest.virsh("resume")
    wait(guest, state="running", state_reason="unpaused")
    guest.virsh("managedsave")
    wait(guest, state="saved", has_saved_image=True, agent_connected=False)
    guest.virsh("start")
    wait(guest, state="running", state_reason="restored", has_saved_image=False)
    guest.virsh("desc", "--title", "Another", "--live", "--config")
    wait(guest, title="Another")
    definition = guest.virsh("dumpxml", "--inactive")
    guest.virsh("destroy")
    wait(guest, state="shutoff", state_reason="destroyed")
    guest.virsh("undefine")
    wait(guest, state="undefined")
    assert row(guest).definition_xml.strip() == definition
    subprocess.run(
        ["virsh", "-c", libvirt_host.uri, "define", "/dev/stdin"], input=definition, text=True, check=True, timeout=30
    )
    wait(guest, state="shutoff")


def test_a_transient_machine_comes_and_goes(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    guest = make_guest(wait=False)
    guest.virsh("undefine")
    wait(guest, state="running", persistent=False)
    guest.virsh("destroy")
    wait(guest, state="undefined")


def test_what_libvirt_sends_no_event_for_is_seen_within_seconds(follow, libvirt_host, libvirtd, make_guest):
    guest = make_guest(wait=False)
    disk = libvirtd.directory / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True, timeout=30)
    guest.virsh("managedsave")
    guest.virsh("attach-disk", str(disk), "vda", "--subdriver", "qcow2", "--config")
    follow(libvirt_host)
    wait(guest, state="saved")
    guest.virsh("managedsave-remove")
    wait(guest, BY_A_LOOK, state="shutoff", has_saved_image=False)
    guest.virsh("autostart")
    guest.virsh("snapshot-create-as", "one")
    guest.virsh("snapshot-create-as", "two")
    wait(guest, BY_A_LOOK, autostart=True, snapshot_count=2)
    guest.virsh("autostart", "--disable")
    guest.virsh("snapshot-delete", "one")
    wait(guest, BY_A_LOOK, autostart=False, snapshot_count=1)


def test_the_agent_and_its_addresses(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    guest = make_guest()
    wait(guest, agent_connected=True)
    until(lambda: row(guest).addresses, 20)
    assert "10.0.2.15" in [address["address"] for address in row(guest).addresses]
    guest.virsh("destroy")
    wait(guest, agent_connected=False, addresses=[])


def test_the_agent_of_a_guest_that_ran_before(follow, libvirt_host, make_guest):
    guest = make_guest()
    follow(libvirt_host)
    wait(guest, agent_connected=True)
    until(lambda: row(guest).addresses, 20)


def test_a_reboot_is_noticed_and_ends_the_way_down(follow, libvirt_host, make_guest):
    watch = follow(libvirt_host)
    guest = make_guest()
    wait(guest, agent_connected=True)
    mirror.note_shutdown_asked(guest.uuid)
    watch.inbox.ask(guest.uuid)
    wait(guest, state="shutdown")
    guest.virsh("reboot", "--mode", "agent")
    until(lambda: row(guest).rebooted_at, 30)
    wait(guest, state="running", shutdown_asked_at=None)


def test_a_machine_whose_qemu_died_is_crashed_also_after_libvirtd_restarts(follow, libvirt_host, libvirtd, make_guest):
    follow(libvirt_host)
    dead, alive = make_guest(wait=False), make_guest(wait=False)
    wait(alive, state="running")
    os.kill(dead.qemu_pid, signal.SIGKILL)
    wait(dead, state="crashed", state_reason="crashed")
    since = row(alive).state_since
    libvirtd.end()
    until(lambda: not Host.objects.get().reachable, 5)
    assert (row(alive).state, row(dead).state) == ("running", "crashed")
    libvirtd.start()
    until(lambda: Host.objects.get().reachable, 40)
    assert dead.reason == "unknown"
    assert (row(dead).state, row(dead).state_reason) == ("crashed", "crashed")
    assert (row(alive).state, row(alive).state_since) == ("running", since)
    alive.virsh("suspend")
    wait(alive, state="paused")


def test_a_guest_that_panicked_is_crashed(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    guest = make_guest()
    guest.agent("guest-exec", path="/bin/sh", arg=["-c", "sleep 1; echo c > /proc/sysrq-trigger"])
    wait(guest, 20, state="crashed", state_reason="panicked")


def test_a_qemu_that_hangs_holds_up_no_other_machine(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    hung, well = make_guest(), make_guest()
    wait(hung, agent_connected=True)
    wait(well, agent_connected=True)
    with stopped(hung.qemu_pid):
        for verb, state in (("suspend", "paused"), ("resume", "running")) * 3:
            began = time.monotonic()
            well.virsh(verb)
            wait(well, state=state)
            assert time.monotonic() - began < 2
        seen = Host.objects.get().seen_at
        until(lambda: Host.objects.get().seen_at > seen, BY_A_LOOK)
        assert Host.objects.get().reachable


def test_a_host_that_hangs_holds_up_no_other_host(follow, libvirt_host, libvirtd, make_guest):
    guest = make_guest(wait=False)
    watch = follow(libvirt_host)
    wait(guest, state="running")
    with stopped(libvirtd.pid):
        other = Host.objects.create(name="other", uri="test:///default")
        follow(other)
        seen = Host.objects.get(pk=other.pk).seen_at
        until(lambda: Host.objects.get(pk=other.pk).seen_at > seen, BY_A_LOOK)
        until(lambda: not Host.objects.get(pk=libvirt_host.pk).reachable, 40)
        assert row(guest).state == "running"
    until(lambda: Host.objects.get(pk=libvirt_host.pk).reachable, 40)
    assert watch.is_alive()


def test_a_quiet_machine_is_idle_and_a_busy_one_is_running_again(follow, libvirt_host, make_guest, settings):
    settings.IDLE_AFTER = 1
    follow(libvirt_host)
    guest = make_guest()
    wait(guest, 60, state="idle")
    guest.agent("guest-exec", path="/bin/sh", arg=["-c", "timeout 20 sh -c 'while :; do :; done'"])
    wait(guest, BY_A_LOOK, state="running", quiet_since=None)


def test_an_event_reaches_the_row_in_milliseconds(follow, libvirt_host, make_guest):
    follow(libvirt_host)
    guest = make_guest(wait=False)
    wait(guest, state="running")
    took = []
    for verb, state in (("suspend", "paused"), ("resume", "running")) * 5:
        guest.virsh(verb)
        began = time.monotonic()
        wait(guest, state=state)
        took.append(time.monotonic() - began)
    assert sorted(took)[len(took) // 2] < 0.25
