"""Says whether the lock files fit pyproject.toml and package.json and name no place. Asks no server."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(r"--(index-url|extra-index-url|find-links|trusted-host)|\w+://|\bfile:/")


def main() -> int:
    """Print what is wrong; the number of wrong things is the exit status."""
    wrong = [*_python(), *_browser()]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return len(wrong)


def _python() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime, dev = project["dependencies"], project["optional-dependencies"]["dev"]
    locked = {name: _versions(name) for name in ("requirements.txt", "requirements-dev.txt")}
    for name, wanted in (("requirements.txt", runtime), ("requirements-dev.txt", runtime + dev)):
        yield from _misfits(name, locked[name], wanted)
        text = (ROOT / name).read_text()
        yield from (f"{name} names a place: {found[0]}" for found in PLACE.finditer(text))
        if text.count("==") != len(re.findall(r"== *\S+ \\\n +--hash=", text)):
            yield f"{name} has a package without a hash"
    for package, version in locked["requirements.txt"].items():
        if (other := locked["requirements-dev.txt"].get(package)) != version:
            yield f"{package} is {version} in requirements.txt and {other} in requirements-dev.txt"


def _versions(name: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): version for package, version in found}


def _misfits(name: str, locked: dict[str, str], wanted: list[str]) -> Iterator[str]:
    for line in wanted:
        requirement = Requirement(line)
        version = locked.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{name} lacks {line}"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{name} has {requirement.name} {version}, but pyproject.toml wants {line}"


def _browser() -> Iterator[str]:
    wanted = json.loads((ROOT / "package.json").read_text())
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    for kind in ("dependencies", "optionalDependencies"):
        for package, version in wanted.get(kind, {}).items():
            locked = packages.get(f"node_modules/{package}", {}).get("version")
            if locked != version:
                yield f"package-lock.json has {package} {locked}, but package.json wants {version}"
    for path, package in packages.items():
        if path and "integrity" not in package:
            yield f"package-lock.json has {path} without a hash"
        if {"resolved", "funding"} & package.keys():
            yield f"package-lock.json names a place for {path}"


if __name__ == "__main__":
    sys.exit(main())
