"""API: pictures of screens."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from consoles import picture_answers, picture_streams
from consoles.picture_sizes import Size

router = Router(tags=["pictures"])

AT_MOST = 200
"""Machines of one request: as many as a page of the list may have."""
Thumbnail = Literal[Size.SMALL, Size.LARGE]
PICTURE = {200: {"description": "OK", "content": {"image/webp": {}}}, 204: {"description": "No picture now"}}


class WantedIn(Schema):
    """Machines whose screens somebody looks at now, for half a minute. Say it again for as long as that is so."""

    model_config = ConfigDict(extra="forbid")

    machines: list[UUID] = Field(max_length=AT_MOST)
    size: Thumbnail = Size.SMALL


class WantedOut(Schema):
    """`pictures`: the version of each machine's last picture, null when none was taken yet.

    `off`: those of which no pictures may be taken. Machines that have no screen now, or that you may not look at, are
    in neither.
    """

    pictures: dict[str, int | None]
    off: list[UUID]


@router.post("/pictures", response=WantedOut, summary="Ask for pictures of many machines' screens")
def want_pictures(request: HttpRequest, payload: WantedIn) -> dict[str, Any]:
    """Have pictures taken; the socket tells of each new one by `{"type": "picture", ...}`."""
    pictures, off = picture_answers.want(request.user, payload.machines, payload.size)
    return {"pictures": {str(machine): version for machine, version in pictures.items()}, "off": sorted(off)}


@router.get(
    "/machines/{uuid}/picture", summary="Get the last picture of a screen", openapi_extra={"responses": PICTURE}
)
def picture(request: HttpRequest, uuid: UUID, size: Thumbnail = Size.SMALL) -> HttpResponse:
    """Answer the last one as WebP; 204 when there is none yet or none may be taken. Asking has pictures taken."""
    return picture_answers.picture(request, uuid, size)


@router.get(
    "/picture-streams/{session}",
    url_name="picture_stream",
    summary="Get the next picture of a stream",
    openapi_extra={"responses": PICTURE},
)
def picture_stream(request: HttpRequest, session: UUID) -> HttpResponse:
    """Answer the last picture to a console session of the protocol `pictures`; ask about once a second.

    304 with `If-None-Match` when it has not changed; 410 when the session has ended.
    """
    return picture_streams.look(request, session)


@router.post("/picture-streams/{session}/leave", response={204: None}, summary="Leave a stream of pictures")
def leave_picture_stream(request: HttpRequest, session: UUID) -> Status[None]:
    """End the session. One that is not asked for pictures ends by itself within half a minute."""
    picture_streams.leave(request, session)
    return Status(204, None)
