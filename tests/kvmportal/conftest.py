"""What the tests of the wiring share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from machines.redis_client import redis_client


@pytest.fixture
def dead_redis(settings) -> Iterator[None]:
    """A Redis address where nothing listens (port 1 of this machine)."""
    redis_client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    yield
    redis_client.cache_clear()
