"""What is read of real guests, with virsh as the witness."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest
from lxml import etree
from lxml.builder import E

from demo.guest import GuestImage
from demo.guest_xml import guest_xml
from demo.libvirtd import PrivateLibvirtd
from hypervisor.connection import Connection
from hypervisor.errors import AgentUnavailable, DomainInWrongState, HypervisorError, NotSupported
from hypervisor.readings import Reading
from hypervisor.states import DomainState, reason_word
from tests.guest import Guest, unused_name
from tests.hypervisor.conftest import Real, eventually

pytestmark = pytest.mark.guest

VIRSH_WORDS = {
    DomainState.RUNNING: "running",
    DomainState.PAUSED: "paused",
    DomainState.SHUTOFF: "shut off",
    DomainState.CRASHED: "crashed",
    DomainState.PMSUSPENDED: "pmsuspended",
}


VIRSH_REASONS = {"event wakeup": "wakeup"}
"""Where virsh has another word for a reason than libvirt's enumeration."""


def agrees_with_virsh(reading: Reading, guest: Guest) -> None:
    """Compare everything that virsh says of a guest with a reading of the same moment."""
    said = dict(line.split(":", 1) for line in guest.virsh("dominfo").splitlines() if ":" in line)
    said = {name: value.strip() for name, value in said.items()}
    assert str(reading.uuid) == said["UUID"]
    assert reading.name == said["Name"]
    assert VIRSH_WORDS[reading.state] == said["State"]
    assert reason_word(reading.state, reading.reason) == VIRSH_REASONS.get(guest.reason, guest.reason)
    assert reading.persistent == (said["Persistent"] == "yes")
    assert reading.autostart == (said["Autostart"] == "enable")
    assert reading.has_saved_image == (said["Managed save"] == "yes")
    assert reading.snapshot_count == len(guest.virsh("snapshot-list", "--name").split())
    assert reading.definition
    assert reading.definition.vcpus == int(said["CPU(s)"])
    assert reading.definition.memory_bytes == int(said["Max memory"].removesuffix(" KiB")) * 1024
    flags = ["--inactive"] if reading.persistent else []
    assert reading.definition.xml.strip() == guest.virsh("dumpxml", *flags)


def both_agree(real: Real) -> Reading:
    """Read a guest alone and among all, compare the two and virsh, and return the first."""
    alone = real.read()
    among = {reading.uuid: reading for reading in real.connection.read_all()}[real.uuid]
    for reading in (alone, among):
        agrees_with_virsh(reading, real.guest)
    assert (alone.agent_connected, alone.definition) == (among.agent_connected, among.definition)
    return alone


def test_a_running_guest_is_read_as_virsh_shows_it(make_real: Callable[..., Real]) -> None:
    real = make_real(title="Mail & more <1>", graphics=("spice", "vnc"), video="qxl", vcpus=2)
    reading = both_agree(real)
    assert reading.agent_connected is True
    assert reading.cpu_time_ns
    assert reading.cpu_time_ns > 10**8
    assert reading.definition
    assert (reading.definition.title, reading.definition.graphics) == ("Mail & more <1>", ("spice", "vnc"))
    assert (reading.definition.video_model, reading.definition.has_agent_channel) == ("qxl", True)
    displays_open(real)
    addresses_are_those_virsh_shows(real)
    assert real.domain.agent_command({"execute": "guest-ping"}) == {}
    assert real.domain.agent_command({"execute": "guest-get-host-name"})["host-name"] == real.guest.name
    with pytest.raises(HypervisorError):
        real.domain.agent_command({"execute": "no-such-command"})


def displays_open(real: Real) -> None:
    for _ in range(3):
        with real.domain.open_graphics("vnc") as vnc:
            assert vnc.family == socket.AF_UNIX
            assert not vnc.get_inheritable()
            vnc.settimeout(5)
            assert vnc.recv(12) == b"RFB 003.008\n"
    with real.domain.open_graphics("spice") as spice:
        assert spice.family == socket.AF_UNIX


def addresses_are_those_virsh_shows(real: Real) -> None:
    eventually(lambda: any(ip_address(each.address).version == 4 for each in real.domain.addresses()))
    rows = [line.split() for line in real.guest.virsh("domifaddr", "--source", "agent", "--full").splitlines()]
    said = {(name, mac, address) for name, mac, _kind, address in rows if name != "lo"}
    assert {(each.interface, each.mac, f"{each.address}/{each.prefix}") for each in real.domain.addresses()} == said


