"""The small guest as a disk that boots by itself: what a template's machines begin with.

A FAT file system with SYSLINUX, kernel and initramfs, put together by mtools: no privilege is needed, and nothing is
installed, since both packages are only unpacked.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path

from demo import guest
from demo.guest import GuestImage, GuestNotBuilt
from demo.guest_xml import KERNEL_ARGUMENTS

BYTES = 48 * 2**20
_LOADER = "DEFAULT linux\nLABEL linux\nKERNEL vmlinuz\nINITRD initrd\nAPPEND {arguments}\n"


def build(image: GuestImage, cache: Path) -> Path:
    """Return the disk in `cache`, a raw file of BYTES, building it unless this very one is there already.

    Raises:
        GuestNotBuilt: Debian's packages could not be downloaded, or a step failed.
    """
    recipe = hashlib.sha256(Path(__file__).read_bytes() + str(image.kernel).encode()).hexdigest()[:12]
    disk = cache.absolute() / f"disk-{recipe}.raw"
    if not disk.exists():
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
            _build_in(Path(scratch), image).replace(disk)
    return disk


def _build_in(scratch: Path, image: GuestImage) -> Path:
    guest.unpack(["syslinux", "mtools"], scratch, scratch / "root")
    tools = scratch / "root/usr/bin"
    loader, disk = scratch / "syslinux.cfg", scratch / "disk.raw"
    loader.write_text(_LOADER.format(arguments=" ".join(KERNEL_ARGUMENTS)))
    disk.touch()
    os.truncate(disk, BYTES)
    _run(tools, "mformat", "-i", str(disk), "-T", str(BYTES // 512), "-h", "64", "-s", "32", "::")
    _run(tools, "mcopy", "-i", str(disk), str(image.kernel), str(image.initrd), str(loader), "::")
    _run(tools, "syslinux", "--install", str(disk))
    return disk


def _run(tools: Path, command: str, *words: str) -> None:
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}  # syslinux calls mtools
    done = subprocess.run([tools / command, *words], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise GuestNotBuilt(f"{command} failed while the guest's disk was made:\n{done.stderr.strip()}")
