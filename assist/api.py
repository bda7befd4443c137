"""API: asking for help, the queue, and what becomes of each request."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from ninja import Field, Query, Router, Schema, Status
from pydantic import ConfigDict

from assist import chat, moves
from assist.console import console_path
from assist.models import Assist, Kind, State
from assist.parties import assist_or_404
from assist.payload import assist_payload, chat_payload
from assist.pictures import picture_answer
from assist.queue import visible_assists
from machines.access import Right, machine_or_404

router = Router(tags=["help"])
PAGE = 50
Words = Annotated[str, Field(max_length=moves.LONGEST_NOTE)]


class AskIn(Schema):
    """What is wrong, in words; `picture`: whether a picture of the screen may go with it."""

    model_config = ConfigDict(extra="forbid")

    note: Words = ""
    picture: bool = True


class OfferIn(Schema):
    """What to say to the owner."""

    model_config = ConfigDict(extra="forbid")

    note: Words = ""


class BreakGlassIn(Schema):
    """Why, in words that the owner reads; `control`: whether to operate the machine too, not only to look."""

    model_config = ConfigDict(extra="forbid")

    reason: Words
    control: bool = False


class SayIn(Schema):
    """Plain text."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=chat.LONGEST)]


class AssistOut(Schema):
    """One assist. `facts`: what the portal knew of the machine when it began."""

    id: int
    machine: UUID
    machine_name: str
    kind: Kind
    state: State
    user: str | None
    helper: str | None
    note: str
    control: bool
    facts: dict[str, Any]
    has_picture: bool
    created_at: str
    taken_at: str | None
    active_at: str | None
    until: str | None
    finished_at: str | None
    version: int


class JoinedOut(AssistOut):
    """The assist, and the page of the console to open."""

    console: str


class AssistsOut(Schema):
    """Newest first; give `next` back as `before` for older ones."""

    items: list[AssistOut]
    next: int | None


class MessageOut(Schema):
    """One message of a chat."""

    id: int
    assist: int
    by: str | None
    text: str
    at: str


class MessagesOut(Schema):
    """Oldest first."""

    items: list[MessageOut]


class AssistsQuery(Schema):
    """Which assists are wanted. Empty means: all."""

    state: list[State] = Field(default_factory=list)
    machine: UUID | None = None
    before: Annotated[int, Field(ge=1, lt=2**63)] | None = None


@router.get("/assists", response=AssistsOut, summary="List requests for help")
def list_assists(request: HttpRequest, query: Query[AssistsQuery]) -> dict[str, Any]:
    """List yours, and everybody's if you help. `state` may repeat."""
    rows = visible_assists(request.user)
    rows = rows.filter(state__in=query.state) if query.state else rows
    rows = rows.filter(machine=query.machine) if query.machine else rows
    page = list((rows.filter(pk__lt=query.before) if query.before else rows)[: PAGE + 1])
    return {
        "items": [assist_payload(row) for row in page[:PAGE]],
        "next": page[PAGE - 1].pk if len(page) > PAGE else None,
    }


@router.get("/assists/{pk}", response=AssistOut, summary="Look at a request for help")
def get_assist(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Answer one assist to those who have a part in it, own its machine, or help."""
    return assist_payload(assist_or_404(request.user, pk))


@router.get("/assists/{pk}/picture", summary="Get the picture that went with it")
def get_picture(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the machine's screen at the time of asking as WebP, 204 when there is none."""
    return picture_answer(assist_or_404(request.user, pk))


@router.post("/machines/{uuid}/assists", response={201: AssistOut}, summary="Ask for help with a machine")
def ask_for_help(request: HttpRequest, uuid: UUID, payload: AskIn) -> Status[dict[str, Any]]:
    """Ask the helpdesk; state, last operations, agent facts and a picture of the screen go with it by themselves."""
    machine = machine_or_404(request.user, uuid, Right.OPERATE)
    return Status(201, assist_payload(moves.ask(machine, _person(request), payload.note, picture=payload.picture)))


@router.post("/machines/{uuid}/assist-offers", response={201: AssistOut}, summary="Offer help with a machine")
def offer(request: HttpRequest, uuid: UUID, payload: OfferIn) -> Status[dict[str, Any]]:
    """Offer help to the machine's owner; for the helpdesk."""
    machine = machine_or_404(request.user, uuid)
    return Status(201, assist_payload(moves.offer(machine, _person(request), payload.note)))


@router.post("/machines/{uuid}/break-glass", response={201: AssistOut}, summary="Look without consent")
def break_glass(request: HttpRequest, uuid: UUID, payload: BreakGlassIn) -> Status[dict[str, Any]]:
    """Look at a machine without asking; for the helpdesk. Its owner sees it and is told by mail; it is kept."""
    machine = machine_or_404(request.user, uuid)
    made = moves.break_glass(machine, _person(request), payload.reason, control=payload.control)
    return Status(201, assist_payload(made))


@router.post("/assists/{pk}/take", response=AssistOut, summary="Take a request")
def take(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Take a request that waits; of two who do, one gets 409 and reads who was faster."""
    return _moved(request, pk, "take")


@router.post("/assists/{pk}/release", response=AssistOut, summary="Give a request back")
def release(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Give a request that you took back to the queue."""
    return _moved(request, pk, "release")


@router.post("/assists/{pk}/accept", response=AssistOut, summary="Consent")
def accept(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Let the helper see the screen of this machine until the assist ends; they may only look."""
    return _moved(request, pk, "accept")


@router.post("/assists/{pk}/decline", response=AssistOut, summary="Say no")
def decline(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Say no to who wants to help."""
    return _moved(request, pk, "decline")


@router.post("/assists/{pk}/withdraw", response=AssistOut, summary="Withdraw a request or an offer")
def withdraw_help(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Take back what led to nothing yet."""
    return _moved(request, pk, "withdraw")


@router.post("/assists/{pk}/join", response=JoinedOut, summary="Go to the screen")
def join(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Answer the page of the console to open, as the helper; 409, `no_consent`, before the user's click."""
    answer = _moved(request, pk, "join")
    return answer | {"console": console_path(assist_or_404(request.user, pk))}


@router.post("/assists/{pk}/end", response=AssistOut, summary="End help that goes on")
def end(request: HttpRequest, pk: int) -> dict[str, Any]:
    """End it; the helper's consoles of the machine close at once."""
    return _moved(request, pk, "end")


@router.get("/assists/{pk}/messages", response=MessagesOut, summary="Read the chat")
def list_messages(request: HttpRequest, pk: int, after: int = 0) -> dict[str, Any]:
    """List what was written after that message; for both sides, and administrators."""
    found = chat.messages_of(assist_or_404(request.user, pk), request.user, after=after)
    return {"items": [chat_payload(message) for message in found]}


@router.post("/assists/{pk}/messages", response={201: MessageOut}, summary="Write into the chat")
def say(request: HttpRequest, pk: int, payload: SayIn) -> Status[dict[str, Any]]:
    """Write to the other side."""
    return Status(201, chat_payload(chat.say(assist_or_404(request.user, pk), _person(request), payload.text)))


def _moved(request: HttpRequest, pk: int, name: str) -> dict[str, Any]:
    found: Assist = assist_or_404(request.user, pk)
    moves.MOVE[name](found, _person(request))
    return assist_payload(found)


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  # the API's authentication saw to it
    return request.user
