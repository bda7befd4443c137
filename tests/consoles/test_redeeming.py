"""Who gets through the proxy's door: real WebSocket requests, most of them hostile."""

from __future__ import annotations

import json
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Self
from urllib.parse import urlsplit

import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed, InvalidStatus

from consoles.proxy import redis_names
from consoles.proxy.tickets import Claim
from consoles.proxy.visits import Desk
from tests.consoles import rfb_bytes as rfb
from tests.consoles.peers import (
    ORIGIN,
    Issued,
    Proxy,
    TcpDisplay,
    eventually,
    issue,
    open_console,
    receive_exactly,
    served,
)
from tests.consoles.ws_bytes import frame


def refused(url: str, issued: Issued, code: str = "ticket_refused", **options) -> bool:
    """Try to connect; say whether the answer was a short 403 that tells nothing of the ticket."""
    try:
        open_console(url, issued, **options).close()
    except InvalidStatus as error:
        assert error.response.status_code == 403
        assert error.response.headers["Content-Type"] == "application/json"
        assert error_of(error.response.body)["code"] == code
        assert issued.ticket.encode() not in error.response.body
        return True
    return False


def error_of(body: bytes) -> dict[str, object]:
    """Read a refusal: the REST API's shape, with a sentence and nothing of the request."""
    error = json.loads(body)["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["message"].endswith(".")
    assert error["details"] == {}
    return error


def code_of(answer: bytes) -> str:
    return error_of(answer.partition(b"\r\n\r\n")[2])["code"]


def request(url: str, *headers: str, path: str = "/console") -> bytes:
    """Send a request by hand and return the whole answer."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=5) as client:
        client.sendall("\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
        answer = b""
        while more := client.recv(65536):
            answer += more
        return answer


UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA")


def test_a_ticket_opens_the_display_and_bytes_go_both_ways(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis)) as console:
        machine = display.peer()
        machine.sendall(b"RFB 003.008\n")
        assert console.recv(timeout=5) == b"RFB 003.008\n"
        assert console.subprotocol == "binary"
        console.send(rfb.HELLO)
        assert receive_exactly(machine, len(rfb.HELLO)) == rfb.HELLO


def test_a_ticket_works_once(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    with open_console(proxy.url, issued):
        assert refused(proxy.url, issued)
    assert refused(proxy.url, issued)


def test_of_many_who_use_a_ticket_at_once_one_wins(proxy: Proxy, redis: Redis, display: TcpDisplay):
    for _ in range(10):
        issued = issue(redis)
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(lambda _, issued=issued: refused(proxy.url, issued), range(8)))
        assert outcomes.count(False) == 1


def test_a_guessed_ticket_is_refused(proxy: Proxy, redis: Redis):
    assert refused(proxy.url, replace(issue(redis), ticket=secrets.token_urlsafe(32)))


def test_an_expired_ticket_is_refused(proxy: Proxy, redis: Redis):
    issued = issue(redis)
    redis.pexpire(redis_names.ticket_key(issued.ticket), 1)
    eventually(lambda: not redis.exists(redis_names.ticket_key(issued.ticket)))
    assert refused(proxy.url, issued)


def test_a_ticket_whose_session_was_ended_is_refused(proxy: Proxy, redis: Redis):
    issued = issue(redis)
    redis.delete(redis_names.lease_key(issued.session))
    assert refused(proxy.url, issued)


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "sessionid=another",
        "sessionid=",
        "other=1",
        "SESSIONID=owners-session-key",
        "sessionid=owners-session-key; sessionid=x",
    ],
)
def test_another_login_cannot_use_a_ticket_nor_use_it_up(proxy: Proxy, redis: Redis, display: TcpDisplay, cookie):
    issued = issue(redis)
    assert refused(proxy.url, issued, cookie=cookie)
    assert not refused(proxy.url, issued, cookie="theme=dark; sessionid=owners-session-key")


@pytest.mark.parametrize(("protocol", "channel"), [("spice", "main"), ("spice", "inputs"), ("serial", None)])
def test_the_same_is_checked_for_every_protocol(proxy: Proxy, redis: Redis, display: TcpDisplay, protocol, channel):
    issued = issue(redis, protocol=protocol, channel=channel)
    assert refused(proxy.url, issued, cookie="sessionid=another")
    assert refused(proxy.url, issued, origin="http://evil.test", code="origin_refused")
    assert refused(proxy.url, issued, origin=None)
    assert refused(proxy.url, replace(issued, ticket=secrets.token_urlsafe(32)))
    redis.delete(redis_names.lease_key(issued.session))
    assert refused(proxy.url, issued)
    assert refused(proxy.url, issued), "and it is used up"
    assert not redis.exists(redis_names.ticket_key(issued.ticket))


@pytest.mark.parametrize(
    "origin",
    ["http://evil.test", "https://portal.test", "http://portal.test:81", "http://portal.test.evil.test", "null", ""],
)
def test_another_origin_cannot_use_a_ticket_nor_use_it_up(proxy: Proxy, redis: Redis, display: TcpDisplay, origin):
    for by_token in (False, True):
        issued = issue(redis, by_token=by_token)
        assert refused(proxy.url, issued, origin=origin, code="origin_refused")
        assert redis.exists(redis_names.ticket_key(issued.ticket))
        assert not refused(proxy.url, issued)


def test_a_browsers_ticket_needs_an_origin(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    assert refused(proxy.url, issued, origin=None)
    assert not refused(proxy.url, issued)


def test_a_scripts_ticket_needs_neither_origin_nor_cookie(proxy: Proxy, redis: Redis, display: TcpDisplay):
    assert not refused(proxy.url, issue(redis, by_token=True), origin=None, cookie="")


def test_two_origins_are_refused(proxy: Proxy, redis: Redis):
    issued = issue(redis)
    answer = request(
        proxy.url,
        *UPGRADE,
        f"Origin: {ORIGIN}",
        "Origin: http://evil.test",
        f"Cookie: {issued.cookie}",
        f"Sec-WebSocket-Protocol: binary, ticket.{issued.ticket}",
    )
    assert answer.startswith(b"HTTP/1.1 403")
    assert code_of(answer) == "origin_refused"


@pytest.mark.parametrize(
    "offer",
    [
        "binary",
        "ticket.{ticket}",
        "binary, ticket.{ticket}, ticket.{other}",
        "binary, ticket.",
        "binary, ticket.a b",
        "x",
    ],
)
def test_a_request_without_one_ticket_and_binary_is_refused(proxy: Proxy, redis: Redis, offer):
    issued = issue(redis)
    offer = offer.format(ticket=issued.ticket, other=secrets.token_urlsafe(32))
    answer = request(
        proxy.url, *UPGRADE, f"Origin: {ORIGIN}", f"Cookie: {issued.cookie}", f"Sec-WebSocket-Protocol: {offer}"
    )
    assert answer.startswith(b"HTTP/1.1 403")
    assert code_of(answer) == "ticket_refused"


@pytest.mark.parametrize("offer", ["ticket.{ticket},binary", " binary ,  ticket.{ticket} "])
def test_subprotocols_may_stand_in_any_order(proxy: Proxy, redis: Redis, display: TcpDisplay, offer):
    issued = issue(redis)
    where = urlsplit(proxy.url)
    lines = [*UPGRADE, f"Origin: {ORIGIN}", f"Cookie: {issued.cookie}"]
    lines.append("Sec-WebSocket-Protocol: " + offer.format(ticket=issued.ticket))
    with socket.create_connection((where.hostname, where.port), timeout=5) as client:
        client.sendall("\r\n".join(["GET / HTTP/1.1", "Host: x", *lines, "", ""]).encode())
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"Sec-WebSocket-Protocol: binary\r\n" in answer
    assert issued.ticket.encode() not in answer


@pytest.mark.parametrize("missing", UPGRADE[2:])
def test_a_broken_handshake_does_not_use_the_ticket_up(proxy: Proxy, redis: Redis, missing):
    issued = issue(redis)
    headers = [line for line in UPGRADE if line != missing]
    headers += [
        f"Origin: {ORIGIN}",
        f"Cookie: {issued.cookie}",
        f"Sec-WebSocket-Protocol: binary, ticket.{issued.ticket}",
    ]
    assert request(proxy.url, *headers).startswith(b"HTTP/1.1 403")
    assert redis.exists(redis_names.ticket_key(issued.ticket))


def test_a_ticket_in_the_url_is_worth_nothing_and_is_not_echoed(proxy: Proxy, redis: Redis):
    issued = issue(redis)
    for path in (f"/?token={issued.ticket}", f"/ {issued.ticket}"):
        for headers in ((), UPGRADE):
            answer = request(proxy.url, *headers, path=path)
            assert not answer.startswith(b"HTTP/1.1 101")
            assert issued.ticket.encode() not in answer


def test_nonsense_in_redis_is_an_error_of_that_connection_only(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    redis.set(redis_names.ticket_key(issued.ticket), json.dumps({"session": "x"}))
    assert refused(proxy.url, issued)
    assert not refused(proxy.url, issue(redis))


def test_a_machine_without_a_display_is_told_by_a_close_code(proxy: Proxy, redis: Redis):
    with open_console(proxy.url, issue(redis, protocol="none")) as console, pytest.raises(ConnectionClosed) as closed:
        console.recv(timeout=5)
    assert closed.value.rcvd.code == 4404
    assert closed.value.rcvd.reason == "The machine is off or has no such display."


def test_healthz_answers_and_nothing_else_does(proxy: Proxy):
    assert request(proxy.url, path="/healthz").endswith(b"ok\n")
    for path in ("/", "/console", "/../etc/passwd", "/vnc.html"):
        answer = request(proxy.url, path=path)
        assert answer.startswith(b"HTTP/1.1 404")
        assert code_of(answer) == "not_found"


@pytest.mark.parametrize(("method", "code"), [("POST", "method_not_allowed"), ("GET / x", "bad_request")])
def test_what_is_no_get_is_refused_without_an_echo(proxy: Proxy, method: str, code: str):
    where = urlsplit(proxy.url)
    with socket.create_connection((where.hostname, where.port), timeout=5) as client:
        client.sendall(f"{method} /ticket.secret HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert code_of(answer) == code
    assert b"secret" not in answer


def test_frames_sent_together_with_the_request_are_not_lost(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    where = urlsplit(proxy.url)
    lines = [*UPGRADE, f"Origin: {ORIGIN}", f"Cookie: {issued.cookie}"]
    lines.append(f"Sec-WebSocket-Protocol: binary, ticket.{issued.ticket}")
    head = "\r\n".join(["GET / HTTP/1.1", "Host: x", *lines, "", ""]).encode()
    with socket.create_connection((where.hostname, where.port), timeout=5) as client:
        client.sendall(head + frame(rfb.HELLO))
        assert receive_exactly(display.peer(), len(rfb.HELLO)) == rfb.HELLO


def test_200_at_once_reach_each_its_own_display(desk: Desk, redis: Redis):
    """The stock threaded server mixes displays up: it keeps the target on the server."""
    tickets = [issue(redis) for _ in range(200)]
    with (
        NamedDisplays() as displays,
        served(replace(desk, open_display=displays.open)) as proxy,
        ThreadPoolExecutor(50) as pool,
    ):
        greetings = list(pool.map(lambda issued: _greeting(proxy.url, issued), tickets))
    assert greetings == [issued.session.encode() for issued in tickets]


class NamedDisplays:
    """Displays that say which session they were opened for."""

    def __init__(self) -> None:
        self._ends: list[socket.socket] = []

    def open(self, claim: Claim) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.sendall(claim.session.encode())
        self._ends.append(ours)
        return theirs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end.close()


def _greeting(url: str, issued: Issued) -> bytes:
    with open_console(url, issued) as console:
        return console.recv(timeout=10)
