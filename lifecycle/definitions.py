"""What is demanded of a definition before `define` and `create`, and of a machine before `undefine`.

What reads XML is imported where it is used: beat and others that import this module need no XML library in memory.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisor.errors import BadDefinition
from hypervisor.states import State
from lifecycle.models import OPEN, Operation
from lifecycle.saved_files import restorable
from machines.access import right_over
from machines.models import Host, Machine
from machines.refused import Refused

LONGEST_NAME = 255


def demand_definition(machine: Machine, parameters: dict[str, Any], by: User) -> dict[str, Any]:
    """Let a machine be defined or created from XML that is handed over, or else from its last.

    Raises:
        Refused: there is no XML, it is no definition, or it is another machine's by UUID or name.
    """
    xml = parameters.get("xml") or machine.definition_xml
    if not xml:
        raise Refused("no_definition", _("The portal has no definition of %(name)s.") % {"name": machine.name})
    uuid, name = identity_of(xml)
    if uuid and uuid != machine.uuid:
        raise _other_machine(uuid, machine, by)
    if machine.state != State.UNDEFINED and name != machine.name:
        sentence = _("Its name is “%(name)s”, and this definition says “%(other)s”: a defined machine keeps its name.")
        raise Refused("name_differs", sentence % {"name": machine.name, "other": name})
    demand_free_name(name, machine.host, by, besides=machine.uuid)
    return parameters


def demand_creation(machine: Machine, parameters: dict[str, Any], by: User) -> dict[str, Any]:
    """Let a machine be created as `demand_definition` says, unless a saved file would be lost by that.

    Raises:
        Refused: as `demand_definition`; or it was saved to a file that fits, which a boot from its disks makes stale.
    """
    if file := restorable(machine):
        sentence = _(
            "It was saved to “%(file)s” and has not run since: booting it now would lose what was in its memory. "
            "Restore that file; or, if its memory may be lost, define the machine and boot it afresh."
        )
        raise Refused("saved_file", sentence % {"file": file.name}, details={"file": file.name})
    return demand_definition(machine, parameters, by)


def identity_of(xml: str) -> tuple[UUID | None, str]:
    """Return the UUID and the name that a definition says, the UUID None where it says none.

    Raises:
        Refused: `bad_definition` (400): it is no definition, or has no name.
    """
    from hypervisor import definition

    try:
        uuid, name = definition.identity(xml)
    except BadDefinition as error:
        raise Refused("bad_definition", error.sentence, status=400, details={"text": error.text}) from error
    if not name or len(name) > LONGEST_NAME:
        sentence = _("A definition needs a <name> of at most %(longest)s characters.") % {"longest": LONGEST_NAME}
        raise Refused("bad_definition", sentence, status=400)
    return uuid, name


def demand_free_name(name: str, host: Host, by: User, besides: UUID | None = None) -> None:
    """See to it that no other machine on this host has this name, or is just being made with it, as far as is known.

    Raises:
        Refused: `name_taken`; it says which machine has it to those who may see it.
    """
    being_made = Operation.objects.filter(status__in=OPEN).values("machine")
    there = ~Q(state=State.UNDEFINED) | Q(pk__in=being_made)
    for other in Machine.objects.filter(there, host=host, name=name):
        if other.uuid == besides:
            continue
        details = {"machine": str(other.uuid)} if right_over(by, other) else {}
        sentence = _("Another machine on this host has the name “%(name)s”.") % {"name": name}
        raise Refused("name_taken", sentence, details=details)


def demand_that_nothing_is_lost_unsaid(machine: Machine, parameters: dict[str, Any], by: User) -> dict[str, Any]:
    """Let a machine be undefined when all that would go with it is ticked, and nothing that others need.

    Disks are named by target or by file, and kept by file: in the worker another disk may be in that place.

    Raises:
        Refused: `would_lose` names what is not ticked; `disk_stays` says why a ticked disk cannot be deleted.
    """
    if lost := _unsaid(machine, parameters):
        words = _(" and ").join(lost.values())
        sentence = _("It has %(things)s, lost when it is undefined. Tick what may go with it, or keep it defined.")
        raise Refused("would_lose", sentence % {"things": words}, details={"parameters": list(lost)})
    return parameters | {"disks": _files_to_delete(machine, parameters["disks"], by)}


def _unsaid(machine: Machine, parameters: dict[str, Any]) -> dict[str, str]:
    """Return what undefining destroys without having been ticked, by the parameter that would tick it."""
    lost = {}
    if machine.has_saved_image and not parameters["saved_image"]:
        lost["saved_image"] = _("a managed-save image")
    if machine.snapshot_count and not parameters["snapshots"]:
        words = ngettext("%(number)s snapshot", "%(number)s snapshots", machine.snapshot_count)
        lost["snapshots"] = words % {"number": machine.snapshot_count}
    return lost


def _files_to_delete(machine: Machine, disks: list[str], by: User) -> list[str]:
    if not disks:
        return []
    if machine.domain_id is not None:
        raise Refused("disk_stays", _("Its disks can be deleted when it is off only. Shut it down first."))
    from lifecycle.disks import disk_choices

    choices = disk_choices(machine, machine.definition_xml, by)
    files = {name: choice for choice in choices for name in (choice.target, choice.file)}
    for disk in disks:
        if disk not in files:
            sentence = _("“disks” names “%(disk)s”, which is none of its disks.") % {"disk": disk}
            raise Refused("bad_parameters", sentence, status=400, details={"parameter": "disks"})
        if refusal := files[disk].refusal:
            target = files[disk].target
            raise Refused("disk_stays", f"{target}: {refusal}", details={"disk": target})
    return list(dict.fromkeys(files[disk].file for disk in disks))


def _other_machine(uuid: UUID, machine: Machine, by: User) -> Refused:
    other = Machine.objects.filter(pk=uuid).first()
    seen = other is not None and bool(right_over(by, other))
    if other is not None and seen:
        sentence = _("This definition is of another machine, %(other)s (UUID %(uuid)s), not of %(name)s.")
        words = {"other": other.name, "uuid": uuid, "name": machine.name}
    else:
        sentence = _("This definition has the UUID %(uuid)s; that of %(name)s is %(own)s.")
        words = {"uuid": uuid, "name": machine.name, "own": machine.uuid}
    return Refused("uuid_differs", sentence % words, details={"uuid": str(uuid)})
