"""What the tests of machines and live state share."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from redis import Redis

from demo.libvirtd import PrivateLibvirtd
from demo.servers import RedisServer
from machines import leases, push
from machines.host_watch import HostWatch
from machines.leases import HeldLease
from machines.models import Host
from tests.machines.sockets import Socket, Web, sign_in


def until(what: Callable[[], Any], limit: float = 30) -> Any:
    """Wait until this is true and return it."""
    end = time.monotonic() + limit
    while not (found := what()):
        assert time.monotonic() < end, f"not within {limit} s"
        time.sleep(0.01)
    return found


class Pushes:
    """Everything that is pushed, as it passes through Redis: pairs of a group's name and a message."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self._line = self._redis.pubsub(ignore_subscribe_messages=True)
        self._line.psubscribe("kvmportal__group__*")
        self._line.get_message(timeout=5)

    def take(self, wait: float = 0.3) -> list[tuple[str, dict[str, Any]]]:
        """Return what was pushed since the last time, once nothing more came for a while."""
        taken = []
        while raw := self._line.get_message(timeout=wait):
            group = raw["channel"].decode().removeprefix("kvmportal__group__")
            message = get_channel_layer().deserialize(raw["data"])
            taken.append((group, json.loads(message["text"]) if "text" in message else message))
        return taken

    def machines(self) -> dict[UUID, dict[str, Any]]:
        """Return the last payload of each machine that was pushed."""
        messages = [message for _, message in self.take() if message["type"] == "machine"]
        return {UUID(message["machine"]["uuid"]): message["machine"] for message in messages}

    def close(self) -> None:
        self._line.close()
        self._redis.close()


@pytest.fixture
def pushes(redis_server: RedisServer) -> Iterator[Pushes]:
    """What is pushed from now on, by a sender that has no listing held back from before."""
    push._sender().close()
    push._only_sender.cache_clear()
    pushes = Pushes(redis_server.url)
    yield pushes
    pushes.close()


@pytest.fixture
def held(host: Host) -> HeldLease:
    """The lease of `host`."""
    lease = leases.take(host.pk, "test")
    assert lease
    return lease


@pytest.fixture(scope="package")
def web(django_db_setup: None, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A web process of the portal, for the tests of this package: its auditor would take what others report."""
    with Web(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.fixture
def open_socket(web: Web, transactional_db: None) -> Iterator[Callable[..., Socket]]:
    """A function that opens a user's socket by a fresh login session, or as nobody; closes them at the end."""
    opened: list[Socket] = []

    def open_socket(user: User | None = None, **options: Any) -> Socket:
        session = options.pop("session", None) or (sign_in(user) if user else "")
        opened.append(Socket(web, session, **options))
        return opened[-1]

    yield open_socket
    for one in opened:
        one.close()


@pytest.fixture
def follow(transactional_db: None) -> Iterator[Callable[[Host], HostWatch]]:
    """A function that follows a host in a thread, as a watcher does, once it has been read for the first time."""
    watches: list[HostWatch] = []

    def follow(host: Host, *, wait: bool = True) -> HostWatch:
        lease = leases.take(host.pk, f"test {len(watches)}")
        assert lease
        watches.append(HostWatch(host.name, host.uri, lease))
        watches[-1].start()
        if wait:
            until(lambda: Host.objects.filter(pk=host.pk, reachable=True).exclude(hostname="").exists(), 30)
        return watches[-1]

    yield follow
    for watch in watches:
        watch.stop()
    for watch in watches:
        watch.join(20)
        assert not watch.is_alive()
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith(("addresses ", "disks "))])


@pytest.fixture
def libvirt_host(transactional_db: None, libvirtd: PrivateLibvirtd) -> Host:
    """The tests' libvirt, as a host."""
    return Host.objects.create(name="real", uri=libvirtd.uri)
