"""API: machines as they are now, and operations on them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema
from ninja import Status as Answer
from pydantic import ConfigDict

from hypervisor.states import State
from lifecycle import operations
from lifecycle.history import Filters, operation_or_404, visible_operations
from lifecycle.models import Operation, Status
from lifecycle.page_requests import user_of
from lifecycle.payload import operation_payload
from lifecycle.sight import Sight, sights
from machines import listing
from machines.access import Person, machine_or_404
from machines.models import Machine
from machines.payload import MachinePayload, machine_payload
from machines.query_words import LATELY
from machines.refused import Refused

router = Router()

MAX_LIMIT = 200
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class MachineOut(Schema):
    """A machine's present state, and what the person who asks may do. Memory and disk in bytes, times in ISO 8601."""

    uuid: UUID
    name: str
    title: str
    description: str
    host: str
    host_id: int
    host_reachable: bool
    seen_at: datetime | None
    state: State
    state_meaning: str
    state_reason: str
    state_since: datetime
    persistent: bool
    autostart: bool
    has_saved_image: bool
    saved_file_count: int
    snapshot_count: int
    vcpus: int
    memory_bytes: int
    disk_bytes: int
    video_model: str
    graphics: list[str]
    consoles: list[str]
    agent_connected: bool
    addresses: list[dict[str, Any]]
    owner: str | None
    project: str | None
    conflict: str
    version: int
    my_right: str
    allowed_operations: list[str]


class MachinesOut(Schema):
    """One page of machines; `next` is the cursor of the page after it. With `fields`, items have only those."""

    items: list[MachineOut]
    next: str | None
    total: int


class MachineFilters(Schema):
    """Which machines are meant; `state` may repeat. `machines.listing` reads it, this is its description."""

    state: list[str] = Field(default_factory=list)
    q: str = ""
    host: str = ""
    owner: str = Field("", description="a user name or a project's name, or - for machines that nobody owns")
    has_snapshot: str = ""
    has_saved_image: str = ""
    autostart: str = ""
    persistent: str = ""
    sort: str = Field("name", description=f"one of {', '.join(listing.SORTS)}; with - before it, descending")


class MachineQuery(MachineFilters):
    """What may be asked of the list."""

    limit: str = str(listing.DEFAULT_LIMIT)
    cursor: str = ""
    fields: str = Field("", description="names of the fields wanted, with commas; empty for all")


class ErrorOut(Schema):
    """Why an operation failed, in a stable word, and what libvirt itself said."""

    code: str
    text: str


class BytesOut(Schema):
    """How much is done, in bytes; both 0 where libvirt does not say."""

    processed: int
    total: int


class OperationOut(Schema):
    """One thing asked of one machine, and how far it is. `progress` in percent."""

    id: int
    machine: UUID
    machine_name: str
    operation: str
    label: str
    doing: str
    parameters: dict[str, Any]
    status: Status
    progress: int
    bytes: BytesOut
    message: str
    error: ErrorOut | None
    requested_by: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waiting: bool
    deadline: datetime | None
    cancellable: bool
    cancel_requested: bool
    version: int


class OperationsOut(Schema):
    """One page of operations, newest first; `next` is the cursor of the page after it."""

    items: list[OperationOut]
    next: str | None


class OperationIn(Schema):
    """What is asked: an operation of the table (see a machine's `allowed_operations`) and its parameters."""

    model_config = ConfigDict(extra="forbid")

    operation: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class OperationsQuery(Schema):
    """Which operations are wanted; `kind` and `status` may repeat. `lifecycle.history` reads most."""

    by: str = Field("", description="a user name, or me")
    kind: list[str] = Field(default_factory=list, description="names of operations")
    status: list[str] = Field(default_factory=list)
    machine: str = Field("", description="a UUID or a name")
    since: str = Field("", description="a date, or a date and time, in the portal's time zone unless it names one")
    until: str = Field("", description="as since; a date means its end")
    last: str = Field("", description=f"back from now: one of {', '.join(LATELY)}")
    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: Id | None = None


@router.get("/machines", response=MachinesOut, summary="List your machines", tags=["machines"])
def machines(request: HttpRequest, query: Query[MachineQuery]) -> JsonResponse:
    """List the machines you may see, filtered, sorted and by pages."""
    wanted = _fields(query.fields)
    page = listing.page(request.user, listing.Filters.parse(request.GET))
    items = [_selected(item, wanted) for item in _described(request.user, page.items)]
    return JsonResponse({"items": items, "next": page.next_cursor, "total": page.total})


