"""What the Access tab of a machine draws: to its owners who has access, to others what they have and may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from lifecycle.sight import Sight, sight
from machines.access import ROLE_RIGHT, own_projects
from machines.models import Grant, Machine, ShareLink
from machines.refused import Refused
from people.models import Project, Role
from people.roles import is_administrator
from sharing.giving import LASTING
from sharing.models import Ask, AskStatus


def show(
    request: HttpRequest, machine: Machine, *, refused: Refused | None = None, made: tuple[ShareLink, str] | None = None
) -> HttpResponse:
    """Draw the tab; with `refused`, what was posted and why it was refused; with `made`, a new link, this once."""
    assert isinstance(request.user, User)  # noqa: S101  # login_required saw to it
    seen = sight(request.user, machine)
    context: dict[str, Any] = {
        "sight": seen,
        "tab": "access",
        "address": f"{seen.url}access/",
        "refused": refused,
        "typed": request.POST,
        "made_url": link_url(made[1]) if made else "",
        "roles": Role.choices,
        "lasting": [(name, words) for name, (words, _length) in LASTING.items()],
        **(_for_owners(request.user, machine) if seen.owns else _for_others(request.user, seen)),
    }
    return render(request, "sharing/access.html", context, status=refused.status if refused else 200)


def link_url(secret: str) -> str:
    """Return the address of a link as it is sent to people."""
    return f"{settings.PORTAL_URL}{reverse('sharing:link', args=[secret])}"


def grants_of(machine: Machine) -> list[Grant]:
    """Return the grants of a machine that have not expired, with their holders."""
    rows = Grant.objects.living().filter(machine=machine).select_related("user", "group", "project", "granted_by")
    return list(rows.order_by("created_at", "pk"))


def _for_owners(person: User, machine: Machine) -> dict[str, Any]:
    projects = (
        Project.objects.all() if is_administrator(person) else Project.objects.filter(pk__in=own_projects(person))
    )
    asks = Ask.objects.filter(machine=machine, status=AskStatus.OPEN, resource="").select_related("asked_by")
    return {
        "grants": grants_of(machine),
        "links": ShareLink.objects.filter(machine=machine).select_related("made_by"),
        "projects": list(projects.values_list("name", flat=True)[:200]),
        "asks": asks,
    }


def _for_others(person: User, seen: Sight) -> Mapping[str, Any]:
    own = Grant.objects.living().filter(machine=seen.machine, user=person, expires_at__isnull=False)
    asked = Ask.objects.filter(machine=seen.machine, asked_by=person, status=AskStatus.OPEN, resource="").first()
    wanted = [(role, words) for role, words in Role.choices if ROLE_RIGHT[role] > seen.right]
    return {"own": own.order_by("-expires_at").first(), "asked": asked, "wanted": wanted}
