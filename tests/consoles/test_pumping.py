"""What goes through an open console, and what a client can do to the proxy: nothing but to its own session."""

from __future__ import annotations

import socket
import time
import tracemalloc
from contextlib import suppress
from threading import Thread
from urllib.parse import urlsplit

import pytest
from redis import Redis

from consoles.proxy import pump, redis_names
from consoles.proxy.endings import Ending
from consoles.proxy.frames import MAX_FRAME
from consoles.proxy.visits import Desk
from tests.consoles import rfb_bytes as rfb
from tests.consoles.peers import (
    ORIGIN,
    Issued,
    Proxy,
    TcpDisplay,
    closed_with,
    eventually,
    issue,
    open_console,
    receive_exactly,
)
from tests.consoles.ws_bytes import frame

MEGABYTE = 1024 * 1024


def raw_console(url: str, issued: Issued) -> socket.socket:
    """Open a console by hand, so that frames can be sent (or not read) that no library would."""
    where = urlsplit(url)
    client = socket.create_connection((where.hostname, where.port), timeout=5)
    lines = [
        "GET / HTTP/1.1",
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Origin: {ORIGIN}",
        f"Cookie: {issued.cookie}",
        f"Sec-WebSocket-Protocol: binary, ticket.{issued.ticket}",
    ]
    client.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += client.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return client


def read_to_the_end(client: socket.socket) -> bytes:
    data = b""
    with suppress(ConnectionError):
        while more := client.recv(65536):
            data += more
    return data


def test_a_viewers_keys_pointer_and_clipboard_do_not_reach_the_machine(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis, mode="view")) as console:
        machine = display.peer()
        for message in (
            rfb.HELLO + rfb.EXCLUSIVE,
            rfb.key(0x61),
            rfb.pointer(1, 1, 1),
            rfb.cut_text(b"rm -rf /"),
            rfb.qemu_key(0x61),
            rfb.xvp(),
            rfb.desktop_size(),
            rfb.update_request(),
        ):
            console.send(message)
        wanted = rfb.HELLO + rfb.SHARED + rfb.update_request()
        assert receive_exactly(machine, len(wanted)) == wanted
        machine.settimeout(0.2)
        with pytest.raises(TimeoutError):
            machine.recv(1)


def test_a_key_hidden_in_many_small_frames_does_not_pass_a_viewers_filter(
    proxy: Proxy, redis: Redis, display: TcpDisplay
):
    with open_console(proxy.url, issue(redis, mode="view")) as console:
        machine = display.peer()
        for byte in rfb.HELLO + rfb.EXCLUSIVE + rfb.key(0x61) + rfb.update_request():
            console.send(bytes([byte]))
        wanted = rfb.HELLO + rfb.SHARED + rfb.update_request()
        assert receive_exactly(machine, len(wanted)) == wanted


def test_nobody_gets_the_machine_for_himself_in_control_mode_either(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis)) as console:
        console.send(rfb.HELLO + rfb.EXCLUSIVE + rfb.key(0x61))
        wanted = rfb.HELLO + rfb.SHARED + rfb.key(0x61)
        assert receive_exactly(display.peer(), len(wanted)) == wanted


def test_large_pictures_arrive_whole(proxy: Proxy, redis: Redis, display: TcpDisplay):
    picture = bytes(range(256)) * 40_000
    with open_console(proxy.url, issue(redis), max_size=None) as console:
        machine = display.peer()
        Thread(target=machine.sendall, args=(picture,)).start()
        received = b""
        while len(received) < len(picture):
            received += console.recv(timeout=5)
    assert received == picture


def test_large_clipboard_text_arrives_whole(proxy: Proxy, redis: Redis, display: TcpDisplay):
    text = rfb.cut_text(b"text " * 200_000)
    with open_console(proxy.url, issue(redis)) as console:
        machine = display.peer()
        Thread(target=console.send, args=(rfb.HELLO + rfb.SHARED + text,)).start()
        assert receive_exactly(machine, len(rfb.HELLO) + 1 + len(text)).endswith(text)


@pytest.mark.parametrize("mode", ["control", "view"])
def test_a_probe_is_sent_back_and_reaches_no_machine(
    proxy: Proxy, redis: Redis, display: TcpDisplay, mode: str
) -> None:
    with open_console(proxy.url, issue(redis, mode=mode)) as console:
        machine = display.peer()
        for number in range(3):
            console.send(f"probe {number}")
            assert console.recv(timeout=5) == f"probe {number}"
        console.send(rfb.HELLO)
        assert receive_exactly(machine, len(rfb.HELLO)) == rfb.HELLO
        machine.sendall(b"RFB 003.008\n")
        assert console.recv(timeout=5) == b"RFB 003.008\n"


