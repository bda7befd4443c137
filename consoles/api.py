"""API: tickets for consoles."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict

from consoles import picture_streams, tickets
from consoles.models import Mode, Protocol
from machines.access import machine_or_404
from people.logins import login_of

router = Router(tags=["consoles"])


class TicketsIn(Schema):
    """Which of the machine's displays, and whether to work on it (control) or only to look (view).

    `take_over` throws out another program on the host that holds the serial console.
    """

    model_config = ConfigDict(extra="forbid")

    protocol: Protocol = Protocol.VNC
    mode: Mode = Mode.CONTROL
    take_over: bool = False


class TicketsOut(Schema):
    """Connect to `url` with the subprotocols `binary` and `ticket.<one of tickets>`; each works once, until then.

    For `pictures` there are no tickets: `url` itself answers the last picture, to whom the session is.
    SPICE opens a WebSocket for each of its `channels`, with that channel's ticket. `mode` may be `view` where `control`
    was asked for: somebody else has it now.
    """

    url: str
    tickets: list[str]
    channels: dict[str, str]
    expires_at: datetime
    session: UUID
    protocol: Protocol
    mode: Mode
    recorded: bool


@router.post("/machines/{uuid}/console-tickets", response={201: TicketsOut}, summary="Get tickets for a console")
def console_tickets(request: HttpRequest, uuid: UUID, payload: TicketsIn) -> Status[tickets.Tickets]:
    """Make a console session of a running machine. Tickets made with an API token need no cookie and no Origin."""
    machine = machine_or_404(request.user, uuid, payload.mode.right)
    address = request.META.get("REMOTE_ADDR") or None
    login = login_of(request)
    if payload.protocol is Protocol.PICTURES:
        return Status(201, picture_streams.begin(machine, by=request.user, login=login, address=address))
    issued = tickets.issue(
        machine,
        by=request.user,
        login=login,
        protocol=payload.protocol,
        mode=payload.mode,
        address=address,
        take_over=payload.take_over,
    )
    return Status(201, issued)
