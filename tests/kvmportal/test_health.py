"""/healthz and /readyz, as a load balancer asks them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.test import Client
from redis import Redis

from kvmportal import health
from machines.redis_client import redis_client


@pytest.fixture
def redis(redis_server) -> Redis:
    return redis_client()


@pytest.fixture
def heartbeat(redis: Redis) -> Iterator[str]:
    """The sign of life of a watcher."""
    key = "kvmportal:watcher:test"
    redis.set(key, "1", ex=10)
    yield key
    redis.delete(key)


def test_healthz_says_that_the_process_is_alive_without_any_query(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok"}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize("address", ["/healthz", "/readyz"])
def test_checks_cannot_be_posted_to(client: Client, address: str) -> None:
    assert client.post(address).status_code == 405


@pytest.mark.django_db
def test_readyz_is_green_when_every_part_answers(client: Client, heartbeat: str) -> None:
    answer = client.get("/readyz")
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "redis": "ok", "watcher": "ok"}}
    assert answer.status_code == 200


@pytest.mark.django_db
def test_readyz_says_that_no_watcher_reports(client: Client, redis: Redis) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    assert answer.json()["checks"] == {
        "database": "ok",
        "redis": "ok",
        "watcher": "no watcher has reported in the last 10 s",
    }


@pytest.mark.django_db
def test_readyz_says_that_redis_is_down_within_seconds_and_no_more(client: Client, dead_redis: None) -> None:
    began = time.monotonic()
    answer = client.get("/readyz")
    assert time.monotonic() - began < 5
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"database": "ok", "redis": "no answer", "watcher": "no answer"}
    assert "127.0.0.1" not in answer.content.decode()


def test_readyz_says_that_the_database_is_down(client: Client, heartbeat: str, monkeypatch) -> None:
    def broken() -> None:
        raise OSError("could not connect to server db.internal:5432")

    monkeypatch.setitem(health.CHECKS, "database", broken)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == "no answer"
    assert "internal" not in answer.content.decode()


def test_readyz_does_not_wait_for_a_part_that_hangs(client: Client, heartbeat: str, monkeypatch) -> None:
    monkeypatch.setattr(health, "LIMIT", 0.2)
    monkeypatch.setitem(health.CHECKS, "database", lambda: time.sleep(1))
    began = time.monotonic()
    answer = client.get("/readyz")
    assert time.monotonic() - began < 0.9
    assert answer.json()["checks"]["database"] == "no answer within 0.2 s"
