"""Asking for a right or for room in a quota from a machine's page, and the page on which asks are answered."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from lifecycle.page_requests import next_page, user_of
from machines.access import machine_or_404
from machines.refused import Refused
from sharing import asks as asking
from sharing.giving import LASTING, moment_of, role_of

SHOWN = 50


@never_cache
@require_safe
@login_required
def asks(request: HttpRequest) -> HttpResponse:
    """Show what waits for one's answer, and what one asked for."""
    own = asking.asked_by(user_of(request))[:SHOWN]
    lasting = [(name, words) for name, (words, _length) in LASTING.items()]
    context = {"asks": asking.to_answer(request.user), "own": own, "lasting": lasting}
    return render(request, "sharing/asks.html", context)


@never_cache
@require_POST
@login_required
def ask(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask the owners of a machine for a right, or administrators for room for it in its owner's quota."""
    machine, by, note = machine_or_404(request.user, uuid), user_of(request), request.POST.get("note", "")
    try:
        if "quota" in request.POST:
            asking.ask_room(machine, by, note)
        else:
            asking.ask(machine, by, role_of(request.POST.get("role", "")), note)
        messages.success(request, _("Asked. Whoever can grant it is told at once; you are told of the answer."))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect(next_page(request, reverse("sharing:access", args=[uuid])))


@never_cache
@require_POST
@login_required
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Grant an ask, for so long as the button says, or decline it."""
    found = asking.to_answer_or_404(request.user, pk)
    try:
        if request.POST.get("answer") == "grant":
            asking.grant(found, user_of(request), moment_of(request.POST.get("lasting", "hour")))
        else:
            asking.decline(found, user_of(request))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect(next_page(request, reverse("sharing:asks")))


@never_cache
@require_POST
@login_required
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask no more."""
    try:
        asking.withdraw(asking.own_or_404(request.user, pk), user_of(request))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect(next_page(request, reverse("sharing:asks")))
