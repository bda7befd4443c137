"""HTTP CONNECT for virt-viewer's SPICE: what a .vv file's secret opens, once, and everything that is refused."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from consoles.proxy import doorstep, redis_names
from consoles.proxy.connect import ConnectServer
from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.tickets import Claim
from consoles.proxy.viewer_tls import Certificate
from consoles.proxy.visits import Desk
from tests.consoles import peers, viewers
from tests.consoles.peers import TcpDisplay, eventually, open_console, receive_exactly, served
from tests.consoles.viewers import Address, Issued, basic, connect, issue, link, link_error, open_channel


@pytest.fixture
def door(desk: Desk) -> Iterator[Address]:
    """A door whose displays are `display`."""
    with served(desk), viewers.serving(ConnectServer("127.0.0.1:0", desk)) as address:
        yield address


def status(address: Address, head: str) -> int:
    client, answer = viewers.ask(address, head)
    with client:
        return answer


def entered(address: Address, issued: Issued, display: TcpDisplay) -> tuple[socket.socket, socket.socket]:
    """A viewer whose main channel is open, and the machine's end of it."""
    client = open_channel(address, issued, viewers.MAIN)
    peer = display.peer()
    assert receive_exactly(peer, 34) == link(viewers.MAIN)
    return client, peer


def reports(redis: Redis, session: str) -> list[tuple[str, str]]:
    return [
        (fields["event"], fields["reason"])
        for _, fields in redis.xrange(redis_names.EVENTS_STREAM)
        if fields["session"] == session
    ]


def test_first_connection_opens_the_display_and_carries_both_ways(
    door: Address, display: TcpDisplay, redis: Redis
) -> None:
    issued = issue(redis, "spice")
    client, peer = entered(door, issued, display)
    peer.sendall(b"REDQ and more")
    assert receive_exactly(client, 13) == b"REDQ and more"
    client.close()
    assert viewers.closed(peer)
    eventually(lambda: reports(redis, issued.session) == [("opened", ""), ("closed", "left")])


def test_other_channels_come_with_the_same_secret_each_once(door: Address, display: TcpDisplay, redis: Redis) -> None:
    issued = issue(redis, "spice", microphone=True)
    inside = [entered(door, issued, display)]
    picture, sound = (viewers.DISPLAY, viewers.CURSOR), (viewers.PLAYBACK, viewers.RECORD)
    for kind in (*picture, *sound, viewers.INPUTS, viewers.USBREDIR, viewers.SMARTCARD, viewers.WEBDAV):
        inside.append((open_channel(door, issued, kind), display.peer()))
        assert receive_exactly(inside[-1][1], 34) == link(kind)
        assert link_error(open_channel(door, issued, kind)) == 7
    _second = open_channel(door, issued, viewers.USBREDIR, 1)
    assert receive_exactly(display.peer(), 34) == link(viewers.USBREDIR, 1)
    assert link_error(open_channel(door, issued, viewers.MAIN)) == 7
    for kind in (0, 7, 12, 255):
        assert link_error(open_channel(door, issued, kind)) == 7
    assert display.taken.empty()


def test_guest_hears_its_user_only_when_that_was_asked_for(door: Address, display: TcpDisplay, redis: Redis) -> None:
    issued = issue(redis, "spice")
    _inside = entered(door, issued, display)
    assert link_error(open_channel(door, issued, viewers.RECORD)) == 7
    assert display.taken.empty()


def test_who_may_only_look_gets_no_channel_that_touches_the_machine(
    door: Address, display: TcpDisplay, redis: Redis
) -> None:
    issued = issue(redis, "spice", mode="view")
    _inside = entered(door, issued, display)
    for kind in (viewers.INPUTS, viewers.RECORD, viewers.USBREDIR, viewers.WEBDAV, viewers.SMARTCARD):
        assert link_error(open_channel(door, issued, kind)) == 7
    _picture = open_channel(door, issued, viewers.DISPLAY)
    assert receive_exactly(display.peer(), 34) == link(viewers.DISPLAY)
    assert display.taken.empty()


def test_session_that_does_not_begin_with_its_main_channel_is_over(
    door: Address, display: TcpDisplay, redis: Redis
) -> None:
    issued = issue(redis, "spice")
    assert link_error(open_channel(door, issued, viewers.DISPLAY)) == 7
    eventually(lambda: connect(door, issued)[1] == 403)
    assert display.taken.empty()


def test_other_channels_end_with_the_main_one_and_none_opens_after_it(
    door: Address, display: TcpDisplay, redis: Redis
) -> None:
    issued = issue(redis, "spice")
    client, _ = entered(door, issued, display)
    inputs = open_channel(door, issued, viewers.INPUTS)
    display.peer()
    client.close()
    assert viewers.closed(inputs)
    eventually(lambda: connect(door, issued)[1] == 403)


