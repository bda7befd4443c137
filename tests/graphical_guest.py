"""A guest with a mouse: Debian's graphical installer, booted from its package. Its language page is the desktop."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from lxml import etree
from lxml.builder import E
from PIL import Image

from demo.guest import GuestImage
from demo.guest_xml import DomainType, Graphics, guest_xml
from demo.libvirtd import PrivateLibvirtd
from kvmportal.environment import ROOT
from tests.guest import Guest

PACKAGE = "debian-installer-12-netboot-amd64"
IMAGES = "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64"


@dataclass(frozen=True)
class Screen:
    """Where things are on the language page, in pixels."""

    size: tuple[int, int]
    rows: range
    """From the top of the list to its bottom."""
    scrollbar: tuple[int, int]
    """The middle of its thumb, as long as nothing was scrolled."""


SCREENS = {
    "vga": Screen((1280, 800), range(172, 736), (1251, 320)),
    "qxl": Screen((800, 600), range(188, 536), (771, 281)),
}
"""By the video card's model: Linux chooses another size for each."""


def installer_image() -> GuestImage:
    """Return the installer's kernel and initrd, unpacked once for all runs (130 MB to download)."""
    place = ROOT / "var" / "installer"
    if not place.exists():
        with tempfile.TemporaryDirectory(prefix="installer-", dir=ROOT / "var") as scratch:
            subprocess.run(["apt-get", "--quiet", "--quiet", "download", PACKAGE], cwd=scratch, check=True)
            [archive] = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg", "-x", archive, f"{scratch}/root"], check=True)
            result = Path(scratch) / "result"
            result.mkdir()
            for name in ("linux", "initrd.gz"):
                shutil.copy(Path(scratch) / "root" / IMAGES / name, result)
            result.rename(place)
    return GuestImage(kernel=place / "linux", initrd=place / "initrd.gz")


def define_installer(
    libvirtd: PrivateLibvirtd, name: str, *, graphics: Graphics, video: str, domain_type: DomainType
) -> Guest:
    """Define the guest: it has a tablet, so that a pointer's place is where the mouse is."""
    identity = uuid.uuid4()
    xml = guest_xml(
        name,
        installer_image(),
        uuid=identity,
        domain_type=domain_type,
        memory_mib=1536,
        vcpus=2,
        graphics=[graphics],
        video="qxl",  # with it comes the USB controller that a tablet needs
        agent=False,
        network=False,
        made_by="tests",
    )
    domain = etree.fromstring(xml)
    _found(domain, "os/cmdline").text = "vga=788 --- quiet"
    _found(domain, "devices/video/model").set("type", video)
    _found(domain, "devices").append(E.input(type="tablet", bus="usb"))
    with NamedTemporaryFile("wb", suffix=".xml") as file:
        file.write(etree.tostring(domain))
        file.flush()
        libvirtd.virsh("define", file.name)
    return Guest(libvirtd, name, identity)


class Desktop:
    """What the installer's screen shows, as libvirt sees it: never through the console that is tested."""

    HIGHLIGHT = (43, 133, 124)
    ROW_AT = 700
    """A column of the list right of all words."""

    def __init__(self, guest: Guest, video: str) -> None:
        self.guest = guest
        self.screen = SCREENS[video]

    def picture(self) -> Image.Image:
        """Return the whole screen (virDomainScreenshot)."""
        with NamedTemporaryFile(suffix=".png") as file:
            self.guest.virsh("screenshot", file.name)
            return Image.open(file.name).convert("RGB")

    def is_there(self) -> bool:
        """Say whether the language page stands."""
        return self.chosen() is not None

    def chosen(self) -> int | None:
        """Return where the chosen language's row is: the middle of its highlight in pixels from above."""
        picture = self.picture()
        if picture.size != self.screen.size:
            return None
        rows = [y for y in self.screen.rows if _near(picture.getpixel((self.ROW_AT, y)), self.HIGHLIGHT)]
        return sum(rows) // len(rows) if rows else None

    def list_looks(self) -> bytes:
        """Return the words of the list: they change when it is scrolled."""
        return self.picture().crop((20, self.screen.rows.start, 300, self.screen.rows.stop)).tobytes()


def _near(pixel: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(one - other) < 24 for one, other in zip(pixel, wanted, strict=True))


def _found(domain: etree._Element, path: str) -> etree._Element:
    element = domain.find(path)
    assert element is not None
    return element
