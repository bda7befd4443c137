"""The demo's machines on a host that has other ones: only its own are made, found again and removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.guest import GuestImage
from demo.guest_xml import DomainType
from demo.libvirtd import PrivateLibvirtd
from demo.machines import DemoMachines
from demo.state import StateDirectory
from tests.guest import Guest

pytestmark = pytest.mark.guest

OURS = {"demo-vnc", "demo-spice", "demo-off"}


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    state = StateDirectory(tmp_path / "state")
    state.lock()
    return state


@pytest.fixture
def foreign(libvirtd: PrivateLibvirtd, guest_image: GuestImage, guest_type: DomainType) -> Iterator[Guest]:
    """Somebody else's machine that is called as one of the demo's."""
    guest = Guest.define(libvirtd, "demo-off", guest_image, domain_type=guest_type)
    yield guest
    guest.remove()


def names(libvirtd: PrivateLibvirtd, *options: str) -> set[str]:
    return set(libvirtd.virsh("list", "--name", *options).split())


def ignore(_words: str) -> None:
    """Say nothing."""


def test_two_run_and_one_is_off_and_then_none_is_left(libvirtd: PrivateLibvirtd, state: StateDirectory) -> None:
    before = names(libvirtd, "--all")
    with DemoMachines(libvirtd.uri, state, ignore) as machines:
        assert names(libvirtd, "--all") - before == OURS
        assert names(libvirtd) - before == {"demo-vnc", "demo-spice"}
        assert {libvirtd.virsh("domuuid", name) for name in OURS} == set(machines.uuids)
    assert names(libvirtd, "--all") == before


def test_somebody_elses_machine_of_the_same_name_is_not_touched(
    libvirtd: PrivateLibvirtd, state: StateDirectory, foreign: Guest
) -> None:
    said: list[str] = []
    xml = foreign.virsh("dumpxml")
    with DemoMachines(libvirtd.uri, state, said.append):
        assert names(libvirtd, "--all") >= {"demo-off", "demo-off-2"}
    assert any("demo-off-2" in words for words in said)
    assert foreign.virsh("dumpxml") == xml
    assert "demo-off-2" not in names(libvirtd, "--all")


def test_what_a_removed_demo_left_behind_makes_room(
    libvirtd: PrivateLibvirtd, state: StateDirectory, tmp_path: Path
) -> None:
    gone = StateDirectory(tmp_path / "gone")
    gone.lock()
    left = DemoMachines(libvirtd.uri, gone, ignore)
    left.start()
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    with DemoMachines(libvirtd.uri, state, ignore) as machines:
        assert names(libvirtd, "--all") >= OURS
        assert not names(libvirtd, "--all") & {f"{name}-2" for name in OURS}
        assert libvirtd.virsh("domuuid", "demo-off") in machines.uuids


def test_an_edited_machine_comes_back_edited(libvirtd: PrivateLibvirtd, state: StateDirectory) -> None:
    with DemoMachines(libvirtd.uri, state, ignore):
        libvirtd.virsh("desc", "demo-off", "--config", "--title", "Renamed")
    with DemoMachines(libvirtd.uri, state, ignore):
        assert libvirtd.virsh("desc", "demo-off", "--title") == "Renamed"
