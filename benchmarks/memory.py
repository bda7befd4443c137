"""What all processes of an idle portal hold in memory together, Redis included, guests and libvirtd aside."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.live_portal import LivePortal, live_portal

SETTLE = 45.0  # seconds of idling
PAGE = os.sysconf("SC_PAGE_SIZE")


def run() -> list[Figure]:
    """Sum up RSS by process; the floor of each is a bare Python."""
    with live_portal() as live:
        time.sleep(SETTLE)
        sizes = _sizes(live)
    rows = [Figure(name, size, "MB") for name, size in sizes.items()]
    floor = Figure("floor: this bare Python, times the processes", _rss(os.getpid()) * len(sizes), "MB")
    return [*rows, floor, Figure("all together, RSS", sum(sizes.values()), "MB", target=600)]


def _sizes(live: LivePortal) -> dict[str, float]:
    """Return the resident memory of each process with its children, in MB."""
    sizes = {name: _tree(process.pid) for name, process in live.portal.processes.items()}
    sizes["redis"] = sum(_rss(pid) for pid in _descendants(os.getpid()) if _name(pid).startswith("redis"))
    return sizes


def _tree(pid: int) -> float:
    return _rss(pid) + sum(map(_rss, _descendants(pid)))


def _descendants(pid: int) -> list[int]:
    children = [
        int(child) for tasks in Path(f"/proc/{pid}/task").glob("*/children") for child in tasks.read_text().split()
    ]
    return children + [below for child in children for below in _descendants(child)]


def _rss(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE / 1e6


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()
