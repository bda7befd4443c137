"""Who is at a machine's consoles, as everyone who may see the machine is told."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from functools import partial
from typing import TypedDict
from uuid import UUID

from django.db import transaction

from consoles.models import ConsoleSession
from machines import push
from machines.access import Right, rights_of_holders
from machines.push import encoded
from machines.socket_messages import Versions


class ConsolePayload(TypedDict):
    """One open console, the same for every reader."""

    id: str
    user: str
    right: str
    """Its user's own right over the machine: control may be taken at once from someone with a lower one."""
    protocol: str
    mode: str
    lent_by: str | None
    opened_at: str
    asking: bool
    recorded: bool
    client: str


class ConsolesMessage(TypedDict):
    """Everyone at one machine; `version` differs whenever something here does, and is empty for nobody."""

    type: str
    machine: str
    sessions: list[ConsolePayload]
    version: str


def consoles_at(machines: Collection[UUID]) -> dict[UUID, list[ConsolePayload]]:
    """Return the open consoles of these machines, oldest first; machines without any are left out."""
    opened = ConsoleSession.objects.filter(opened_at__isnull=False, ended_at=None, user__isnull=False)
    rows = list(opened.filter(machine__in=machines).select_related("user", "granted_by").order_by("opened_at", "pk"))
    rights = rights_of_holders({(row.user_id, row.machine_id) for row in rows if row.user_id}) if rows else {}
    found: dict[UUID, list[ConsolePayload]] = {}
    for row in rows:
        right = rights.get((row.user_id or 0, row.machine_id), Right.NONE)
        found.setdefault(row.machine_id, []).append(_payload(row, right))
    return found


def console_messages(machines: Collection[UUID], known: Versions) -> list[ConsolesMessage]:
    """Return who is at these machines, where the socket does not know it (`machines.socket_reads.snapshot_sources`)."""
    found = consoles_at(machines)
    asked = [machine for machine in machines if machine in found or machine in known.consoles]
    messages = {machine: _message(machine, found.get(machine, [])) for machine in asked}
    return [said for machine, said in messages.items() if said["version"] != known.consoles.get(machine)]


def tell(machines: Iterable[UUID]) -> None:
    """Push who is at these machines, after the commit."""
    for machine in set(machines):
        transaction.on_commit(partial(_tell, machine))


def _tell(machine: UUID) -> None:
    """Push until it is what was read last: somebody may push something newer between our reading and our pushing."""
    said = None
    while (now := _message(machine, consoles_at([machine]).get(machine, []))) != said:
        push.consoles(machine, now)
        said = now


def _message(machine: UUID, sessions: list[ConsolePayload]) -> ConsolesMessage:
    version = hashlib.sha256(encoded({"sessions": sessions}).encode()).hexdigest()[:16] if sessions else ""
    return {"type": "consoles", "machine": str(machine), "sessions": sessions, "version": version}


def _payload(row: ConsoleSession, right: Right) -> ConsolePayload:
    return {
        "id": str(row.pk),
        "user": row.user.get_username() if row.user else "",
        "right": right.word,
        "protocol": row.protocol,
        "mode": row.mode,
        "lent_by": row.granted_by.get_username() if row.granted_by else None,
        "opened_at": row.opened_at.isoformat() if row.opened_at else "",
        "asking": row.asking_since is not None,
        "recorded": row.recorded,
        "client": row.client,
    }