def test_used_file_opens_nothing_a_second_time(door: Address, display: TcpDisplay, redis: Redis) -> None:
    issued = issue(redis, "spice")
    client, _ = entered(door, issued, display)
    client.close()
    eventually(lambda: ("closed", "left") in reports(redis, issued.session))
    eventually(lambda: connect(door, issued)[1] == 403)


def test_of_many_who_show_one_secret_at_once_one_gets_the_main_channel(
    door: Address, display: TcpDisplay, redis: Redis
) -> None:
    issued = issue(redis, "spice")

    def attempt(_: int) -> socket.socket | None:
        client, answer = connect(door, issued)
        client.sendall(link(viewers.MAIN)) if answer == 200 else client.close()
        return client if answer == 200 else None

    with ThreadPoolExecutor(16) as pool:
        inside = [client for client in pool.map(attempt, range(16)) if client]
    display.peer().sendall(b"hello")
    said = []
    for client in inside:
        client.settimeout(5)
        said.append(client.recv(5))
        client.close()
    assert said.count(b"hello") == 1
    assert display.taken.empty()


def test_file_of_more_than_a_minute_ago_opens_nothing(door: Address, redis: Redis) -> None:
    issued = issue(redis, "spice", seconds=0.05)
    time.sleep(0.1)
    assert connect(door, issued)[1] == 403


def test_unknown_used_and_foreign_secrets_are_refused_alike(door: Address, display: TcpDisplay, redis: Redis) -> None:
    issued = issue(redis, "spice")
    of_vnc, of_page, unvouched = issue(redis, "vnc"), peers.issue(redis, protocol="spice"), issue(redis, "spice")
    as_page = issue(redis, "spice", client="page")
    redis.delete(redis_names.lease_key(unvouched.session))
    answers = []
    for secret, target in (
        ("A" * 43, issued.target),
        ("", issued.target),
        ("short", issued.target),
        (of_vnc.secret, of_vnc.target),
        (of_page.ticket, issued.target),
        (as_page.secret, as_page.target),
        (unvouched.secret, unvouched.target),
        (issued.secret, "127.0.0.1:22"),
        (issued.secret, f"{issued.machine}:5901"),
        (issued.secret, of_vnc.target),
    ):
        client = socket.create_connection(door, timeout=5)
        client.sendall(f"CONNECT {target} HTTP/1.0\r\nProxy-Authorization: {basic(secret)}\r\n\r\n".encode())
        answers.append(client.makefile("rb").read())
    assert set(answers) == {b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"}
    assert display.taken.empty()
    assert connect(door, issued)[1] == 200, "wrong targets must not use the ticket up"


def test_ticket_of_a_viewer_opens_no_websocket(desk: Desk, redis: Redis) -> None:
    issued = issue(redis, "spice")
    with served(desk) as proxy:
        for ticket in (issued.secret, f"viewer.{issued.secret}"):
            as_page = peers.Issued(ticket, issued.session)
            with pytest.raises(Exception, match="403"):
                open_console(proxy.url, as_page)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("CONNECT x:1 HTTP/1.0\r\n\r\n", 407),
        ("CONNECT x:1 HTTP/1.0\r\nAuthorization: {basic}\r\n\r\n", 407),
        ("CONNECT x:1 HTTP/1.0\r\nProxy-Authorization: Bearer {secret}\r\n\r\n", 403),
        ("CONNECT x:1 HTTP/1.0\r\nProxy-Authorization: Basic ???\r\n\r\n", 403),
        ("CONNECT x:1 HTTP/1.0\r\nProxy-Authorization: Basic AAA\r\n\r\n", 403),
        ("CONNECT {target} HTTP/1.0\r\nProxy-Authorization: {basic}\r\nProxy-Authorization: {basic}\r\n\r\n", 403),
        ("CONNECT {target} HTTP/1.0\r\nProxy-Authorization: {other_user}\r\n\r\n", 403),
        ("GET / HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {basic}\r\n\r\n", 405),
        ("GET http://{target}/ HTTP/1.1\r\nProxy-Authorization: {basic}\r\n\r\n", 405),
        ("POST / HTTP/1.1\r\n\r\n", 405),
        ("CONNECT {target}\r\n\r\n", 400),
        ("CONNECT {target} HTTP/2.0\r\nProxy-Authorization: {basic}\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
        ("\r\n\r\n", 400),
    ],
)
def test_request_that_is_not_a_viewers_is_refused(door: Address, redis: Redis, head: str, expected: int) -> None:
    issued = issue(redis, "spice")
    words = {"target": issued.target, "secret": issued.secret, "basic": basic(issued.secret)}
    assert status(door, head.format(**words, other_user=basic(issued.secret, "root"))) == expected
    assert redis.exists(redis_names.ticket_key(f"viewer.{issued.secret}"))


