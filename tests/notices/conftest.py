"""What tests of notices share: what people were told, a portal that sends mail, and a language to translate into."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from redis import Redis

from demo.servers import RedisServer
from machines import leases, push
from machines.leases import HeldLease
from machines.models import Grant, GrantRole, Host, Machine
from notices.models import Notice
from tests.cast import person
from tests.machines.conftest import Pushes

Told = Callable[[User], list[str]]
Translate = Callable[[Mapping[str, str]], None]


@pytest.fixture
def told() -> Told:
    """A function that gives all sentences that a person was told, the newest first, seen or not."""
    return lambda user: [notice.text for notice in Notice.objects.filter(user=user)]


@pytest.fixture
def operator(machine: Machine) -> User:
    """Somebody who may run `machine` but does not own it."""
    operator = person("operator")
    Grant.objects.create(machine=machine, user=operator, role=GrantRole.OPERATOR)
    return operator


@pytest.fixture
def told_nothing_yet(machine: Machine) -> None:
    """Forget what the making of the cast told."""
    Notice.objects.all().delete()


@pytest.fixture
def held(host: Host) -> HeldLease:
    """The lease of `host`."""
    lease = leases.take(host.pk, "test")
    assert lease
    return lease


@pytest.fixture
def portal_mails(settings) -> None:
    """A portal whose administrator has set up mail."""
    settings.DEFAULT_FROM_EMAIL = "portal@example.org"


@pytest.fixture
def owner_has_address(owner: User) -> None:
    """The owner can be written to."""
    owner.email = "owner@example.org"
    owner.save()


@pytest.fixture
def pushes(redis_server: RedisServer) -> Iterator[Pushes]:
    """What is pushed from now on, by a sender that has no listing held back from before."""
    push._sender().close()
    push._only_sender.cache_clear()
    pushes = Pushes(redis_server.url)
    yield pushes
    pushes.close()


@pytest.fixture
def tasks_waiting(redis_server: RedisServer) -> Callable[[], int]:
    """A function that counts the messages that wait for the workers of quick tasks."""
    return lambda: Redis.from_url(redis_server.url).llen("quick")


@pytest.fixture
def translate(settings, tmp_path: Path) -> Translate:
    """A function that gives the portal German sentences, beside its own English ones."""

    def translate(sentences: Mapping[str, str]) -> None:
        folder = tmp_path / "de" / "LC_MESSAGES"
        folder.mkdir(parents=True)
        header = {"": "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"}
        folder.joinpath("django.mo").write_bytes(compiled(header | dict(sentences)))
        settings.LOCALE_PATHS = [str(tmp_path)]
        settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]

    return translate


def compiled(sentences: Mapping[str, str]) -> bytes:
    """Write translations in gettext's binary form (GNU gettext manual, "The Format of GNU MO Files")."""
    pairs = sorted((key.encode(), value.encode()) for key, value in sentences.items())
    head, table = struct.calcsize("7I"), struct.calcsize("2I") * len(pairs)
    index, texts, offset = [], b"", head + 2 * table
    for which in (0, 1):
        for pair in pairs:
            index.append(struct.pack("2I", len(pair[which]), offset + len(texts)))
            texts += pair[which] + b"\0"
    return struct.pack("7I", 0x950412DE, 0, len(pairs), head, head + table, 0, 0) + b"".join(index) + texts