def test_a_flood_of_probes_costs_no_memory_and_the_newest_is_answered(
    proxy: Proxy, redis: Redis, display: TcpDisplay
) -> None:
    client = raw_console(proxy.url, issue(redis))
    client.settimeout(10)
    machine = display.peer()
    flood = frame(b"probe 1", 1) * 20_000

    def send() -> None:
        for _ in range(10):
            client.sendall(flood)
        client.sendall(frame(b"probe 2", 1))
        answers = b""
        while not answers.endswith(b"\x81\x07probe 2"):
            answers += client.recv(1024 * 1024)
        assert answers.count(b"\x81\x07probe 1") * 9 == len(answers) - 9

    assert growth(send) < 4 * MEGABYTE
    client.sendall(frame(rfb.HELLO))
    assert receive_exactly(machine, len(rfb.HELLO)) == rfb.HELLO
    client.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(b"x", masked=False), 1002),
        (frame(b"x", reserved=1), 1002),
        (frame(b"x", 5), 1002),
        (frame(b"x", 1), 1003),
        (frame(b"probe me", 1), 1003),
        (frame(announced=MAX_FRAME + 1), 1009),
        (frame(announced=2**63 - 1), 1009),
        (frame(b"GET / HTTP/1.1\r\n"), 4400),
        (frame(rfb.HELLO + rfb.SHARED + b"\x07"), 4400),
        (frame(rfb.HELLO + rfb.SHARED + rfb.cut_text()[:4] + b"\x7f\xff\xff\xff"), 4400),
    ],
    ids=[
        "unmasked",
        "reserved",
        "opcode",
        "text",
        "no probe",
        "too big",
        "absurd",
        "not RFB",
        "unknown message",
        "long text",
    ],
)
def test_a_malformed_frame_ends_that_session_only(proxy: Proxy, redis: Redis, display: TcpDisplay, sent, code):
    with open_console(proxy.url, issue(redis)) as good:
        machine = display.peer()
        bad = raw_console(proxy.url, issue(redis))
        bad.sendall(sent)
        answer = read_to_the_end(bad)
        bad.close()
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == code
        machine.sendall(b"RFB 003.008\n")
        assert good.recv(timeout=5) == b"RFB 003.008\n"


def growth(of) -> int:
    """Return by how many bytes Python's memory was above its start at most."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        of()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_a_client_that_does_not_read_costs_no_memory(proxy: Proxy, redis: Redis, display: TcpDisplay):
    client = raw_console(proxy.url, issue(redis))
    machine = display.peer()
    machine.settimeout(1)
    chunk = memoryview(bytes(64 * 1024))

    def flood() -> None:
        with pytest.raises(TimeoutError):
            for _ in range(2000):  # 128 MB; the kernel's buffers take a few
                machine.send(chunk)

    assert growth(flood) < 2 * MEGABYTE
    client.close()


def test_a_machine_that_does_not_read_costs_no_memory(proxy: Proxy, redis: Redis, display: TcpDisplay):
    client = raw_console(proxy.url, issue(redis))
    client.settimeout(1)
    display.peer()
    client.sendall(frame(rfb.HELLO + rfb.SHARED))
    text = frame(rfb.cut_text(b"x" * 64 * 1024))

    def flood() -> None:
        with pytest.raises(TimeoutError):
            for _ in range(2000):
                client.send(text)

    assert growth(flood) < 2 * MEGABYTE
    client.close()


def test_a_flood_of_pings_whose_answers_are_not_read_costs_no_memory(proxy: Proxy, redis: Redis, display: TcpDisplay):
    client = raw_console(proxy.url, issue(redis))
    display.peer()
    client.settimeout(1)
    pings = frame(b"p" * 125, 9) * 500

    def flood() -> None:
        with suppress(TimeoutError):
            for _ in range(200):
                client.send(pings)

    assert growth(flood) < 2 * MEGABYTE
    client.close()


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """Read a server's frames: opcode and payload of each; all of them have to be whole."""
    found = []
    while data:
        length, start = data[1], 2
        if length > 125:
            start = 4 if length == 126 else 10
            length = int.from_bytes(data[2:start], "big")
        assert len(data) >= start + length, "a frame is cut off"
        found.append((data[0] & 0x0F, data[start : start + length]))
        data = data[start + length :]
    return found


