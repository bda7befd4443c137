"""From a ticket to the machine's RFB banner, and bytes to the browser: our proxy, stock websockify, and no proxy.

Stock websockify is its command line as it ships: a process forked for each connection, no tickets, no filter.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from uuid import UUID

from lxml import etree
from redis import Redis

from benchmarks import figures
from benchmarks.figures import Figure
from consoles.proxy import redis_names
from demo import acceleration, guest
from demo.guest_xml import guest_xml
from demo.libvirtd import LibvirtFailed, PrivateLibvirtd
from demo.servers import RedisServer, free_port
from hypervisor.pool import Pool
from kvmportal.environment import ROOT

ROUNDS = 100
TARGET = 10.0  # milliseconds
BULK = 256 * 1024 * 1024  # bytes
BULK_ROUNDS = 3
IDLE = 50  # consoles

Opened = Callable[[], socket.socket]


def run() -> list[Figure]:
    """Measure all of them in turns, so that a busy moment hits each alike."""
    with TemporaryDirectory(prefix="kvmportal-bench-") as name, ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(Path(name) / "redis", temporary=True))
        redis = stack.enter_context(Redis.from_url(redis_server.url))
        libvirt = stack.enter_context(PrivateLibvirtd(temporary=True))
        machine, vnc = _run_guest(libvirt, Path(name))
        return [
            *_banners(stack, redis_server.url, redis, libvirt, machine, vnc),
            *_bulk_and_memory(stack, redis_server.url, redis),
        ]


def _banners(
    stack: ExitStack, redis_url: str, redis: Redis, libvirt: PrivateLibvirtd, machine: UUID, vnc: int
) -> list[Figure]:
    """Time the way to the first twelve bytes of a real QEMU."""
    stock, ours = free_port(), free_port()
    stack.enter_context(_process(stock, "websockify", f"127.0.0.1:{stock}", f"127.0.0.1:{vnc}"))
    settings = {"REDIS_URL": redis_url, "CONSOLE_LISTEN": f"127.0.0.1:{ours}"}
    stack.enter_context(_process(ours, "consoles.proxy", **settings))
    pool = Pool()
    stack.callback(pool.close)
    domain = pool.connection(libvirt.uri).domain
    claim = {"machine": str(machine), "uri": libvirt.uri}
    ways: dict[str, Callable[[], Opened]] = {
        "floor: TCP to QEMU": lambda: lambda: _tcp(vnc),
        "floor: openGraphicsFD": lambda: lambda: domain(machine).open_graphics("vnc"),
        "stock websockify, forked, no ticket": lambda: lambda: _websocket(stock, b""),
        "console proxy, from its ticket": lambda: (lambda ticket: lambda: _websocket(ours, ticket))(
            _ticket(redis, claim)
        ),
    }
    samples: dict[str, list[float]] = {way: [] for way in ways}
    for round_ in range(ROUNDS + 5):
        for way, prepare in ways.items():
            took = _banner(prepare())
            if round_ >= 5:
                samples[way].append(took)
    *others, (name, mine) = samples.items()
    target = min(TARGET, statistics.median(samples["stock websockify, forked, no ticket"]))
    return [
        *(figures.of(f"RFB banner, {way}", values) for way, values in others),
        figures.of(f"RFB banner, {name}", mine, target=round(target, 2)),
    ]


def _banner(opened: Opened) -> float:
    """Return the milliseconds until QEMU's banner has come."""
    begin = time.perf_counter()
    with opened() as client:
        client.settimeout(10)
        data = b""
        while b"RFB 003.008\n" not in data:
            if not (more := client.recv(4096)):
                raise AssertionError(f"closed after {data!r}")
            data += more
        return (time.perf_counter() - begin) * 1000


