"""Templates that people may ask for."""

from __future__ import annotations

import pytest

from machines.models import Host
from making.models import MachineTemplate


@pytest.fixture
def template(host: Host) -> MachineTemplate:
    """A template for everybody, with limits, on a host that answers."""
    Host.objects.filter(pk=host.pk).update(reachable=True, domain_types=["qemu"], machine_types=["q35", "pc"])
    return MachineTemplate.objects.create(
        name="Small",
        summary="For a try.",
        host=host,
        vcpus=1,
        memory_mib=512,
        disk_gib=4,
        most_vcpus=2,
        most_memory_mib=1024,
        most_disk_gib=8,
    )
