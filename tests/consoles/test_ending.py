"""How open consoles end when the portal no longer vouches for them, whatever becomes of Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from consoles.proxy import redis_names, watch
from consoles.proxy.journal import Journal
from consoles.proxy.redis_client import redis_of
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from demo.servers import RedisServer
from tests.consoles.peers import Proxy, TcpDisplay, closed_with, eventually, issue, open_console, served


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that a test may stop, and that keeps what it has over a restart."""
    server = RedisServer(tmp_path / "redis")
    with server:
        yield server


@pytest.fixture
def own_proxy(own_redis: RedisServer, desk: Desk) -> Iterator[Proxy]:
    client = redis_of(own_redis.url)
    with served(replace(desk, redis=client, registry=Registry(), journal=Journal(client))) as proxy:
        yield proxy


def stays_open(console: ClientConnection, seconds: float) -> bool:
    try:
        console.recv(timeout=seconds)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    ("reason", "code"),
    [("revoked", 4403), ("login_ended", 4401), ("user_disabled", 4401), ("ended_by_admin", 4410), ("new word", 4403)],
)
def test_a_session_that_is_ended_closes_within_a_second(
    proxy: Proxy, redis: Redis, display: TcpDisplay, desk: Desk, reason, code
):
    ended, other = issue(redis), issue(redis)
    with open_console(proxy.url, ended) as console, open_console(proxy.url, other) as bystander:
        eventually(lambda: redis.pubsub_numsub(redis_names.END_CHANNEL)[0][1])
        started = time.monotonic()
        redis.publish(redis_names.END_CHANNEL, json.dumps({"session": ended.session, "reason": reason}))
        assert closed_with(console)[0] == code
        assert time.monotonic() - started < 1
        assert stays_open(bystander, 0.3)
    last = eventually(lambda: [f for _, f in redis.xrange(redis_names.EVENTS_STREAM) if f["event"] == "closed"])
    assert last[0]["session"] == ended.session


def test_a_client_that_does_not_read_is_ended_within_a_second_too(proxy: Proxy, redis: Redis, display: TcpDisplay):
    issued = issue(redis)
    with open_console(proxy.url, issued, max_queue=1) as console:
        machine = display.peer()
        machine.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                machine.send(bytes(65536))
        started = time.monotonic()
        redis.publish(redis_names.END_CHANNEL, json.dumps({"session": issued.session, "reason": "revoked"}))
        machine.settimeout(5)
        with pytest.raises(OSError, match=r"reset|pipe"):
            while True:
                machine.send(bytes(65536))
        assert time.monotonic() - started < 1
        console.socket.close()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"session": 1}', "not JSON"])
def test_nonsense_on_the_channel_ends_nothing_and_breaks_nothing(proxy: Proxy, redis: Redis, display: TcpDisplay, text):
    issued = issue(redis)
    with open_console(proxy.url, issued) as console:
        eventually(lambda: redis.pubsub_numsub(redis_names.END_CHANNEL)[0][1])
        redis.publish(redis_names.END_CHANNEL, text)
        assert stays_open(console, 0.2)
        redis.publish(redis_names.END_CHANNEL, json.dumps({"session": issued.session, "reason": "revoked"}))
        assert closed_with(console)[0] == 4403


def test_a_session_whose_lease_is_gone_ends_at_the_next_look(
    redis: Redis, display: TcpDisplay, desk: Desk, monkeypatch
):
    monkeypatch.setattr(redis_names, "RENEW_SECONDS", 0.3)
    with served(desk) as proxy:
        kept, lapsed = issue(redis), issue(redis)
        with open_console(proxy.url, kept) as stays, open_console(proxy.url, lapsed) as ends:
            redis.delete(redis_names.lease_key(lapsed.session))
            assert closed_with(ends)[0] == 4409
            assert stays_open(stays, 0.5)
            assert redis.ttl(redis_names.pulse_key(kept.session)) > 40


