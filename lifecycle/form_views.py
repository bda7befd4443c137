"""Pages of a machine that ask for an operation's parameters, and the page that makes a machine from XML."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from lifecycle import form_pages, new_machines
from lifecycle.form_pages import FormPage
from lifecycle.models import Operation
from lifecycle.page_requests import line_ends, say_on_its_way, user_of
from machines.access import machine_or_404
from machines.models import Host
from machines.parameters import LONGEST_XML, bad
from machines.refused import Refused
from people.models import Project
from people.roles import is_administrator

OUTCOMES: dict[str, dict[str, bool]] = {
    "define": {"start": False, "persistent": True},
    "start": {"start": True, "persistent": True},
    "once": {"start": True, "persistent": False},
}
"""What may become of a new machine."""


@never_cache
@require_safe
@login_required
def saved_files(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show a machine's managed-save image and saved files to those who may operate it."""
    return _form(request, uuid, form_pages.SAVED)


@never_cache
@require_safe
@login_required
def undefine(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Say what goes and what stays, and ask what is to go."""
    return _form(request, uuid, form_pages.UNDEFINE)


@never_cache
@require_safe
@login_required
def define(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Let administrators edit a machine's definition."""
    return _form(request, uuid, form_pages.DEFINE)


@never_cache
@require_safe
@login_required
def send_keys(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Let administrators press keys of a machine."""
    return _form(request, uuid, form_pages.KEYS)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_machine(request: HttpRequest) -> HttpResponse:
    """Let administrators make a machine from XML; to everybody else the page does not exist."""
    if not is_administrator(request.user):
        raise Http404
    typed, refused = _typed(request), None
    if request.method == "POST":
        try:
            return redirect(_make(request, typed).machine.get_absolute_url())
        except Refused as found:
            refused = found
    context: dict[str, Any] = {
        "hosts": Host.objects.filter(enabled=True),
        "typed": typed,
        "refused": refused,
        "most": LONGEST_XML,
    }
    context["projects"] = Project.objects.values_list("name", flat=True)
    return render(request, "lifecycle/new_machine.html", context, status=refused.status if refused else 200)


def _form(request: HttpRequest, uuid: UUID, page: FormPage) -> HttpResponse:
    return form_pages.show(request, machine_or_404(request.user, uuid, page.right), page)


def _typed(request: HttpRequest) -> dict[str, str]:
    """Return what the form says; a file's text goes before what was typed."""
    typed = {name: request.POST.get(name, "").strip() for name in ("host", "owner", "project", "outcome")}
    upload = request.FILES.get("file")
    text = upload.read(LONGEST_XML * 4).decode(errors="replace") if upload else request.POST.get("xml", "")
    return typed | {"outcome": typed["outcome"] or "define", "xml": line_ends(text)}


def _make(request: HttpRequest, typed: dict[str, Any]) -> Operation:
    if typed["outcome"] not in OUTCOMES:
        raise bad("outcome", _("Choose what is to become of it."))
    if not typed["xml"].strip():
        raise bad("xml", _("Paste its definition, or choose a file with it."))
    if len(typed["xml"]) > LONGEST_XML:
        raise bad("xml", _("A definition may have at most %(most)s characters.") % {"most": LONGEST_XML})
    outcome = OUTCOMES[typed["outcome"]]
    asked: dict[str, Any] = outcome | {name: typed[name] for name in ("host", "owner", "project")}
    made = new_machines.ask_for(user_of(request), typed["xml"], **asked)
    say_on_its_way(request, made, _("%(machine)s is on its way.") % {"machine": made.machine.name})
    return made
