"""API: tickets for consoles."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict

from consoles import tickets
from consoles.models import Mode, Protocol
from machines.access import machine_or_404
from people.logins import login_of

router = Router(tags=["consoles"])


class TicketsIn(Schema):
    """Which of the machine's displays, and whether to work on it (control) or only to look (view)."""

    model_config = ConfigDict(extra="forbid")

    protocol: Protocol = Protocol.VNC
    mode: Mode = Mode.CONTROL


class TicketsOut(Schema):
    """Connect to `url` with the subprotocols `binary` and `ticket.<one of tickets>`; each works once, until then."""

    url: str
    tickets: list[str]
    expires_at: datetime
    session: UUID


@router.post("/machines/{uuid}/console-tickets", response={201: TicketsOut}, summary="Get tickets for a console")
def console_tickets(request: HttpRequest, uuid: UUID, payload: TicketsIn) -> Status[tickets.Tickets]:
    """Make a console session of a running machine. Tickets made with an API token need no cookie and no Origin."""
    machine = machine_or_404(request.user, uuid, payload.mode.right)
    issued = tickets.issue(
        machine,
        by=request.user,
        login=login_of(request),
        protocol=payload.protocol,
        mode=payload.mode,
        address=request.META.get("REMOTE_ADDR") or None,
    )
    return Status(201, issued)
