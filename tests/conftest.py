"""What every test may ask for: the cast (see `tests.cast`), this run's Redis, a libvirt of its own and real guests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import acceleration, disk_image, guest
from demo.guest import GuestImage
from demo.guest_xml import DomainType
from demo.libvirtd import PrivateLibvirtd
from demo.servers import RedisServer
from kvmportal.environment import ROOT
from machines.redis_client import redis_client
from tests.guest import Guest, unused_name
from tests.settings import REDIS

pytest_plugins = ["tests.cast"]

MakeGuest = Callable[..., Guest]

LONG = 3600
"""Seconds that a test with the marker full may take."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="also run the long tests (marker full)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out, unless they are asked for; they may take their time."""
    long = [item for item in items if item.get_closest_marker("full")]
    if config.getoption("--full"):
        for item in long:
            item.add_marker(pytest.mark.timeout(LONG))
        return
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def redis_server() -> Iterator[RedisServer]:
    """The Redis of this test run, which settings.REDIS_URL names."""
    with REDIS:
        yield REDIS


@pytest.fixture(autouse=True)
def _empty_redis(redis_server: RedisServer) -> Iterator[None]:
    """Let no test see what another one left in Redis."""
    yield
    redis_server.empty()


@pytest.fixture
def dead_redis(settings) -> Iterator[None]:
    """A Redis address where nothing listens (port 1 of this machine)."""
    redis_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    yield
    redis_client.cache_clear()


@pytest.fixture(scope="session")
def guest_image() -> GuestImage:
    """The small Linux guest, built once and kept in var/."""
    return guest.build(ROOT / "var" / "guest")


@pytest.fixture(scope="session")
def guest_disk(guest_image: GuestImage) -> Path:
    """The same guest as a disk that boots by itself, raw; to be copied, not used."""
    return disk_image.build(guest_image, ROOT / "var" / "guest")


@pytest.fixture(scope="session")
def guest_type(guest_image: GuestImage) -> DomainType:
    """Whether guests run under KVM here, or under QEMU's own emulation."""
    return acceleration.domain_type(guest_image, ROOT / "var" / "guest")


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[PrivateLibvirtd]:
    """A libvirt for all tests of this run, without guests or networks. A test that ends the daemon starts it again."""
    with PrivateLibvirtd() as libvirtd:
        yield libvirtd


@pytest.fixture(autouse=True)
def _libvirtd_runs(request: pytest.FixtureRequest) -> None:
    """Let no test suffer from one before it that left the daemon ended."""
    if "libvirtd" not in request.fixturenames:
        return
    libvirtd: PrivateLibvirtd = request.getfixturevalue("libvirtd")
    if not libvirtd.answers():
        print("libvirtd had ended:", libvirtd.last_words(), sep="\n")
        libvirtd.start()


@pytest.fixture
def make_guest(libvirtd: PrivateLibvirtd, guest_image: GuestImage, guest_type: DomainType) -> Iterator[MakeGuest]:
    """A function that defines a guest, by default starts it and waits for its agent (4 s), and cleans up at the end.

    It takes the options of `demo.guest_xml.guest_xml`, and `start=False` or `wait=False`.
    """
    made: list[Guest] = []

    def make(*, start: bool = True, wait: bool = True, **options: object) -> Guest:
        name = unused_name()
        made.append(Guest.define(libvirtd, name, guest_image, domain_type=guest_type, **options))
        if start:
            made[-1].virsh("start")
        if start and wait:
            made[-1].wait_for_agent()
        return made[-1]

    yield make
    for each in made:
        each.remove()
