"""A proxy in this process, with a real Redis beside it and a TCP peer in place of a machine's display."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from consoles.proxy.journal import Journal
from consoles.proxy.redis_client import redis_of
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from demo.servers import RedisServer
from tests.consoles.peers import ORIGIN, Proxy, TcpDisplay, served


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the tests' Redis."""
    with Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


@pytest.fixture
def display() -> Iterator[TcpDisplay]:
    with TcpDisplay() as display:
        yield display


@pytest.fixture
def desk(redis_server: RedisServer, redis: Redis, display: TcpDisplay) -> Desk:
    client = redis_of(redis_server.url)
    return Desk(
        redis=client,
        origins=frozenset({ORIGIN}),
        registry=Registry(),
        journal=Journal(client),
        open_display=display.open,
    )


@pytest.fixture
def proxy(desk: Desk) -> Iterator[Proxy]:
    """A proxy whose displays are `display`."""
    with served(desk) as proxy:
        yield proxy
