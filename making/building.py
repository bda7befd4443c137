"""From a template and a wish to a machine: its definition and its disk, which are asked of its host."""

from __future__ import annotations

from uuid import uuid4

from django.contrib.auth.models import User
from django.utils.translation import gettext as _

from hypervisor import blueprint
from hypervisor.blueprint import Blueprint
from hypervisor.names import VolumeName
from lifecycle import new_machines
from lifecycle.models import NewDisk, Operation
from machines.parameters import bad
from making.models import MachineTemplate
from making.wishes import Wish
from people.models import Project

MIB = 2**20
GIB = 2**30


def build(by: User, template: MachineTemplate, wish: Wish, holder: User | Project) -> Operation:
    """Make the machine's row and ask for its define, which makes the disk; runs in the caller's transaction.

    Raises:
        Refused: `bad_parameters`: who is to own it may not sign in; or as `lifecycle.new_machines.with_new_disk`.
    """
    if isinstance(holder, User) and not holder.is_active:
        raise bad("grant", _("Who asked for it may not sign in any more: decline it."))
    uuid, host = uuid4(), template.host
    disk = VolumeName(template.pool, f"{wish.name}-{uuid}.qcow2")
    plan = Blueprint(
        uuid=uuid,
        name=wish.name,
        vcpus=wish.vcpus,
        memory_bytes=wish.memory_mib * MIB,
        disk=disk,
        domain_type=template.domain_type or ("kvm" if "kvm" in host.domain_types else "qemu"),
        machine_type=template.machine_type,
        disk_bus=template.disk_bus,
        network=template.network,
        network_card=template.network_card,
        video=template.video,
        display=template.display,
    )
    new_disk = NewDisk(
        pool=disk.pool,
        volume=disk.volume,
        capacity_bytes=wish.disk_gib * GIB,
        image_pool=template.image_pool,
        image=template.image,
    )
    return new_machines.with_new_disk(by, host, blueprint.definition_of(plan), holder, new_disk)
