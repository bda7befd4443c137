"""API: one's own notices, and marking them read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import ConfigDict

from lifecycle.page_requests import user_of
from notices import reading
from notices.models import Notice

router = Router(tags=["notices"])

MAX_LIMIT = 200
MOST_IDS = 500
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class NoticeOut(Schema):
    """One notice; `text` in the reader's language, `url` a path of the portal, `own`: of one's own operation."""

    id: int
    kind: str
    level: str
    text: str
    machine: UUID | None
    url: str
    own: bool
    created_at: datetime
    read_at: datetime | None


class NoticesOut(Schema):
    """One page of notices, newest first; `next` is the cursor of the page after it; `unread`: how many on all pages."""

    items: list[NoticeOut]
    next: str | None
    unread: int


class NoticesQuery(Schema):
    """Which notices are wanted."""

    unread: bool = Field(False, description="only those not read yet")
    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: Id | None = None


class ReadIn(Schema):
    """Which notices to mark read: `ids`, or all up to and with the one of the id `up_to`."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Id], Field(max_length=MOST_IDS)] = Field(default_factory=list)
    up_to: Id | None = None


class UnreadOut(Schema):
    """How many are unread now."""

    unread: int


@router.get("/notices", response=NoticesOut, summary="List your notices")
def notices(request: HttpRequest, query: Query[NoticesQuery]) -> dict[str, Any]:
    """List what happened that you are told of, newest first; nothing about machines that you no longer see."""
    found = reading.shown_to(request.user)
    if query.unread:
        found = found.filter(read_at=None)
    if query.cursor:
        found = found.filter(pk__lt=query.cursor)
    rows = list(found[: query.limit + 1])
    following = str(rows[query.limit - 1].pk) if len(rows) > query.limit else None
    items = [_described(row) for row in rows[: query.limit]]
    return {"items": items, "next": following, "unread": reading.unread_count(request.user)}


@router.post("/notices/read", response=UnreadOut, summary="Mark notices read")
def read_notices(request: HttpRequest, payload: ReadIn) -> dict[str, int]:
    """Mark notices of yours read; numbers of others are passed over."""
    reading.mark_read(user_of(request), ids=payload.ids, up_to=payload.up_to)
    return {"unread": reading.unread_count(request.user)}


def _described(row: Notice) -> dict[str, Any]:
    return {
        "id": row.pk,
        "kind": row.kind,
        "level": row.level,
        "text": row.text,
        "machine": row.machine_id,
        "url": row.url,
        "own": row.is_own,
        "created_at": row.created_at,
        "read_at": row.read_at,
    }
