"""What follows a host beside its watch begins and ends with it."""

from __future__ import annotations

import pytest

from machines import companions as registry
from machines.leases import HeldLease
from machines.models import Host
from tests.machines.conftest import until

pytestmark = pytest.mark.django_db(transaction=True)


class Beside:
    """Does nothing but tell that it was closed."""

    def __init__(self, name: str, uri: str, held: HeldLease) -> None:
        self.host = (name, uri, held.host_id)
        self.closed = False

    def close(self) -> None:
        self.closed = True


def test_a_companion_begins_with_the_watch_of_a_host_and_ends_with_it(follow, transactional_db):
    begun: list[Beside] = []
    registry.companions.append(lambda *about: begun.append(Beside(*about)) or begun[-1])
    host = Host.objects.create(name="default", uri="test:///default")
    try:
        watch = follow(host)
        assert [one.host for one in begun] == [("default", "test:///default", host.pk)]
        assert not begun[0].closed
        watch.stop()
        until(lambda: begun[0].closed, 2)
    finally:
        registry.companions.pop()


def test_a_watch_that_lost_its_lease_ends_its_companions(follow, transactional_db):
    begun: list[Beside] = []
    registry.companions.append(lambda *about: begun.append(Beside(*about)) or begun[-1])
    host = Host.objects.create(name="default", uri="test:///default")
    try:
        watch = follow(host)
        host.lease.epoch += 1
        host.lease.save()
        watch.inbox.ask_all()
        until(lambda: begun[0].closed, 5)
        watch.join(5)
    finally:
        registry.companions.pop()
