"""API: who has access to a machine; sharing it, by a grant or a link, and handing it over. For its owners."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from lifecycle.page_requests import user_of
from machines.access import Right, machine_or_404
from machines.models import Grant, ShareLink
from people.models import Role
from sharing import giving, links
from sharing.access_page import grants_of, link_url

router = Router(tags=["sharing"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Name = Annotated[str, Field(max_length=150)]


class GrantOut(Schema):
    """A right over a machine: of one `user`, `group` or `project`; for good where `expires_at` is null."""

    id: int
    user: str | None
    group: str | None
    project: str | None
    role: Role
    expires_at: datetime | None
    granted_by: str | None
    created_at: datetime
    link: int | None


class GrantsOut(Schema):
    """The grants of a machine, oldest first. Its owner, or the members of its project, need none."""

    items: list[GrantOut]


class GrantIn(Schema):
    """Whom to give which right, and until when; null for until it is revoked."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    user: Name = ""
    project: Name = ""
    expires_at: datetime | None = None


class LinkOut(Schema):
    """A link that gives a right. `url` is answered once, when it is made."""

    id: int
    role: Role
    made_by: str
    created_at: datetime
    expires_at: datetime
    uses: int
    most_uses: int | None
    url: str | None = None


class LinksOut(Schema):
    """The links of a machine."""

    items: list[LinkOut]


class LinkIn(Schema):
    """What a link gives, until when, and to how many people at most (null: to any number)."""

    model_config = ConfigDict(extra="forbid")

    role: Role = Role.VIEWER
    expires_at: datetime
    most_uses: int | None = None


class LinkSecretIn(Schema):
    """The last part of a link's address."""

    model_config = ConfigDict(extra="forbid")

    secret: Annotated[str, Field(min_length=1, max_length=200)]


class TakenOut(Schema):
    """The machine that a link gave a right over."""

    machine: UUID
    name: str


class OwnerIn(Schema):
    """Who is to own the machine, a user or a project, and what its present owner keeps."""

    model_config = ConfigDict(extra="forbid")

    user: Name = ""
    project: Name = ""
    keep: Role | None = None


class OwnerOut(Schema):
    """Who owns a machine."""

    owner: str | None
    project: str | None


@router.get("/machines/{uuid}/grants", response=GrantsOut, summary="List who a machine is shared with")
def list_grants(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """List the grants that have not expired."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    return {"items": [_grant(row) for row in grants_of(machine)]}


@router.post("/machines/{uuid}/grants", response={201: GrantOut}, summary="Share a machine")
def add_grant(request: HttpRequest, uuid: UUID, payload: GrantIn) -> Status[dict[str, Any]]:
    """Give a user, or a project that you are in, a right. One for good, and one for a time, replace their like."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    return Status(201, _grant(giving.share(machine, user_of(request), **payload.model_dump())))


@router.post("/machines/{uuid}/grants/{grant_id}/revoke", response={204: None}, summary="Take a right back")
def revoke_grant(request: HttpRequest, uuid: UUID, grant_id: Id) -> Status[None]:
    """Take it back: sockets forget the machine and consoles end within a second."""
    giving.revoke(machine_or_404(request.user, uuid, Right.OWN), grant_id)
    return Status(204, None)


@router.get("/machines/{uuid}/links", response=LinksOut, summary="List the links that share a machine")
def list_links(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    """List the links. Nobody can look up the address of one."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    return {"items": [_link(row) for row in ShareLink.objects.filter(machine=machine).select_related("made_by")]}


@router.post("/machines/{uuid}/links", response={201: LinkOut}, summary="Make a link that shares a machine")
def make_link(request: HttpRequest, uuid: UUID, payload: LinkIn) -> Status[dict[str, Any]]:
    """Make a link. Whoever is signed in and opens it has the right until the link expires or is revoked."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    row, secret = links.make(machine, user_of(request), payload.role, payload.expires_at, payload.most_uses)
    return Status(201, _link(row) | {"url": link_url(secret)})


@router.post("/machines/{uuid}/links/{link_id}/revoke", response={204: None}, summary="Take a link back")
def revoke_link(request: HttpRequest, uuid: UUID, link_id: Id) -> Status[None]:
    """Take it back, and every right that it gave."""
    links.revoke(machine_or_404(request.user, uuid, Right.OWN), link_id)
    return Status(204, None)


@router.post("/share-links/take", response=TakenOut, summary="Take what a link gives")
def take_link(request: HttpRequest, payload: LinkSecretIn) -> dict[str, Any]:
    """Take the right that a link gives."""
    machine = links.take(payload.secret, user_of(request))
    return {"machine": machine.pk, "name": machine.name}


@router.post("/machines/{uuid}/owner", response=OwnerOut, summary="Hand a machine over")
def hand_over(request: HttpRequest, uuid: UUID, payload: OwnerIn) -> dict[str, Any]:
    """Make a user, or a project that you are in, its owner, if their quota has room for it."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    given = giving.hand_over(machine, user_of(request), **payload.model_dump())
    return {
        "owner": given.owner.get_username() if given.owner else None,
        "project": given.project.name if given.project else None,
    }


def _grant(row: Grant) -> dict[str, Any]:
    names = {name: getattr(row, name) for name in ("user", "group", "project", "granted_by")}
    shown = {name: str(value) if value else None for name, value in names.items()}
    fields = {name: getattr(row, name) for name in ("role", "expires_at", "created_at")}
    return {"id": row.pk, "link": row.link_id, **shown, **fields}


def _link(row: ShareLink) -> dict[str, Any]:
    fields = ("role", "created_at", "expires_at", "uses", "most_uses")
    return {"id": row.pk, "made_by": str(row.made_by), **{name: getattr(row, name) for name in fields}}
