"""`python -m consoles.proxy` as it runs in production, with real guests behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from redis import Redis
from websockets.sync.client import ClientConnection

from consoles.proxy import redis_names
from demo.servers import RedisServer, free_port
from kvmportal.environment import ROOT
from tests.conftest import MakeGuest
from tests.consoles import rfb_bytes as rfb
from tests.consoles.peers import ORIGIN, closed_with, eventually, issue, open_console
from tests.guest import Guest


@dataclass
class ProxyProcess:
    """The process, its address and its log."""

    process: subprocess.Popen[bytes]
    address: str
    log_file: Path

    @classmethod
    def start(cls, directory: Path, redis_url: str, listen: str) -> Self:
        log_file = directory / "proxy.log"
        environment = {
            "PATH": os.environ["PATH"],
            "REDIS_URL": redis_url,
            "CONSOLE_LISTEN": listen,
            "CONSOLE_ORIGINS": f"{ORIGIN}/, http://other.test",
            "LOG_LEVEL": "DEBUG",
        }
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "consoles.proxy"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        proxy = cls(process, listen, log_file)
        eventually(lambda: b"200 OK" in proxy.get("/healthz"), within=20)
        return proxy

    @property
    def url(self) -> str:
        return f"ws://{self.address}/console"

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def get(self, path: str) -> bytes:
        unix = self.address.startswith("unix:")
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as client:
            host, _, port = self.address.rpartition(":")
            try:
                client.connect(self.address.removeprefix("unix:") if unix else (host, int(port)))
            except OSError:
                return b""
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return client.makefile("rb").read()

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(with_signal)
        return self.process.wait(timeout=15)


@pytest.fixture
def proxy_process(tmp_path: Path, redis_server: RedisServer) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess.start(tmp_path, redis_server.url, f"127.0.0.1:{free_port()}")
    yield proxy
    if proxy.process.poll() is None:
        proxy.stop(signal.SIGKILL)


class Screen:
    """A small VNC client: enough to look, to press keys, and to notice being thrown out."""

    def __init__(self, console: ClientConnection, *, shared: bytes = rfb.SHARED) -> None:
        self._console = console
        self._buffer = b""
        assert self.read(12) == b"RFB 003.008\n"
        console.send(b"RFB 003.008\n")
        assert 1 in self.read(self.read(1)[0])
        console.send(b"\x01")
        assert self.read(4) == bytes(4)
        console.send(shared)
        start = self.read(24)
        self.width, self.height = int.from_bytes(start[:2], "big"), int.from_bytes(start[2:4], "big")
        self.read(int.from_bytes(start[20:24], "big"))
        console.send(rfb.encodings([0]))

    def read(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._buffer += self._console.recv(timeout=10)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def picture(self) -> bytes:
        """Ask for the whole picture and read one update of it."""
        self._console.send(rfb.update_request(self.width, self.height))
        kind = self.read(4)
        while kind[0] != 0:  # a bell
            kind = kind[1:] + self.read(1)
        pixels = b""
        for _ in range(int.from_bytes(kind[2:4], "big")):
            _, _, width, height, _ = (int.from_bytes(part, "big") for part in _parts(self.read(12), 2, 2, 2, 2, 4))
            pixels += self.read(width * height * 4)
        return pixels

    def press(self, text: str) -> None:
        for letter in text:
            keysym = 0xFF0D if letter == "\n" else ord(letter)
            self._console.send(rfb.key(keysym) + rfb.key(keysym, False))
            time.sleep(0.02)


def _parts(data: bytes, *lengths: int) -> Iterator[bytes]:
    for length in lengths:
        yield data[:length]
        data = data[length:]


def ticket_for(redis: Redis, guest: Guest, **options: Any) -> Any:
    return issue(redis, machine=str(guest.uuid), uri=guest.libvirtd.uri, **options)


@pytest.mark.guest
def test_a_screen_of_a_real_machine(proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest):
    guest = make_guest()

    owner = ticket_for(redis, guest)
    with open_console(proxy_process.url, owner, max_size=None) as console:
        screen = Screen(console, shared=rfb.EXCLUSIVE)
        assert len(set(screen.picture())) > 1

        with open_console(proxy_process.url, ticket_for(redis, guest, mode="view"), max_size=None) as other:
            viewer = Screen(other, shared=rfb.EXCLUSIVE)
            assert viewer.picture()
            viewer.press("touch /tmp/viewer\n")
            assert viewer.picture(), "a viewer's keys are dropped, the session goes on"
            with open_console(proxy_process.url, ticket_for(redis, guest, mode="view"), max_size=None) as third:
                assert Screen(third, shared=rfb.EXCLUSIVE).picture()

        assert screen.picture(), "two who wanted to be alone have not thrown the owner out"
        screen.press("touch /tmp/owner\n")
        eventually(lambda: guest.run("ls /tmp/owner") == "/tmp/owner")
        assert "No such file" in guest.run("ls /tmp/viewer")

        guest.virsh("destroy")
        assert closed_with(console) == (4404, "The machine closed its display.")
    with open_console(proxy_process.url, ticket_for(redis, guest)) as console:
        assert closed_with(console)[0] == 4404
    with open_console(proxy_process.url, issue(redis, uri=guest.libvirtd.uri)) as console:
        assert closed_with(console)[0] == 4404
    with open_console(proxy_process.url, issue(redis, uri="qemu+unix:///system?socket=/nowhere")) as console:
        assert closed_with(console, within=15)[0] == 4503
    assert owner.ticket not in proxy_process.log
    assert owner.cookie not in proxy_process.log


@pytest.mark.guest
def test_a_stopped_qemu_holds_up_its_own_console_only(proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest):
    stopped, other = make_guest(wait=False), make_guest(wait=False)
    with open_console(proxy_process.url, ticket_for(redis, stopped), max_size=None) as console:
        Screen(console)
        os.kill(stopped.qemu_pid, signal.SIGSTOP)
        try:
            with open_console(proxy_process.url, ticket_for(redis, other), max_size=None) as second:
                started = time.monotonic()
                assert Screen(second).picture()
                assert time.monotonic() - started < 2
            assert console.ping().wait(5)
        finally:
            os.kill(stopped.qemu_pid, signal.SIGCONT)


def test_no_ticket_is_in_the_log_whatever_is_done_with_it(proxy_process: ProxyProcess, redis: Redis):
    tickets = [issue(redis, protocol=protocol, channel="main") for protocol in ("vnc", "spice", "none")]
    for issued in tickets:
        for options in ({"origin": "http://evil.test"}, {"cookie": "sessionid=x"}, {}, {}):
            with pytest.raises(Exception, match=r"403|4404"):
                closed = closed_with(open_console(proxy_process.url, issued, **options))
                raise AssertionError(str(closed))
        proxy_process.get(f"/?token={issued.ticket}")
        proxy_process.get(f"/ {issued.ticket} x")
    assert proxy_process.stop() == 0
    for issued in tickets:
        assert issued.session in proxy_process.log
        assert issued.ticket not in proxy_process.log
        assert issued.cookie.partition("=")[2] not in proxy_process.log
    assert "Traceback" not in proxy_process.log


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly(proxy_process: ProxyProcess, with_signal: signal.Signals):
    started = time.monotonic()
    assert proxy_process.stop(with_signal) == 0
    assert time.monotonic() - started < 3
    assert "Traceback" not in proxy_process.log


@pytest.mark.guest
def test_open_consoles_are_told_when_it_stops(proxy_process: ProxyProcess, redis: Redis, make_guest: MakeGuest):
    with open_console(proxy_process.url, ticket_for(redis, make_guest(wait=False))) as console:
        console.recv(timeout=5)
        proxy_process.process.terminate()
        assert closed_with(console)[0] == 1001
    assert proxy_process.process.wait(10) == 0
    reports = [fields["reason"] for _, fields in redis.xrange(redis_names.EVENTS_STREAM)]
    assert reports == ["", "stopping"]


@pytest.mark.guest
def test_a_restart_moves_consoles_to_the_next_process_without_a_gap(
    proxy_process: ProxyProcess, tmp_path: Path, redis_server: RedisServer, redis: Redis, make_guest: MakeGuest
):
    guest = make_guest(wait=False)
    consoles = [open_console(proxy_process.url, ticket_for(redis, guest)) for _ in range(20)]
    late = ticket_for(redis, guest)
    for console in consoles:
        console.recv(timeout=5)

    stopping = time.monotonic()
    proxy_process.process.terminate()
    host, _, port = proxy_process.address.rpartition(":")
    eventually(lambda: _bindable(host, int(port)), within=5)  # else the old one's answer is taken for the next one's
    (tmp_path / "next").mkdir()
    after = ProxyProcess.start(tmp_path / "next", redis_server.url, proxy_process.address)
    try:
        told = []
        for console in consoles:
            assert closed_with(console) == (1001, "The console proxy stops.")
            told.append(time.monotonic() - stopping)
            console.close()
            with open_console(after.url, ticket_for(redis, guest)) as again:
                assert again.recv(timeout=5) == b"RFB 003.008\n", "the next process serves"
        assert max(told) < 15
        with open_console(after.url, late) as console:
            assert console.recv(timeout=5) == b"RFB 003.008\n"
        assert proxy_process.process.wait(10) == 0
        assert "Traceback" not in proxy_process.log + after.log
    finally:
        after.stop()


def test_it_gives_its_port_up_at_once_when_it_stops(proxy_process: ProxyProcess, redis: Redis):
    host, _, port = proxy_process.address.rpartition(":")
    proxy_process.process.terminate()
    eventually(lambda: _bindable(host, int(port)), within=1)
    assert proxy_process.process.wait(10) == 0


def _bindable(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def test_it_listens_on_a_unix_socket_and_takes_over_a_dead_ones(tmp_path: Path, redis_server: RedisServer):
    listen = f"unix:{tmp_path}/console.sock"
    killed = ProxyProcess.start(tmp_path, redis_server.url, listen)
    killed.stop(signal.SIGKILL)
    proxy = ProxyProcess.start(tmp_path, redis_server.url, listen)
    assert (tmp_path / "console.sock").stat().st_mode & 0o777 == 0o660
    assert proxy.stop() == 0


def test_it_needs_no_secret_key_and_loads_no_django(proxy_process: ProxyProcess):
    maps = Path(f"/proc/{proxy_process.process.pid}/maps").read_text()
    assert "numpy" not in maps
    script = "import sys, consoles.proxy.__main__; print([m for m in sys.modules if m.split('.')[0] == 'django'])"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True).stdout == b"[]\n"
