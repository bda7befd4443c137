"""RFB with a ticket for virt-viewer's VNC: what a .vv file's secret opens, once, and everything that is refused."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from queue import Queue
from threading import Thread

import pytest
from redis import Redis

from consoles.proxy import doorstep, redis_names
from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.tickets import Claim
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import Desk
from consoles.proxy.vnc_door import VncServer
from tests.consoles import rfb_bytes as rfb
from tests.consoles import viewers
from tests.consoles.peers import TcpDisplay, eventually, receive_exactly, served
from tests.consoles.test_connect import reports
from tests.consoles.viewers import Address, Refused, issue, open_vnc

SERVER_INIT = struct.pack(">HH16xI", 640, 480, 4) + b"name"


@pytest.fixture
def door(desk: Desk) -> Iterator[Address]:
    """A door without a certificate, whose displays are `display`."""
    with served(desk), viewers.serving(VncServer("127.0.0.1:0", desk)) as address:
        yield address


@pytest.fixture
def machines(display: TcpDisplay) -> Queue[socket.socket]:
    """The machines' ends of consoles, after the display's half of the handshake."""
    greeted: Queue[socket.socket] = Queue()

    def greet() -> None:
        while True:
            try:
                peer = display.taken.get(timeout=5)
                peer.settimeout(5)
                peer.sendall(b"RFB 003.008\n")
                assert receive_exactly(peer, 12) == b"RFB 003.008\n"
                peer.sendall(b"\x02\x02\x01")
                assert receive_exactly(peer, 1) == b"\x01"
                peer.sendall(bytes(4))
                greeted.put(peer)
            except Exception:
                return

    Thread(target=greet, daemon=True).start()
    return greeted


def entered(
    address: Address, secret: str, machines: Queue[socket.socket], tls: ssl.SSLContext | None = None
) -> tuple[socket.socket, socket.socket]:
    """A viewer that sees the machine, and the machine's end of it."""
    client = open_vnc(address, secret, tls=tls)
    peer = machines.get(timeout=5)
    client.sendall(rfb.EXCLUSIVE)
    assert receive_exactly(peer, 1) == rfb.SHARED, "nobody's viewer may throw others out"
    peer.sendall(SERVER_INIT)
    assert receive_exactly(client, len(SERVER_INIT)) == SERVER_INIT
    return client, peer


def test_ticket_opens_the_display_and_carries_both_ways(
    door: Address, machines: Queue[socket.socket], redis: Redis
) -> None:
    issued = issue(redis, "vnc")
    client, peer = entered(door, issued.secret, machines)
    client.sendall(rfb.key(0x61) + rfb.pointer(3, 4, 1))
    assert receive_exactly(peer, 14) == rfb.key(0x61) + rfb.pointer(3, 4, 1)
    whole = bytes(range(256)) * 4096
    peer.settimeout(10)
    peer.sendall(whole)
    assert receive_exactly(client, len(whole)) == whole
    client.close()
    assert viewers.closed(peer)
    eventually(lambda: reports(redis, issued.session) == [("opened", ""), ("closed", "left")])


def test_who_may_only_look_moves_nothing(door: Address, machines: Queue[socket.socket], redis: Redis) -> None:
    client, peer = entered(door, issue(redis, "vnc", mode="view").secret, machines)
    client.sendall(rfb.key(0x61) + rfb.pointer(3, 4, 1) + rfb.cut_text(b"secret") + rfb.qemu_key(0x61))
    client.sendall(rfb.update_request())
    assert receive_exactly(peer, 10) == rfb.update_request()


def test_control_that_is_taken_away_is_gone_at_once(
    door: Address, machines: Queue[socket.socket], redis: Redis
) -> None:
    issued = issue(redis, "vnc")
    client, peer = entered(door, issued.secret, machines)
    redis.publish(redis_names.TELL_CHANNEL, json.dumps({"session": issued.session, "tell": "mode", "mode": "view"}))
    eventually(lambda: ("mode", "") in reports(redis, issued.session))
    client.sendall(rfb.key(0x61) + rfb.update_request())
    assert receive_exactly(peer, 10) == rfb.update_request()


def test_certificate_is_shown_where_there_is_one(
    desk: Desk, machines: Queue[socket.socket], redis: Redis, tmp_path: Path
) -> None:
    certificate = viewers.make_certificate(tmp_path)
    with (
        served(desk),
        viewers.serving(VncServer("127.0.0.1:0", desk, Certificate(*certificate))) as address,
    ):
        tls = viewers.trusting(certificate[0])
        client, peer = entered(address, issue(redis, "vnc").secret, machines, tls)
        client.sendall(rfb.key(0x61))
        assert receive_exactly(peer, 8) == rfb.key(0x61)
        with pytest.raises(AssertionError):  # it does not offer TLS without a certificate then
            open_vnc(address, issue(redis, "vnc").secret)


