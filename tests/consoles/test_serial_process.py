"""Serial consoles as `python -m consoles.proxy` serves them, of a real guest whose shell is on ttyS0."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection

from consoles.proxy import redis_names
from consoles.proxy.shared_console import LIVE
from demo.servers import RedisServer, free_port
from hypervisor.connection import Connection
from tests.conftest import MakeGuest
from tests.consoles.peers import Issued, closed_with, eventually, issue, open_console
from tests.consoles.test_proxy_process import ProxyProcess
from tests.consoles.test_pumping import raw_console, read_to_the_end
from tests.consoles.ws_bytes import frame
from tests.guest import Guest

pytestmark = pytest.mark.guest

PATIENCE = 600  # seconds
WELCOME = b"Linux machine of the kvmportal demo"


@pytest.fixture
def process(tmp_path: Path, redis_server: RedisServer) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess.start(tmp_path, redis_server.url, f"127.0.0.1:{free_port()}")
    yield proxy
    if proxy.process.poll() is None:
        proxy.stop(signal.SIGKILL)


class Terminal:
    """One client of the guest's serial console."""

    def __init__(self, proxy: ProxyProcess, redis: Redis, guest: Guest, **claim: object) -> None:
        self.issued: Issued = issue(
            redis, machine=str(guest.uuid), uri=guest.libvirtd.uri, protocol="serial", **{"mode": "control", **claim}
        )
        redis.expire(redis_names.lease_key(self.issued.session), PATIENCE)  # no portal is here to renew it
        self.console: ClientConnection = open_console(proxy.url, self.issued, max_size=None)
        self.seen = b""

    def sees(self, words: bytes, within: float = 30) -> bytes:
        """Read until this was sent; return what came before it and forget both."""
        until = time.monotonic() + within
        while words not in self.seen:
            self.seen += self.console.recv(timeout=max(0.1, until - time.monotonic()))
        before, _, self.seen = self.seen.partition(words)
        return before

    def types(self, words: bytes) -> None:
        self.console.send(words)

    def has_shell(self) -> None:
        """Press Enter until a shell asks for a command."""
        for _ in range(30):
            self.types(b"\r")
            try:
                self.sees(b"# ", 2)
            except TimeoutError:
                continue
            return
        raise AssertionError(self.seen)


def change_mode(redis: Redis, terminal: Terminal, mode: str) -> None:
    """Do what the portal does when control changes hands."""
    session = terminal.issued.session
    redis.set(redis_names.lease_key(session), mode, ex=PATIENCE)
    redis.publish(redis_names.TELL_CHANNEL, f'{{"session": "{session}", "tell": "mode", "mode": "{mode}"}}')


