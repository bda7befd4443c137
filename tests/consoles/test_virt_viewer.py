"""The portal's files in Debian's virt-viewer, on an X screen of the test's own, with a real guest behind the doors."""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from django.contrib.auth.models import User
from django.test import Client
from lxml import etree
from lxml.builder import E
from PIL import Image, ImageChops, ImageStat
from redis import Redis

from consoles.models import ConsoleSession
from consoles.proxy.connect import ConnectServer
from consoles.proxy.display import opener
from consoles.proxy.sessions import Session
from consoles.proxy.spice import NUMBERS
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import Desk
from consoles.proxy.vnc_door import VncServer
from demo.guest import GuestImage
from demo.guest_xml import DomainType
from demo.libvirtd import PrivateLibvirtd
from hypervisor.pool import Pool
from machines.models import Host, Machine
from tests.cast import ClientOf, MakeMachine
from tests.consoles import viewers
from tests.consoles.peers import served
from tests.guest import Guest, unused_name
from tests.xvfb import XScreen, until

pytestmark = pytest.mark.guest

LIMIT = 120.0
"""Seconds for what takes a few on a quiet machine."""
PROTOCOLS = pytest.mark.parametrize("protocol", ["spice", "vnc"])


@pytest.fixture(scope="module")
def guest(libvirtd: PrivateLibvirtd, guest_image: GuestImage, guest_type: DomainType) -> Iterator[Guest]:
    """One guest for all, with both displays, a sound device and a socket for a USB device of the viewer's."""
    guest = Guest.define(
        libvirtd, unused_name(), guest_image, domain_type=guest_type, graphics=("spice", "vnc"), video="qxl"
    )
    domain = etree.fromstring(guest.virsh("dumpxml", "--inactive"))
    devices = domain.find("devices")
    assert devices is not None
    for audio in devices.findall("audio"):
        devices.remove(audio)
    devices.extend([E.sound(model="ich9"), E.audio(id="1", type="spice"), E.redirdev(bus="usb", type="spicevmc")])
    with NamedTemporaryFile("wb", suffix=".xml") as file:
        file.write(etree.tostring(domain))
        file.flush()
        libvirtd.virsh("define", file.name)
    guest.virsh("start")
    guest.wait_for_agent()
    yield guest
    guest.remove()


@dataclass
class Scene:
    """The guest and its row, the doors to it, and a screen for virt-viewer."""

    guest: Guest
    machine: Machine
    desk: Desk
    screen: XScreen
    log: Path

    def download(self, client: Client, protocol: str, mode: str = "control") -> Path:
        """Press the portal's button and save what it gives."""
        answer = client.post(f"/machines/{self.machine.uuid}/viewer-file/", {"protocol": protocol, "mode": mode})
        assert answer["Content-Type"] == "application/x-virt-viewer"
        path = self.screen.directory / f"{uuid.uuid4()}.vv"
        path.write_bytes(answer.content)
        return path

    def open(self, file: Path, *before: str) -> None:
        """Open a file as someone who clicks on it does."""
        self.screen.run(*before, "remote-viewer", "--debug", str(file), log=self.log)

    def window(self, title: str) -> str:
        """Return virt-viewer's window, once it is there."""
        return until(lambda: self.screen.window(title), LIMIT, self.words)

    def until_the_guest_is_seen(self) -> None:
        """Wait until our screen shows what libvirt says that the guest's screen shows."""
        until(self._shows_the_guest, LIMIT, self.words)

    def words(self) -> str:
        """Return the last of what virt-viewer said."""
        return self.log.read_text()[-3000:]

    def session(self) -> Session:
        (session,) = self.desk.registry.all()
        return session

    def channels(self) -> set[str]:
        """Return the SPICE channels that virt-viewer has opened."""
        return {NUMBERS[kind].value for kind, _ in self.session().channels}

    def in_guest(self, path: str) -> str:
        """Return what a file of the guest holds, empty when there is none, and delete it."""
        return self.guest.run(f"cat {path} 2>/dev/null; rm -f {path}")

    def _shows_the_guest(self) -> bool:
        with NamedTemporaryFile(suffix=".png") as file:
            self.guest.virsh("screenshot", file.name)
            real = Image.open(file.name).convert("L")
        top = real.crop((0, 0, real.width, 100))  # its welcome; the cursor blinks below
        assert ImageStat.Stat(top).mean[0] > 1, "the guest's screen is black"
        seen = self.screen.picture().convert("L")
        places = ((x, y) for y in range(30, 70) for x in range(20))  # below virt-viewer's bar
        return any(_alike(seen.crop((x, y, x + top.width, y + top.height)), top) for x, y in places)


@pytest.fixture
def scene(
    guest: Guest,
    desk: Desk,
    host: Host,
    make_machine: MakeMachine,
    owner: User,
    settings: object,
    tmp_path: Path,
) -> Iterator[Scene]:
    with ExitStack() as stack:
        scene = _scene(stack, guest, desk, host, make_machine, owner, tmp_path)
        spice = stack.enter_context(viewers.serving(ConnectServer("127.0.0.1:0", scene.desk)))
        vnc = stack.enter_context(viewers.serving(VncServer("127.0.0.1:0", scene.desk)))
        settings.CONSOLE_SPICE_PUBLIC = f"http://127.0.0.1:{spice[1]}"
        settings.CONSOLE_VNC_PUBLIC = f"127.0.0.1:{vnc[1]}"
        yield scene


