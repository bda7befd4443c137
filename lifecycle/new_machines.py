"""Machines that are made from XML: a row first, then its define or create, both or none."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from hypervisor import definition
from hypervisor.states import State
from lifecycle import operations
from lifecycle.definitions import demand_free_name, identity_of
from lifecycle.models import NewDisk, Operation
from machines import mirror
from machines.models import Host, Machine
from machines.parameters import bad
from machines.refused import Refused
from people.models import Project


def ask_for(
    by: User,
    xml: str,
    *,
    host: str = "",
    start: bool = False,
    persistent: bool = True,
    owner: str = "",
    project: str = "",
) -> Operation:
    """Make a machine's row from its definition and ask for its define, or for its create when it is to start.

    When that fails, the row stays undefined: the definition is not lost, and can be corrected and defined again.

    Args:
        by: an administrator.
        xml: its definition; without <uuid> it gets a new one.
        host: the host's name; may be empty when there is one only.
        start: start it too.
        persistent: define it; otherwise it lasts as long as it runs, so it has to be started.
        owner: the user name of who is to own it, or
        project: the name of the project; both empty for nobody.

    Raises:
        Refused: there is no such host, user or project, or their quota has no room for it, or the definition is none,
            or another machine has its UUID or name, or its host does not answer.
    """
    if not (start or persistent):
        raise bad("start", _("A transient machine exists only while it runs: start it too, or define it."))
    place, holder = _host(host), _holder(owner, project)
    uuid, name = identity_of(xml)
    _demand_unknown(uuid)
    demand_free_name(name, place, by)
    uuid = uuid or uuid4()
    described = definition.parse(definition.with_identity(xml, uuid))
    parameters: dict[str, Any] = {"persistent": persistent} if start else {}
    with transaction.atomic():
        try:
            machine = mirror.expect(place, uuid, name, described, owner=holder)
        except IntegrityError:
            _demand_unknown(uuid)
            raise
        return operations.request(machine, "create" if start else "define", by=by, parameters=parameters)


def with_new_disk(by: User, host: Host, xml: str, holder: User | Project, disk: NewDisk) -> Operation:
    """Make the row of a machine that is to get a new disk, and ask for its define, which makes the disk first.

    When that fails, the row stays undefined: its owner can define it again, and what is missing is made then.

    Args:
        by: who asks, an owner of it by way of the project, or an administrator.
        host: where.
        xml: its definition, with UUID and name, which names the disk by pool and volume.
        holder: who is to own it.
        disk: the disk, not yet saved; of no machine yet.

    Raises:
        Refused: the name is taken, the quota has no room, the host does not answer, or `by` has no right to it.
    """
    uuid, name = identity_of(xml)
    with transaction.atomic():
        Host.objects.select_for_update(no_key=True).get(
            pk=host.pk
        )  # of two with one name, the second hears of the first
        demand_free_name(name, host, by)
        described = definition.parse(xml)
        size = disk.capacity_bytes
        disk.machine = mirror.expect(host, uuid or uuid4(), name, described, owner=holder, disk_bytes=size)
        disk.save()
        return operations.request(disk.machine, "define", by=by, parameters={})


def _host(name: str) -> Host:
    hosts = list(Host.objects.filter(enabled=True, **({"name": name} if name else {}))[:2])
    if len(hosts) == 1:
        return hosts[0]
    if name:
        raise bad("host", _("There is no host “%(name)s” that is enabled.") % {"name": name[:63]})
    raise bad("host", _("Say on which host: there are several.") if hosts else _("There is no host yet."))


def _holder(owner: str, project: str) -> User | Project | None:
    if owner and project:
        raise bad("project", _("A machine belongs to a person or to a project: leave one empty."))
    if not project:
        return _owner(owner)
    if found := Project.objects.filter(name=project).first():
        return found
    raise bad("project", _("There is no project “%(name)s”.") % {"name": project[:80]})


def _owner(name: str) -> User | None:
    owner = User.objects.filter(username=name, is_active=True).first() if name else None
    if name and owner is None:
        raise bad("owner", _("There is no active user “%(name)s”.") % {"name": name[:150]})
    return owner


def _demand_unknown(uuid: UUID | None) -> None:
    machine = Machine.objects.filter(pk=uuid).first() if uuid else None
    if machine is None:
        return
    if machine.state == State.UNDEFINED:
        sentence = _("%(name)s has this UUID already and is undefined now: define it again, with this XML.")
    else:
        sentence = _("%(name)s has this UUID already: change its definition instead.")
    details = {"machine": str(machine.uuid), "state": machine.state}
    raise Refused("machine_exists", sentence % {"name": machine.name}, details=details)
