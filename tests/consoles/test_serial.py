"""Serial consoles through the proxy: one reader for all, only who has control types, and nobody costs much."""

from __future__ import annotations

import socket
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Queue
from threading import Thread

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection

from consoles.proxy import redis_names, shared_console
from consoles.proxy.display import NoDisplay
from consoles.proxy.endings import Ending
from consoles.proxy.journal import Journal
from consoles.proxy.modes import Mode
from consoles.proxy.redis_client import redis_of
from consoles.proxy.sessions import Registry
from consoles.proxy.shared_console import AFRESH, LIVE, SharedConsoles
from consoles.proxy.tickets import Claim
from consoles.proxy.visits import Desk
from demo.servers import RedisServer
from hypervisor.errors import HypervisorError
from tests.consoles.peers import ORIGIN, Proxy, closed_with, eventually, issue, open_console, served
from tests.consoles.test_pumping import raw_console

MACHINE = str(uuid.uuid4())
MEGABYTE = 1024 * 1024


class Port:
    """An open console whose machine is the other end of a pair of sockets."""

    def __init__(self, on_output: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        self.machine, self._ours = socket.socketpair()
        self.machine.settimeout(5)
        self.closed = False
        self._on_output, self._on_end = on_output, on_end
        Thread(target=self._read, daemon=True).start()

    def write(self, data: bytes) -> None:
        try:
            self._ours.sendall(data)
        except OSError as error:
            raise HypervisorError("gone") from error

    def close(self) -> None:
        self.closed = True
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        with suppress(OSError):
            while data := self._ours.recv(4096):
                self._on_output(data)
        self._on_end()


class Rack:
    """Opens consoles; every one that was opened waits in `ports`."""

    def __init__(self) -> None:
        self.ports: Queue[Port] = Queue()
        self.refusal: Ending | None = None

    def open(self, _claim: Claim, on_output: Callable[[bytes], None], on_end: Callable[[], None], /) -> Port:
        if self.refusal:
            raise NoDisplay(self.refusal)
        port = Port(on_output, on_end)
        self.ports.put(port)
        return port

    def newest(self) -> Port:
        return self.ports.get(timeout=5)


@pytest.fixture
def rack() -> Rack:
    return Rack()


@pytest.fixture
def consoles(rack: Rack) -> Iterator[SharedConsoles]:
    consoles = SharedConsoles(rack.open)
    yield consoles
    consoles.close()


@pytest.fixture
def serial_desk(redis_server: RedisServer, consoles: SharedConsoles) -> Desk:
    client = redis_of(redis_server.url)
    return Desk(
        redis=client,
        origins=frozenset({ORIGIN}),
        registry=Registry(),
        journal=Journal(client),
        open_display=lambda _claim: pytest.fail("nobody asked for a display"),
        serial_consoles=consoles,
    )


@pytest.fixture
def proxy(serial_desk: Desk) -> Iterator[Proxy]:
    with served(serial_desk) as proxy:
        yield proxy


@pytest.fixture
def look(proxy: Proxy, redis: Redis) -> Callable[..., Screen]:
    """A function that opens the console of MACHINE."""
    return lambda mode="control", machine=MACHINE: Screen(proxy, redis, mode, machine)


class Screen:
    """One client, and what it was sent so far."""

    def __init__(self, proxy: Proxy, redis: Redis, mode: str, machine: str) -> None:
        self.issued = issue(redis, protocol="serial", mode=mode, machine=machine)
        self.console: ClientConnection = open_console(proxy.url, self.issued, max_size=None)
        self.seen = b""

    def sees(self, words: bytes) -> bytes:
        """Read until this was sent; return everything up to it and forget it."""
        while words not in self.seen:
            self.seen += self.console.recv(timeout=5)
        before, _, self.seen = self.seen.partition(words)
        return before

    def types(self, words: bytes) -> None:
        self.console.send(words)


def hears(port: Port, words: bytes) -> None:
    heard = b""
    while len(heard) < len(words):
        heard += port.machine.recv(len(words) - len(heard))
    assert heard == words


def hears_nothing(port: Port) -> None:
    port.machine.settimeout(0.3)
    with pytest.raises(TimeoutError):
        port.machine.recv(1)
    port.machine.settimeout(5)


def test_two_see_the_same_and_the_machine_is_opened_once(look, rack: Rack) -> None:
    first, second = look(), look(mode="view")
    port = rack.newest()
    for screen in (first, second):
        assert screen.sees(LIVE) == b""
    port.machine.sendall(b"login: ")
    for screen in (first, second):
        screen.sees(b"login: ")
    first.types(b"root\r")
    hears(port, b"root\r")
    assert rack.ports.empty()


def test_a_viewer_gets_nothing_through_and_stays(look, rack: Rack) -> None:
    viewer = look(mode="view")
    port = rack.newest()
    for _ in range(100):
        viewer.types(b"rm -rf /\r")
    hears_nothing(port)
    port.machine.sendall(b"still here")
    viewer.sees(b"still here")


def test_control_changes_at_once(look, rack: Rack, serial_desk: Desk) -> None:
    screen = look()
    port = rack.newest()
    session = serial_desk.registry.find(screen.issued.session)
    assert session
    screen.types(b"a")
    hears(port, b"a")
    session.change_mode(Mode.VIEW)
    screen.types(b"b")
    hears_nothing(port)
    session.change_mode(Mode.CONTROL)
    screen.types(b"c")
    hears(port, b"c")


def test_what_waits_for_a_machine_that_does_not_read_is_dropped_with_the_control(
    look, rack: Rack, serial_desk: Desk
) -> None:
    screen, other = look(), look()
    port = rack.newest()
    Thread(target=screen.types, args=(b"x" * MEGABYTE,), daemon=True).start()
    eventually(lambda: serial_desk.registry.find(screen.issued.session).from_client > 200_000)
    serial_desk.registry.find(screen.issued.session).change_mode(Mode.VIEW)
    taken = 0
    port.machine.settimeout(1)
    with suppress(TimeoutError):
        while more := port.machine.recv(65536):
            taken += len(more)
    assert taken < MEGABYTE - 200_000
    port.machine.settimeout(5)
    other.types(b"mine")
    hears(port, b"mine")


def test_a_machine_that_does_not_read_holds_up_nobody_who_looks(look, rack: Rack) -> None:
    typist, viewer = look(), look(mode="view")
    port = rack.newest()
    Thread(target=typist.types, args=(b"x" * MEGABYTE,), daemon=True).start()
    time.sleep(0.2)
    port.machine.sendall(b"I am busy")
    viewer.sees(b"I am busy")
    typist.sees(b"I am busy")


def test_a_reload_shows_what_was_said_before_and_meanwhile(look, rack: Rack) -> None:
    screen = look()
    port = rack.newest()
    port.machine.sendall(b"before\x1b[6n")
    screen.sees(b"before")
    screen.console.close()
    port.machine.sendall(b" meanwhile ")
    again = look()
    assert again.sees(LIVE) in {b"before\x1b[6n", b"before\x1b[6n meanwhile "}
    port.machine.sendall(b"after")
    assert again.sees(b"after") in {b"", b" meanwhile "}
    assert rack.ports.empty()


def test_everything_is_forgotten_some_time_after_the_last_viewer_left(
    look, rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_console, "KEPT_SECONDS", 0.7)
    screen = look()
    port = rack.newest()
    port.machine.sendall(b"secret")
    screen.sees(b"secret")
    time.sleep(1)
    assert not port.closed
    screen.console.close()
    eventually(lambda: port.closed)
    assert look().sees(LIVE) == b""
    rack.newest()


def test_a_machine_that_goes_off_ends_all_and_the_next_run_is_opened_again(look, rack: Rack) -> None:
    screens = [look(), look(mode="view")]
    for screen in screens:
        screen.sees(LIVE)
    port = rack.newest()
    port.machine.sendall(b"power down")
    port.machine.close()
    for screen in screens:
        screen.sees(b"power down")
        assert closed_with(screen.console) == (4404, "The machine closed its display.")
    eventually(lambda: port.closed)
    again = look()
    assert again.sees(LIVE) == b"power down" + AFRESH
    rack.newest().machine.sendall(b"booting")
    again.sees(b"booting")


@pytest.mark.parametrize(("refusal", "code"), [(Ending.HELD, 4423), (Ending.NO_DISPLAY, 4404)])
def test_a_console_that_cannot_be_had_is_said_and_tried_again(look, rack: Rack, refusal: Ending, code: int) -> None:
    rack.refusal = refusal
    assert closed_with(look().console)[0] == code
    rack.refusal = None
    look().sees(LIVE)


def test_a_slow_viewer_misses_the_middle_and_holds_up_nobody(
    look, rack: Rack, proxy: Proxy, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = look()
    slow = raw_console(proxy.url, issue(redis, protocol="serial", machine=MACHINE))
    slow.settimeout(5)
    port = rack.newest()
    quick.sees(LIVE)
    lines = b"0123456789abcde\n" * 4096

    def flood() -> None:
        for _ in range(120):  # 8 MB
            port.machine.sendall(lines)
            got = 0
            while got < len(lines):
                got += len(quick.console.recv(timeout=5))

    tracemalloc.start()
    flood()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * MEGABYTE
    port.machine.sendall(b"the end")
    said = b""
    while not said.endswith(b"the end"):
        said += slow.recv(65536)
    assert b"KiB ...]\r\n" in said
    assert len(said) < 2 * MEGABYTE
    slow.close()


def test_fifty_who_come_and_go_leave_nothing(look, rack: Rack, serial_desk: Desk) -> None:
    screens = [look() for _ in range(50)]
    port = rack.newest()
    port.machine.sendall(b"hello")
    for screen in screens:
        screen.sees(b"hello")
        screen.console.close()
    eventually(lambda: not serial_desk.registry.all())
    assert rack.ports.empty()


def test_machines_are_not_mixed_up(look, rack: Rack) -> None:
    first = look()
    one = rack.newest()
    second = look(machine=str(uuid.uuid4()))
    two = rack.newest()
    for screen in (first, second):
        screen.sees(LIVE)
    one.machine.sendall(b"one.")
    two.machine.sendall(b"two.")
    assert first.sees(b"one.") == b""
    assert second.sees(b"two.") == b""
    second.types(b"for two")
    hears(two, b"for two")
    hears_nothing(one)


def test_the_audit_hears_of_it(look, rack: Rack, redis: Redis) -> None:
    screen = look()
    rack.newest().machine.sendall(b"x" * 100)
    screen.sees(b"x" * 100)
    screen.types(b"abc")
    screen.console.close()
    reports = eventually(lambda: found if len(found := redis.xrange(redis_names.EVENTS_STREAM)) == 2 else None)
    opened, closed = (fields for _, fields in reports)
    assert (opened["event"], closed["event"], closed["reason"]) == ("opened", "closed", "left")
    assert int(closed["to_client"]) == 100 + len(LIVE)
    assert closed["from_client"] == "3"
