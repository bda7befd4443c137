"""The proxy's client of Redis."""

from __future__ import annotations

from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def redis_of(url: str) -> Redis:
    """Return a client whose calls fail within seconds and that opens at most 32 connections."""
    return Redis(
        connection_pool=BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=5,
            decode_responses=True,
            socket_connect_timeout=2,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 1),
        ),
    )
