"""The small guest on the private libvirt: it comes up, does what it is asked, and goes."""

from __future__ import annotations

import pytest

from demo import guest
from tests.conftest import MakeGuest

pytestmark = pytest.mark.guest


def test_guest_boots_and_its_agent_answers(make_guest: MakeGuest) -> None:
    made = make_guest(title="a < b & c")
    assert made.run("hostname") == made.name
    assert made.virsh("desc", "--title") == "a < b & c"
    assert "10.0.2." in made.virsh("domifaddr", "--source", "agent")


def test_guest_shuts_down_when_its_power_button_is_pressed(make_guest: MakeGuest) -> None:
    made = make_guest()
    made.virsh("shutdown", "--mode", "acpi")
    made.wait_for_state("shut off")
    assert made.reason == "shutdown"


def test_guest_keeps_its_memory_over_managed_save(make_guest: MakeGuest) -> None:
    made = make_guest(graphics=("vnc", "spice"), video="qxl")
    made.run("echo still here >/root/note")
    made.virsh("managedsave")
    assert made.reason == "saved"
    made.virsh("start")
    assert made.run("cat /root/note") == "still here"


def test_guest_that_panics_is_crashed(make_guest: MakeGuest) -> None:
    made = make_guest()
    # after a second, so that the agent has answered
    made.agent("guest-exec", path="/bin/sh", arg=["-c", "sleep 1; echo c >/proc/sysrq-trigger"])
    made.wait_for_state("crashed")
    assert made.reason == "panicked"


def test_running_guests_survive_a_restart_of_libvirtd(make_guest: MakeGuest) -> None:
    made = make_guest()
    before = made.qemu_pid
    made.libvirtd.restart()
    assert (made.state, made.qemu_pid) == ("running", before)
    assert made.agent_answers()


def test_second_build_is_the_first_one(tmp_path, guest_image: guest.GuestImage) -> None:
    cache = guest_image.kernel.parent.parent
    assert guest.build(cache) == guest_image