@PROTOCOLS
def test_screen_is_seen_and_typed_at_once(scene: Scene, client_of: ClientOf, owner: User, protocol: str) -> None:
    file = scene.download(client_of(owner), protocol)
    copy = shutil.copy(file, file.with_suffix(".copy"))
    scene.open(file)
    window = scene.window(scene.machine.name)
    scene.until_the_guest_is_seen()
    assert not file.exists(), "virt-viewer deletes the file, which is a secret"
    scene.screen.type(window, f"echo by {protocol} >/tmp/typed")
    until(lambda: scene.in_guest("/tmp/typed") == f"by {protocol}", LIMIT, scene.words)
    if protocol == "spice":
        inside = {"main", "display", "inputs", "cursor", "playback", "usbredir"}
        until(lambda: scene.channels() == inside, LIMIT, lambda: str(scene.channels()))
    _opens_nothing(scene, copy)
    row = ConsoleSession.objects.get()
    assert (row.client, row.protocol, str(row.pk)) == ("viewer", protocol, scene.session().id)


@PROTOCOLS
def test_who_may_only_view_sees_the_screen_and_types_nothing(
    scene: Scene, client_of: ClientOf, owner: User, protocol: str
) -> None:
    scene.open(scene.download(client_of(owner), protocol, "view"))
    window = scene.window(rf"{scene.machine.name} \(view only\)")
    scene.until_the_guest_is_seen()
    before = scene.session().from_client
    scene.screen.type(window, f"echo by a viewer of {protocol} >/tmp/typed")
    if protocol == "vnc":
        until(lambda: scene.session().from_client > before + 8 * 40, LIMIT, scene.words)
    else:
        time.sleep(1)
        assert not {"inputs", "usbredir", "record"} & scene.channels()
    assert scene.in_guest("/tmp/typed") == ""


@pytest.mark.full
@PROTOCOLS
def test_secret_is_sent_only_to_a_server_that_proves_its_name(
    scene: Scene, client_of: ClientOf, owner: User, protocol: str, redis: Redis, settings: object, tmp_path: Path
) -> None:
    chain, key = viewers.make_certificate(tmp_path)
    server = ConnectServer if protocol == "spice" else VncServer
    with viewers.serving(server("127.0.0.1:0", scene.desk, Certificate(chain, key))) as (_host, port):
        settings.CONSOLE_SPICE_PUBLIC = f"https://127.0.0.1:{port}"
        settings.CONSOLE_VNC_PUBLIC = f"127.0.0.1:{port}"
        scene.open(scene.download(client_of(owner), protocol))
        untrusted = ("Unacceptable TLS certificate", "The certificate is not trusted")
        until(lambda: any(words in scene.log.read_text() for words in untrusted), LIMIT, scene.words)
        assert len(list(redis.scan_iter("console:ticket:*"))) == 1, "the ticket is still good: nobody heard it"
        scene.log = tmp_path / "trusting.log"
        scene.open(scene.download(client_of(owner), protocol), *_trusting(chain))
        scene.window(scene.machine.name)
        scene.until_the_guest_is_seen()


def _trusting(chain: Path) -> list[str]:
    """Return what runs a program for which this certificate is all that the machine trusts."""
    trust = 'mount --bind "$0" /etc/ssl/certs/ca-certificates.crt && exec "$@"'
    become_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *become_root, "sh", "-c", trust, str(chain)]


def _opens_nothing(scene: Scene, file: Path) -> None:
    """Open a used file beside its session: it gets no session, and the first one goes on."""
    log = scene.log.with_name("second.log")
    before = scene.session()
    scene.screen.run("remote-viewer", "--debug", str(file), log=log)
    refused = ("unhandled error 7", "opens no console")
    until(lambda: any(words in log.read_text() for words in refused), LIMIT, log.read_text)
    assert scene.session() is before


def _scene(
    stack: ExitStack,
    guest: Guest,
    desk: Desk,
    host: Host,
    make_machine: MakeMachine,
    owner: User,
    directory: Path,
) -> Scene:
    """Build everything but the doors."""
    host.uri = guest.libvirtd.uri
    host.save()
    machine = make_machine("desktop", uuid=guest.uuid, graphics=["spice", "vnc"], owner=owner)
    pool = Pool()
    stack.callback(pool.close)
    desk = replace(desk, open_display=opener(pool), pool=pool)
    stack.enter_context(served(desk))
    screen = stack.enter_context(XScreen(directory))
    return Scene(guest, machine, desk, screen, directory / "viewer.log")


def _alike(one: Image.Image, other: Image.Image) -> bool:
    return ImageStat.Stat(ImageChops.difference(one, other)).mean[0] < 1.5
