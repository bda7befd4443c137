"""Clients that ignore the page's rules, at real guests: the kernel in the guest is the witness that nothing came in."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from lxml import etree
from redis import Redis
from websockets.exceptions import ConnectionClosed

from consoles.proxy import redis_names
from demo.servers import free_port
from tests.conftest import MakeGuest
from tests.consoles import rfb_bytes as rfb
from tests.consoles import spice_bytes as spice
from tests.consoles.peers import Issued, closed_with, eventually, issue_channels, open_console, reports, tell
from tests.consoles.spice_client import CHANNELS_LIST, MAIN_INIT, SpiceChannel
from tests.consoles.test_proxy_process import ProxyProcess, Screen, proxy_process, ticket_for
from tests.guest import Guest

__all__ = ["proxy_process"]
pytestmark = pytest.mark.guest

A, ENTER = 0x1E, 0x1C
LISTEN = "for device in /dev/input/event*; do (cat $device >>/tmp/input) </dev/null >/dev/null 2>&1 & done; echo on"


class Witness:
    """Counts the bytes of all input events that the guest's kernel hands out."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        assert guest.run(LISTEN) == "on"

    def count(self) -> int:
        return int(self._guest.run("wc -c </tmp/input"))

    def saw_nothing_of(self, act: Callable[[], object]) -> bool:
        before = self.count()
        act()
        time.sleep(0.5)
        return self.count() == before

    def sees(self, act: Callable[[], object]) -> bool:
        before = self.count()
        act()
        return bool(eventually(lambda: self.count() > before))


@pytest.fixture
def guest(make_guest: MakeGuest) -> Guest:
    """Has both displays; one guest for all that is tried at it."""
    return make_guest(graphics=("vnc", "spice"), video="qxl")


def everything_that_touches() -> bytes:
    return b"".join(
        [
            rfb.key(0x61) + rfb.key(0x61, False) + rfb.key(0xFF0D) + rfb.key(0xFF0D, False),
            rfb.qemu_key(0x61) + rfb.qemu_key(0x61, False),
            rfb.pointer(10, 10, 1) + rfb.pointer(20, 20, 0),
            rfb.cut_text(b"rm -rf /"),
            rfb.extended_cut_text(struct.pack(">I", 1 << 28) + b"x" * 60),
            rfb.desktop_size(),
        ]
    )


def test_a_hostile_vnc_viewer_gets_nothing_through(proxy_process: ProxyProcess, redis: Redis, guest: Guest) -> None:
    witness = Witness(guest)
    issued = ticket_for(redis, guest, mode="view")
    with open_console(proxy_process.url, issued, max_size=None) as console:
        screen = Screen(console, shared=rfb.EXCLUSIVE)

        def attack() -> None:
            console.send(everything_that_touches())
            for byte in rfb.key(0x62) + rfb.key(0x62, False):
                console.send(bytes([byte]))

        assert witness.saw_nothing_of(attack)
        for confusing in (
            b"\x00" * 19 + everything_that_touches(),
            rfb.encodings([0, rfb.EXTENDED_MOUSE_BUTTONS]) + rfb.pointer(1, 1, 0x81) + everything_that_touches(),
            b"\xf8\x07" + everything_that_touches(),
        ):
            with open_console(proxy_process.url, ticket_for(redis, guest, mode="view"), max_size=None) as other:
                Screen(other)
                assert witness.saw_nothing_of(partial(other.send, confusing))
                assert closed_with(other)[0] == 4400

        assert screen.picture()
        tell(redis, issued.session, mode="control")
        eventually(lambda: reports(redis, "mode"))
        assert witness.sees(lambda: screen.press("a")), "the same client with control is seen: the witness is awake"

        console.send(rfb.key(0x61)[:5])
        told = time.monotonic()
        tell(redis, issued.session, mode="view")
        eventually(lambda: len(reports(redis, "mode")) == 2, within=1)
        assert time.monotonic() - told < 1
        assert witness.saw_nothing_of(lambda: console.send(rfb.key(0x61)[5:] + rfb.key(0x62) + rfb.pointer(9, 9, 1)))
        assert screen.picture(), "who may only look goes on looking"


def linked(url: str, tickets: dict[str, Issued], name: str, number: int, connection: int = 0, *, mini: bool = True):
    console = open_console(url, tickets[name], max_size=None)
    return console, SpiceChannel(console, number, connection=connection, mini=mini)


