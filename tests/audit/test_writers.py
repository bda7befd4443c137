"""Writers: one INSERT each, many at once, and sealing beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import sealing, trail
from audit.models import Batch, Entry
from machines.models import Machine
from tests.audit.conftest import Verify
from tests.cast import ClientOf

WRITERS, EACH = 6, 25


def at_once(*works: Callable[[], None]) -> None:
    """Do all of these in threads of their own, and raise what one of them raised."""
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def test_concurrent_writers_and_sealers_leave_one_whole_chain(emptied: None, verify: Verify) -> None:
    done = threading.Event()

    def write() -> None:
        for number in range(EACH):
            trail.record("login.ok", id=number)

    def seal() -> None:
        while not done.is_set():
            sealing.seal_all()

    def write_all() -> None:
        try:
            at_once(*[write] * WRITERS)
        finally:
            done.set()

    at_once(write_all, seal, seal)
    sealing.seal_all()
    assert Entry.objects.count() == WRITERS * EACH
    assert not Entry.objects.filter(batch=None).exists()
    assert sum(Batch.objects.values_list("count", flat=True)) == WRITERS * EACH
    assert verify() == []


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer at a time")
def test_entry_that_is_committed_late_is_sealed_later(emptied: None, verify: Verify) -> None:
    """Its number is lower than that of entries which are sealed already."""
    written, sealed = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            trail.record("login.ok", id="slow")
            written.set()
            sealed.wait(20)

    def quick() -> None:
        written.wait(20)
        trail.record("login.ok", id="quick")
        sealing.seal_all()
        sealed.set()

    at_once(slow, quick)
    sealing.seal_all()
    slow_one, quick_one = (Entry.objects.get(detail__id=word) for word in ("slow", "quick"))
    assert slow_one.pk < quick_one.pk
    assert (quick_one.batch, slow_one.batch) == (1, 2)
    assert verify() == []


def test_what_is_rolled_back_leaves_no_entry(emptied: None) -> None:
    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        trail.record("login.ok")
        raise Undone
    assert not Entry.objects.exists()


# What it costs


def audit_queries(queries: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in queries if "audit_" in query["sql"]]


def test_operation_costs_one_insert(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    with CaptureQueriesContext(connection) as queries:
        answer = client.post(f"/machines/{machine.uuid}/operations/suspend/")
    assert answer.status_code == 302
    (only,) = audit_queries(queries)
    assert only.startswith('INSERT INTO "audit_entry"')


def test_signing_in_costs_one_insert(client, owner: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert client.post("/login/", {"username": "owner", "password": "correct horse 42 battery"}).status_code == 302
    (only,) = audit_queries(queries)
    assert only.startswith('INSERT INTO "audit_entry"')


def test_console_costs_one_insert(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    with CaptureQueriesContext(connection) as queries:
        body = {"protocol": "vnc", "mode": "control"}
        answer = client.post(f"/api/v1/machines/{machine.uuid}/console-tickets", body, content_type="application/json")
    assert answer.status_code == 201
    (only,) = audit_queries(queries)
    assert only.startswith('INSERT INTO "audit_entry"')


def test_reading_costs_nothing(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    with CaptureQueriesContext(connection) as queries:
        for address in ("/", f"/machines/{machine.uuid}/", "/api/v1/machines"):
            assert client.get(address).status_code == 200
    assert audit_queries(queries) == []


def test_second_request_of_a_token_costs_nothing(script_of: ClientOf, owner: User, machine: Machine) -> None:
    script = script_of(owner)
    assert script.get("/api/v1/machines").status_code == 200
    with CaptureQueriesContext(connection) as queries:
        assert script.get("/api/v1/machines").status_code == 200
    assert audit_queries(queries) == []
    assert Entry.objects.filter(kind="token.used").count() == 1
