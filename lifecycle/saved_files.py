"""A machine's saved files: which there are, which of them still fit its disks, and what asking about them demands.

They are written, restored and deleted by `lifecycle.saved_file_acts`, in a worker.
"""

from __future__ import annotations

from typing import Any, TypedDict
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Count, Max
from django.utils import timezone
from django.utils.translation import gettext as _

from hypervisor.states import State
from lifecycle.models import SavedFile
from machines import mirror
from machines.models import Machine
from machines.refused import Refused


class SavedFilePayload(TypedDict):
    """A saved file as the API describes it. `fresh`: its machine has not run since, so it may be restored as it is."""

    name: str
    bytes: int
    saved_at: str
    saved_by: str | None
    fresh: bool
    complete: bool
    missing: bool


def saved_files(machine: Machine) -> list[SavedFile]:
    """Return a machine's saved files, newest first, also one that is just being written (one query)."""
    found = list(SavedFile.objects.filter(machine=machine).select_related("saved_by", "host"))
    for file in found:
        file.machine = machine
    return found


def saved_file(machine: Machine, name: str) -> SavedFile | None:
    """Return a machine's saved file of this name."""
    return next((file for file in saved_files(machine) if file.name == name), None)


def saved_file_payload(file: SavedFile) -> SavedFilePayload:
    """Describe a saved file; select machine and saved_by with the row."""
    return {
        "name": file.name,
        "bytes": file.bytes,
        "saved_at": file.saved_at.isoformat(),
        "saved_by": file.saved_by.get_username() if file.saved_by else None,
        "fresh": fits(file.machine, file),
        "complete": file.complete,
        "missing": file.missing,
    }


def fits(machine: Machine, file: SavedFile) -> bool:
    """Return whether it is certain that the disks are as they were when this file was written.

    It is not when the machine has run since, nor when it is off for another reason than having been saved: then
    somebody may have used its disks where nobody looked. A machine that was undefined since has not run.
    """
    return file.complete and file.runs == machine.runs and machine.state in {State.SAVED, State.UNDEFINED}


def restorable(machine: Machine) -> SavedFile | None:
    """Return the file from which a start or restore of this machine goes on: its newest, while that fits."""
    return next((file for file in saved_files(machine) if fits(machine, file)), None)


def note(machine: UUID) -> None:
    """Write on the machine's row how many saved files it has, and of which run the newest is.

    A missing one counts: until somebody says what to do without it, the machine must not boot as if nothing was lost.
    """
    found = SavedFile.objects.filter(machine=machine, complete=True).aggregate(count=Count("pk"), newest=Max("runs"))
    mirror.note_saved_files(machine, found["count"], found["newest"])


# What is demanded beside the table, before an operation is accepted (`lifecycle.demands`)


def demand_save(machine: Machine, parameters: dict[str, Any], _by: User) -> dict[str, Any]:
    """Refuse a name that the machine has a saved file of already."""
    name = parameters.get("file")
    if name and saved_file(machine, name):
        sentence = _("It has a saved file “%(name)s” already. Choose another name, or delete that file first.")
        raise Refused("file_exists", sentence % {"name": name}, details={"file": name})
    return parameters


def demand_restore(machine: Machine, parameters: dict[str, Any], _by: User) -> dict[str, Any]:
    """Refuse a file that is not there, that is older than the disks, or that a managed-save image goes before."""
    name = parameters.get("file")
    if not name:
        return {}
    file = _there(machine, name)
    if machine.has_saved_image:
        raise Refused("state_conflict", image_sentence(), details={"state": machine.state})
    if not fits(machine, file) and parameters.get("confirm") != machine.name:
        details = {"needs": "confirm", "file": name}
        raise Refused("stale_file", stale_sentence(machine, file), details=details)
    return parameters


def demand_delete(machine: Machine, parameters: dict[str, Any], _by: User) -> dict[str, Any]:
    """Refuse a file that is not there."""
    _there(machine, parameters["file"])
    return parameters


def _there(machine: Machine, name: str) -> SavedFile:
    file = saved_file(machine, name)
    if file is None or not file.complete:
        sentence = _("It has no saved file “%(name)s”.") % {"name": name}
        raise Refused("no_saved_file", sentence, status=404, details={"file": name})
    return file


def stale_sentence(machine: Machine, file: SavedFile) -> str:
    """Say why this file is not restored just so, and what to do if that is meant."""
    words = {"file": file.name, "when": _moment(file), "name": machine.name}
    if file.runs == machine.runs:
        sentence = _("“%(file)s” was saved on %(when)s, and %(name)s may have run since then: nobody can tell.")
    else:
        sentence = _("“%(file)s” was saved on %(when)s, and %(name)s has run since then.")
    danger = _(
        "Its disks have moved on: restoring old memory on newer disks damages their file systems. "
        "If that is what you want, type the machine's name."
    )
    return f"{sentence % words} {danger}"


def image_sentence() -> str:
    """Say that a managed-save image goes before any file."""
    return _("It has a managed-save image, which is newer than any file. Restore that image, or discard it, first.")


def nothing_sentence() -> str:
    """Say that there is nothing to restore from."""
    return _("It has neither a managed-save image nor a saved file that fits its disks.")


def _moment(file: SavedFile) -> str:
    return timezone.localtime(file.saved_at).strftime("%Y-%m-%d %H:%M %Z")