def test_all_bad_tickets_are_refused_with_the_same_words(
    door: Address, machines: Queue[socket.socket], redis: Redis
) -> None:
    used, of_spice, unvouched = issue(redis, "vnc"), issue(redis, "spice"), issue(redis, "vnc")
    expired, of_page = issue(redis, "vnc", seconds=0.05), issue(redis, "vnc", client="page")
    redis.delete(redis_names.lease_key(unvouched.session))
    entered(door, used.secret, machines)[0].close()
    time.sleep(0.1)
    words = set()
    for secret in (*(each.secret for each in (used, of_spice, unvouched, expired, of_page)), "", "A" * 43, "x" * 128):
        with pytest.raises(Refused) as refused:
            open_vnc(door, secret)
        words.add(str(refused.value))
    assert len(words) == 1
    assert machines.empty()


def test_of_many_who_show_one_secret_at_once_one_gets_in(
    door: Address, machines: Queue[socket.socket], redis: Redis
) -> None:
    issued = issue(redis, "vnc")

    def attempt(_: int) -> socket.socket | None:
        try:
            return open_vnc(door, issued.secret)
        except Refused:
            return None

    with ThreadPoolExecutor(8) as pool:
        inside = [client for client in pool.map(attempt, range(8)) if client]
    assert len(inside) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"RFB 003.003\n",
        b"RFB 003.008\n\x01",
        b"RFB 003.008\n\x02",
        b"RFB 003.008\n\x13\x00\x01",
        b"RFB 003.008\n\x13\x00\x02\x00\x00\x01\x00",
        b"RFB 003.008\n\x13\x00\x02\x00\x00\x01\x01",
        b"RFB 003.008\n\x13\x00\x02\x00\x00\x01\x03GET / HTTP/1.0\r\n\r\n",
        b"CONNECT x:1 HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_viewer_that_wants_another_way_in_is_not_let_in(door: Address, display: TcpDisplay, said: bytes) -> None:
    with socket.create_connection(door, timeout=5) as client:
        client.sendall(said)
        assert viewers.closed(client)
    assert display.taken.empty()


def test_endless_password_is_not_read(door: Address, redis: Redis) -> None:
    with pytest.raises((OSError, AssertionError)):
        open_vnc(door, "A" * 100_000)


def test_slow_stranger_is_shown_the_door(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doorstep, "PATIENCE", 0.3)
    with (
        served(desk),
        viewers.serving(VncServer("127.0.0.1:0", desk)) as address,
        socket.create_connection(address, timeout=5) as client,
    ):
        begun = time.monotonic()
        assert viewers.closed(client)
        assert time.monotonic() - begun < 1.5


def test_revoked_right_ends_it_within_a_second(door: Address, machines: Queue[socket.socket], redis: Redis) -> None:
    issued = issue(redis, "vnc")
    client, _peer = entered(door, issued.secret, machines)
    begun = time.monotonic()
    redis.publish(redis_names.END_CHANNEL, json.dumps({"session": issued.session, "reason": "revoked"}))
    assert viewers.closed(client)
    assert time.monotonic() - begun < 1
    eventually(lambda: ("closed", "revoked") in reports(redis, issued.session))


def test_malformed_rfb_ends_that_session_only(door: Address, machines: Queue[socket.socket], redis: Redis) -> None:
    other, other_peer = entered(door, issue(redis, "vnc").secret, machines)
    issued = issue(redis, "vnc")
    client, _peer = entered(door, issued.secret, machines)
    client.sendall(b"\x99" * 20)
    assert viewers.closed(client)
    eventually(lambda: ("closed", "bad_rfb") in reports(redis, issued.session))
    other_peer.sendall(b"still here")
    assert receive_exactly(other, 10) == b"still here"


def test_machine_without_a_display_is_said_in_words(desk: Desk, redis: Redis) -> None:
    def none(_: Claim) -> socket.socket:
        raise NoDisplay(Ending.NO_DISPLAY)

    with served(desk), viewers.serving(VncServer("127.0.0.1:0", replace(desk, open_display=none))) as address:
        issued = issue(redis, "vnc")
        with pytest.raises(Refused, match="no such display"):
            open_vnc(address, issued.secret)
        eventually(lambda: reports(redis, issued.session) == [("closed", "no_display")])


@pytest.mark.parametrize("greeting", [b"RFB 003.008\n\x01\x02", b"RFB 003.008\n\x00\x00\x00\x00\x00", b"REDQ", b""])
def test_display_that_asks_for_a_password_or_is_none_is_said_in_words(
    door: Address, display: TcpDisplay, redis: Redis, greeting: bytes
) -> None:
    def greet() -> None:
        with display.peer() as peer:
            peer.sendall(greeting)

    Thread(target=greet, daemon=True).start()
    with pytest.raises(Refused, match="no such display"):
        open_vnc(door, issue(redis, "vnc").secret)
