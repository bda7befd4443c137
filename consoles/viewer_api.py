"""API: files for virt-viewer."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from pydantic import ConfigDict

from consoles import viewer_files
from consoles.models import Mode, Protocol
from consoles.viewer_views import answer
from machines.access import machine_or_404
from people.logins import login_of

router = Router(tags=["consoles"])


class ViewerFileIn(Schema):
    """Which of the machine's displays, `spice` or `vnc`, and whether to work on it (control) or only to look (view).

    With `microphone` the guest may listen (SPICE, control).
    """

    model_config = ConfigDict(extra="forbid")

    protocol: Protocol = Protocol.SPICE
    mode: Mode = Mode.CONTROL
    microphone: bool = False


@router.post("/machines/{uuid}/viewer-file", summary="Get a file that opens a screen in virt-viewer")
def viewer_file(request: HttpRequest, uuid: UUID, payload: ViewerFileIn) -> HttpResponse:
    """Answer a .vv file (application/x-virt-viewer) that works once, within a minute. Whoever has it needs no login."""
    machine = machine_or_404(request.user, uuid, payload.mode.right)
    made = viewer_files.make(
        machine,
        by=request.user,
        login=login_of(request),
        protocol=payload.protocol,
        mode=payload.mode,
        microphone=payload.microphone,
        address=request.META.get("REMOTE_ADDR") or None,
    )
    return answer(made)
