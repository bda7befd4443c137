"""Readings as the seam would give them, for tests of what is made of them."""

from __future__ import annotations

import uuid
from typing import Any

from hypervisor.readings import Definition, Reading
from hypervisor.states import REASONS, DomainState

DEFINITION = Definition(
    xml="<domain/>", title="A title", vcpus=2, memory_bytes=2**30, video_model="vga", graphics=("vnc",), has_serial=True
)


def reading(
    state: DomainState = DomainState.RUNNING, reason: str = "booted", identity: uuid.UUID | None = None, **fields: Any
) -> Reading:
    """Return a persistent domain's reading, by libvirt's words."""
    defaults: dict[str, Any] = {
        "name": "machine",
        "persistent": True,
        "autostart": False,
        "has_saved_image": False,
        "snapshot_count": 0,
    }
    number = REASONS[state].index(reason)
    return Reading(uuid=identity or uuid.uuid4(), state=state, reason=number, **(defaults | fields))
