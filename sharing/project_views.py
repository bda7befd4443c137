"""The pages of projects: who is in one, what it has, and how much of its quota that is."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from lifecycle.page_requests import user_of
from machines import quotas
from machines.quotas import Holder
from machines.refused import Refused
from people.models import Membership, Project, Role
from people.roles import is_administrator
from sharing import members
from sharing.giving import keepable, role_of


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def projects(request: HttpRequest) -> HttpResponse:
    """Show one's projects and one's own quota; posted to, make a project (administrators)."""
    refused = None
    if request.method == "POST":
        try:
            return redirect(members.make(user_of(request), **_typed(request)))
        except Refused as found:
            refused = found
    counts = {"people": Count("memberships", distinct=True), "owned": Count("machines", distinct=True)}
    rows = Project.objects.filter(pk__in=members.visible_projects(request.user).values("pk")).annotate(**counts)
    context = {"projects": rows, "uses": quotas.uses_of(Holder(user=user_of(request).pk)), "refused": refused}
    return render(request, "sharing/projects.html", context, status=refused.status if refused else 200)


@never_cache
@require_safe
@login_required
def quota(request: HttpRequest) -> HttpResponse:
    """Show administrators how much of its quota a user or project uses, as a part of the page that makes machines."""
    if not is_administrator(request.user):
        raise Http404
    user = User.objects.filter(username=keepable(request.GET.get("owner", ""))).first()
    project = Project.objects.filter(name=keepable(request.GET.get("project", ""))).first()
    holder = Holder(project=project.pk if project else None, user=user.pk if user else None)
    return render(request, "lifecycle/uses.html", {"uses": quotas.uses_of(holder) if project or user else []})


@never_cache
@require_safe
@login_required
def project(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a project to who is in it."""
    return _page(request, members.project_or_404(request.user, pk))


@never_cache
@require_POST
@login_required
def set_member(request: HttpRequest, pk: int) -> HttpResponse:
    """Take somebody in, or change their role."""
    found = members.project_or_404(request.user, pk, to_change=True)
    try:
        row = members.set_member(found, request.POST.get("user", ""), role_of(request.POST.get("role", "")))
    except Refused as refused:
        return _page(request, found, refused)
    messages.success(request, _("%(name)s is in %(project)s.") % {"name": row.user, "project": found})
    return redirect(found)


@never_cache
@require_POST
@login_required
def remove_member(request: HttpRequest, pk: int, member: int) -> HttpResponse:
    """Take somebody out."""
    found = members.project_or_404(request.user, pk, to_change=True)
    try:
        members.remove_member(found, member)
    except Refused as refused:
        return _page(request, found, refused)
    still = members.visible_projects(request.user).filter(pk=found.pk).exists()
    return redirect(found) if still else redirect("sharing:projects")


def _page(request: HttpRequest, found: Project, refused: Refused | None = None) -> HttpResponse:
    context: dict[str, Any] = {
        "project": found,
        "members": Membership.objects.filter(project=found).select_related("user"),
        "uses": quotas.uses_of(Holder(project=found.pk)),
        "machine_count": found.machines.count(),
        "decides": members.decides(request.user, found),
        "roles": Role.choices,
        "refused": refused,
        "typed": request.POST,
    }
    return render(request, "sharing/project.html", context, status=refused.status if refused else 200)


def _typed(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "") for name in ("name", "description")}
