"""A measured figure, and how it is printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `target` is an upper bound in the same unit; None where the figure only informs."""

    what: str
    value: float
    unit: str
    target: float | None = None
    p99: float | None = None
    p99_target: float | None = None
    least: float | None = None
    """A lower bound, where more is better."""

    @property
    def met(self) -> bool:
        """Return whether every target is met."""
        within = self.value <= _or(self.target, self.value) and self.value >= _or(self.least, self.value)
        return within and (self.p99_target is None or self.p99 is None or self.p99 <= self.p99_target)

    def cells(self) -> list[str]:
        """Return the cells of the figure's row."""
        bounds = [f"{bound:g}" for bound in (self.target, self.p99_target) if bound is not None]
        bounds += [] if self.least is None else [f"at least {self.least:g}"]
        verdict = ("yes" if self.met else "NO") if bounds else ""
        tail = "" if self.p99 is None else f"{self.p99:.2f}"
        return [self.what, f"{self.value:.2f}", tail, self.unit, " / ".join(bounds), verdict]


def _or(bound: float | None, otherwise: float) -> float:
    return otherwise if bound is None else bound


HEADER = ["", "p50", "p99", "unit", "target", "met"]


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [HEADER, ["---"] * len(HEADER), *(figure.cells() for figure in figures)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return a percentile of at least two samples."""
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]


def of(what: str, samples: Sequence[float], unit: str = "ms", **targets: float) -> Figure:
    """Return the median and p99 of samples as a figure."""
    return Figure(what, statistics.median(samples), unit, p99=percentile(samples, 99), **targets)


def timed(call: Callable[[], object], rounds: int, warm_up: int = 3) -> list[float]:
    """Return how long each of `rounds` calls took, in milliseconds, after some that do not count."""
    for _ in range(warm_up):
        call()
    samples = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        samples.append((time.perf_counter() - begin) * 1000)
    return samples
