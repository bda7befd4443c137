"""A proxy in this process, with a real Redis beside it and a TCP peer in place of a machine's display; people at it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from redis import Redis

from consoles.proxy import redis_names
from consoles.proxy.journal import Journal
from consoles.proxy.redis_client import redis_of
from consoles.proxy.sessions import Registry
from consoles.proxy.visits import Desk
from demo.servers import RedisServer
from machines.models import Grant, GrantRole, Machine
from tests.cast import ClientOf, person
from tests.consoles.peers import ORIGIN, Proxy, TcpDisplay, served
from tests.consoles.seats import Seat, sit_down


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


@pytest.fixture
def operator(machine: Machine) -> User:
    """Someone with the right to operate the machine, which is less than owning it."""
    operator = person("operator")
    Grant.objects.create(machine=machine, user=operator, role=GrantRole.OPERATOR)
    return operator


@pytest.fixture
def second(machine: Machine) -> User:
    second = person("second")
    Grant.objects.create(machine=machine, user=second, role=GrantRole.OPERATOR)
    return second


@pytest.fixture
def owners(client_of: ClientOf, owner: User, machine: Machine) -> Seat:
    """The owner, who came first and types."""
    return sit_down(client_of(owner), machine)


@pytest.fixture
def viewers(client_of: ClientOf, viewer: User, machine: Machine, owners: Seat) -> Seat:
    """The viewer, who looks on."""
    return sit_down(client_of(viewer), machine, "view")


@pytest.fixture
def told(redis: Redis) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """A function that gives what proxies were told so far: session and mode."""
    heard: list[tuple[str, str]] = []
    with redis.pubsub() as pubsub:
        pubsub.subscribe(redis_names.TELL_CHANNEL)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"

        def told() -> list[tuple[str, str]]:
            while message := pubsub.get_message(timeout=0.05):
                content = json.loads(message["data"])
                heard.append((content["session"], content.get("mode", content["tell"])))
            return heard

        yield told
