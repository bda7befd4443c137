"""The watcher process: its leases, its hosts, its end. By real processes."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db.models.functions import Now

from machines import reread
from machines.models import Host, Lease, Machine
from machines.redis_client import redis_client
from tests.machines.conftest import until
from tests.machines.processes import WatcherProcess

pytestmark = pytest.mark.django_db(transaction=True)

StartWatcher = Callable[[str], WatcherProcess]
TAKEN_OVER = 5 + 1 + 3
"""Seconds: the lease's length, a round, and what two busy cores need."""


@pytest.fixture
def start_watcher(transactional_db: None, tmp_path: Path) -> Iterator[StartWatcher]:
    """A function that starts a watcher and waits until it is at work."""
    started: list[WatcherProcess] = []

    def start(name: str) -> WatcherProcess:
        started.append(WatcherProcess(name, tmp_path / f"{name}.log"))
        until(lambda: redis_client().exists(f"kvmportal:watcher:{name}"), 30)
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def make_host(transactional_db: None, tmp_path: Path) -> Callable[[str], Host]:
    """A function that makes a host of libvirt's test driver, with no domain."""

    def make(name: str) -> Host:
        file = tmp_path / f"{name}.xml"
        file.write_text("<node/>")
        return Host.objects.create(name=name, uri=f"test://{file}")

    return make


def holders() -> dict[str, str]:
    """Return which watcher holds each host now."""
    held = Lease.objects.filter(expires_at__gt=Now()).select_related("host")
    return {lease.host.name: lease.holder.partition(":")[0] for lease in held}


def test_it_follows_a_host_and_shows_that_it_lives(start_watcher, make_host):
    make_host("one")
    start_watcher("first")
    until(lambda: Host.objects.get().reachable)
    assert holders() == {"one": "first"}
    assert 0 < redis_client().ttl("kvmportal:watcher:first") <= 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_two_seconds_and_gives_everything_back(start_watcher, make_host, number):
    make_host("one")
    watcher = start_watcher("first")
    until(lambda: Host.objects.get().reachable)
    status, took = watcher.end(number)
    assert status == 0
    assert took < 2
    assert holders() == {}
    assert not redis_client().exists("kvmportal:watcher:first")
    assert "Traceback" not in watcher.log


def test_another_takes_over_at_once_from_one_that_ends(start_watcher, make_host):
    make_host("one")
    first = start_watcher("first")
    until(lambda: holders() == {"one": "first"})
    start_watcher("second")
    first.end()
    until(lambda: holders() == {"one": "second"}, 4)


@pytest.mark.parametrize("count", [1, 3])
def test_another_takes_over_within_seconds_from_one_that_dies(start_watcher, make_host, count):
    names = {make_host(f"host-{number}").name for number in range(count)}
    first = start_watcher("first")
    until(lambda: set(holders()) == names)
    start_watcher("second")
    first.end(signal.SIGKILL)
    began = time.monotonic()
    until(lambda: set(holders().values()) == {"second"} and set(holders()) == names, TAKEN_OVER)
    assert time.monotonic() - began > 1


def test_hosts_are_shared_between_watchers(start_watcher, make_host):
    for number in range(4):
        make_host(f"host-{number}")
    start_watcher("first")
    until(lambda: len(holders()) == 4)
    start_watcher("second")
    until(lambda: sorted(holders().values()) == ["first"] * 2 + ["second"] * 2, 20)
    time.sleep(3)
    assert sorted(holders().values()) == ["first"] * 2 + ["second"] * 2


def test_one_that_was_too_slow_finds_its_host_taken_and_writes_nothing(start_watcher, libvirt_host, make_guest):
    guest = make_guest(start=False)
    slow = start_watcher("slow")
    until(lambda: Machine.objects.filter(state="shutoff"))
    until(lambda: Host.objects.filter(facts_at__isnull=False))  # the last it writes; it waits now
    slow.send(signal.SIGSTOP)
    start_watcher("next")
    until(lambda: holders() == {"real": "next"}, TAKEN_OVER)
    guest.virsh("start")
    until(lambda: Machine.objects.get(pk=guest.uuid).state == "running")
    version = Machine.objects.get(pk=guest.uuid).version
    slow.send(signal.SIGCONT)
    until(lambda: "another watcher has taken it over" in slow.log)
    machine = Machine.objects.get(pk=guest.uuid)
    assert (machine.state, holders()) == ("running", {"real": "next"})
    assert machine.version <= version + 1  # its agent may have connected meanwhile
    assert re.search(r"running \(booted\)", slow.log) is None


class TestTheTableOfHosts:
    """What administrators write is followed within two seconds (and what busy machines need)."""

    SOON = 4

    def test_a_host_is_added(self, start_watcher, make_host):
        start_watcher("first")
        host = make_host("new")
        until(lambda: Host.objects.get(pk=host.pk).reachable, self.SOON)

    def test_a_host_is_disabled_and_enabled(self, start_watcher, make_host):
        host = make_host("one")
        start_watcher("first")
        until(lambda: Host.objects.get().reachable)
        Host.objects.filter(pk=host.pk).update(enabled=False)
        until(lambda: Host.objects.get().last_error == "The host is disabled.", self.SOON)
        assert not Host.objects.get().reachable
        assert holders() == {}
        Host.objects.filter(pk=host.pk).update(enabled=True)
        until(lambda: Host.objects.get().reachable, self.SOON)

    def test_a_host_has_a_new_address(self, start_watcher, make_host):
        host, other = make_host("one"), make_host("other")
        uri = other.uri
        other.delete()
        Host.objects.filter(pk=host.pk).update(uri="qemu+unix:///system?socket=/nonexistent")
        start_watcher("first")
        until(lambda: Host.objects.get().last_error)
        Host.objects.filter(pk=host.pk).update(uri=uri)
        until(lambda: Host.objects.get().reachable, self.SOON)

    def test_a_host_is_removed(self, start_watcher, make_host):
        host = make_host("one")
        watcher = start_watcher("first")
        until(lambda: Host.objects.get().reachable)
        host.delete()
        time.sleep(2)
        make_host("two")
        until(lambda: Host.objects.get().reachable, self.SOON)
        assert "Traceback" not in watcher.log


class TestRequests:
    """Requests to read a machine again come by Redis."""

    @pytest.fixture
    def machine(self, start_watcher, libvirt_host, make_guest):
        guest = make_guest(start=False)
        start_watcher("first")
        until(lambda: Machine.objects.filter(pk=guest.uuid))
        return Machine.objects.get(pk=guest.uuid)

    def rereads(self, machine, limit) -> bool:
        Machine.objects.filter(pk=machine.pk).update(state="paused")
        reread.ask(machine)
        return bool(until(lambda: Machine.objects.get(pk=machine.pk).state == "shutoff", limit))

    def test_a_machine_is_read_again_at_once(self, machine):
        time.sleep(1)  # away from the look that follows the connecting
        assert self.rereads(machine, 2)

    def test_nonsense_is_survived(self, machine):
        for text in ("", "{", "[]", "7", '{"host": "x", "machine": "y"}', '{"host": 1}'):
            redis_client().publish(reread.CHANNEL, text)
        assert self.rereads(machine, 2)

    def test_they_come_again_after_redis_was_away(self, machine, redis_server):
        redis_server.end()
        time.sleep(1)
        redis_server.start()
        until(lambda: redis_client().exists("kvmportal:watcher:first"), 10)
        assert self.rereads(machine, 2)
