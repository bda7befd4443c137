"""A key for the firmware: the console is open before the machine runs, and early enough for its boot menu."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from lxml import etree
from lxml.builder import E, ElementMaker
from PIL import Image, ImageChops
from playwright.sync_api import expect

from tests.browser.audience import Audience
from tests.browser.console_page import connected, connection, console_of
from tests.browser.stage import Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

DISPLAYS = [("vnc", "vga"), ("spice", "qxl")]
WAITS = 3000  # milliseconds that SeaBIOS waits for a key
MENU, GOES_ON = "Select boot device:", "Booting from"
QEMU = ElementMaker(
    namespace="http://libvirt.org/schemas/domain/qemu/1.0", nsmap={"qemu": "http://libvirt.org/schemas/domain/qemu/1.0"}
)


class Machine:
    """A machine with SeaBIOS, its boot menu and an empty disk. What the firmware says it says to a file as well."""

    def __init__(self, stage: Stage, protocol: str, video: str) -> None:
        self.protocol, self.name = protocol, f"firmware-{protocol}"
        self._log: Path = stage.libvirt.directory / f"{self.name}.log"
        self.guest = self._define(stage, video)

    def _define(self, stage: Stage, video: str) -> Guest:
        guest = Guest.define(
            stage.libvirt,
            self.name,
            stage.image,
            domain_type=stage.domain_type,
            graphics=(self.protocol,),
            video=video,
            agent=False,
            network=False,
        )
        stage.give_disk(guest)
        domain = etree.fromstring(guest.virsh("dumpxml", "--inactive"))
        system = domain.find("os")
        for name in ("kernel", "initrd", "cmdline", "boot"):
            for element in system.findall(name):
                system.remove(element)
        system.append(E.boot(dev="hd"))
        system.append(E.bootmenu(enable="yes", timeout=str(WAITS)))
        tells = (
            "-chardev",
            f"file,id=firmware,path={self._log}",
            "-device",
            "isa-debugcon,iobase=0x402,chardev=firmware",
        )
        domain.append(QEMU.commandline(*(QEMU.arg(value=word) for word in tells)))
        with NamedTemporaryFile("wb", suffix=".xml") as file:
            file.write(etree.tostring(domain))
            file.flush()
            stage.virsh("define", file.name)
        return guest

    def said(self) -> str:
        """What the firmware has said since the machine was started."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def picture(self) -> Image.Image:
        """The screen, as libvirt sees it."""
        with NamedTemporaryFile(suffix=".png") as file:
            self.guest.virsh("screenshot", file.name)
            return Image.open(file.name).convert("L")


@pytest.fixture(params=DISPLAYS, ids=lambda display: display[0])
def machine(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Machine]:
    machine = Machine(stage, *request.param)
    stage.guests[machine.name] = machine.guest
    stage.give(machine.guest)
    yield machine
    stage.forget(machine.name)


def differ(one: Image.Image, other: Image.Image) -> int:
    """How many points of two pictures differ: a cursor's are a few."""
    if one.size != other.size:
        return one.width * one.height
    return sum(ImageChops.difference(one, other).point(lambda light: light > 40).histogram()[1:])


def test_escape_at_a_console_that_waited_brings_up_the_boot_menu(audience: Audience, machine: Machine) -> None:
    machine.guest.virsh("start")
    eventually(lambda: GOES_ON in machine.said())
    assert MENU not in machine.said(), "without a key it goes on"
    goes_on = eventually(lambda: machine.picture())
    machine.guest.virsh("destroy")

    audience.expect_complaint("409")  # it may ask for tickets before it hears of the new state
    page = console_of(audience, "owner", machine.name, f"?protocol={machine.protocol}")
    expect(page.get_by_text(f"{machine.name} is shut off")).to_be_visible()
    assert connection(page) == "waiting"
    page.get_by_role("button", name="Start", exact=True).click()
    connected(page)

    def menu_or_too_late() -> bool:
        page.keyboard.press("Escape")
        page.wait_for_timeout(100)
        return MENU in machine.said() or GOES_ON in machine.said()

    eventually(menu_or_too_late)
    assert MENU in machine.said()
    shown = machine.picture()
    page.wait_for_timeout(2 * WAITS)
    assert GOES_ON not in machine.said(), "the menu stays"
    assert differ(machine.picture(), shown) < 100
    assert differ(shown, goes_on) > 500
    page.keyboard.press("1")
    eventually(lambda: GOES_ON in machine.said())
