"""The audit of consoles: what proxies report reaches the rows, and no row stays open for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Thread

import pytest
from django.contrib.auth.models import User
from redis import Redis

from consoles import auditor, sessions
from consoles.auditor import Auditor
from consoles.models import ConsoleSession, Recording
from consoles.proxy import redis_names
from consoles.proxy.endings import Ending
from machines.models import Grant, Machine
from tests.cast import ClientOf
from tests.consoles.peers import Issued, Proxy, TcpDisplay, closed_with, eventually, open_console
from tests.consoles.test_tickets import ask

pytestmark = pytest.mark.django_db(transaction=True)

Report = Callable[..., None]


@pytest.fixture
def audit(redis: Redis) -> Auditor:
    return Auditor(redis)


@pytest.fixture
def report(redis: Redis) -> Report:
    """A function that reports as a proxy does."""

    def report(row: ConsoleSession | str, event: str, **fields: str | float) -> None:
        session = row if isinstance(row, str) else str(row.pk)
        content = {"session": session, "event": event, "at": 1_800_000_000, "to_client": 0, "from_client": 0}
        redis.xadd(redis_names.EVENTS_STREAM, content | {"reason": ""} | fields)

    return report


@pytest.fixture
def row(client_of: ClientOf, owner: User, machine: Machine) -> ConsoleSession:
    """A session that has its tickets."""
    return ConsoleSession.objects.get(pk=ask(client_of(owner), machine).json()["session"])


def read(audit: Auditor) -> None:
    while audit.read_reports():
        pass


def test_a_session_is_audited_from_opening_to_end(audit: Auditor, report: Report, row: ConsoleSession) -> None:
    report(row, "opened")
    report(row, "bytes", to_client=500, from_client=20)
    read(audit)
    row.refresh_from_db()
    assert row.opened_at == datetime.fromtimestamp(1_800_000_000, UTC)
    assert (row.bytes_to_client, row.bytes_from_client, row.ended_at) == (500, 20, None)

    report(row, "closed", at=1_800_000_060.5, to_client=900, from_client=30, reason="left")
    read(audit)
    row.refresh_from_db()
    assert row.ended_at == datetime.fromtimestamp(1_800_000_060.5, UTC)
    assert (row.bytes_to_client, row.bytes_from_client, row.end_reason) == (900, 30, "left")
    assert row.login == "", "no session key stays in the audit"


def test_reports_may_come_twice_and_in_any_order(audit: Auditor, report: Report, row: ConsoleSession) -> None:
    for _ in range(2):
        report(row, "closed", at=1_800_000_060, to_client=900, reason="display_closed")
        report(row, "opened")
        report(row, "bytes", to_client=500)
    read(audit)
    row.refresh_from_db()
    assert row.opened_at < row.ended_at
    assert (row.bytes_to_client, row.end_reason) == (900, "display_closed")


def test_leases_are_renewed_also_while_reports_never_stop(
    audit: Auditor, report: Report, row: ConsoleSession, redis: Redis, monkeypatch
) -> None:
    monkeypatch.setattr(auditor, "OVERDUE_SECONDS", 0.5)
    lease, pulse = redis_names.lease_key(str(row.pk)), redis_names.pulse_key(str(row.pk))
    redis.set(pulse, "1")
    report(row, "opened")
    redis.expire(lease, 20)
    thread = Thread(target=audit.run)
    thread.start()
    until = time.monotonic() + 20
    while redis.ttl(lease) < 30 and time.monotonic() < until:
        report(row, "bytes", to_client=5)
        time.sleep(0.05)
    audit.stop()
    thread.join()
    assert redis.ttl(lease) > 30


def test_what_happened_in_a_session_is_written_once(audit: Auditor, report: Report, row: ConsoleSession) -> None:
    for _ in range(2):
        report(row, "mode", mode="view")
        report(row, "warned", reason="limit", ends_at=1_800_000_060)
        report(row, "recorded", file="b.rfb", bytes=5000, seconds=12.5)
    read(audit)
    assert [(event.kind, event.detail) for event in row.events.order_by("kind")] == [
        ("mode", {"mode": "view"}),
        ("recorded", {"bytes": 5000, "seconds": 12.5}),
        ("warned", {"reason": "limit", "ends_at": "2027-01-15T08:01:00+00:00"}),
    ]
    assert {event.at for event in row.events.all()} == {datetime.fromtimestamp(1_800_000_000, UTC)}
    recording = Recording.objects.get(session=row)
    assert (recording.file, recording.bytes, recording.seconds) == ("b.rfb", 5000, 12.5)
    row.refresh_from_db()
    assert row.mode == "control", "who types is the portal's to say"


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("mode", {"mode": "root"}),
        ("mode", {}),
        ("warned", {"reason": "mood", "ends_at": 1}),
        ("warned", {"reason": "idle", "ends_at": 10**20}),
        ("recorded", {"file": "x", "bytes": "many", "seconds": 1}),
    ],
)
def test_nonsense_of_a_proxy_is_no_event(audit: Auditor, report: Report, row: ConsoleSession, event, fields) -> None:
    report(row, event, **fields)
    report("0" * 32, "mode", mode="view")
    report(row, "opened")
    read(audit)
    row.refresh_from_db()
    assert row.opened_at
    assert not row.events.exists()


def test_what_is_not_understood_is_put_aside(audit: Auditor, report: Report, row: ConsoleSession, redis: Redis) -> None:
    report("not a UUID", "opened")
    report("0" * 32, "opened")
    report(row, "opened", at="yesterday")
    report(row, "bytes", to_client="many")
    report(row, "something new")
    redis.xadd(redis_names.EVENTS_STREAM, {"x": "y"})
    report(row, "closed", reason="a word of a newer proxy")
    read(audit)
    row.refresh_from_db()
    assert (row.opened_at, row.end_reason) == (None, "revoked")
    assert redis.xpending(redis_names.EVENTS_STREAM, redis_names.AUDIT_GROUP)["pending"] == 0


def test_reports_are_shared_out_and_those_of_a_dead_process_are_taken_over(
    audit: Auditor, report: Report, row: ConsoleSession, redis: Redis, monkeypatch
) -> None:
    read(audit)  # makes the group
    report(row, "opened")
    redis.xreadgroup(redis_names.AUDIT_GROUP, "dead", {redis_names.EVENTS_STREAM: ">"})
    assert not audit.read_reports()
    assert not audit.take_over(), "it may still be at it"
    monkeypatch.setattr(auditor, "ABANDONED_SECONDS", 0)
    assert audit.take_over()
    row.refresh_from_db()
    assert row.opened_at
    assert not audit.take_over()


def test_reports_before_the_first_reader_are_read(audit: Auditor, report: Report, row: ConsoleSession) -> None:
    report(row, "opened")
    read(audit)
    row.refresh_from_db()
    assert row.opened_at


def serve(redis: Redis, row: ConsoleSession) -> None:
    """Let it look as if a proxy served this session."""
    row.opened_at = datetime.now(UTC)
    row.save()
    redis.set(redis_names.pulse_key(str(row.pk)), "1", ex=redis_names.PULSE_SECONDS)


def look(audit: Auditor, redis: Redis) -> None:
    redis.delete(auditor.LOCK_KEY)
    assert audit.look_after_leases()


def test_leases_of_allowed_sessions_are_renewed(audit: Auditor, row: ConsoleSession, redis: Redis) -> None:
    serve(redis, row)
    redis.expire(redis_names.lease_key(str(row.pk)), 5)
    look(audit, redis)
    assert redis.ttl(redis_names.lease_key(str(row.pk))) > 50
    row.refresh_from_db()
    assert row.ended_at is None


def test_a_lease_that_was_taken_away_does_not_come_back(audit: Auditor, row: ConsoleSession, redis: Redis) -> None:
    serve(redis, row)
    redis.delete(redis_names.lease_key(str(row.pk)))
    look(audit, redis)
    assert not redis.exists(redis_names.lease_key(str(row.pk)))


def test_a_right_that_was_taken_away_behind_our_back_ends_the_session(
    audit: Auditor, client_of: ClientOf, viewer: User, machine: Machine, redis: Redis
) -> None:
    session = ask(client_of(viewer), machine, mode="view").json()["session"]
    serve(redis, ConsoleSession.objects.get(pk=session))
    Grant.objects.all()._raw_delete("default")  # no signal
    look(audit, redis)
    assert not redis.exists(redis_names.lease_key(session))


def test_a_session_without_a_proxy_is_over(audit: Auditor, row: ConsoleSession, redis: Redis) -> None:
    serve(redis, row)
    redis.delete(redis_names.pulse_key(str(row.pk)))
    look(audit, redis)
    row.refresh_from_db()
    assert (row.end_reason, row.login) == ("lost", "")
    assert row.ended_at
    assert not redis.exists(redis_names.lease_key(str(row.pk)))


def test_the_proxys_own_reason_corrects_a_guess(
    audit: Auditor, row: ConsoleSession, report: Report, redis: Redis
) -> None:
    serve(redis, row)
    redis.delete(redis_names.pulse_key(str(row.pk)))
    look(audit, redis)
    report(row, "closed", reason="stopping")
    read(audit)
    row.refresh_from_db()
    assert row.end_reason == "stopping"


def test_a_ticket_that_nobody_used_is_closed(audit: Auditor, row: ConsoleSession, redis: Redis) -> None:
    look(audit, redis)
    row.refresh_from_db()
    assert row.ended_at is None, "it may still be used"
    redis.delete(redis_names.lease_key(str(row.pk)))
    look(audit, redis)
    row.refresh_from_db()
    assert row.end_reason == "unused"


def test_one_process_at_a_time_looks_after_leases(audit: Auditor, redis: Redis) -> None:
    assert audit.look_after_leases()
    assert not Auditor(redis).look_after_leases()
    assert 0 < redis.ttl(auditor.LOCK_KEY) < redis_names.RENEW_SECONDS


def test_looking_after_leases_costs_few_queries(
    audit: Auditor,
    client_of: ClientOf,
    owner: User,
    machine: Machine,
    redis: Redis,
    settings,
    django_assert_max_num_queries,
) -> None:
    settings.CONSOLES_PER_USER = 30
    client = client_of(owner)
    for _ in range(30):
        ask(client, machine)
    for row in sessions.not_ended():
        serve(redis, row)
    redis.delete(auditor.LOCK_KEY)
    with django_assert_max_num_queries(11):
        assert audit.look_after_leases()
    assert sessions.not_ended().count() == 30


def test_the_thread_audits_a_real_console_and_outlives_an_empty_redis(
    audit: Auditor, client_of: ClientOf, owner: User, machine: Machine, proxy: Proxy, display: TcpDisplay, redis: Redis
) -> None:
    thread = Thread(target=audit.run, daemon=True)
    thread.start()
    client = client_of(owner)
    try:
        for _ in range(2):
            answer = ask(client, machine).json()
            issued = Issued(answer["tickets"][0], answer["session"], f"sessionid={client.session.session_key}")
            with open_console(proxy.url, issued) as console:
                display.peer().sendall(b"x" * 300)
                console.recv(timeout=5)
                row = _when(answer, "opened_at")
                assert row.ended_at is None
            row = _when(answer, "ended_at")
            assert (row.end_reason, row.bytes_to_client) == ("left", 300)
            redis.flushall()
    finally:
        audit.stop()
        thread.join(10)
    assert not thread.is_alive()


def test_an_administrator_ends_a_real_console_from_the_audit(
    audit: Auditor,
    client_of: ClientOf,
    owner: User,
    admin: User,
    machine: Machine,
    proxy: Proxy,
    display: TcpDisplay,
    redis: Redis,
) -> None:
    client = client_of(owner)
    answer = ask(client, machine).json()
    issued = Issued(answer["tickets"][0], answer["session"], f"sessionid={client.session.session_key}")
    with open_console(proxy.url, issued) as console:
        display.peer()
        eventually(lambda: redis.pubsub_numsub(redis_names.END_CHANNEL)[0][1])
        started = time.monotonic()
        response = client_of(admin).post(
            "/admin/consoles/consolesession/", {"action": "end_sessions", "_selected_action": [answer["session"]]}
        )
        assert response.status_code == 302
        assert closed_with(console)[0] == 4410
        assert time.monotonic() - started < 1
    eventually(lambda: redis.xlen(redis_names.EVENTS_STREAM) == 2)
    read(audit)
    assert ConsoleSession.objects.get().end_reason == Ending.ENDED_BY_ADMIN


def _when(answer: dict, happened: str) -> ConsoleSession:
    """Wait until this time stands in the session's row; return the row."""
    rows = ConsoleSession.objects.filter(pk=answer["session"], **{f"{happened}__isnull": False})
    return eventually(lambda: rows.all().first())
