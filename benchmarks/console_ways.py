"""The ways to a console that are compared: processes that serve, and clients as cheap as they can be."""

from __future__ import annotations

import base64
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.console_target import BANNER
from consoles.proxy import redis_names
from demo.servers import free_port
from kvmportal.environment import ROOT

FLOOR, STOCK, OURS = "floor: TCP", "stock websockify, forked, no ticket", "console proxy"
VIEW = "console proxy, view mode"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Way:
    """One way to the target: what a client sends first, and the process that costs memory and time."""

    port: int
    pid: int | None = None
    request: Callable[[], bytes] = field(default=lambda: b"")
    """Makes what a client sends first: a request with a ticket that is good for half a minute."""

    def connect(self, request: bytes | None = None) -> socket.socket:
        """Return a connection behind the 101, if there is one."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if request := self.request() if request is None else request:
            client.sendall(request)
            skip_answer(client)
        return client

    def cpu(self) -> float:
        """Return the seconds of CPU that its process and the children alive have used."""
        return _cpu(self.pid) if self.pid else 0.0

    def pss(self) -> float:
        """Return the proportional memory of its process and the children, in MB."""
        return _pss(self.pid) if self.pid else 0.0


@contextmanager
def ways(redis_url: str, redis: Redis) -> Iterator[dict[str, Way]]:
    """Start the target and what leads to it, and stop them again."""
    with ExitStack() as stack:
        target, stock, ours = (free_port() for _ in range(3))
        stack.enter_context(process(target, "benchmarks.console_target", str(target)))
        theirs = stack.enter_context(process(stock, "websockify", f"127.0.0.1:{stock}", f"127.0.0.1:{target}"))
        settings = {"REDIS_URL": redis_url, "CONSOLE_LISTEN": f"127.0.0.1:{ours}"}
        mine = stack.enter_context(process(ours, "benchmarks.console_tcp", str(target), **settings))
        yield {
            FLOOR: Way(target),
            STOCK: Way(stock, theirs.pid, lambda: upgrade(b"")),
            OURS: Way(ours, mine.pid, lambda: upgrade(ticket(redis))),
            VIEW: Way(ours, mine.pid, lambda: upgrade(ticket(redis, mode="view"))),
        }


def upgrade(ticket: bytes) -> bytes:
    """Return the request for a WebSocket."""
    offer = b"binary" + (b", ticket." + ticket if ticket else b"")
    lines = [
        b"GET / HTTP/1.1",
        b"Host: x",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)),
        b"Sec-WebSocket-Protocol: " + offer,
    ]
    return b"\r\n".join([*lines, b"", b""])


def skip_answer(client: socket.socket) -> None:
    """Read the answer to an upgrade and nothing behind it."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        seen = client.recv(4096, socket.MSG_PEEK)
        if not seen:
            raise AssertionError(f"closed after {answer!r}")
        end = (answer + seen).find(b"\r\n\r\n")
        answer += client.recv(len(seen) if end < 0 else end + 4 - len(answer))
    if not answer.startswith(b"HTTP/1.1 101"):
        raise AssertionError(answer)


def read_banner(client: socket.socket) -> None:
    """Read until the target's first bytes have come."""
    data = b""
    while BANNER not in data:
        if not (more := client.recv(4096)):
            raise AssertionError(f"closed after {data!r}")
        data += more


def masked(payload: bytes) -> bytes:
    """Return a client's frame of up to 125 bytes; its mask is zero, which costs the server as much as any other."""
    return bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload


def ticket(redis: Redis, **claim: Any) -> bytes:
    """Write a script's ticket and its lease as the portal does."""
    session, made = str(uuid.uuid4()), secrets.token_urlsafe(32)
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
    redis.set(redis_names.lease_key(session), str(content["mode"]), ex=redis_names.LEASE_SECONDS)
    redis.set(redis_names.ticket_key(made), json.dumps(content), ex=redis_names.TICKET_SECONDS)
    return made.encode()


def all_at_once(way: Way, requests: list[bytes]) -> tuple[list[socket.socket], float]:
    """Open as many connections as there are requests, all at once; return them, and the seconds until all have bytes.

    One thread and a poll, so that the client costs little beside what it measures.
    """
    poll, waiting = select.epoll(), dict[int, tuple[socket.socket, bytes]]()
    begin = time.perf_counter()
    clients = []
    for request in requests:
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", way.port))
        poll.register(client, select.EPOLLIN | select.EPOLLOUT)
        waiting[client.fileno()] = client, request
        clients.append(client)
    while waiting:
        for number, events in poll.poll(30):
            client, request = waiting[number]
            if events & select.EPOLLOUT:
                client.sendall(request)
                poll.modify(number, select.EPOLLIN)
            elif BANNER in client.recv(4096, socket.MSG_PEEK):
                poll.unregister(number)
                del waiting[number]
    took = time.perf_counter() - begin
    poll.close()
    return clients, took


@contextmanager
def process(port: int, module: str, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program until the end, from when it listens on this port."""
    running = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "ERROR"} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(port), f"{module} does not listen")
        yield running
    finally:
        running.terminate()
        running.wait(20)


def wait_until(condition: Callable[[], bool], otherwise: str, within: float = 60) -> None:
    """Wait until the condition holds.

    Raises:
        AssertionError: it does not in time.
    """
    until = time.monotonic() + within
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(otherwise)
        time.sleep(0.05)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _children(pid: int) -> list[int]:
    return [int(word) for task in Path(f"/proc/{pid}/task").glob("*/children") for word in task.read_text().split()]


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS + sum(map(_cpu, _children(pid)))


def _pss(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000
    return own + sum(map(_pss, _children(pid)))
