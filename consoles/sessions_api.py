"""API: who is at a machine's consoles, who types there, and what happens in one's own session."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from consoles import control, leases, sessions
from consoles.control import Action
from consoles.models import Client, ConsoleEvent, EventKind, Mode, Protocol
from consoles.presence import consoles_at
from machines.access import Right, machine_or_404

router = Router(tags=["consoles"])

KEPT_AGAIN = timedelta(seconds=10)
"""Pressing "keep it open" again within this time is nothing new for the audit."""
MOST_CHARACTERS = 1_000_000


class ConsoleOut(Schema):
    """One open console. `mode`: whether its user may type now; `right`: theirs; `lent_by`: who handed them control."""

    id: UUID
    user: str
    right: str
    protocol: Protocol
    mode: Mode
    lent_by: str | None
    opened_at: datetime
    asking: bool
    recorded: bool
    client: Client


class ConsolesOut(Schema):
    """A machine's open consoles, oldest first."""

    items: list[ConsoleOut]


class ControlIn(Schema):
    """What to do about who types; `to` is the session to grant control or to refuse it to."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    to: UUID | None = None


class TypedIn(Schema):
    """How much was typed for the user, never what: nothing but this reaches the audit."""

    model_config = ConfigDict(extra="forbid")

    characters: Annotated[int, Field(ge=1, le=MOST_CHARACTERS)]
    secret: bool = False
    layout: Annotated[str, Field(max_length=32, pattern=r"^[a-z0-9-]*$")] = ""


@router.get("/machines/{uuid}/consoles", response=ConsolesOut, summary="List who is at a machine's consoles")
def list_consoles(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """List the open consoles of a machine that you may see: who watches, and who may type."""
    machine = machine_or_404(request.user, uuid, Right.SEE)
    return {"items": consoles_at([machine.uuid]).get(machine.uuid, [])}


@router.post("/consoles/{session}/control", response=ConsolesOut, summary="Ask for control, hand it over, take it")
def change_control(request: HttpRequest, session: UUID, payload: ControlIn) -> dict[str, Any]:
    """Do something about who types, from a console session of your own; answers who is at the machine afterwards.

    Anyone who looks on may `ask` (and `withdraw`); who has control may `grant` or `refuse` it to another session, or
    `give_back`; who may operate the machine may `take` it when nobody else has it, or somebody with a lower right, or
    whom they handed it to.
    """
    mine = sessions.own_session_or_404(request.user, session)
    control.act(mine, payload.action, payload.to)
    return {"items": consoles_at([mine.machine_id]).get(mine.machine_id, [])}


@router.post("/consoles/{session}/keep", response={204: None}, summary="Keep a console open that would end unused")
def keep(request: HttpRequest, session: UUID) -> Status[None]:
    """Count as a sign of life in a console session of your own that was warned of its end."""
    mine = sessions.own_session_or_404(request.user, session)
    leases.keep(mine.pk)
    again = mine.events.filter(kind=EventKind.KEPT, at__gt=timezone.now() - KEPT_AGAIN)
    if not again.exists():
        ConsoleEvent.objects.create(session=mine, kind=EventKind.KEPT, by_id=mine.user_id)
    return Status(204, None)


@router.post("/consoles/{session}/typed", response={204: None}, summary="Note that text was typed")
def typed(request: HttpRequest, session: UUID, payload: TypedIn) -> Status[None]:
    """Note in the audit that a program typed text in a console session of your own: how much, never what."""
    mine = sessions.own_session_or_404(request.user, session)
    ConsoleEvent.objects.create(session=mine, kind=EventKind.TYPED, by_id=mine.user_id, detail=payload.dict())
    return Status(204, None)
