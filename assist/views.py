"""Pages: asking for help, the queue, one assist with its chat, and the lines that a machine's pages show."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from assist import chat, moves
from assist.console import console_path
from assist.lines import lines_at
from assist.models import Assist
from assist.page import assist_context, form_context
from assist.parties import assist_or_404
from assist.pictures import picture_answer
from assist.queue import Queue
from lifecycle.page_requests import next_page, user_of
from machines.access import Right, machine_or_404, right_over
from machines.models import Machine
from machines.refused import Refused


@never_cache
@require_safe
@login_required
def queue(request: HttpRequest) -> HttpResponse:
    """Show what waits and goes on: everybody's to those who help, to others their own."""
    template = {"lists": "assist/queue_lists.html", "count": "assist/count.html"}.get(request.GET.get("part", ""))
    return render(request, template or "assist/queue.html", {"queue": Queue(request.user)})


@never_cache
@require_safe
@login_required
def assist(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one assist: what went with it, how far it is, and its chat."""
    found = assist_or_404(request.user, pk)
    template = "assist/assist_status.html" if "part" in request.GET else "assist/assist.html"
    return render(request, template, assist_context(request.user, found))


@never_cache
@require_safe
@login_required
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer the picture that went with it."""
    return picture_answer(assist_or_404(request.user, pk))


@require_POST
@login_required
def move(request: HttpRequest, pk: int, name: str) -> HttpResponse:
    """Do something with an assist; its helper goes on to the screen by joining."""
    found = assist_or_404(request.user, pk)
    if name not in moves.MOVE:
        raise Http404(_("There is no such request for help."))
    try:
        moves.MOVE[name](found, user_of(request))
    except Refused as refused:
        messages.error(request, refused.sentence)
    else:
        if name == "join":
            return redirect(console_path(found))
    return redirect(next_page(request, found.get_absolute_url()))


@require_POST
@login_required
def say(request: HttpRequest, pk: int) -> HttpResponse:
    """Write into the chat, for browsers without scripts."""
    found = assist_or_404(request.user, pk)
    try:
        chat.say(found, user_of(request), request.POST.get("text", ""))
    except Refused as refused:
        messages.error(request, refused.sentence)
    return redirect(found)


@never_cache
@require_safe
@login_required
def help_form(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Ask what is wrong; those who help may offer it, or break the glass."""
    machine = machine_or_404(request.user, uuid)
    context = form_context(request.user, machine)
    if not (context["may_ask"] or context["may_help"]):
        machine_or_404(request.user, uuid, Right.OPERATE)
    return render(request, "assist/help_form.html", context)


@require_POST
@login_required
def begin(request: HttpRequest, uuid: UUID, kind: str) -> HttpResponse:
    """Ask for help, offer it, or break the glass."""
    machine = machine_or_404(request.user, uuid, Right.OPERATE if kind == "ask" else Right.SEE)
    try:
        made = _begin(request, kind, machine)
    except Refused as refused:
        context = form_context(request.user, machine) | {"refused": refused, "typed": request.POST}
        return render(request, "assist/help_form.html", context, status=refused.status)
    return redirect(next_page(request, made.get_absolute_url()))


@never_cache
@require_safe
@login_required
def lines(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Answer the lines about help on a machine's pages, for scripts that draw them anew."""
    machine = machine_or_404(request.user, uuid)
    place = "console" if "console" in request.GET else "page"
    right = right_over(request.user, machine)
    return render(request, "assist/lines.html", lines_at(request.user, machine, right, place))


def _begin(request: HttpRequest, kind: str, machine: Machine) -> Assist:
    by, note = user_of(request), request.POST.get("note", "")
    if kind == "ask":
        return moves.ask(machine, by, note, picture="picture" in request.POST)
    if kind == "offer":
        return moves.offer(machine, by, note)
    if kind == "break-glass":
        return moves.break_glass(machine, by, note, control="control" in request.POST)
    raise Http404(_("There is nothing at this address."))