def test_bytes_are_reported_while_a_session_is_open(redis: Redis, display: TcpDisplay, desk: Desk, monkeypatch):
    monkeypatch.setattr(redis_names, "RENEW_SECONDS", 0.1)
    with served(desk) as proxy, open_console(proxy.url, issue(redis)) as console:
        display.peer().sendall(b"x" * 500)
        console.recv(timeout=5)
        eventually(
            lambda: any(
                fields["event"] == "bytes" and fields["to_client"] == "500"
                for _, fields in redis.xrange(redis_names.EVENTS_STREAM)
            )
        )
        count = redis.xlen(redis_names.EVENTS_STREAM)
        time.sleep(0.5)
        assert redis.xlen(redis_names.EVENTS_STREAM) == count, "an idle session reports nothing new"


def test_sessions_outlive_a_restart_of_redis_and_are_looked_at_afterwards(
    own_proxy: Proxy, own_redis: RedisServer, display: TcpDisplay
):
    with Redis.from_url(own_redis.url, decode_responses=True) as redis:
        kept, revoked = issue(redis), issue(redis)
        with open_console(own_proxy.url, kept) as stays, open_console(own_proxy.url, revoked) as ends:
            eventually(lambda: redis.xlen(redis_names.EVENTS_STREAM) == 2)
            redis.delete(redis_names.lease_key(revoked.session))  # and its message is never heard
            redis.save()
            own_redis.end()
            assert stays_open(stays, 1)
            own_redis.start()
            assert closed_with(ends)[0] == 4409
            assert stays_open(stays, 0.5)
            redis.publish(redis_names.END_CHANNEL, json.dumps({"session": kept.session, "reason": "revoked"}))
            assert closed_with(stays)[0] == 4403
        eventually(lambda: [f["event"] for _, f in redis.xrange(redis_names.EVENTS_STREAM)].count("closed") == 2)


def test_sessions_end_when_redis_comes_back_empty(own_proxy: Proxy, own_redis: RedisServer, display: TcpDisplay):
    with Redis.from_url(own_redis.url, decode_responses=True) as redis:
        with open_console(own_proxy.url, issue(redis)) as console:
            eventually(lambda: redis.xlen(redis_names.EVENTS_STREAM) == 1)
            redis.flushall()
            redis.save()
            own_redis.end()
            own_redis.start()
            assert closed_with(console)[0] == 4409
        eventually(lambda: redis.xlen(redis_names.EVENTS_STREAM) == 1)
        (report,) = (fields for _, fields in redis.xrange(redis_names.EVENTS_STREAM))
        assert (report["event"], report["reason"]) == ("closed", "lapsed")


def test_everything_is_closed_when_redis_stays_away(
    own_proxy: Proxy, own_redis: RedisServer, display: TcpDisplay, monkeypatch
):
    monkeypatch.setattr(watch, "PATIENCE", 1.0)
    with Redis.from_url(own_redis.url, decode_responses=True) as redis:
        issued = issue(redis)
        unused = issue(redis)
        with open_console(own_proxy.url, issued) as console:
            own_redis.end()
            assert closed_with(console, within=10)[0] == 4504
        with pytest.raises(InvalidStatus) as refused:
            open_console(own_proxy.url, unused)
        assert refused.value.response.status_code == 503
        assert json.loads(refused.value.response.body)["error"]["code"] == "unavailable"
        own_redis.start()
        reports = eventually(lambda: [f for _, f in redis.xrange(redis_names.EVENTS_STREAM) if f["event"] == "closed"])
        assert reports[0]["reason"] == "unchecked"


def test_everything_is_told_when_the_proxy_stops(redis: Redis, display: TcpDisplay, desk: Desk):
    with served(desk) as proxy:
        console = open_console(proxy.url, issue(redis))
        display.peer()
    assert closed_with(console) == (1001, "The console proxy stops.")
    assert [fields["reason"] for _, fields in redis.xrange(redis_names.EVENTS_STREAM)] == ["", "stopping"]
