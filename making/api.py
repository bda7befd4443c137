"""API: templates of machines, and asking for a machine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from lifecycle.page_requests import user_of
from making import requests
from making.models import LONGEST_ANSWER, LONGEST_REASON, MachineTemplate, RequestStatus
from making.wishes import MOST, offered
from sharing.api import Id

router = Router(tags=["requests for machines"])

SHOWN = 200
Name = Annotated[str, Field(max_length=80)]
Vcpus = Annotated[int, Field(ge=1, le=MOST["vcpus"])]
Mebibytes = Annotated[int, Field(ge=1, le=MOST["memory_mib"])]
Gibibytes = Annotated[int, Field(ge=1, le=MOST["disk_gib"])]


class TemplateOut(Schema):
    """A template that you may choose: its sizes where you name none, and the most it allows (null: no limit)."""

    name: str
    summary: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    most_vcpus: int | None
    most_memory_mib: int | None
    most_disk_gib: int | None


class TemplatesOut(Schema):
    """The templates that you may choose."""

    items: list[TemplateOut]


class RequestOut(Schema):
    """A request for a machine. `asked` has what was asked of each thing that was granted differently."""

    id: int
    asked_by: str
    project: str | None
    template: str | None
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    asked: dict[str, str | int]
    reason: str
    status: RequestStatus
    created_at: datetime
    answered_by: str | None
    answered_at: datetime | None
    answer: str
    machine: UUID | None


class RequestsOut(Schema):
    """`to_answer`: open ones that you may answer, oldest first. `own`: what you asked for, newest first."""

    to_answer: list[RequestOut]
    own: list[RequestOut]


class RequestIn(Schema):
    """A machine for you or a project of yours: from a template, or with sizes and a reason."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=63)]
    template: Name = ""
    vcpus: Vcpus | None = None
    memory_mib: Mebibytes | None = None
    disk_gib: Gibibytes | None = None
    project: Name = ""
    reason: Annotated[str, Field(max_length=LONGEST_REASON)] = ""


class RequestAnswerIn(Schema):
    """Whether it is granted, and what is to be different then."""

    model_config = ConfigDict(extra="forbid")

    grant: bool
    answer: Annotated[str, Field(max_length=LONGEST_ANSWER)] = ""
    name: Annotated[str, Field(max_length=63)] = ""
    template: Name = ""
    vcpus: Vcpus | None = None
    memory_mib: Mebibytes | None = None
    disk_gib: Gibibytes | None = None


@router.get("/templates", response=TemplatesOut, summary="List templates of machines")
def list_templates(request: HttpRequest) -> dict[str, Any]:
    """List the templates that you may choose."""
    return {"items": [_template(row) for row in offered(request.user)]}


@router.get("/requests", response=RequestsOut, summary="List requests for machines")
def list_requests(request: HttpRequest) -> dict[str, Any]:
    """List the requests that wait for your answer, and your own."""
    return {
        "to_answer": [requests.request_payload(row) for row in requests.to_answer(request.user)[:SHOWN]],
        "own": [requests.request_payload(row) for row in requests.asked_by(request.user)[:SHOWN]],
    }


@router.post("/requests", response={201: RequestOut}, summary="Ask for a machine")
def ask_for_machine(request: HttpRequest, payload: RequestIn) -> Status[dict[str, Any]]:
    """Ask the owners of the project, or administrators, for a machine. Who may grant it themselves gets it at once."""
    return Status(201, requests.request_payload(requests.ask(user_of(request), payload.model_dump())))


@router.get("/requests/{request_id}", response=RequestOut, summary="Look at a request for a machine")
def look_at_request(request: HttpRequest, request_id: Id) -> dict[str, Any]:
    """Answer a request that you asked or may answer."""
    return requests.request_payload(requests.seen_or_404(request.user, request_id))


@router.post("/requests/{request_id}/answer", response=RequestOut, summary="Grant or decline a request for a machine")
def answer_request(request: HttpRequest, request_id: Id, payload: RequestAnswerIn) -> dict[str, Any]:
    """Grant it, perhaps changed: the machine is made at once. Or decline it."""
    found, by = requests.to_answer_or_404(request.user, request_id), user_of(request)
    if not payload.grant:
        return requests.request_payload(requests.decline(found, by, payload.answer))
    changed = payload.model_dump(exclude={"grant", "answer"})
    return requests.request_payload(requests.grant(found, by, changed, payload.answer))


@router.post("/requests/{request_id}/withdraw", response=RequestOut, summary="Withdraw a request for a machine")
def withdraw_request(request: HttpRequest, request_id: Id) -> dict[str, Any]:
    """Ask no more."""
    return requests.request_payload(requests.withdraw(requests.own_or_404(request.user, request_id), user_of(request)))


def _template(row: MachineTemplate) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TemplateOut.model_fields}
