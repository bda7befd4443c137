"""What a socket reads from the database, each in a few queries for any number of machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from machines.access import rights_over, sees_everything
from machines.models import Host, Machine
from machines.payload import host_payload, machine_payload
from machines.push import encoded
from people.roles import is_administrator

Message = dict[str, Any]

snapshot_sources: list[Callable[[Collection[UUID]], list[Message]]] = []
"""Apps above add what else a watched machine shows: messages about what is open on it (its operations)."""

operation_sources: list[Callable[[Collection[UUID], Collection[int]], list[Message]]] = []
"""Apps above answer for operations that a browser still draws: those of these ids on these machines, open or not."""


@dataclass(slots=True)
class Standing:
    """What a user may know at this moment: the right's word for each machine asked about (none: left out)."""

    rights: dict[UUID, str] = field(default_factory=dict)
    hosts: set[int] = field(default_factory=set)
    everything: bool = False
    administers: bool = False


def standing(user_id: int, machines: Collection[UUID]) -> Standing:
    """Read a user's rights over machines, and their hosts. A user who is gone or disabled has none."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return Standing()
    rights = {uuid: right.word for uuid, right in rights_over(user, machines).items()}
    hosts = set(Machine.objects.order_by().filter(uuid__in=rights).values_list("host_id", flat=True).distinct())
    return Standing(rights, hosts, sees_everything(user), is_administrator(user))


def snapshot(machines: Collection[UUID]) -> list[str]:
    """Return the messages a socket starts with: each machine, what is open on them, their hosts."""
    return differences(machines, {}, {})


def differences(machines: Collection[UUID], versions: Mapping[UUID, int], operations: Mapping[int, int]) -> list[str]:
    """Return what a socket does not know yet.

    Args:
        machines: those it watches.
        versions: the version it has of each.
        operations: the version it has of each operation that it draws.
    """
    return [
        encoded(message)
        for message in (
            *_machine_messages(machines, versions),
            *_operation_messages(machines, operations),
            *_host_messages(machines),
        )
    ]


def _machine_messages(machines: Collection[UUID], versions: Mapping[UUID, int]) -> Iterable[Message]:
    present = dict(Machine.objects.filter(uuid__in=machines).values_list("uuid", "version"))
    news = [uuid for uuid, version in present.items() if versions.get(uuid) != version]
    if news:
        rows = Machine.objects.filter(uuid__in=news).select_related("host", "owner").defer("definition_xml")
        yield from ({"type": "machine", "machine": machine_payload(row)} for row in rows)


def _operation_messages(machines: Collection[UUID], known: Mapping[int, int]) -> Iterable[Message]:
    messages = [message for source in snapshot_sources for message in source(machines)]
    ended = known.keys() - {message["operation"]["id"] for message in messages}
    if ended:
        messages += [message for source in operation_sources for message in source(machines, ended)]
    return (one for one in messages if known.get(one["operation"]["id"]) != one["operation"]["version"])


def _host_messages(machines: Collection[UUID]) -> Iterable[Message]:
    hosts = Host.objects.filter(machines__in=machines).distinct()
    return ({"type": "host", "host": host_payload(host)} for host in hosts)
