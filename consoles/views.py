"""The console's page."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from consoles.models import Mode
from consoles.words import console_words
from machines.access import Right, machine_or_404, right_over
from machines.operation_table import TABLE


@require_safe
@login_required
def console(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show a machine's screen; with `?mode=view` without touching it."""
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    right = right_over(request.user, machine)
    wanted = Mode.VIEW if request.GET.get("mode") == Mode.VIEW else Mode.CONTROL
    context = {
        "machine": machine,
        "right": right,
        "wanted_mode": wanted,
        "mode": wanted if right >= wanted.right else Mode.VIEW,
        "console_words": console_words(),
    }
    return render(request, "consoles/console.html", context | {name: TABLE[name] for name in HELPFUL})


HELPFUL = ("start", "restore", "resume")
"""The operations that the page offers when there is no picture, or a standing one."""
