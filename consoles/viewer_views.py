"""The button that opens a screen in virt-viewer."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_POST

from consoles import viewer_files
from consoles.models import Mode, Protocol
from consoles.viewer_files import CONTENT_TYPE, ViewerFile
from machines.access import Right, machine_or_404, right_over
from machines.models import Machine
from machines.refused import Refused
from people.logins import login_of


class ViewerFileForm(forms.Form):
    """What the button asks for; without a protocol the best that the machine has, without a mode what one may do."""

    protocol = forms.ChoiceField(choices=Protocol.choices, required=False)
    mode = forms.ChoiceField(choices=Mode.choices, required=False)
    microphone = forms.BooleanField(required=False)


@require_POST
@login_required
def viewer_file(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Answer a file that opens the machine's screen in virt-viewer; to who may not operate it, for looking only."""
    machine = machine_or_404(request.user, uuid, Right.VIEW)
    form = ViewerFileForm(request.POST)
    if not form.is_valid():
        return redirect(machine)
    try:
        made = viewer_files.make(
            machine,
            by=request.user,
            login=login_of(request),
            protocol=Protocol(form.cleaned_data["protocol"] or _best(machine)),
            mode=_mode(request, machine, form.cleaned_data["mode"]),
            address=request.META.get("REMOTE_ADDR") or None,
            microphone=form.cleaned_data["microphone"],
        )
        return answer(made)
    except Refused as refused:
        messages.error(request, f"{machine.name}: {refused.sentence}")
        return redirect(machine)


def answer(made: ViewerFile) -> HttpResponse:
    """Answer a file that browsers hand to virt-viewer and nobody keeps."""
    response = HttpResponse(made.text, content_type=CONTENT_TYPE)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=made.name)
    response["Cache-Control"] = "no-store"
    return response


def _mode(request: HttpRequest, machine: Machine, wanted: str) -> Mode:
    """Return the mode that is wanted, or what this person may do."""
    may_operate = right_over(request.user, machine) >= Right.OPERATE
    return Mode.CONTROL if may_operate and wanted != Mode.VIEW else Mode.VIEW


def _best(machine: Machine) -> Protocol:
    return next(iter(viewer_files.protocols_of(machine)), Protocol.SPICE)
