"""Which of a machine's disks may be deleted with it, and why the others stay."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from hypervisor import definition
from hypervisor.errors import BadDefinition
from hypervisor.readings import Disk
from machines.access import rights_over
from machines.models import Machine


@dataclass(frozen=True, slots=True)
class DiskChoice:
    """One disk. `refusal` says why it cannot be deleted with its machine; empty when it can."""

    target: str
    path: str
    refusal: str

    @property
    def file(self) -> str:
        """What it is ticked by: its file, so that another disk in its place never goes instead; else its target."""
        return self.path or self.target


def disk_choices(machine: Machine, xml: str, by: User) -> list[DiskChoice]:
    """Return the disks of this definition of the machine; other machines are named to those who may see them.

    What the portal does not know of (machines made on the host a moment ago, images that build on this one) the host
    itself is asked for when a disk is deleted.
    """
    return [DiskChoice(disk.target, disk.source, _refusal(disk, machine, by)) for disk in definition.disks(xml)]


def _refusal(disk: Disk, machine: Machine, by: User) -> str:
    if disk.device != "disk" or disk.readonly:
        return _("It is a medium or read-only, not a disk of its own.")
    if not disk.source.startswith("/") or disk.source.startswith("/dev/"):
        return _("It is not a file.")
    if disk.shareable:
        return _("It is marked as shared with other machines.")
    if machine.conflict_host_id:
        return _("Another host shows this machine too, and may use it. An administrator has to look at that first.")
    if users := list(_other_users(disk.source, machine)):
        return _used_by(users, machine, by)
    return ""


def _used_by(users: list[Machine], machine: Machine, by: User) -> str:
    if all(user.host_id != machine.host_id for user in users):
        return _("A machine of another host has a disk of this path, and hosts may share storage.")
    rights = rights_over(by, [user.uuid for user in users])
    if seen := [user.name for user in users if user.uuid in rights]:
        return _("It is used by another machine too: %(names)s.") % {"names": ", ".join(sorted(seen))}
    return _("It is used by another machine too.")


def _other_users(path: str, machine: Machine) -> Iterator[Machine]:
    """Yield the other machines whose definition has this file, on any host, also those that are undefined just now."""
    path = _plain(path)
    telling = max(re.findall(r"[A-Za-z0-9_.-]+", path), key=len, default="")  # escaped in no XML
    others = Machine.objects.filter(definition_xml__contains=telling).exclude(pk=machine.pk)
    for other in others:
        if path in _paths(other.definition_xml):
            yield other


def _paths(xml: str) -> set[str]:
    try:
        return {_plain(disk.source) for disk in definition.disks(xml) if disk.source}
    except BadDefinition:
        return set()


def _plain(path: str) -> str:
    return "/" + posixpath.normpath(path).lstrip("/")
