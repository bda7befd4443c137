"""API: one operation asked of many machines."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Router, Schema
from ninja import Status as Answer
from pydantic import ConfigDict

from lifecycle import bulk
from lifecycle.api import Id, OperationOut
from lifecycle.bulk import Result
from lifecycle.models import Bulk
from lifecycle.page_requests import user_of
from lifecycle.payload import operation_payload
from machines.access import Person
from machines.listing import Filters
from machines.refused import Refused

router = Router()


class BulkIn(Schema):
    """One operation, and of which machines: their UUIDs, or filters of the list, resolved when it is asked."""

    model_config = ConfigDict(extra="forbid")

    operation: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    machines: list[UUID] | None = None
    filters: dict[str, Any] | None = Field(None, description="as in the query of the list; true and false are flags")


class RefusalOut(Schema):
    """Why it was refused for a machine: the code and message that asking it alone would have answered."""

    code: str
    message: str


class BulkItemOut(Schema):
    """One machine: its operation, or why there is none."""

    machine: UUID
    name: str
    operation: OperationOut | None
    error: RefusalOut | None


class BulkOut(Schema):
    """A bulk operation: one item for each machine, in the order asked. `url` is the page of its results."""

    id: int
    url: str
    operation: str
    requested_by: str
    created_at: datetime
    accepted: int
    refused: int
    items: list[BulkItemOut]


@router.post("/bulk-operations", response={202: BulkOut}, summary="Ask many machines", tags=["operations"])
def ask(request: HttpRequest, payload: BulkIn) -> Answer[dict[str, Any]]:
    """Ask an operation of many machines; each accepts or refuses it by itself."""
    person = user_of(request)
    machines = _machines(person, payload)
    asked = bulk.ask(payload.operation, machines, by=person, parameters=payload.parameters)
    return Answer(202, _described(bulk.bulk_or_404(person, asked.pk), person))


@router.get("/bulk-operations/{bulk_id}", response=BulkOut, summary="Look at the results", tags=["operations"])
def look(request: HttpRequest, bulk_id: Id) -> dict[str, Any]:
    """Answer one item for each machine, with how its operation goes now; only for who asked, and administrators."""
    return _described(bulk.bulk_or_404(request.user, bulk_id), request.user)


def _machines(person: Person, payload: BulkIn) -> list[UUID]:
    if (payload.machines is None) == (payload.filters is None):
        raise Refused("bad_parameters", _("Give either “machines” or “filters”."), status=400)
    if payload.machines is not None:
        return payload.machines
    return bulk.matching(person, Filters.given(payload.filters or {}))


def _described(found: Bulk, person: Person) -> dict[str, Any]:
    items = [_item(result) for result in bulk.results(found, person)]
    accepted = sum(1 for item in items if item["operation"])
    return {
        "id": found.pk,
        "url": found.get_absolute_url(),
        "operation": found.kind,
        "requested_by": found.requested_by.get_username(),
        "created_at": found.created_at,
        "accepted": accepted,
        "refused": len(items) - accepted,
        "items": items,
    }


def _item(result: Result) -> dict[str, Any]:
    operation = dict(operation_payload(result.operation)) if result.operation else None
    error = None if operation else {"code": result.code, "message": result.sentence}
    return {"machine": result.machine, "name": result.name, "operation": operation, "error": error}
