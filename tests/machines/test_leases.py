"""Leases: one watcher for each host, taken over when it dies."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from machines import leases, mirror
from machines.leases import HeldLease, LeaseLost
from machines.models import Host, Lease, Machine
from tests.machines.conftest import until
from tests.machines.readings import reading

pytestmark = pytest.mark.django_db(transaction=True)


def expire(lease: HeldLease) -> None:
    Lease.objects.filter(host=lease.host_id).update(expires_at=Now() - timedelta(seconds=2))


def test_a_lease_that_stands_is_not_taken(host, held):
    assert leases.take(host.pk, "another") is None
    assert leases.free_hosts() == []


def test_an_expired_lease_is_taken_with_a_higher_epoch(host, held):
    expire(held)
    assert leases.free_hosts(abandoned=True) == [host]
    assert leases.take(host.pk, "another") == HeldLease(host.pk, "another", held.epoch + 1)
    assert leases.renew([held]) == {host.pk}


def test_a_lease_given_back_is_free_at_once(host, held):
    leases.give_back([held])
    assert leases.free_hosts() == [host]
    assert leases.take(host.pk, "another")


def test_a_host_just_given_back_is_left_to_watchers_that_have_few(host, held):
    leases.give_back([held])
    assert leases.free_hosts(abandoned=True) == []
    expire(held)
    assert leases.free_hosts(abandoned=True) == [host]


def test_renewing_holds_for_five_seconds_more_by_the_databases_clock(host, held):
    expire(held)
    assert leases.renew([held]) == set()
    left = Lease.objects.filter(host=host, expires_at__gt=Now() + timedelta(seconds=4))
    assert left.filter(expires_at__lte=Now() + leases.LENGTH).exists()
    assert leases.take(host.pk, "another") is None


def test_a_lease_lost_to_another_is_not_renewed_and_not_given_back(host, held):
    expire(held)
    other = leases.take(host.pk, "another")
    leases.give_back([held])
    assert leases.renew([held]) == {host.pk}
    assert leases.renew([other]) == set()


def test_the_lease_of_a_removed_host_is_lost(host, held):
    host.delete()
    assert leases.renew([held]) == {held.host_id}


def test_disabled_hosts_are_not_free(host):
    Host.objects.filter(pk=host.pk).update(enabled=False)
    assert leases.free_hosts() == []


def test_a_clock_that_is_wrong_here_does_not_matter(host, monkeypatch):
    """Only the database's clock counts: two watchers' own clocks may differ."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: datetime(2001, 1, 1, tzinfo=UTC))
    assert leases.take(host.pk, "test")
    assert leases.take(host.pk, "another") is None


def test_of_many_watchers_one_gets_a_lease(host):
    Lease.objects.create(host=host, expires_at=leases.LONG_AGO)
    taken, begin = [], threading.Barrier(8)

    def take(name: str) -> None:
        begin.wait()
        taken.append(leases.take(host.pk, name))
        connection.close()

    threads = [threading.Thread(target=take, args=[f"watcher-{number}"]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([lease for lease in taken if lease]) == 1


def test_nobody_takes_a_host_over_while_its_state_is_written(host, held):
    """The check holds the lease until the end of the transaction; who takes it over waits, and then writes later."""
    expire(held)
    order: list[str] = []

    def take_over() -> None:
        assert leases.take(host.pk, "another")
        order.append("taken")
        connection.close()

    with transaction.atomic():
        leases.check(held)
        other = threading.Thread(target=take_over)
        other.start()
        other.join(0.3)
        mirror.apply(held, [reading()])
        order.append("written")
    other.join(10)
    assert order == ["written", "taken"]
    assert Machine.objects.count() == 1
    with pytest.raises(LeaseLost):
        mirror.apply(held, [reading()])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite takes no lock from a process that stands still")
def test_a_lease_that_stands_still_in_a_transaction_is_taken_all_the_same(host, held, settings):
    as_deployed = settings.DEPLOYED_OPTIONS.removeprefix("-c ")
    locked, over = threading.Event(), threading.Event()

    def stand_still() -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET {as_deployed}")
        with suppress(DatabaseError), transaction.atomic():
            leases.check(held)
            locked.set()
            over.wait(30)
        connection.close()

    slow = threading.Thread(target=stand_still)
    slow.start()
    try:
        assert locked.wait(10)
        began = time.monotonic()
        taken = until(lambda: leases.free_hosts(abandoned=True) and leases.take(host.pk, "another"), 25)
        assert time.monotonic() - began < 25  # not when the other one goes on
    finally:
        over.set()
        slow.join()
    assert taken.epoch == held.epoch + 1
