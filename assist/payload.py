"""What sockets and scripts are told of assists."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from assist.models import OPEN, Assist, ChatMessage
from machines.payload import iso
from machines.socket_messages import Versions


def assist_message(assist: Assist) -> dict[str, Any]:
    """Return what everybody who may see the machine is told: that there is help, whose, and how far it is."""
    return {
        "id": assist.pk,
        "machine": str(assist.machine_id),
        "machine_name": assist.machine.name,
        "kind": assist.kind,
        "state": assist.state,
        "user": _name(assist, "user"),
        "helper": _name(assist, "helper"),
        "version": assist.version,
    }


def assist_payload(assist: Assist) -> dict[str, Any]:
    """Return all that those who may see the assist may know of it, but for its chat. Times are ISO 8601."""
    return {
        **assist_message(assist),
        "note": assist.note,
        "control": assist.control,
        "facts": assist.facts,
        "has_picture": assist.has_picture,
        "created_at": assist.created_at.isoformat(),
        "taken_at": iso(assist.taken_at),
        "active_at": iso(assist.active_at),
        "until": iso(assist.until),
        "finished_at": iso(assist.finished_at),
    }


def chat_payload(message: ChatMessage) -> dict[str, Any]:
    """Return one message of a chat."""
    return {
        "id": message.pk,
        "assist": message.assist_id,
        "by": message.by.get_username() if message.by else None,
        "text": message.text,
        "at": message.at.isoformat(),
    }


def assist_messages(machines: Collection[UUID], _known: Versions) -> list[dict[str, Any]]:
    """Return the assists that go on at these machines (`machines.socket_reads.snapshot_sources`)."""
    rows = Assist.objects.filter(machine__in=machines, state__in=OPEN).select_related("machine", "user", "helper")
    return [{"type": "assist", **assist_message(row)} for row in rows.defer("picture", "facts", "note")]


def _name(assist: Assist, party: str) -> str | None:
    person = getattr(assist, party)
    return person.get_username() if person else None
