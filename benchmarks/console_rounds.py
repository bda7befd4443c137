"""What is measured of every way to a console, in interleaved rounds: a busy moment hits each alike."""

from __future__ import annotations

import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.console_target import BULK, HELLO, TEXT, UPDATE_REQUEST
from benchmarks.console_ways import FLOOR, Way, all_at_once, masked, read_banner

CONNECTS, TRIPS, BULKS, CROWDS, SLOW_ROUNDS = 100, 40, 9, 5, 3
TRIPS_A_ROUND = 220
IDLE, CROWD = 50, 200
SLOW_SECONDS = 3.0

Samples = dict[str, list[float]]


def first_bytes(ways: Mapping[str, Way]) -> Samples:
    """Return the milliseconds from connecting to the target's first bytes; tickets are made before."""
    samples: Samples = defaultdict(list)
    for round_ in range(CONNECTS + 5):
        for name, way in ways.items():
            request = way.request()
            begin = time.perf_counter()
            with way.connect(request) as client:
                read_banner(client)
                took = (time.perf_counter() - begin) * 1000
            if round_ >= 5:
                samples[name].append(took)
    return samples


def round_trips(ways: Mapping[str, Way]) -> Samples:
    """Return the microseconds of round trips of 100 bytes."""
    samples: Samples = defaultdict(list)
    for _ in range(TRIPS):
        for name, way in ways.items():
            with _greeted(name, way) as client:
                samples[name] += _trips(client, name, TRIPS_A_ROUND)[20:]
    return samples


def _trips(client: socket.socket, name: str, count: int) -> list[float]:
    message, length = (TEXT, len(TEXT)) if name == FLOOR else (masked(TEXT), len(TEXT) + 2)
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        client.sendall(message)
        left = length
        while left:
            left -= len(client.recv(left))
        took.append((time.perf_counter() - begin) * 1e6)
    return took


def bulk(ways: Mapping[str, Way]) -> tuple[Samples, Samples]:
    """Return MB/s to a client that reads as fast as it can, and seconds of the process's CPU for each GB."""
    speeds: Samples = defaultdict(list)
    costs: Samples = defaultdict(list)
    for _ in range(BULKS):
        for name, way in ways.items():
            with _greeted(name, way) as client:
                cpu, begin = way.cpu(), time.perf_counter()
                _pour(client, name)
                speeds[name].append(BULK / (time.perf_counter() - begin) / 1e6)
                costs[name].append((way.cpu() - cpu) / (BULK / 1e9))
    return speeds, costs


def _pour(client: socket.socket, name: str) -> None:
    buffer, left = bytearray(1 << 20), BULK
    client.sendall(UPDATE_REQUEST if name == FLOOR else masked(UPDATE_REQUEST))
    while left > 0:
        if not (count := client.recv_into(buffer)):
            raise AssertionError(f"{name} closed")
        left -= count


def idle(ways: Mapping[str, Way]) -> dict[str, float]:
    """Return the MB of memory that consoles add which stand idle behind their handshake."""
    added = {}
    for name, way in ways.items():
        before = way.pss()
        with ExitStack() as stack:
            for _ in range(IDLE):
                stack.enter_context(_greeted(name, way))
            time.sleep(1)
            added[name] = way.pss() - before
    return added


def crowds(ways: Mapping[str, Way]) -> tuple[Samples, Samples]:
    """Return the milliseconds until all of a crowd have their first bytes, and the MB of memory of all together."""
    times: Samples = defaultdict(list)
    memory: Samples = defaultdict(list)
    for _ in range(CROWDS):
        for name, way in ways.items():
            requests = [way.request() for _ in range(CROWD)]
            clients, took = all_at_once(way, requests)
            times[name].append(took * 1000)
            memory[name].append(way.pss())
            for client in clients:
                client.close()
            time.sleep(1)
    return times, memory


def slow_readers(ways: Mapping[str, Way]) -> Samples:
    """Return the MB that a process grows by for a client that asks for much and reads nothing."""
    grown: Samples = defaultdict(list)
    for _ in range(SLOW_ROUNDS):
        for name, way in ways.items():
            with _greeted(name, way) as client:
                before = way.pss()
                client.sendall(UPDATE_REQUEST if name == FLOOR else masked(UPDATE_REQUEST))
                time.sleep(SLOW_SECONDS)
                grown[name].append(way.pss() - before)
    return grown


def medians(samples: Samples) -> dict[str, float]:
    """Return each way's median."""
    return {name: statistics.median(values) for name, values in samples.items()}


def _greeted(name: str, way: Way) -> socket.socket:
    client = way.connect()
    read_banner(client)
    client.sendall(HELLO if name == FLOOR else masked(HELLO))
    return client
