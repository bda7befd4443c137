"""Reading domain XML: what it says, in libvirt's own units and odd spellings, and hostile documents refused."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from lxml.builder import E

from hypervisor.definition import (
    agent_is_connected,
    disks,
    domain_element,
    graphics_devices,
    has_nvram,
    has_tpm,
    identity,
    parse,
    with_identity,
)
from hypervisor.errors import BadDefinition
from hypervisor.readings import Disk

AGENT_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='{}'/></channel>"
CLIPBOARD_CHANNEL = (
    "<channel type='qemu-vdagent'><target type='virtio' name='com.redhat.spice.0' state='connected'/></channel>"
)
LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))


def domain(inside: str = "") -> str:
    return f"<domain type='kvm'>{inside}</domain>"


def test_a_whole_definition_is_read() -> None:
    xml = domain(
        "<title>Mail</title><description>two\nlines</description><memory unit='MiB'>512</memory>"
        "<currentMemory unit='MiB'>256</currentMemory><vcpu current='2'>4</vcpu><devices>"
        "<graphics type='spice'/><graphics type='vnc'/><video><model type='qxl'/></video>"
        "<video><model type='vga'/></video>" + AGENT_CHANNEL.format("disconnected") + "</devices>"
    )
    read = parse(xml)
    assert (read.title, read.description) == ("Mail", "two\nlines")
    assert (read.vcpus, read.memory_bytes) == (2, 256 * 2**20)
    assert (read.graphics, read.video_model, read.has_agent_channel) == (("spice", "vnc"), "qxl", True)
    assert read.xml == xml


def test_numbers_that_nobody_has_are_no_numbers() -> None:
    read = parse(domain(f"<vcpu>{'9' * 5000}</vcpu><memory>{'9' * 20}</memory>"))
    assert (read.vcpus, read.memory_bytes) == (0, 0)


def test_a_definition_with_nothing_in_it_is_read() -> None:
    read = parse(domain())
    assert (read.title, read.vcpus, read.memory_bytes) == ("", 1, 0)
    assert (read.graphics, read.video_model, read.has_agent_channel) == ((), "", False)


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("<memory>1</memory>", 1024),
        ("<memory unit='b'>7</memory>", 7),
        ("<memory unit='bytes'>7</memory>", 7),
        ("<memory unit='KB'>1</memory>", 1000),
        ("<memory unit='k'>1</memory>", 1024),
        ("<memory unit='MB'>1</memory>", 1000**2),
        ("<memory unit='M'> 3 </memory>", 3 * 1024**2),
        ("<memory unit='G'>1</memory>", 1024**3),
        ("<memory unit='GiB'>1</memory>", 1024**3),
        ("<memory unit='TiB'>1</memory>", 1024**4),
        ("<memory unit='TB'>1</memory>", 1000**4),
        ("<memory unit='furlong'>1</memory>", 0),
        ("<memory>-1</memory>", 0),
        ("<memory>lots</memory>", 0),
        ("<memory>٣</memory>", 0),
        ("<memory/>", 0),
        ("<memory>8</memory><currentMemory>4</currentMemory>", 4096),
    ],
)
def test_memory_is_read_in_every_unit_of_libvirt(written: str, size: int) -> None:
    assert parse(domain(written)).memory_bytes == size


@pytest.mark.parametrize(
    ("written", "count"),
    [("", 1), ("<vcpu>8</vcpu>", 8), ("<vcpu current='3'>8</vcpu>", 3), ("<vcpu placement='static'> 2\n</vcpu>", 2)],
)
def test_vcpus_are_those_it_has_now(written: str, count: int) -> None:
    assert parse(domain(written)).vcpus == count


def test_only_displays_that_the_portal_can_show_are_listed_but_all_are_counted() -> None:
    xml = domain("<devices><graphics type='sdl'/><graphics type='vnc'/><graphics/><graphics type='spice'/></devices>")
    assert parse(xml).graphics == ("vnc", "spice")
    assert graphics_devices(domain_element(xml)) == ["sdl", "vnc", "", "spice"]


@pytest.mark.parametrize(
    ("devices", "has"),
    [
        ("", False),
        ("<serial type='pty'/>", True),
        ("<serial type='file'/>", False),
        ("<console type='pty'><target type='virtio'/></console>", True),
        ("<serial type='pty'/><console type='pty'/>", True),
        ("<console type='unix'/><console type='pty'/>", False),
        ("<parallel type='pty'/>", False),
    ],
)
def test_a_serial_console_is_what_libvirt_would_open(devices: str, has: bool) -> None:
    assert parse(domain(f"<devices>{devices}</devices>")).has_serial is has


@pytest.mark.parametrize(
    ("channels", "connected"),
    [
        ("", False),
        (AGENT_CHANNEL.format("connected"), True),
        (AGENT_CHANNEL.format("disconnected"), False),
        (CLIPBOARD_CHANNEL, False),
        (CLIPBOARD_CHANNEL + AGENT_CHANNEL.format("connected"), True),
    ],
)
def test_only_the_guest_agents_own_channel_says_that_it_is_connected(channels: str, connected: bool) -> None:
    assert agent_is_connected(domain(f"<devices>{channels}</devices>")) is connected


@pytest.mark.parametrize(
    "title", ["a<b", "x & y", 'it\'s "quoted"', "]]>", "Müller 🚀", "&amp;lt;", "\N{RIGHT-TO-LEFT OVERRIDE}evil"]
)
def test_odd_titles_come_back_as_they_were_written(title: str) -> None:
    xml = etree.tostring(E.domain(E.title(title), type="kvm"), encoding="unicode")
    assert parse(xml).title == title


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_every_title_comes_back_as_it_was_written(title: str) -> None:
    xml = etree.tostring(E.domain(E.title(title), type="kvm"), encoding="unicode")
    assert parse(xml).title == title


def test_an_xml_declaration_of_another_encoding_confuses_nobody() -> None:
    assert parse("<?xml version='1.0' encoding='iso-8859-1'?><domain><title>Müller</title></domain>").title == "Müller"


@pytest.mark.parametrize(
    "xml",
    [
        "",
        " ",
        "no xml",
        "<domain>",
        "<domain></domain><domain/>",
        "<domain>\0</domain>",
        "<domain>\ud800</domain>",
        "<domain>&unknown;</domain>",
        "<network/>",
        "<domainsnapshot><domain/></domainsnapshot>",
        "<!DOCTYPE domain><domain/>",
        "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'><domain/>",
        "<!DOCTYPE domain [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><domain><title>&f;</title></domain>",
        "<!DOCTYPE domain [<!ENTITY f 'x'>]><domain><title a='&f;'/></domain>",
        f"<!DOCTYPE domain [<!ENTITY l0 'ha'>{LAUGHS}]><domain><title>&l9;</title></domain>",
        f"<!DOCTYPE domain [<!ENTITY l0 'ha'>{LAUGHS}]><domain><title a='&l9;'/></domain>",
        "<domain>" + "<a>" * 100_000 + "</a>" * 100_000 + "</domain>",
    ],
)
def test_what_is_no_definition_or_hostile_is_refused_at_once(xml: str) -> None:
    begun = time.monotonic()
    with pytest.raises(BadDefinition) as caught:
        parse(xml)
    assert caught.value.sentence.endswith((".", ">."))
    assert time.monotonic() - begun < 1


def test_no_file_is_opened_and_no_host_called_for_a_document(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for place in (f"file://{pipe}", f"http://127.0.0.1:{port}/x"):
            for xml in (
                f"<!DOCTYPE domain SYSTEM '{place}'><domain/>",
                f"<!DOCTYPE domain [<!ENTITY f SYSTEM '{place}'>]><domain><title>&f;</title></domain>",
                f"<!DOCTYPE domain [<!ENTITY % f SYSTEM '{place}'> %f;]><domain/>",
            ):
                with pytest.raises(BadDefinition):
                    parse(xml)  # would wait for ever if it opened the pipe
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


UUID_TEXT = "6695eb01-f6a4-8304-79aa-97f2502e193f"


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([E.name("a"), E.uuid(UUID_TEXT)], (UUID(UUID_TEXT), "a")),
        ([E.name("a")], (None, "a")),
        ([E.uuid("  ")], (None, "")),
    ],
)
def test_the_identity_of_a_definition(children: list[etree._Element], expected: tuple[UUID | None, str]) -> None:
    assert identity(etree.tostring(E.domain(*children), encoding="unicode")) == expected


def test_an_identity_that_is_none_is_refused() -> None:
    with pytest.raises(BadDefinition):
        identity("<domain><uuid>x</uuid></domain>")


@pytest.mark.parametrize("inside", ["", "<uuid>x</uuid>", f"<uuid>{UUID_TEXT}</uuid><uuid/>"])
def test_a_definition_gets_another_identity(inside: str) -> None:
    uuid = UUID(int=7)
    xml = with_identity(f"<domain><name>a</name>{inside}<memory>1</memory></domain>", uuid)
    assert xml == f"<domain><name>a</name><uuid>{uuid}</uuid><memory>1</memory></domain>"


def test_disks_are_read_with_what_matters_to_their_deletion() -> None:
    xml = """<domain><devices>
        <disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
        <disk type='block'><source dev='/dev/b'/><target dev='vdb'/><shareable/></disk>
        <disk type='file' device='cdrom'><target dev='sda'/><readonly/></disk>
        <disk type='network'><source protocol='rbd' name='c'/><target dev='vdc'/></disk>
    </devices></domain>"""
    assert disks(xml) == [
        Disk("vda", "/a"),
        Disk("vdb", "/dev/b", shareable=True),
        Disk("sda", "", device="cdrom", readonly=True),
        Disk("vdc", ""),
    ]


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<os><nvram>/a</nvram></os>", True),
        ("<os firmware='efi'/>", True),
        ("<os firmware='bios'/>", False),
        ("", False),
    ],
)
def test_nvram_is_known_by_its_file_or_its_firmware(inside: str, expected: bool) -> None:
    assert has_nvram(f"<domain>{inside}</domain>") is expected


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("<tpm><backend type='emulator' version='2.0'/></tpm>", True),
        ("<tpm><backend type='passthrough'/></tpm>", False),
        ("", False),
    ],
)
def test_tpm_is_known_when_its_host_keeps_its_memory(inside: str, expected: bool) -> None:
    assert has_tpm(f"<domain><devices>{inside}</devices></domain>") is expected
