"""What a socket reads from the database, each in a few queries for any number of machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User

from machines.access import rights_over, sees_everything
from machines.models import Host, Machine
from machines.payload import host_payload, machine_payload
from machines.push import encoded
from machines.socket_messages import Versions
from maintenance.notices import announced
from people.roles import is_administrator

Message = dict[str, Any]

snapshot_sources: list[Callable[[Collection[UUID], Versions], Sequence[Mapping[str, Any]]]] = []
"""Apps above add what else a watched machine shows (its operations, who is at its consoles): messages about these
machines that a socket which has these versions lacks."""


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
    return differences(machines, Versions())


def differences(machines: Collection[UUID], known: Versions) -> list[str]:
    """Return what a socket that watches these machines does not know yet.

    Args:
        machines: those it watches.
        known: the version it has of each machine, and of all else that it draws.
    """
    return [
        encoded(message)
        for message in (
            *_machine_messages(machines, known.machines),
            *(message for source in snapshot_sources for message in source(machines, known)),
            *_host_messages(machines),
            *_notices(known.notices),
        )
    ]


def _notices(version: str | None) -> Iterable[Message]:
    """Return what is announced, for who has another version of it."""
    if version is not None and (told := announced())["version"] != version:
        yield {"type": "maintenance"} | told


def _machine_messages(machines: Collection[UUID], versions: Mapping[UUID, int]) -> Iterable[Message]:
    present = dict(Machine.objects.filter(uuid__in=machines).values_list("uuid", "version"))
    news = [uuid for uuid, version in present.items() if versions.get(uuid) != version]
    if news:
        rows = Machine.objects.filter(uuid__in=news).select_related("host", "owner", "project").defer("definition_xml")
        yield from ({"type": "machine", "machine": machine_payload(row)} for row in rows)


def _host_messages(machines: Collection[UUID]) -> Iterable[Message]:
    hosts = Host.objects.filter(machines__in=machines).distinct()
    return ({"type": "host", "host": host_payload(host)} for host in hosts)