def _bulk_and_memory(stack: ExitStack, redis_url: str, redis: Redis) -> list[Figure]:
    """Pour bytes through each to a client that reads as fast as it can; let consoles stand idle."""
    source = _Source()
    stack.enter_context(source)
    stock, ours = free_port(), free_port()
    stock_process = stack.enter_context(_process(stock, "websockify", f"127.0.0.1:{stock}", f"127.0.0.1:{source.port}"))
    our_process = stack.enter_context(
        _process(ours, "benchmarks.tcp_console", redis_url, f"127.0.0.1:{ours}", str(source.port))
    )
    ways: dict[str, Opened] = {
        "floor: TCP": lambda: _tcp(source.port),
        "stock websockify": lambda: _websocket(stock, b""),
        "console proxy": lambda: _websocket(ours, _ticket(redis, {})),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(BULK_ROUNDS):
        for way, opened in ways.items():
            speeds[way].append(_speed(opened))
    rows = [Figure(f"to the browser, {way}", statistics.median(values), "MB/s") for way, values in speeds.items()]
    for way, process in (("stock websockify", stock_process), ("console proxy", our_process)):
        rows.append(Figure(f"{IDLE} idle consoles, {way}", _added_by_idle(process.pid, ways[way]), "MB PSS"))
    return rows


def _speed(opened: Opened) -> float:
    buffer, left = bytearray(1 << 20), BULK
    with opened() as client:
        client.sendall(_frame(b"RFB 003.008\n"))
        begin = time.perf_counter()
        while left > 0:
            left -= client.recv_into(buffer)
        return BULK / (time.perf_counter() - begin) / 1e6


def _added_by_idle(pid: int, opened: Opened) -> float:
    before = _pss(pid)
    with ExitStack() as stack:
        for _ in range(IDLE):
            stack.enter_context(opened())
        time.sleep(1)
        return _pss(pid) - before


def _pss(pid: int) -> float:
    """Return the proportional memory of a process and its children, in MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    children = [word for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]
    return own + sum(_pss(int(child)) for child in children)


class _Source:
    """A TCP server that pours once the client has said something."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> _Source:
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._pour, args=(peer,), daemon=True).start()

    def _pour(self, peer: socket.socket) -> None:
        chunk = memoryview(bytes(64 * 1024))
        with peer:
            try:
                while peer.recv(64):
                    for _ in range(BULK // len(chunk) + 16):
                        peer.sendall(chunk)
            except OSError:
                return


def _tcp(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


def _websocket(port: int, ticket: bytes) -> socket.socket:
    """Open a WebSocket as cheaply as a client can; return it behind the 101."""
    client = _tcp(port)
    offer = b"binary" + (b", ticket." + ticket if ticket else b"")
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: "
        + base64.b64encode(os.urandom(16))
        + b"\r\nSec-WebSocket-Protocol: "
        + offer
        + b"\r\n\r\n"
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(1, socket.MSG_PEEK) and client.recv(1)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise AssertionError(answer)
    return client


def _frame(payload: bytes) -> bytes:
    return bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload


def _ticket(redis: Redis, claim: dict[str, str]) -> bytes:
    """Write a script's ticket and its lease as the portal does."""
    session, ticket = str(uuid.uuid4()), secrets.token_urlsafe(32)
    content = {
        "session": session,
        "machine": str(uuid.uuid4()),
        "uri": "",
        "protocol": "vnc",
        "mode": "control",
        "login": "",
        "by_token": True,
        "user": 1,
    } | claim
    redis.set(redis_names.lease_key(session), "1", ex=redis_names.LEASE_SECONDS)
    redis.set(redis_names.ticket_key(ticket), json.dumps(content), ex=redis_names.TICKET_SECONDS)
    return ticket.encode()


def _run_guest(libvirt: PrivateLibvirtd, directory: Path) -> tuple[UUID, int]:
    """Run a guest whose display listens on loopback too, which stock websockify needs; return it and that port."""
    cache = ROOT / "var" / "guest"
    image, machine = guest.build(cache), uuid.uuid4()
    kind = acceleration.domain_type(image, cache)
    domain = etree.fromstring(
        guest_xml("bench", image, uuid=machine, domain_type=kind, made_by="kvmportal's benchmarks")
    )
    for listen in domain.iterfind("devices/graphics/listen"):
        listen.set("type", "address")
        listen.set("address", "127.0.0.1")
    definition = directory / "guest.xml"
    definition.write_bytes(etree.tostring(domain))
    libvirt.virsh("define", str(definition))
    libvirt.virsh("start", "bench")
    _wait_until(lambda: _agent_answers(libvirt), "the guest's agent does not answer")  # a booting QEMU is a slow one
    return machine, 5900 + int(libvirt.virsh("vncdisplay", "bench").rpartition(":")[2])


@contextmanager
def _process(port: int, module: str, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program until the end, from when it listens on this port."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "ERROR"} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until(lambda: _listens(port), f"{module} does not listen")
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        _tcp(port).close()
    except OSError:
        return False
    return True


def _agent_answers(libvirt: PrivateLibvirtd) -> bool:
    try:
        libvirt.virsh("qemu-agent-command", "bench", '{"execute": "guest-ping"}')
    except LibvirtFailed:
        return False
    return True


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(otherwise)
        time.sleep(0.05)
