"""From a ticket to the machine's first bytes, and bytes to the browser: our proxy, stock websockify, and no proxy.

Stock websockify is its command line as it ships: a process forked for each connection, no tickets, no filter. All but
the banner of a real QEMU goes to a TCP server that says as much as one wants.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from redis import Redis

from benchmarks import console_rounds as rounds
from benchmarks import figures
from benchmarks.console_guest import banners
from benchmarks.console_rounds import Samples, medians
from benchmarks.console_ways import OURS, STOCK, VIEW, Way, ways
from benchmarks.figures import Figure
from demo.servers import RedisServer

MINE = (OURS, VIEW)
MOST = {"connect": 0.5, "trip": 1.0, "cpu": 0.75, "crowd": 0.25}
"""Of stock websockify's figure."""
LEAST_SPEED = 1.0
MOST_IDLE, MOST_CROWD, MOST_GROWTH = 5.0, 60.0, 2.0  # MB


def run() -> list[Figure]:
    """Measure all of them in turns."""
    with TemporaryDirectory(prefix="kvmportal-bench-") as name, ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(Path(name) / "redis", temporary=True))
        redis = stack.enter_context(Redis.from_url(redis_server.url))
        measured = stack.enter_context(ways(redis_server.url, redis))
        return [*_figures(measured), *banners(stack, redis_server.url, redis, Path(name))]


def _figures(measured: dict[str, Way]) -> list[Figure]:
    one_each = {name: way for name, way in measured.items() if name != VIEW}
    proxies = {name: way for name, way in one_each.items() if way.pid}
    idle = rounds.idle(proxies)
    connects, trips = rounds.first_bytes(one_each), rounds.round_trips(one_each)
    speeds, costs = rounds.bulk(measured)
    crowds, memory = rounds.crowds(one_each)
    growth = rounds.slow_readers(proxies)
    return [
        *_times("first byte", connects, "ms", target=MOST["connect"]),
        *_times("round trip of 100 B", trips, "us", p99_target=MOST["trip"]),
        *_speeds(speeds),
        *_medians("CPU for a GB", {name: costs[name] for name in costs if measured[name].pid}, "s", MOST["cpu"]),
        *(Figure(f"{rounds.IDLE} idle, {name}", mb, "MB PSS", _if_mine(name, MOST_IDLE)) for name, mb in idle.items()),
        *_medians(f"{rounds.CROWD} at once, all up", crowds, "ms", MOST["crowd"]),
        *_memory(f"{rounds.CROWD} at once", {name: memory[name] for name in proxies}, MOST_CROWD),
        *_memory("growth by a slow reader", growth, MOST_GROWTH),
    ]


def _times(what: str, samples: Samples, unit: str, **parts: float) -> list[Figure]:
    """Return medians and p99; ours are held against a part of stock's."""
    stock = figures.of("", samples[STOCK])
    of_stock = {"target": stock.value, "p99_target": stock.p99 or 0.0}
    bounds = {name: round(of_stock[name] * part, 2) for name, part in parts.items()}
    return [
        figures.of(f"{what}, {name}", values, unit, **(bounds if name in MINE else {}))
        for name, values in samples.items()
    ]


def _medians(what: str, samples: Samples, unit: str, part: float) -> list[Figure]:
    found = medians(samples)
    bound = round(found[STOCK] * part, 2)
    return [Figure(f"{what}, {name}", value, unit, _if_mine(name, bound)) for name, value in found.items()]


def _speeds(samples: Samples) -> list[Figure]:
    found = medians(samples)
    least = round(found[STOCK] * LEAST_SPEED, 2)
    return [
        Figure(f"to the browser, {name}", value, "MB/s", least=_if_mine(name, least)) for name, value in found.items()
    ]


def _memory(what: str, samples: Samples, most: float) -> list[Figure]:
    return [Figure(f"{what}, {name}", mb, "MB PSS", _if_mine(name, most)) for name, mb in medians(samples).items()]


def _if_mine(name: str, bound: float) -> float | None:
    return bound if name in MINE else None
