"""The proxy looks whether a display answers: it says so, and nobody who is connected notices."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from threading import Thread

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection

from consoles.proxy import probing
from consoles.proxy.endings import Ending
from consoles.proxy.shared_console import SharedConsoles
from consoles.proxy.visits import Desk
from tests.conftest import MakeGuest
from tests.consoles import spice_bytes as spice
from tests.consoles.peers import (
    Proxy,
    TcpDisplay,
    closed_with,
    eventually,
    issue,
    issue_channels,
    open_console,
    receive_exactly,
    reports,
    served,
)
from tests.consoles.spice_client import CHANNELS_LIST, MAIN_INIT
from tests.consoles.test_hostile import linked
from tests.consoles.test_proxy_process import ProxyProcess, proxy_process
from tests.consoles.test_serial import Rack, hears
from tests.consoles.test_serial_process import Terminal

__all__ = ["proxy_process"]

WELL = (1000, "Closed by its user.")
REPLY = struct.pack("<4sIII", b"REDQ", 2, 2, 178) + bytes(178)
ERROR = struct.pack("<4sIIII", b"REDQ", 2, 2, 178, 7) + bytes(174)


def probe(url: str, redis: Redis, protocol: str, **claim: object) -> ClientConnection:
    return open_console(url, issue(redis, protocol=protocol, mode="view", probe=True, **claim))


def says(console: ClientConnection) -> bytes:
    """The one byte of a display that answers; the proxy ends it then."""
    said = console.recv(timeout=5)
    assert closed_with(console) == WELL
    return said


def test_a_spice_display_is_greeted_and_nobody_becomes_its_client(
    proxy: Proxy, redis: Redis, display: TcpDisplay
) -> None:
    with probe(proxy.url, redis, "spice") as console:
        peer = display.peer()
        hello = spice.link(spice.MAIN, special=())
        assert receive_exactly(peer, len(hello)) == hello
        console.send(spice.MECHANISM + spice.TICKET)
        peer.sendall(REPLY)
        assert says(console) == b"\x01"
        assert peer.recv(100) == b"", "nothing follows, and what the page says is not heard"
    closed = eventually(lambda: reports(redis, "closed"))
    assert closed[0]["reason"] == "left"
    assert not reports(redis, "opened")


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [("spice", ERROR), ("spice", b"HTTP/1.1 400 Bad"), ("spice", REPLY[:100]), ("vnc", b"SSH-2.0-abcd")],
    ids=["refused", "not SPICE", "cut off", "not RFB"],
)
def test_a_display_that_answers_something_else_is_said_to_be_none(
    proxy: Proxy, redis: Redis, display: TcpDisplay, protocol: str, answer: bytes
) -> None:
    with probe(proxy.url, redis, protocol) as console:
        peer = display.peer()
        peer.sendall(answer)
        peer.shutdown(1)
        assert closed_with(console)[0] == 4404


def test_a_vnc_display_says_hello_first(proxy: Proxy, redis: Redis, display: TcpDisplay) -> None:
    with probe(proxy.url, redis, "vnc") as console:
        peer = display.peer()
        peer.sendall(b"RFB 003.008\n")
        assert says(console) == b"\x01"
        assert peer.recv(100) == b""


def test_a_display_that_says_nothing_is_waited_for_no_longer_than_a_while(
    proxy: Proxy, redis: Redis, display: TcpDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.3)
    with probe(proxy.url, redis, "spice") as console:
        display.peer()
        assert closed_with(console)[0] == 4404


def test_a_probe_of_no_protocol_is_none(proxy: Proxy, redis: Redis) -> None:
    with probe(proxy.url, redis, "telnet") as console:
        assert closed_with(console)[0] == 4404


@pytest.fixture
def rack() -> Rack:
    return Rack()


@pytest.fixture
def serial_proxy(desk: Desk, rack: Rack) -> Iterator[Proxy]:
    consoles = SharedConsoles(rack.open)
    with served(
        Desk(desk.redis, desk.origins, desk.registry, desk.journal, desk.open_display, desk.pool, consoles)
    ) as it:
        yield it
    consoles.close()


def test_a_serial_console_is_opened_and_given_back(serial_proxy: Proxy, redis: Redis, rack: Rack) -> None:
    with probe(serial_proxy.url, redis, "serial") as console:
        assert says(console) == b"\x01"
    assert rack.newest().closed


@pytest.mark.parametrize(("refusal", "code"), [(Ending.HELD, 4423), (Ending.HOST_UNREACHABLE, 4503)])
def test_who_holds_a_serial_console_is_said(
    serial_proxy: Proxy, redis: Redis, rack: Rack, refusal: Ending, code: int
) -> None:
    rack.refusal = refusal
    with probe(serial_proxy.url, redis, "serial") as console:
        assert closed_with(console)[0] == code


def test_a_serial_console_that_somebody_looks_at_here_is_left_alone(
    serial_proxy: Proxy, redis: Redis, rack: Rack
) -> None:
    machine = str(uuid.uuid4())
    with open_console(serial_proxy.url, issue(redis, protocol="serial", machine=machine)) as person:
        port = rack.newest()
        with probe(serial_proxy.url, redis, "serial", machine=machine) as console:
            assert says(console) == b"\x01"
        assert rack.ports.empty()
        assert not port.closed
        person.send(b"still here")
        hears(port, b"still here")


def test_many_probes_at_once_leave_nothing(serial_proxy: Proxy, desk: Desk, redis: Redis, rack: Rack) -> None:
    machine = str(uuid.uuid4())
    heard: list[bytes] = []

    def look() -> None:
        with probe(serial_proxy.url, redis, "serial", machine=machine) as console:
            heard.append(says(console))

    threads = [Thread(target=look) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [b"\x01"] * 20
    eventually(lambda: not desk.registry.all())
    assert all(rack.newest().closed for _ in range(20))


@pytest.mark.guest
def test_a_person_at_a_real_spice_screen_and_at_a_real_serial_line_stays(
    proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest
) -> None:
    guest = make_guest(graphics=("vnc", "spice"), video="qxl")
    of_guest = {"machine": str(guest.uuid), "uri": guest.libvirtd.uri}
    tickets = issue_channels(redis, "main", "inputs", **of_guest)
    console, main = linked(proxy_process.url, tickets, "main", 1)
    with console:
        main.hear(MAIN_INIT)
        main.say(104)
        assert main.hear(CHANNELS_LIST)
        for _ in range(3):
            with probe(proxy_process.url, redis, "spice", **of_guest) as look:
                assert says(look) == b"\x01"
        main.say(104)
        assert main.hear(CHANNELS_LIST), "asked again, the display answers its only client again"
    with probe(proxy_process.url, redis, "vnc", **of_guest) as look:
        assert says(look) == b"\x01"

    with probe(proxy_process.url, redis, "serial", **of_guest) as look:
        assert says(look) == b"\x01"
    terminal = Terminal(proxy_process, redis, guest)
    terminal.has_shell()
    with probe(proxy_process.url, redis, "serial", **of_guest) as look:
        assert says(look) == b"\x01"
    terminal.types(b"echo sti''ll\r")
    terminal.sees(b"still")
    terminal.console.close()

    guest.virsh("destroy")
    for protocol in ("spice", "vnc", "serial"):
        with probe(proxy_process.url, redis, protocol, **of_guest) as look:
            assert closed_with(look)[0] == 4404