def open_things(proxy: ProxyProcess) -> tuple[int, int]:
    process = Path(f"/proc/{proxy.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def files(guest: Guest) -> set[str]:
    return set(guest.run("ls /tmp").split())


def test_the_serial_console_of_a_real_machine(
    process: ProxyProcess, redis: Redis, redis_server: RedisServer, make_guest: MakeGuest, tmp_path: Path
) -> None:
    """One guest for all of it: it takes longer to boot than to test."""
    guest = make_guest()
    owner = Terminal(process, redis, guest)
    owner.has_shell()
    viewer = Terminal(process, redis, guest, mode="view")
    viewer.sees(LIVE)
    owner.types(b"echo $((6 * 7)) >/tmp/owner; echo all see th''is\r")
    for terminal in (owner, viewer):
        terminal.sees(b"all see this")
    assert files(guest) >= {"owner"}

    a_hostile_viewer_gets_nothing_through(process, redis, guest, viewer)
    control_changes_hands(redis, guest, owner, viewer)
    what_was_said_is_there_after_a_reload(process, redis, guest, owner)
    it_stays_through_a_reset(guest, viewer)
    fifty_leave_nothing(process, redis, guest)
    another_program_is_not_thrown_out_unasked(process, redis, make_guest(wait=False))

    guest.virsh("destroy")
    assert closed_with(viewer.console) == (4404, "The machine closed its display.")
    assert closed_with(Terminal(process, redis, guest).console)[0] == 4404
    guest.virsh("start")
    owner = Terminal(process, redis, guest)
    owner.sees(WELCOME, 60)
    a_killed_proxy_leaves_the_console_free(process, redis, redis_server, guest, tmp_path)


def a_hostile_viewer_gets_nothing_through(proxy: ProxyProcess, redis: Redis, guest: Guest, viewer: Terminal) -> None:
    for number in range(50):
        viewer.types(b"\rtouch /tmp/hostile-%d\r" % number)
    claim = {"machine": str(guest.uuid), "uri": guest.libvirtd.uri, "protocol": "serial", "mode": "view"}
    raw = raw_console(proxy.url, issue(redis, **claim))
    words = b"\rtouch /tmp/hostile\r"
    raw.sendall(frame(words[:5], fin=False) + frame(b"", 9) + frame(words[5:], 0) + frame(words) * 1000)
    raw.sendall(b"".join(frame(bytes([letter])) for letter in words))
    time.sleep(0.5)
    assert not any("hostile" in name for name in files(guest))
    raw.sendall(frame(words, 1))
    assert read_to_the_end(raw).endswith(b"Only binary messages are understood.")
    raw.close()


def control_changes_hands(redis: Redis, guest: Guest, owner: Terminal, viewer: Terminal) -> None:
    change_mode(redis, owner, "view")
    change_mode(redis, viewer, "control")
    mine = eventually(lambda: types_until(viewer, guest, "lent"))
    assert "lent" in mine
    owner.types(b"\rtouch /tmp/taken\r")
    viewer.types(b"\rtouch /tmp/later\r")
    eventually(lambda: "later" in files(guest))
    assert "taken" not in files(guest)
    change_mode(redis, viewer, "view")
    change_mode(redis, owner, "control")
    eventually(lambda: types_until(owner, guest, "back"))


def types_until(terminal: Terminal, guest: Guest, name: str) -> set[str]:
    terminal.types(b"\rtouch /tmp/%s\r" % name.encode())
    return found if name in (found := files(guest)) else set()


def what_was_said_is_there_after_a_reload(proxy: ProxyProcess, redis: Redis, guest: Guest, owner: Terminal) -> None:
    owner.types(b"\recho kept for la''ter\r")
    owner.sees(b"kept for later")
    owner.console.close()
    again = Terminal(proxy, redis, guest)
    assert b"kept for later" in again.sees(LIVE)
    again.has_shell()
    again.console.close()


def it_stays_through_a_reset(guest: Guest, viewer: Terminal) -> None:
    viewer.seen = b""
    guest.virsh("reset")
    viewer.sees(WELCOME, 120)
    guest.wait_for_agent()


def fifty_leave_nothing(proxy: ProxyProcess, redis: Redis, guest: Guest) -> None:
    def come_and_go() -> None:
        terminal = Terminal(proxy, redis, guest)
        terminal.sees(LIVE)
        terminal.console.close()

    come_and_go()
    eventually(lambda: redis.xrevrange(redis_names.EVENTS_STREAM, count=1)[0][1]["event"] == "closed")
    before = open_things(proxy)
    for _ in range(50):
        come_and_go()
    files_before, threads_before = before

    def all_gone() -> bool:
        files_now, threads_now = open_things(proxy)
        return threads_now <= threads_before and files_now < files_before + 10  # the client of Redis keeps connections

    eventually(all_gone)


def another_program_is_not_thrown_out_unasked(proxy: ProxyProcess, redis: Redis, other: Guest) -> None:
    """A libvirt connection of our own has it, as virsh's would."""
    ends: list[int] = []
    connection = Connection(other.libvirtd.uri)
    connection.open()
    held = connection.domain(other.uuid).open_console(lambda _said: None, lambda: ends.append(1))
    assert closed_with(Terminal(proxy, redis, other).console)[0] == 4423
    assert not ends
    Terminal(proxy, redis, other, take_over=True).sees(LIVE)
    eventually(lambda: ends)
    held.close()
    connection.close()


def a_killed_proxy_leaves_the_console_free(
    proxy: ProxyProcess, redis: Redis, redis_server: RedisServer, guest: Guest, directory: Path
) -> None:
    proxy.stop(signal.SIGKILL)
    again = ProxyProcess.start(directory, redis_server.url, proxy.address)
    try:
        Terminal(again, redis, guest).has_shell()
    finally:
        assert again.stop() == 0
    assert "Traceback" not in again.log