@router.get("/machines/{uuid}", response=MachineOut, summary="Look at one machine", tags=["machines"])
def machine(request: HttpRequest, uuid: UUID, fields: str = "") -> JsonResponse:
    """Answer a machine's present state and what you may do with it now."""
    wanted = _fields(fields)
    (item,) = _described(request.user, [machine_or_404(request.user, uuid)])
    return JsonResponse(_selected(item, wanted))


@router.post(
    "/machines/{uuid}/operations", response={202: OperationOut}, summary="Ask for an operation", tags=["operations"]
)
def request_operation(request: HttpRequest, uuid: UUID, payload: OperationIn) -> Answer[dict[str, Any]]:
    """Accept an operation; it is carried out at once, and its row says how it goes."""
    machine = machine_or_404(request.user, uuid)
    operation = operations.request(machine, payload.operation, by=user_of(request), parameters=payload.parameters)
    return Answer(202, dict(operation_payload(operation)))


@router.get("/operations", response=OperationsOut, summary="List operations", tags=["operations"])
def list_operations(request: HttpRequest, query: Query[OperationsQuery]) -> dict[str, Any]:
    """List the operations of the machines you may see, newest first."""
    filters = Filters.parse(request.user, request.GET)
    found = filters.apply(request.user, visible_operations(request.user))
    if query.cursor:
        found = found.filter(pk__lt=query.cursor)
    return _page(found[: query.limit + 1], query.limit)


@router.get("/operations/{operation_id}", response=OperationOut, summary="Look at one operation", tags=["operations"])
def operation(request: HttpRequest, operation_id: Id) -> dict[str, Any]:
    """Answer how an operation goes, or how it ended."""
    return dict(operation_payload(operation_or_404(request.user, operation_id)))


@router.post(
    "/operations/{operation_id}/cancel",
    response={202: OperationOut},
    summary="Cancel an operation",
    tags=["operations"],
)
def cancel(request: HttpRequest, operation_id: Id) -> Answer[dict[str, Any]]:
    """Cancel it, or ask for it: `cancel_requested` until the worker has stopped it."""
    cancelled = operations.cancel(operation_or_404(request.user, operation_id), user_of(request))
    return Answer(202, dict(operation_payload(cancelled)))


def _described(person: Person, found: Iterable[Machine]) -> list[dict[str, Any]]:
    """Return machines as this person sees them; the queries do not grow with their number."""
    return [
        {**machine_payload(seen.machine), "my_right": seen.right.word, "allowed_operations": _allowed(seen)}
        for seen in sights(person, _with_descriptions(list(found)))
    ]


def _allowed(seen: Sight) -> list[str]:
    return [button.kind.name for button in seen.every if button.refusal is None]


def _with_descriptions(rows: list[Machine]) -> list[Machine]:
    """Fetch in one query what the list leaves out."""
    missing = {row.uuid: row for row in rows if "description" in row.get_deferred_fields()}
    if missing:
        for uuid, text in Machine.objects.filter(pk__in=missing).values_list("pk", "description"):
            missing[uuid].description = text
    return rows


_FIELDS = frozenset({*MachinePayload.__annotations__, "my_right", "allowed_operations"})


def _fields(text: str) -> frozenset[str]:
    """Return the wanted field names, empty for all.

    Raises:
        Refused: `bad_parameters` (400), naming one that does not exist.
    """
    wanted = frozenset(word.strip() for word in text.split(",") if word.strip())
    if unknown := sorted(wanted - _FIELDS):
        sentence = _("A machine has no field “%(name)s”.") % {"name": unknown[0][:40]}
        raise Refused("bad_parameters", sentence, status=400, details={"known": sorted(_FIELDS)})
    return wanted


def _selected(item: dict[str, Any], wanted: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name in wanted} if wanted else item


def _page(rows: Iterable[Operation], limit: int) -> dict[str, Any]:
    found = list(rows)
    following = str(found[limit - 1].pk) if len(found) > limit else None
    return {"items": [operation_payload(row) for row in found[:limit]], "next": following}