@pytest.mark.parametrize(
    "bytes_sent",
    [b"\x16\x03\x01" * 3000, b"CONNECT x:1 HTTP/1.0\r\n" + b"X: y\r\n" * 2000, b"CONNECT x:1 HTTP/1.0\r\n\r\nREDQ"],
)
def test_head_that_does_not_end_in_time_or_size_is_not_answered(door: Address, bytes_sent: bytes) -> None:
    with socket.create_connection(door, timeout=5) as client:
        client.sendall(bytes_sent)
        assert viewers.closed(client)


def test_slow_stranger_is_shown_the_door_and_holds_nobody_up(
    desk: Desk, display: TcpDisplay, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorstep, "PATIENCE", 0.5)
    monkeypatch.setattr(doorstep, "MOST_WAITING", 3)
    with served(desk), viewers.serving(ConnectServer("127.0.0.1:0", desk)) as address:
        slow = [socket.create_connection(address, timeout=5) for _ in range(3)]
        begun = time.monotonic()
        for _ in range(6):
            for client in slow:
                client.sendall(b"C")
            time.sleep(0.05)
        with socket.create_connection(address, timeout=5) as one_too_many:
            assert viewers.closed(one_too_many)
        assert time.monotonic() - begun < 0.5
        assert all(viewers.closed(client) for client in slow)
        assert time.monotonic() - begun < 2
        entered(address, issue(redis, "spice"), display)


@pytest.mark.parametrize("message", [b"GET / HTTP/1.0\r\n\r\n", b"REDQ" + b"\xff" * 12, b"RFB 003.008\n" + bytes(40)])
def test_what_is_not_spice_ends_that_session_only(
    door: Address, display: TcpDisplay, redis: Redis, message: bytes
) -> None:
    other, peer = entered(door, issue(redis, "spice"), display)
    issued = issue(redis, "spice")
    client, answer = connect(door, issued)
    assert answer == 200
    client.sendall(message)
    assert viewers.closed(client)
    eventually(lambda: connect(door, issued)[1] == 403)
    peer.sendall(b"still here")
    assert receive_exactly(other, 10) == b"still here"


def test_revoked_right_ends_every_channel_within_a_second(door: Address, display: TcpDisplay, redis: Redis) -> None:
    issued = issue(redis, "spice")
    channels = [entered(door, issued, display)[0]]
    for kind in (viewers.DISPLAY, viewers.INPUTS, viewers.USBREDIR):
        channels.append(open_channel(door, issued, kind))
        display.peer()
    begun = time.monotonic()
    redis.publish(redis_names.END_CHANNEL, json.dumps({"session": issued.session, "reason": "revoked"}))
    assert all(viewers.closed(channel) for channel in channels)
    assert time.monotonic() - begun < 1
    assert connect(door, issued)[1] == 403
    eventually(lambda: ("closed", "revoked") in reports(redis, issued.session))


def test_machine_without_a_display_closes_the_connection_and_the_audit_says_why(
    desk: Desk, redis: Redis, display: TcpDisplay
) -> None:
    def none(_: Claim) -> socket.socket:
        raise NoDisplay(Ending.NO_DISPLAY)

    desk = replace(desk, open_display=none)
    with served(desk), viewers.serving(ConnectServer("127.0.0.1:0", desk)) as address:
        issued = issue(redis, "spice")
        assert viewers.closed(open_channel(address, issued, viewers.MAIN))
        eventually(lambda: reports(redis, issued.session) == [("closed", "no_display")])


def test_tls_protects_the_secret_and_a_renewed_certificate_is_used_at_once(
    desk: Desk, display: TcpDisplay, redis: Redis, tmp_path: Path
) -> None:
    chain, key = viewers.make_certificate(tmp_path)
    with (
        served(desk),
        viewers.serving(ConnectServer("127.0.0.1:0", desk, Certificate(chain, key))) as address,
    ):
        issued = issue(redis, "spice")
        client = open_channel(address, issued, viewers.MAIN, tls=viewers.trusting(chain))
        peer = display.peer()
        receive_exactly(peer, 34)
        whole = bytes(range(256)) * 4096
        peer.settimeout(10)
        peer.sendall(whole)
        assert receive_exactly(client, len(whole)) == whole
        peer.close()
        assert viewers.closed(client)
        eventually(lambda: reports(redis, issued.session)[1:] == [("closed", "display_closed")], within=0.8)
        with pytest.raises(ConnectionError):
            connect(address, issue(redis, "spice"))
        old = viewers.trusting(chain)
        viewers.make_certificate(tmp_path)
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(address, issue(redis, "spice"), tls=old)
        assert connect(address, issue(redis, "spice"), tls=viewers.trusting(chain))[1] == 200
