"""Run the benchmarks and print one table: `python -m benchmarks [name ...]`; exits 1 when a target is missed."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module

NAMES = ("pages", "accept", "events", "console", "first_frame", "memory")


def main() -> int:
    """Run each benchmark in a process of its own, so that none warms another up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which to run ({', '.join(NAMES)}); default: all")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    if options.here:
        return run(options.names[0])
    missed = [name for name in options.names or NAMES if subprocess.call([*_command(), name])]
    return 1 if missed else 0


def run(name: str) -> int:
    """Run one benchmark and print its table."""
    from benchmarks.figures import table

    figures = import_module(f"benchmarks.{name}").run()
    print(f"\n## {name}\n\n{table(figures)}", flush=True)
    return 0 if all(figure.met for figure in figures) else 1


def _command() -> list[str]:
    return [sys.executable, "-m", "benchmarks", "--here"]


if __name__ == "__main__":
    sys.exit(main())
