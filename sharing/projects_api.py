"""API: projects, their members, and how much of a quota is used."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import ConfigDict

from lifecycle.page_requests import user_of
from machines import quotas
from machines.quotas import Holder, Resource
from people.models import Membership, Project, Role
from sharing import members
from sharing.api import Id, Name

router = Router(tags=["projects"])


class UseOut(Schema):
    """How much of a resource is used, and the most there may be. Memory and disk in bytes."""

    resource: Resource
    used: int
    limit: int


class QuotaOut(Schema):
    """What is limited, and how much of it is used. Empty where nothing is."""

    items: list[UseOut]


class ProjectOut(Schema):
    """A project."""

    id: int
    name: str
    description: str


class ProjectsOut(Schema):
    """The projects you are in; all of them for administrators."""

    items: list[ProjectOut]


class MemberOut(Schema):
    """Somebody in a project."""

    id: int
    user: str
    role: Role


class WholeProjectOut(ProjectOut):
    """A project with its members and its quota."""

    members: list[MemberOut]
    quota: list[UseOut]


class ProjectIn(Schema):
    """A new project."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=80)]
    description: Annotated[str, Field(max_length=200)] = ""


class MemberIn(Schema):
    """Who is to be in a project, in which role."""

    model_config = ConfigDict(extra="forbid")

    user: Name
    role: Role


@router.get("/quota", response=QuotaOut, summary="See how much of your own quota you use")
def own_quota(request: HttpRequest) -> dict[str, Any]:
    """Answer your own quota, which counts the machines that you own yourself."""
    return {"items": _uses(Holder(user=user_of(request).pk))}


@router.get("/projects", response=ProjectsOut, summary="List your projects")
def list_projects(request: HttpRequest) -> dict[str, Any]:
    """List the projects you are in."""
    return {"items": [_project(row) for row in members.visible_projects(request.user)]}


@router.post("/projects", response={201: ProjectOut}, summary="Make a project")
def make_project(request: HttpRequest, payload: ProjectIn) -> Status[dict[str, Any]]:
    """Make a project; for administrators."""
    return Status(201, _project(members.make(user_of(request), payload.name, payload.description)))


@router.get("/projects/{project_id}", response=WholeProjectOut, summary="Look at a project")
def project(request: HttpRequest, project_id: Id) -> dict[str, Any]:
    """Answer who is in a project, and its quota."""
    found = members.project_or_404(request.user, project_id)
    rows = Membership.objects.filter(project=found).select_related("user")
    return _project(found) | {
        "members": [_member(row) for row in rows],
        "quota": _uses(Holder(project=found.pk)),
    }


@router.post("/projects/{project_id}/members", response={201: MemberOut}, summary="Take somebody into a project")
def set_member(request: HttpRequest, project_id: Id, payload: MemberIn) -> Status[dict[str, Any]]:
    """Take somebody in, or change their role; for the project's owners."""
    found = members.project_or_404(request.user, project_id, to_change=True)
    return Status(201, _member(members.set_member(found, payload.user, payload.role)))


@router.post(
    "/projects/{project_id}/members/{member_id}/remove", response={204: None}, summary="Take somebody out of a project"
)
def remove_member(request: HttpRequest, project_id: Id, member_id: Id) -> Status[None]:
    """Take somebody out; for the project's owners."""
    members.remove_member(members.project_or_404(request.user, project_id, to_change=True), member_id)
    return Status(204, None)


def _project(row: Project) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "description": row.description}


def _member(row: Membership) -> dict[str, Any]:
    return {"id": row.pk, "user": row.user.get_username(), "role": row.role}


def _uses(holder: Holder) -> list[dict[str, Any]]:
    return [{"resource": use.resource, "used": use.used, "limit": use.limit} for use in quotas.uses_of(holder)]