def test_a_guest_without_agent_and_with_one_display_says_what_it_lacks(make_real: Callable[..., Real]) -> None:
    real = make_real(agent=False, wait=False)
    assert real.read().agent_connected is False
    with pytest.raises(AgentUnavailable) as caught:
        real.domain.addresses()
    assert "channel" in caught.value.sentence
    for verb in (real.domain.shutdown, real.domain.reboot):
        with pytest.raises(AgentUnavailable):
            verb("agent")
    with pytest.raises(NotSupported):
        real.domain.open_graphics("spice")


def test_an_agent_that_is_not_up_yet_is_unavailable(make_real: Callable[..., Real]) -> None:
    real = make_real(wait=False)
    assert real.read().agent_connected is False
    with pytest.raises(AgentUnavailable):
        real.domain.addresses()


def test_a_guest_that_is_off_is_read_as_virsh_shows_it(make_real: Callable[..., Real], tmp_path: Path) -> None:
    real = make_real(start=False)
    assert both_agree(real).cpu_time_ns is None
    real.guest.virsh("autostart")
    assert both_agree(real).autostart is True
    real.guest.virsh("autostart", "--disable")
    for count, name in enumerate(("first", "second"), start=1):
        redefine_snapshot(real.guest, name, tmp_path)
        assert both_agree(real).snapshot_count == count
    with pytest.raises(DomainInWrongState):
        real.domain.open_graphics("vnc")


def redefine_snapshot(guest: Guest, name: str, place: Path) -> None:
    """Give a guest without disks a snapshot's metadata, which is all that is counted."""
    inactive = etree.fromstring(guest.virsh("dumpxml", "--inactive"))
    children = [E.name(name), E.state("shutoff"), E.creationTime("1"), E.memory(snapshot="no"), inactive]
    path = place / "snapshot.xml"
    path.write_bytes(etree.tostring(E.domainsnapshot(*children)))
    guest.virsh("snapshot-create", str(path), "--redefine")


def test_a_transient_guest_is_read_with_its_live_definition(
    libvirtd: PrivateLibvirtd, guest_image: GuestImage, host: Connection, tmp_path: Path
) -> None:
    guest = Guest(libvirtd, unused_name(), uuid.uuid4())
    path = tmp_path / "transient.xml"
    path.write_text(guest_xml(guest.name, guest_image, uuid=guest.uuid))
    libvirtd.virsh("create", str(path), "--paused")
    try:
        reading = both_agree(Real(guest, host))
        assert (reading.persistent, reading.autostart) == (False, False)
        with pytest.raises(DomainInWrongState):
            host.domain(guest.uuid).save_managed()
    finally:
        guest.remove()
    assert host.read(guest.uuid) is None


def test_every_state_that_virsh_can_bring_about_is_read(make_real: Callable[..., Real]) -> None:
    real = make_real()
    real.guest.virsh("suspend")
    assert both_agree(real).state is DomainState.PAUSED
    real.guest.virsh("resume")
    assert both_agree(real).state is DomainState.RUNNING
    real.guest.virsh("managedsave")
    assert both_agree(real).has_saved_image
    real.guest.virsh("start")
    assert reason_word(DomainState.RUNNING, both_agree(real).reason) == "restored"
    real.guest.wait_for_agent()
    real.guest.virsh("dompmsuspend", "mem")
    real.guest.wait_for_state("pmsuspended")
    assert both_agree(real).state is DomainState.PMSUSPENDED
    real.guest.virsh("dompmwakeup")
    real.guest.wait_for_state("running")
    assert both_agree(real).state is DomainState.RUNNING
    real.guest.virsh("destroy")
    assert both_agree(real).state is DomainState.SHUTOFF


def test_a_real_host_says_what_it_is(host: Connection, libvirtd: PrivateLibvirtd) -> None:
    facts = host.host_facts()
    said = dict(line.split(":", 1) for line in libvirtd.virsh("nodeinfo").splitlines() if ":" in line)
    assert facts.hostname == libvirtd.virsh("hostname")
    assert facts.cpus == int(said["CPU(s)"])
    assert facts.memory_bytes == int(said["Memory size"].removesuffix(" KiB")) // 1024 * 2**20
    version = libvirtd.virsh("version", "--daemon")
    assert f"Running against daemon: {facts.libvirt_version}" in version
    assert f"Running hypervisor: QEMU {facts.hypervisor_version}" in version
    assert facts.cpu_model