def test_what_was_read_of_a_pouring_machine_arrives_in_whole_frames_pings_between_them_before_the_goodbye(
    proxy: Proxy, redis: Redis, display: TcpDisplay, desk: Desk, monkeypatch
):
    monkeypatch.setattr(pump, "PING_EVERY", 0.1)
    issued = issue(redis)
    client = raw_console(proxy.url, issued)
    machine = display.peer()
    machine.settimeout(1)
    picture, sent = bytes(range(256)) * 256, 0
    with suppress(TimeoutError):
        while True:
            sent += machine.send(picture[sent % 256 :])
    client.sendall(frame(b"?", 9))
    received = client.recv(3_000_000)
    while len(received) < 3_000_000:
        received += client.recv(65536)
    desk.registry.end({issued.session}, Ending.REVOKED)
    found = frames_of(received + read_to_the_end(client))

    shown = b"".join(payload for opcode, payload in found if opcode == 2)
    assert shown == (picture * (len(shown) // len(picture) + 1))[: len(shown)]
    assert 3_000_000 < len(shown) <= sent
    assert max(len(payload) for opcode, payload in found) > 65536, "it poured"
    assert [opcode for opcode, _ in found][-1] == 8
    assert {9, 10} <= {opcode for opcode, _ in found}
    client.close()


def test_pings_are_answered(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis)) as console:
        assert console.ping().wait(5)


def test_a_client_that_is_alive_hears_pings_and_stays(proxy: Proxy, redis: Redis, display: TcpDisplay, monkeypatch):
    monkeypatch.setattr(pump, "PING_EVERY", 0.1)
    monkeypatch.setattr(pump, "SILENCE", 0.4)
    with open_console(proxy.url, issue(redis)) as console:
        machine = display.peer()
        time.sleep(1)
        machine.sendall(b"RFB 003.008\n")
        assert console.recv(timeout=5) == b"RFB 003.008\n"


def test_a_client_that_is_silent_is_dropped(proxy: Proxy, redis: Redis, display: TcpDisplay, monkeypatch):
    monkeypatch.setattr(pump, "PING_EVERY", 0.1)
    monkeypatch.setattr(pump, "SILENCE", 0.4)
    client = raw_console(proxy.url, issue(redis))
    machine = display.peer()
    started = time.monotonic()
    assert read_to_the_end(machine) == b""
    assert time.monotonic() - started < 2
    assert read_to_the_end(client)[-3:] == b"ng."
    client.close()


def test_the_page_is_told_when_the_machine_closes_its_display(proxy: Proxy, redis: Redis, display: TcpDisplay):
    with open_console(proxy.url, issue(redis)) as console:
        machine = display.peer()
        machine.sendall(b"last picture")
        machine.close()
        assert console.recv(timeout=5) == b"last picture"
        assert closed_with(console) == (4404, "The machine closed its display.")


def test_the_display_is_closed_when_the_page_goes(proxy: Proxy, redis: Redis, display: TcpDisplay, desk: Desk):
    for leave in (lambda console: console.close(), lambda console: console.socket.shutdown(socket.SHUT_RDWR)):
        console = open_console(proxy.url, issue(redis))
        machine = display.peer()
        leave(console)
        assert read_to_the_end(machine) == b""
        console.close()
    eventually(lambda: not desk.registry.all())


def test_the_audit_hears_of_opening_closing_and_bytes(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    with open_console(proxy.url, issued) as console:
        machine = display.peer()
        machine.sendall(b"x" * 1000)
        console.send(rfb.HELLO)
        assert console.recv(timeout=5)
        receive_exactly(machine, len(rfb.HELLO))
    reports = eventually(lambda: [*found] if len(found := redis.xrange(redis_names.EVENTS_STREAM)) == 2 else None)
    opened, closed = (fields for _, fields in reports)
    assert (opened["event"], opened["session"]) == ("opened", issued.session)
    assert (closed["event"], closed["session"], closed["reason"]) == ("closed", issued.session, "left")
    assert (closed["to_client"], closed["from_client"]) == ("1000", str(len(rfb.HELLO)))
    assert abs(float(closed["at"]) - time.time()) < 10


def test_50_idle_consoles_wake_nobody(proxy: Proxy, redis: Redis, display: TcpDisplay):
    consoles = [raw_console(proxy.url, issue(redis)) for _ in range(50)]
    for _ in consoles:
        display.peer()
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.1
    for console in consoles:
        console.close()
