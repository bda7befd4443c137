"""The process's connection pool to Redis, for what neither Celery, Channels nor Django's cache carries."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from redis import Redis


@cache
def redis_client() -> Redis:
    """Return the process-wide client (thread-safe; answers are str). Calls raise `redis.RedisError` within seconds."""
    return Redis.from_url(settings.REDIS_URL, decode_responses=True, socket_connect_timeout=2, socket_timeout=5)


@cache
def redis_of_bytes() -> Redis:
    """Return the process-wide client whose answers are bytes, for what is not text. Otherwise as `redis_client`."""
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=5)
