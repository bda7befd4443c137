"""Pages that ask for an operation's parameters. What is refused comes back to them with all that was typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor import definition
from hypervisor.errors import BadDefinition
from lifecycle.disks import DiskChoice, disk_choices
from lifecycle.linux_chords import CHORDS
from lifecycle.models import Operation, SavedFile
from lifecycle.page_requests import user_of
from lifecycle.saved_files import fits, image_sentence, saved_files
from lifecycle.sight import Button, Sight, sight
from machines.access import Right
from machines.models import Machine
from machines.operation_table import FILE_NAME, TABLE
from machines.parameters import LONGEST_XML
from machines.refused import Refused


@dataclass(frozen=True, slots=True)
class FileRow:
    """One saved file: whether it fits the disks, and what may be done with it."""

    file: SavedFile
    fits: bool
    restore: Button
    delete: Button
    obstacle: str
    """Why it cannot be restored now; empty when it can."""


@dataclass(frozen=True, slots=True)
class FormPage:
    """A page of a machine with a form. `right`: who is shown it; `context`: what its template draws."""

    tab: str
    right: Right
    context: Callable[[HttpRequest, Sight], dict[str, Any]]


def show(request: HttpRequest, machine: Machine, page: FormPage, refused: Refused | None = None) -> HttpResponse:
    """Draw the page; with `refused`, what was posted and why it was refused."""
    seen = sight(request.user, machine)
    asked = {"tab": page.tab, "address": f"{seen.url}{page.tab}/", "refused": refused, "typed": request.POST}
    context = {"sight": seen, **asked, **page.context(request, seen)}
    status = refused.status if refused else 200
    return render(request, f"lifecycle/machine_{page.tab}.html", context, status=status)


def refused_page(request: HttpRequest, machine: Machine, kind: str, refused: Refused) -> HttpResponse | None:
    """Return the page to which this refusal goes back, None when it was not asked from one of these."""
    seen = sight(request.user, machine)
    if kind == "restore" and refused.code == "stale_file":
        context = {"machine": machine, "refused": refused, "typed": request.POST, "url": seen.url}
        return render(request, "lifecycle/restore_stale.html", context, status=refused.status)
    page = PAGES.get(kind)
    if page is None or "form" not in request.POST or seen.right < page.right:
        return None
    return show(request, machine, page, refused)


def _saved(_request: HttpRequest, seen: Sight) -> dict[str, Any]:
    return {
        "files": [_file_row(seen, file) for file in saved_files(seen.machine)],
        "save": seen.button(TABLE["save"], {"file": "name"}),
        "image_buttons": [seen.button(TABLE[name]) for name in ("restore", "discard-image")],
        "suggested_name": timezone.localtime().strftime("%Y-%m-%d-%H%M%S"),
        "name_pattern": FILE_NAME,
    }


def _file_row(seen: Sight, file: SavedFile) -> FileRow:
    given = {"file": file.name}
    restore, delete = seen.button(TABLE["restore"], given), seen.button(TABLE["delete-file"], given)
    obstacle = restore.refusal.sentence if restore.refusal else ""
    if not obstacle and seen.machine.has_saved_image:
        obstacle = image_sentence()
    return FileRow(file, fits(seen.machine, file), restore, delete, obstacle)


def _undefine(request: HttpRequest, seen: Sight) -> dict[str, Any]:
    machine = seen.machine
    on = machine.domain_id is not None
    running = _("Only when it is off.") if on else ""
    return {
        "undefine": seen.button(TABLE["undefine"]),
        "on": on,
        "disks": [(disk, disk.refusal or running) for disk in _disks(machine, request)],
        "nvram": _has_nvram(machine.definition_xml),
        "ticked": request.POST.getlist("disks"),
    }


def _disks(machine: Machine, request: HttpRequest) -> list[DiskChoice]:
    try:
        return disk_choices(machine, machine.definition_xml, user_of(request))
    except BadDefinition:
        return []


def _has_nvram(xml: str) -> bool:
    try:
        return definition.has_nvram(xml)
    except BadDefinition:
        return False


def _define(request: HttpRequest, seen: Sight) -> dict[str, Any]:
    """Offer what was typed, else what a failed operation was sent with, else the present definition."""
    failed = request.GET.get("operation", "")
    sent = Operation.objects.filter(pk=failed, machine=seen.machine).first() if _is_number(failed) else None
    kept = sent.parameters.get("xml") if sent else None
    return {
        "xml": request.POST.get("xml") or kept or seen.machine.definition_xml,
        "failed": sent,
        "most": LONGEST_XML,
        "define": seen.button(TABLE["define"], {"xml": "typed"}),
        "create": seen.button(TABLE["create"], {"xml": "typed"}),
    }


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def _keys(request: HttpRequest, seen: Sight) -> dict[str, Any]:
    buttons = {name: seen.button(TABLE[name]) for name in ("send-keys", "inject-nmi")}
    own = request.POST.get("keys", "")
    return {"chords": CHORDS, "send": buttons["send-keys"], "nmi": buttons["inject-nmi"], "own_keys": own}


SAVED = FormPage("saved", Right.OPERATE, _saved)
UNDEFINE = FormPage("undefine", Right.OWN, _undefine)
DEFINE = FormPage("define", Right.ADMIN, _define)
KEYS = FormPage("keys", Right.ADMIN, _keys)

PAGES: dict[str, FormPage] = {
    "save": SAVED,
    "restore": SAVED,
    "delete-file": SAVED,
    "undefine": UNDEFINE,
    "define": DEFINE,
    "create": DEFINE,
    "send-keys": KEYS,
}
"""Where the form of an operation is."""