@pytest.mark.parametrize("mini", [True, pytest.param(False, marks=pytest.mark.full)])
def test_a_hostile_spice_viewer_gets_nothing_through(
    proxy_process: ProxyProcess, redis: Redis, guest: Guest, mini: bool
) -> None:
    witness = Witness(guest)
    url = proxy_process.url
    of_guest = {"machine": str(guest.uuid), "uri": guest.libvirtd.uri}

    views = issue_channels(redis, "main", "display", "inputs", mode="view", **of_guest)
    console, main = linked(url, views, "main", 1, mini=mini)
    with console:
        (connection,) = struct.unpack_from("<I", main.hear(MAIN_INIT))
        main.say(104)
        assert main.hear(CHANNELS_LIST)

        def attack() -> None:
            main.say(105, struct.pack("<H", 1))
            main.say(107, spice.agent(4, b"clipboard"))
            with pytest.raises(ConnectionClosed), open_console(url, views["inputs"]) as inputs:
                SpiceChannel(inputs, spice.INPUTS, connection=connection)

        assert witness.saw_nothing_of(attack)
        assert closed_with(console)[0] == 4400, "whoever tries it has no session any more"

    tickets = issue_channels(redis, "main", "inputs", **of_guest)
    console, main = linked(url, tickets, "main", 1, mini=mini)
    with console:
        (connection,) = struct.unpack_from("<I", main.hear(MAIN_INIT))
        keyboard, inputs = linked(url, tickets, "inputs", spice.INPUTS, connection, mini=mini)
        with keyboard:
            assert witness.sees(lambda: inputs.type(bytes([A, ENTER]))), "with control the same is seen"
            inputs.say(101, spice.key_down(A))
            eventually(lambda: redis.pubsub_numsub(redis_names.TELL_CHANNEL)[0][1])
            told = time.monotonic()
            assert witness.sees(lambda: tell(redis, tickets["main"].session, mode="view")), "the key is let go"
            assert reports(redis, "mode")
            assert time.monotonic() - told < 10
            assert witness.saw_nothing_of(lambda: inputs.type(bytes([A, ENTER])))


def test_a_machine_whose_vnc_port_another_one_took_over_never_shows_the_other_ones_screen(
    proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest, tmp_path: Path
) -> None:
    port = free_port()
    first, second = (_on_port(make_guest(start=False), port, tmp_path) for _ in range(2))
    first.virsh("start")
    late = ticket_for(redis, first)
    with open_console(proxy_process.url, ticket_for(redis, first), max_size=None) as console:
        assert Screen(console).picture()
        first.virsh("destroy")
        second.virsh("start")
        assert closed_with(console) == (4404, "The machine closed its display.")
    assert second.virsh("vncdisplay").endswith(f":{port - 5900}"), "it has the first one's port now"

    quiet = _sockets(second)
    with open_console(proxy_process.url, late) as console:
        assert closed_with(console) == (4404, "The machine is off or has no such display.")
    assert _sockets(second) == quiet
    with open_console(proxy_process.url, ticket_for(redis, second), max_size=None) as console:
        Screen(console)
        assert _sockets(second) == quiet + 1


def test_a_ticket_of_a_session_opens_the_machine_that_it_names(
    proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest
) -> None:
    mine, theirs = make_guest(wait=False), make_guest(wait=False)
    quiet = _sockets(mine), _sockets(theirs)
    with open_console(proxy_process.url, ticket_for(redis, mine), max_size=None) as console:
        Screen(console)
        assert (_sockets(mine), _sockets(theirs)) == (quiet[0] + 1, quiet[1])


def _on_port(guest: Guest, port: int, directory: Path) -> Guest:
    """Let its display listen on a port, as machines that others have defined do."""
    domain = etree.fromstring(guest.virsh("dumpxml", "--inactive"))
    for graphics in domain.iterfind("devices/graphics"):
        graphics.attrib.update({"port": str(port), "autoport": "no"})
        for listen in graphics.iterfind("listen"):
            listen.attrib.update({"type": "address", "address": "127.0.0.1"})
    definition = directory / f"{guest.name}.xml"
    definition.write_bytes(etree.tostring(domain))
    guest.libvirtd.virsh("define", str(definition))
    return guest


def _sockets(guest: Guest) -> int:
    """Return how many sockets its QEMU has: one more for each client."""
    return sum(link.readlink().name.startswith("socket:") for link in Path(f"/proc/{guest.qemu_pid}/fd").iterdir())
