"""The console's page."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from consoles.chords import ALL, ROW, STICKY, chord_groups
from consoles.models import Mode, Protocol
from consoles.protocols import SCRIPTS, modules_for, protocol_shown, protocols_for
from consoles.tickets import has_picture
from consoles.words import console_words
from machines.access import Person, Right, is_visitor, machine_or_404, right_over
from machines.models import Machine
from machines.operation_table import TABLE
from machines.refusals import facts_of

HELPFUL = ("start", "restore", "resume", "wakeup")
"""The operations that the page offers when there is no picture, or a standing one."""


@require_safe
@login_required
def console(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Show one of a machine's displays (`?protocol=`); with `?mode=view` without touching it."""
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    right = right_over(request.user, machine)
    wanted = Mode.VIEW if request.GET.get("mode") == Mode.VIEW else Mode.CONTROL
    context = {
        "machine": machine,
        "facts": " ".join(sorted(facts_of(machine))),
        "right": right,
        "wanted_mode": wanted,
        "mode": wanted if right >= wanted.right else Mode.VIEW,
        "in_window": "window" in request.GET,
    }
    display = _display(machine, request.user, right, request.GET.get("protocol", ""))
    return render(request, "consoles/console.html", context | display | _frame())


def _display(machine: Machine, person: Person, right: Right, wanted: str) -> dict[str, Any]:
    """Return which display is shown, the modules that show it, and what there is to connect to at once."""
    visitor = Protocol.SPICE in machine.graphics and right < Right.OWN and is_visitor(person, machine)
    offered = protocols_for(machine, visitor=visitor)
    protocol = protocol_shown(offered, wanted)
    return {
        "protocol": protocol,
        "protocols": offered,
        "at_once": [protocol] if wanted == protocol else offered,
        "has_picture": bool(offered) and has_picture(machine) and machine.host.reachable,
        "wanted_protocol": wanted == protocol,
        "modules": modules_for(protocol),
    }


def _frame() -> dict[str, Any]:
    """Return what is the same around every screen."""
    return {
        "scripts": SCRIPTS,
        "console_words": console_words(),
        "chords": chord_groups(),
        "chord_keys": ALL,
        "sticky_keys": STICKY,
        "row_keys": ROW,
        **{name: TABLE[name] for name in HELPFUL},
    }
