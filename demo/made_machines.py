"""What people make in the demo: a storage pool with an image, and the machines that were made there.

They are on the host while the demo runs, like the demo's own machines; their disks and definitions stay for the next
time, as long as the state directory does.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Self

from lxml import etree

from demo import disk_image, guest
from demo.libvirtd import LibvirtFailed, virsh
from demo.machines import cache_directory
from demo.state import StateDirectory

IMAGE = "small-linux.raw"


class MadeMachines:
    """The pool and the machines whose disks are in it, on the host at `uri`; a context manager: gone after it."""

    def __init__(self, uri: str, state: StateDirectory) -> None:
        self.uri = uri
        self.pool = f"kvmportal-demo-disks-{state.identity.hex[:12]}"
        self._disks = cache_directory() / self.pool
        self._of = self._disks.with_suffix(".state")
        """Beside the disks: the path of the state directory that they belong to."""
        self._kept = state.path / "made"

    def __enter__(self) -> Self:
        """Have the pool, its image and the machines of the last time.

        Raises:
            GuestNotBuilt: the image could not be made.
            LibvirtFailed: libvirt refused the pool.
        """
        self._remove_what_is_left_behind()
        self._disks.mkdir(parents=True, exist_ok=True)
        self._of.write_text(str(self._kept.parent))
        self._kept.mkdir(exist_ok=True)
        if not (self._disks / IMAGE).exists():
            cache = cache_directory()
            draft = self._disks / f".{IMAGE}"
            shutil.copyfile(disk_image.build(guest.build(cache), cache), draft)
            draft.replace(self._disks / IMAGE)
        self._forget_pool()
        virsh(self.uri, "pool-create-as", self.pool, "dir", "--target", str(self._disks))
        for kept in sorted(self._kept.glob("*.xml")):
            with suppress(LibvirtFailed):  # somebody's machine has the name now; the file stays
                virsh(self.uri, "define", str(kept))
                kept.unlink()
        return self

    def __exit__(self, *_: object) -> None:
        """Keep the definitions, and take machines and pool off the host."""
        for domain in virsh(self.uri, "list", "--all", "--uuid").split():
            with suppress(LibvirtFailed):  # it is gone meanwhile
                xml = virsh(self.uri, "dumpxml", "--inactive", domain)
                if self._is_ours(xml):
                    (self._kept / f"{domain}.xml").write_text(xml)
                    self._take_off(domain)
        self._forget_pool()
        if not any(self._kept.iterdir()):
            shutil.rmtree(self._disks)
            self._of.unlink()

    def _remove_what_is_left_behind(self) -> None:
        """Remove the disks of demos whose state directories have been removed."""
        for mark in self._disks.parent.glob("kvmportal-demo-disks-*.state"):
            if not Path(mark.read_text()).exists():
                shutil.rmtree(mark.with_suffix(""), ignore_errors=True)
                mark.unlink(missing_ok=True)

    def _is_ours(self, xml: str) -> bool:
        files = [source.get("file", "") for source in etree.fromstring(xml).iterfind("devices/disk/source")]
        return any(Path(file).parent == self._disks for file in files)

    def _take_off(self, domain: str) -> None:
        with suppress(LibvirtFailed):  # it may be off
            virsh(self.uri, "destroy", domain)
        virsh(self.uri, "undefine", domain, "--managed-save", "--snapshots-metadata", "--nvram")

    def _forget_pool(self) -> None:
        with suppress(LibvirtFailed):
            virsh(self.uri, "pool-destroy", self.pool)
