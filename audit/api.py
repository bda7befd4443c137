"""API: the trail for administrators, a machine's own timeline for its owners."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from audit import access_then, export
from audit.filters import Filters, after, entries_or_404
from audit.models import Entry
from audit.page import FOR_OWNERS, machine_named, of_machine
from audit.words import told, what
from machines.access import Right, machine_or_404
from machines.query_words import LATELY, bad_filter, moment

router = Router(tags=["audit"])

MOST = 500


class HappenedOut(Schema):
    """One thing that happened to a machine, by whom. `kind` is a stable word, `what` and `told` are for people."""

    id: int
    at: datetime
    kind: str
    what: str
    who: str
    told: str


class EntryOut(HappenedOut):
    """An entry of the trail with everything in it. `batch`: what it is sealed in, null until then."""

    who_id: int | None
    via: str
    address: str | None
    machine: UUID | None
    machine_name: str
    detail: dict[str, Any]
    batch: int | None


class EntriesOut(Schema):
    """A page of entries, newest first; `next` is the cursor of the one after it."""

    items: list[EntryOut]
    next: str | None


class TimelineOut(Schema):
    """A page of what happened to a machine, newest first."""

    items: list[HappenedOut]
    next: str | None


class HolderOut(Schema):
    """Somebody with a right over the machine, in the words of `my_right`, and by what."""

    user: str
    right: str
    through: list[str]


class AtScreenOut(Schema):
    """A console that was open."""

    user: str
    protocol: str
    mode: str
    since: datetime


class AccessOut(Schema):
    """Who could see or control a machine at a moment. Nothing is known of before `reaches_back_to`."""

    at: datetime
    reaches_back_to: datetime | None
    holders: list[HolderOut]
    at_screen: list[AtScreenOut]


class TimelineQuery(Schema):
    """Which entries are wanted; `kind` may repeat, and may be what stands before the dot of one."""

    who: str = Field("", description="a user name")
    kind: list[str] = Field(default_factory=list, description="such as grant, or grant.made")
    since: str = Field("", description="a date, or a date and time, in the portal's time zone unless it names one")
    until: str = Field("", description="as since; a date means its end")
    last: str = Field("", description=f"back from now: one of {', '.join(LATELY)}")


class PagedTimelineQuery(TimelineQuery):
    """With the place in the list."""

    limit: int = Field(100, ge=1, le=MOST)
    cursor: str = ""


class TrailQuery(PagedTimelineQuery):
    """What administrators may look for besides."""

    machine: str = Field("", description="a UUID or a name")
    address: str = Field("", description="an IP address")


class ExportQuery(TimelineQuery):
    """Which entries are wanted, and as what."""

    machine: str = Field("", description="a UUID or a name")
    address: str = Field("", description="an IP address")
    format: str = Field("csv", description="csv or json")


@router.get("/audit", response=EntriesOut, summary="Read the audit trail")
def trail(request: HttpRequest, query: Query[TrailQuery]) -> dict[str, Any]:
    """Read the trail, newest first. For administrators; to everybody else it does not exist."""
    found = Filters.parse(request.GET).apply(entries_or_404(request))
    entries, following = _page(after(found, query.cursor), query.limit)
    return {"items": [export.as_json(entry) for entry in entries], "next": following}


@router.get("/audit/export", summary="Download the audit trail")
def download(request: HttpRequest, query: Query[ExportQuery]) -> StreamingHttpResponse:
    """Send every entry that matches, newest first, as a file. For administrators; that it was done is kept too."""
    return export.export(entries_or_404(request), Filters.parse(request.GET), query.format)


@router.get("/audit/access", response=AccessOut, summary="Who could see or control a machine then")
def access(request: HttpRequest, machine: str, at: str) -> dict[str, Any]:
    """Answer who had which right over a machine at a moment, also over one that is gone. For administrators."""
    entries_or_404(request)
    return _access(machine_named(request.GET)[0], request)


@router.get("/machines/{uuid}/timeline", response=TimelineOut, summary="What happened to a machine")
def timeline(request: HttpRequest, uuid: UUID, query: Query[PagedTimelineQuery]) -> dict[str, Any]:
    """Answer what happened to a machine of yours and by whom, newest first."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    given = request.GET.copy()
    for name in set(given) - set(FOR_OWNERS):
        del given[name]
    entries, following = _page(after(Filters.parse(given).apply(of_machine(machine)), query.cursor), query.limit)
    return {"items": [_happened(entry) for entry in entries], "next": following}


@router.get("/machines/{uuid}/access", response=AccessOut, summary="Who could see or control your machine then")
def access_to(request: HttpRequest, uuid: UUID, at: str) -> dict[str, Any]:
    """Answer who had which right over a machine of yours at a moment, and who was at its screen."""
    return _access(machine_or_404(request.user, uuid, Right.OWN).uuid, request)


def _page(found: QuerySet[Entry], limit: int) -> tuple[list[Entry], str | None]:
    entries = list(found[: limit + 1])
    return entries[:limit], str(entries[limit - 1].pk) if len(entries) > limit else None


def _happened(entry: Entry) -> dict[str, Any]:
    """Return what owners are told: not from where somebody came, and with which token."""
    words = {"what": what(entry), "told": told(entry)}
    return {"id": entry.pk, "at": entry.at, "kind": entry.kind, "who": entry.who, **words}


def _access(machine: UUID, request: HttpRequest) -> dict[str, Any]:
    at = moment(request.GET, "at")
    if at is None:
        raise bad_filter("at", _("write a date and time"))
    holders = [
        {"user": one.user, "right": one.right.word, "through": list(one.through)}
        for one in access_then.holders(machine, at)
    ]
    return {
        "at": at,
        "reaches_back_to": access_then.reaches_back_to(),
        "holders": holders,
        "at_screen": access_then.at_screen(machine, at),
    }
