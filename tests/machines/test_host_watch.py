"""Following a host: libvirt's own test driver, with its events, in this process."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from django.db import connection as database

from hypervisor.connection import Connection
from machines import host_watch, leases
from machines.models import Host, Lease, Machine
from tests.machines.conftest import until

pytestmark = pytest.mark.django_db(transaction=True)

PRIVATE = """
<node>
  <domain type="test"><name>first</name><uuid>11111111-1111-4111-8111-111111111111</uuid>
    <memory>8192</memory><os><type>hvm</type></os></domain>
  <domain type="test"><name>second</name><uuid>22222222-2222-4222-8222-222222222222</uuid>
    <memory>8192</memory><os><type>hvm</type></os></domain>
</node>
"""


@pytest.fixture
def default_host(transactional_db) -> Host:
    """The test driver's host, whose domains and events all connections of this process share."""
    return Host.objects.create(name="default", uri="test:///default")


@pytest.fixture
def private_host(transactional_db, tmp_path) -> Host:
    """A host of the test driver whose domains no other connection sees."""
    file = tmp_path / "host.xml"
    file.write_text(PRIVATE)
    return Host.objects.create(name="private", uri=f"test://{file}")


@pytest.fixture
def domain(default_host) -> Any:
    """The one domain of the test driver, by a connection beside the watcher's; it runs afterwards as before."""
    with closing(Connection(default_host.uri)) as connection:
        connection.open()
        [reading] = connection.read_all()
        domain = connection.domain(reading.uuid)
        yield domain
        domain.destroy()
        domain.start()


def state_of(domain: Any) -> str:
    return Machine.objects.get(pk=domain.uuid).state


def test_the_first_look_finds_every_machine_with_its_definition(follow, private_host):
    follow(private_host)
    rows = {row.name: row for row in Machine.objects.all()}
    assert set(rows) == {"first", "second"}
    assert rows["first"].uuid == UUID("11111111-1111-4111-8111-111111111111")
    assert (rows["first"].memory_bytes, rows["first"].owner) == (8192 * 1024, None)
    assert "<name>first</name>" in rows["first"].definition_xml


def test_what_another_program_does_is_seen_by_its_event(follow, default_host, domain):
    follow(default_host)
    assert state_of(domain) == "running"
    for verb, state in ((domain.suspend, "paused"), (domain.resume, "running"), (domain.destroy, "shutoff")):
        verb()
        until(lambda state=state: state_of(domain) == state, 2)


def test_what_was_missed_before_is_seen_at_the_next_connecting(follow, default_host, domain):
    first = follow(default_host)
    first.stop()
    first.join()
    leases.give_back([first.held])
    domain.destroy()
    Host.objects.update(reachable=False)
    follow(default_host)
    assert state_of(domain) == "shutoff"


def test_a_machine_asked_about_is_read_again(follow, default_host, domain):
    watch = follow(default_host)
    Machine.objects.update(state="paused")
    watch.inbox.ask(domain.uuid)
    until(lambda: state_of(domain) == "running", 2)


def test_many_machines_at_once_are_read_by_one_bulk_read(follow, default_host, domain, monkeypatch):
    watch = follow(default_host)
    Machine.objects.update(state="paused")
    monkeypatch.setattr(host_watch, "BULK_FROM", 1)
    watch.inbox.ask(domain.uuid)
    until(lambda: state_of(domain) == "running", 2)


def test_a_look_finds_what_no_event_told(follow, default_host, domain):
    follow(default_host)
    Machine.objects.update(state="paused")
    until(lambda: state_of(domain) == "running", host_watch.PASS_EVERY + 2)


def test_what_a_host_says_of_itself_is_read_again_now_and_then(follow, default_host, domain, monkeypatch):
    monkeypatch.setattr(host_watch, "PASS_EVERY", 0.2)
    monkeypatch.setattr(host_watch, "DEFINITIONS_EVERY", 0.5)
    follow(default_host)
    until(lambda: Host.objects.get(pk=default_host.pk).facts_at)
    Host.objects.filter(pk=default_host.pk).update(facts_at=None, memory_bytes=0)
    until(lambda: Host.objects.get(pk=default_host.pk).memory_bytes)
    assert Host.objects.get(pk=default_host.pk).facts_at


def test_a_host_that_cannot_be_reached_is_tried_again_and_says_why(follow, transactional_db, tmp_path):
    host = Host.objects.create(name="away", uri=f"qemu+unix:///system?socket={tmp_path / 'nothing'}")
    follow(host, wait=False)
    until(lambda: Host.objects.get(pk=host.pk).last_error, 5)
    row = Host.objects.get(pk=host.pk)
    assert not row.reachable
    sentence, words = row.last_error.splitlines()
    assert sentence.startswith("The host does not answer.")
    assert "nothing" in words


def test_a_watch_ends_when_its_lease_is_lost(follow, default_host, domain):
    watch = follow(default_host)
    Lease.objects.update(epoch=99)
    watch.inbox.ask(domain.uuid)
    watch.join(5)
    assert not watch.is_alive()


def test_a_watch_ends_at_once_when_it_is_told_to(follow, default_host):
    watch = follow(default_host)
    began = time.monotonic()
    watch.stop()
    watch.join()
    assert time.monotonic() - began < 1


@pytest.mark.skipif(database.vendor != "postgresql", reason="SQLite has no connection that could drop")
def test_a_dropped_database_connection_is_opened_again(follow, default_host, domain):
    follow(default_host)
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    domain.suspend()
    until(lambda: state_of(domain) == "paused", 5)
