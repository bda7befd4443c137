"""API: making a machine from XML, for administrators. Shares its router with the list, whose path it has."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Schema
from ninja import Status as Answer
from pydantic import ConfigDict

from lifecycle import new_machines
from lifecycle.api import OperationOut, router
from lifecycle.page_requests import user_of
from lifecycle.payload import operation_payload
from machines.parameters import LONGEST_XML
from people.roles import is_administrator


class MachineIn(Schema):
    """A new machine: its definition as libvirt's XML, and what is to become of it."""

    model_config = ConfigDict(extra="forbid")

    xml: str = Field(min_length=1, max_length=LONGEST_XML, description="without <uuid>, it gets a new one")
    host: str = Field("", description="the host's name; may be left out when there is one only")
    owner: str = Field("", description="the user name of who is to own it; nobody unless given")
    project: str = Field(
        "", max_length=80, description="instead of an owner: the name of the project that is to own it"
    )
    start: bool = Field(False, description="start it too")
    persistent: bool = Field(True, description="define it; otherwise it lasts as long as it runs and has to be started")


@router.post("/machines", response={202: OperationOut}, summary="Make a machine from XML", tags=["machines"])
def make_machine(request: HttpRequest, payload: MachineIn) -> Answer[dict[str, Any]]:
    """Define a machine, or start it; for administrators. Should that fail, it stays undefined, with its definition."""
    if not is_administrator(request.user):
        raise PermissionDenied(_("Only administrators may make machines from XML."))
    return Answer(202, dict(operation_payload(new_machines.ask_for(user_of(request), **payload.model_dump()))))
