"""The storage pool of the demo's saved files: in its state directory, known to libvirt while the demo runs."""

from __future__ import annotations

from contextlib import suppress
from typing import Self

from demo.libvirtd import LibvirtFailed, virsh
from demo.state import StateDirectory


class SavedPool:
    """A name and a place for the portal, which makes the pool when it first saves; a context manager: gone after it."""

    def __init__(self, uri: str, state: StateDirectory) -> None:
        self.uri = uri
        self.name = f"kvmportal-demo-{state.identity.hex[:12]}"
        self.directory = state.path / "saved"

    @property
    def environment(self) -> dict[str, str]:
        """Return the portal's settings for it."""
        return {"SAVED_FILES_POOL": self.name, "SAVED_FILES_DIR": str(self.directory)}

    def __enter__(self) -> Self:
        """Begin; nothing is there yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Have libvirt forget the pool; the files stay for the next time."""
        for command in ("pool-destroy", "pool-undefine"):
            with suppress(LibvirtFailed):
                virsh(self.uri, command, self.name)
