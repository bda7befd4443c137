"""Bytes that go from socket to socket within the kernel: all of them, in order, and no more than was asked for."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from consoles.proxy.sluice import LEAST, SIZE, Sluice, sluices_work


@pytest.fixture
def sluice() -> Iterator[Sluice]:
    sluice = Sluice()
    yield sluice
    sluice.close()


def pair(kind: str) -> tuple[socket.socket, socket.socket]:
    if kind == "unix":
        ends = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            ends = (ours, listener.accept()[0])
    for end in ends:
        end.setblocking(False)
    return ends


def test_this_system_splices() -> None:
    assert sluices_work()


@pytest.mark.parametrize("source", ["unix", "tcp"])
@pytest.mark.parametrize("target", ["unix", "tcp"])
def test_all_bytes_arrive_in_order_however_slow_the_target_is(sluice: Sluice, source: str, target: str) -> None:
    (writes, reads), (gives, takes) = pair(source), pair(target)
    data = os.urandom(3 * SIZE)
    written, received, held_at_most = 0, b"", 0
    while len(received) < len(data):
        if written < len(data):
            with contextlib.suppress(BlockingIOError):
                written += writes.send(data[written : written + 100_000])
        try:
            if not sluice.held:
                assert sluice.fill(reads.fileno())
            held_at_most = max(held_at_most, sluice.held)
            sluice.drain(gives.fileno())
        except BlockingIOError:
            pass
        if len(received) < written - 300_000 or written == len(data):
            with contextlib.suppress(BlockingIOError):
                received += takes.recv(50_000)
    assert received == data
    assert held_at_most <= SIZE
    for end in (writes, reads, gives, takes):
        end.close()


def test_a_target_that_does_not_keep_up_is_given_little_at_once(sluice: Sluice) -> None:
    (writes, reads), (gives, takes) = pair("tcp"), pair("unix")
    with pytest.raises(BlockingIOError):
        while True:
            writes.send(bytes(100_000))
    with pytest.raises(BlockingIOError):
        while True:
            sluice.fill(reads.fileno())
            sluice.drain(gives.fileno())
    sluice.rest()
    takes.setblocking(True)
    takes.recv(1 << 24)
    assert 0 < sluice.fill(reads.fileno()) <= LEAST
    for end in (writes, reads, gives, takes):
        end.close()


def test_what_is_left_can_be_taken_out_and_the_end_is_told_from_silence(sluice: Sluice) -> None:
    ours, theirs = pair("unix")
    with pytest.raises(BlockingIOError):
        sluice.fill(theirs.fileno())
    ours.sendall(b"last words")
    ours.close()
    assert sluice.fill(theirs.fileno()) == sluice.held == 10
    assert sluice.rest() == b"last words"
    assert sluice.held == 0
    assert sluice.fill(theirs.fileno()) == 0
    theirs.close()


def test_a_sluice_gives_its_files_back() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    Sluice().close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
