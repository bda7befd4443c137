"""Definitions that are made from choices: libvirt takes every one, and disks get their files."""

from __future__ import annotations

from itertools import product
from uuid import UUID, uuid4

import pytest
from lxml import etree

from hypervisor import blueprint
from hypervisor.blueprint import Blueprint
from hypervisor.connection import Connection
from hypervisor.definition import parse
from hypervisor.names import CHIPSETS, DISPLAYS, NETWORK_CARDS, PREFIXES, VIDEO_MODELS, VolumeName

DISK = VolumeName("a pool & more", "web <1>.qcow2")
REFUSED = {("q35", "ide"), ("", "ide")}
"""What templates refuse: a chipset without the bus, or one that the host chooses."""


def made(**choices: object) -> Blueprint:
    defaults = {"uuid": uuid4(), "name": "web", "vcpus": 1, "memory_bytes": 2**27, "disk": DISK, "domain_type": "qemu"}
    return Blueprint(**(defaults | choices))  # type: ignore[arg-type]


def test_it_says_what_was_chosen() -> None:
    uuid = UUID(int=7)
    plan = made(
        uuid=uuid,
        name="a <b> & 'c'",
        vcpus=3,
        memory_bytes=3 * 2**20,
        domain_type="kvm",
        network="lan",
        network_card="e1000e",
        video="qxl",
        display="spice",
        title="Title",
    )
    xml = blueprint.definition_of(plan)
    read = parse(xml)
    assert (read.title, read.vcpus, read.memory_bytes) == ("Title", 3, 3 * 2**20)
    assert (read.video_model, read.graphics, read.has_serial, read.has_agent_channel) == ("qxl", ("spice",), True, True)
    root = etree.fromstring(xml)
    assert (root.get("type"), root.findtext("name"), root.findtext("uuid")) == ("kvm", "a <b> & 'c'", str(uuid))
    [network] = root.findall("devices/interface")
    assert (network.find("source").get("network"), network.find("model").get("type")) == ("lan", "e1000e")  # type: ignore[union-attr]


def test_a_machine_without_a_network_has_no_card() -> None:
    assert etree.fromstring(blueprint.definition_of(made())).find("devices/interface") is None


def test_files_stand_in_place_of_the_volumes_that_are_made() -> None:
    xml = blueprint.definition_of(made())
    assert blueprint.volumes_in(xml) == [DISK]
    assert blueprint.volumes_in(blueprint.with_files(xml, {VolumeName("other", "x"): "/x"})) == [DISK]
    filled = blueprint.with_files(xml, {DISK: "/pool/web <1>.qcow2"})
    assert blueprint.volumes_in(filled) == []
    disk = etree.fromstring(filled).find("devices/disk[@device='disk']")
    assert disk is not None
    assert (disk.get("type"), dict(disk.find("source").attrib)) == ("file", {"file": "/pool/web <1>.qcow2"})  # type: ignore[union-attr]


@pytest.mark.parametrize(("chipset", "bus"), sorted(set(product((*CHIPSETS, ""), PREFIXES)) - REFUSED))
def test_libvirt_takes_every_disk_bus_of_a_chipset(host: Connection, chipset: str, bus: str) -> None:
    _is_taken(host, made(machine_type=chipset, disk_bus=bus))


@pytest.mark.parametrize(("video", "display"), sorted(product(VIDEO_MODELS, DISPLAYS)))
def test_libvirt_takes_every_video_model_with_every_display(host: Connection, video: str, display: str) -> None:
    _is_taken(host, made(video=video, display=display))


@pytest.mark.parametrize("card", NETWORK_CARDS)
def test_libvirt_takes_every_network_card(host: Connection, card: str) -> None:
    _is_taken(host, made(network="default", network_card=card))


def _is_taken(connection: Connection, plan: Blueprint) -> None:
    """Have libvirt define it, checked against its schema and by its QEMU driver."""
    connection.define(blueprint.definition_of(plan))
    try:
        reading = connection.read(plan.uuid)
        assert reading is not None
        assert reading.definition is not None
        assert reading.definition.video_model == plan.video
    finally:
        connection.domain(plan.uuid).undefine()
