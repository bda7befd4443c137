"""API: what the portal knows of the way to a machine's screen."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import ConfigDict

from consoles import doctor, probes
from consoles.models import Protocol
from machines.access import Right, machine_or_404
from people.logins import login_of

router = Router(tags=["consoles"])


class FindingOut(Schema):
    """`part` is host, display, proxy or agent; `sentence` says what is wrong and what to do, or that all is well."""

    part: str
    well: bool
    sentence: str


class ExaminationOut(Schema):
    """The findings, in the order from the host to the guest."""

    items: list[FindingOut]


class ProbeIn(Schema):
    """Which of the machine's displays to look at."""

    model_config = ConfigDict(extra="forbid")

    protocol: Literal[Protocol.VNC, Protocol.SPICE, Protocol.SERIAL] = Protocol.VNC


class ProbeOut(Schema):
    """Connect to `url` with the subprotocols `binary` and `ticket.<ticket>`; it works once, until then."""

    url: str
    ticket: str
    expires_at: datetime


@router.get("/machines/{uuid}/console-check", response=ExaminationOut, summary="Check the way to a screen")
def console_check(request: HttpRequest, uuid: UUID, protocol: Protocol = Protocol.VNC) -> ExaminationOut:
    """Say of host, display, console proxy and guest agent whether they are well, and what to do where not."""
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    findings = doctor.examine(machine, protocol)
    return ExaminationOut(items=[FindingOut(part=f.part, well=f.well, sentence=f.sentence) for f in findings])


@router.post("/machines/{uuid}/console-probe", response={201: ProbeOut}, summary="Have a display looked at")
def console_probe(request: HttpRequest, uuid: UUID, payload: ProbeIn) -> Status[probes.Probe]:
    """Make a ticket by which the console proxy says whether the display answers, without opening it to anyone.

    Nobody who is connected notices. One byte comes when all is well; else the close code says why not.
    """
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    protocol = Protocol(payload.protocol)
    return Status(201, probes.issue(machine, by=request.user, login=login_of(request), protocol=protocol))
