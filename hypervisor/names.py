"""What volumes are called."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VolumeName:
    """A volume by its pool and name, which libvirt may not have made yet."""

    pool: str
    volume: str
