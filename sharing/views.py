"""The Access tab of a machine, and what its forms ask for. Views guard, act, answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from lifecycle.page_requests import user_of
from machines.access import Right, machine_or_404, right_over
from machines.models import Machine
from machines.parameters import bad
from machines.refused import Refused
from sharing import access_page, giving, links
from sharing.giving import moment_of, role_of


@never_cache
@require_safe
@login_required
def access(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show who has access to a machine, or what access one has oneself."""
    return access_page.show(request, machine_or_404(request.user, uuid))


@never_cache
@require_POST
@login_required
def share(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Share a machine with a person or a project."""
    return _changed(request, uuid, _share)


@never_cache
@require_POST
@login_required
def revoke(request: HttpRequest, uuid: UUID, pk: int) -> HttpResponse:
    """Take a right back."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    messages.success(request, _("%(name)s has no longer that access.") % {"name": giving.revoke(machine, pk).holder})
    return redirect(_after(request, machine))


@sensitive_variables("made")
@never_cache
@require_POST
@login_required
def make_link(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Make a link and show its address, in this one answer."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    try:
        ends = moment_of(request.POST.get("lasting", "day")) or timezone.now() + timedelta(days=1)
        made = links.make(machine, user_of(request), role_of(request.POST.get("role", "")), ends, _most_uses(request))
    except Refused as refused:
        return access_page.show(request, machine, refused=refused)
    return access_page.show(request, machine, made=made)


@never_cache
@require_POST
@login_required
def revoke_link(request: HttpRequest, uuid: UUID, pk: int) -> HttpResponse:
    """Take a link back, and what was given by it."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    links.revoke(machine, pk)
    messages.success(request, _("The link is revoked, and so is the access it gave."))
    return redirect(_after(request, machine))


@never_cache
@require_POST
@login_required
def hand_over(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Hand a machine over, after asking whether that is meant."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    if "confirm" in request.POST:
        return _changed(request, uuid, _hand_over)
    try:
        giving.taker(user_of(request), **_named(request))
    except Refused as refused:
        return access_page.show(request, machine, refused=refused)
    return render(request, "sharing/hand_over.html", {"machine": machine, "typed": request.POST})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def link(request: HttpRequest, secret: str) -> HttpResponse:
    """Say what a link gives; posted to, give it."""
    if request.method == "POST":
        return redirect(links.take(secret, user_of(request)))
    return render(request, "sharing/link.html", {"link": links.link_or_404(secret, user_of(request))})


def _changed(request: HttpRequest, uuid: UUID, act: Callable[[HttpRequest, Machine], str]) -> HttpResponse:
    """Do it and go back to the tab with what was done, or show the tab with why it was refused."""
    machine = machine_or_404(request.user, uuid, Right.OWN)
    try:
        messages.success(request, act(request, machine))
    except Refused as refused:
        return access_page.show(request, machine, refused=refused)
    return redirect(_after(request, machine))


def _share(request: HttpRequest, machine: Machine) -> str:
    role = role_of(request.POST.get("role", ""))
    ends = moment_of(request.POST.get("lasting", ""))
    grant = giving.share(machine, user_of(request), role, expires_at=ends, **_named(request))
    return _("%(machine)s is shared with %(name)s.") % {"machine": machine.name, "name": grant.holder}


def _hand_over(request: HttpRequest, machine: Machine) -> str:
    keep = role_of(request.POST["keep"]) if request.POST.get("keep") else None
    given = giving.hand_over(machine, user_of(request), keep=keep, **_named(request))
    return _("%(machine)s now belongs to %(name)s.") % {"machine": given.name, "name": given.holder}


def _named(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in ("user", "project")}


def _most_uses(request: HttpRequest) -> int | None:
    text = request.POST.get("most_uses", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise bad("most_uses", _("Write how many people may use it, or nothing."))
    return int(text)


def _after(request: HttpRequest, machine: Machine) -> str:
    """Return the tab; or the list of machines, to whom the machine is no longer visible."""
    return f"{machine.get_absolute_url()}access/" if right_over(request.user, machine) else "lifecycle:machines"
