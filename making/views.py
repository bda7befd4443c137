"""Pages on which people ask for a machine, and on which that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from lifecycle.page_requests import next_page, user_of
from machines import quotas
from machines.access import own_projects
from machines.quotas import Holder
from machines.refused import Refused
from making import requests as asking
from making.models import LONGEST_ANSWER, LONGEST_REASON, SIZES, MachineRequest, RequestStatus
from making.wishes import MOST, offered
from people.models import Project
from sharing.giving import keepable

SHOWN = 50
_FIELDS = ("name", "template", *SIZES, "project", "reason")


@never_cache
@require_safe
@login_required
def requests(request: HttpRequest) -> HttpResponse:
    """Show the requests that wait for one's answer, and one's own."""
    own = asking.asked_by(request.user)[:SHOWN]
    return render(request, "making/requests.html", {"open": asking.to_answer(request.user)[:SHOWN], "own": own})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest) -> HttpResponse:
    """Show the form by which one asks for a machine; posted to, ask."""
    refused = None
    if request.method == "POST":
        try:
            return redirect(_asked(request))
        except Refused as found:
            refused = found
    projects = Project.objects.filter(pk__in=own_projects(request.user)).values_list("name", flat=True)
    context: dict[str, Any] = {
        "templates": offered(request.user),
        "projects": projects,
        "typed": _typed(request.POST or request.GET),
    }
    context |= {
        "chosen": "template" in (request.POST or request.GET),
        "refused": refused,
        "most": MOST,
        "longest_reason": LONGEST_REASON,
    }
    return render(request, "making/new.html", context, status=refused.status if refused else 200)


@never_cache
@require_safe
@login_required
def room(request: HttpRequest) -> HttpResponse:
    """Show how much of their quota oneself or a project of one's own uses, as a part of the form."""
    mine = Project.objects.filter(pk__in=own_projects(request.user))
    project = mine.filter(name=keepable(request.GET.get("project", ""))).first()
    holder = Holder(project=project.pk) if project else Holder(user=request.user.pk)
    return render(request, "lifecycle/uses.html", {"uses": quotas.uses_of(holder)})


@never_cache
@require_safe
@login_required
def request(request: HttpRequest, pk: int) -> HttpResponse:
    """Show a request to who asked it, and to who may answer it with the form for that."""
    return _page(request, asking.seen_or_404(request.user, pk))


@never_cache
@require_POST
@login_required
def grant(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the machine, as the form says."""
    found = asking.to_answer_or_404(request.user, pk)
    try:
        made = asking.grant(found, user_of(request), _typed(request.POST), request.POST.get("answer", ""))
    except Refused as refused:
        return _page(request, found, refused)
    messages.success(request, _("%(name)s is being made for %(whose)s.") % {"name": made.name, "whose": made.whose})
    return redirect(next_page(request, made.get_absolute_url()))


@never_cache
@require_POST
@login_required
def decline(request: HttpRequest, pk: int) -> HttpResponse:
    """Say no."""
    found = asking.to_answer_or_404(request.user, pk)
    try:
        asking.decline(found, user_of(request), request.POST.get("answer", ""))
    except Refused as refused:
        return _page(request, found, refused)
    return redirect(next_page(request, found.get_absolute_url()))


@never_cache
@require_POST
@login_required
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask no more."""
    found = asking.own_or_404(request.user, pk)
    try:
        asking.withdraw(found, user_of(request))
    except Refused as refused:
        return _page(request, found, refused)
    return redirect(next_page(request, found.get_absolute_url()))


def _asked(request: HttpRequest) -> MachineRequest:
    row = asking.ask(user_of(request), _typed(request.POST))
    if row.status == RequestStatus.GRANTED:
        messages.success(request, _("%(name)s is being made.") % {"name": row.name})
    else:
        messages.success(request, _("Asked. Whoever can grant it is told at once; you are told of the answer."))
    return row


def _page(request: HttpRequest, row: MachineRequest, refused: Refused | None = None) -> HttpResponse:
    answers = row.status == RequestStatus.OPEN and asking.may_answer(request.user, row)
    holder = Holder(project=row.project_id) if row.project_id else Holder(user=row.asked_by_id)
    context = {
        "row": row,
        "refused": refused,
        "answers": answers,
        "uses": quotas.uses_of(holder) if answers else [],
        "templates": offered(request.user, row) if answers else [],
        "differing": [(MachineRequest.words_of(name)[0], was) for name, was in row.asked.items()],
        "typed": _as_asked(row) | (_typed(request.POST) if refused else {}),
        "most": MOST,
        "longest_answer": LONGEST_ANSWER,
    }
    return render(request, "making/request.html", context, status=refused.status if refused else 200)


def _as_asked(row: MachineRequest) -> dict[str, Any]:
    template = row.template.name if row.template else ""
    return {"name": row.name, "template": template, **{size: getattr(row, size) for size in SIZES}}


def _typed(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given.get(name, "")).strip() for name in _FIELDS}
