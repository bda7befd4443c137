"""The page of notices, marking them read, and choosing what to be told of; everyone's own only."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from lifecycle.page_requests import next_page, user_of
from machines.refused import Refused
from notices import choices, mailing, reading
from notices.page import NoticesPage


@never_cache
@require_safe
@login_required
def notices(request: HttpRequest) -> HttpResponse:
    """Show one page of a person's notices."""
    mailing.remember_language(user_of(request))
    try:
        page = NoticesPage(request.user, request.GET.get("before", ""))
    except Refused as refused:
        return render(request, "lifecycle/bad_filter.html", {"refused": refused}, status=refused.status)
    return render(request, "notices/notices.html", {"page": page})


@require_POST
@login_required
def read(request: HttpRequest) -> HttpResponse:
    """Mark notices read: those of `id`, or all up to `up_to`."""
    ids = [int(text) for text in request.POST.getlist("id") if _is_number(text)]
    up_to = request.POST.get("up_to", "")
    reading.mark_read(user_of(request), ids=ids, up_to=int(up_to) if _is_number(up_to) else None)
    return redirect(next_page(request, "notices:notices"))


@require_POST
@login_required
def choose(request: HttpRequest) -> HttpResponse:
    """Keep what a person chose to be told of. Where no mail can be sent, what was chosen about mail stays."""
    user, posted = user_of(request), request.POST
    may_mail = choices.may_mail(user)
    wanted = {
        name: (f"{name}.page" in posted, f"{name}.mail" in posted if may_mail else choice.mail)
        for name, choice in ((choice.kind.name, choice) for choice in choices.choices_of(user))
    }
    choices.choose(user, wanted)
    mailing.remember_language(user)
    messages.success(request, _("Your choice of notices is kept."))
    return redirect("people:profile")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
