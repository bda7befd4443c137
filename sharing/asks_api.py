"""API: asking for a right over a machine or for room for it in its quota, and answering."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from lifecycle.page_requests import user_of
from machines.access import machine_or_404
from machines.parameters import bad
from machines.quotas import Resource
from people.models import Role
from sharing import asks
from sharing.api import Id
from sharing.models import LONGEST_NOTE, AskStatus

router = Router(tags=["sharing"])

SHOWN = 200
MOST_SECONDS = 366 * 86_400


class WantedOut(Schema):
    """Which limit of whose quota is to become what (memory and disk in bytes)."""

    resource: Resource
    wanted: int
    whose: str


class AskOut(Schema):
    """An ask for a right (`role`) or for room (`quota`). `expires_at`: until when it was granted, null for no end."""

    id: int
    machine: UUID
    machine_name: str
    asked_by: str
    role: Role | None
    quota: WantedOut | None
    note: str
    status: AskStatus
    created_at: datetime
    answered_by: str | None
    answered_at: datetime | None
    expires_at: datetime | None


class AsksOut(Schema):
    """`to_answer`: open ones that you may answer. `own`: what you asked for, newest first."""

    to_answer: list[AskOut]
    own: list[AskOut]


class AskIn(Schema):
    """Which right, or `quota` for room for the machine in its owner's quota; and why."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    quota: bool = False
    note: Annotated[str, Field(max_length=LONGEST_NOTE)] = ""


class AnswerIn(Schema):
    """Whether it is granted, and until when or for how many seconds; neither for until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    grant: bool
    expires_at: datetime | None = None
    for_seconds: Annotated[int, Field(ge=1, le=MOST_SECONDS)] | None = None


@router.get("/asks", response=AsksOut, summary="List asks for rights")
def list_asks(request: HttpRequest) -> dict[str, Any]:
    """List the asks that wait for your answer, and your own."""
    return {
        "to_answer": [asks.ask_payload(row) for row in asks.to_answer(request.user)],
        "own": [asks.ask_payload(row) for row in asks.asked_by(request.user)[:SHOWN]],
    }


@router.post(
    "/machines/{uuid}/asks", response={201: AskOut}, summary="Ask for a right over a machine, or for room in its quota"
)
def ask_for_right(request: HttpRequest, uuid: UUID, payload: AskIn) -> Status[dict[str, Any]]:
    """Ask the owners of a machine, or administrators for its quota; they are told at once. Asking again changes it."""
    machine, by = machine_or_404(request.user, uuid), user_of(request)
    if (payload.role is None) != payload.quota:
        raise bad("role", _("Ask for a role, or for the quota."))
    row = (
        asks.ask(machine, by, payload.role, payload.note) if payload.role else asks.ask_room(machine, by, payload.note)
    )
    return Status(201, asks.ask_payload(row))


@router.post("/asks/{ask_id}/answer", response=AskOut, summary="Grant or decline an ask")
def answer(request: HttpRequest, ask_id: Id, payload: AnswerIn) -> dict[str, Any]:
    """Answer an ask for a right over a machine that you own; administrators, for a quota."""
    found, by = asks.to_answer_or_404(request.user, ask_id), user_of(request)
    ends = payload.expires_at
    if payload.for_seconds:
        ends = timezone.now() + timedelta(seconds=payload.for_seconds)
    return asks.ask_payload(asks.grant(found, by, ends) if payload.grant else asks.decline(found, by))


@router.post("/asks/{ask_id}/withdraw", response=AskOut, summary="Withdraw an ask")
def withdraw_ask(request: HttpRequest, ask_id: Id) -> dict[str, Any]:
    """Ask no more."""
    return asks.ask_payload(asks.withdraw(asks.own_or_404(request.user, ask_id), user_of(request)))
