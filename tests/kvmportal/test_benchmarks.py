"""The benchmarks keep up with what they measure: they can at least be loaded."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest

import benchmarks
from benchmarks.__main__ import NAMES

MODULES = [module.name for module in iter_modules(benchmarks.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_of_the_benchmarks_loads(name: str) -> None:
    import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_that_is_offered_can_be_run(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").run)
