"""A file system of 24 MiB that only a private libvirt sees: less than the memory of any guest needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from demo.libvirtd import PrivateLibvirtd

SIZE = 24 * 2**20


@contextmanager
def small_storage(libvirtd: PrivateLibvirtd, place: Path) -> Iterator[None]:
    """Mount it over a directory, for this libvirt alone; skip the test where nothing can be mounted."""
    if os.geteuid() or not shutil.which("mkfs.ext4") or not shutil.which("nsenter"):
        pytest.skip("needs root, mkfs.ext4 and nsenter")
    inside = ["nsenter", "--target", str(libvirtd.pid), "--mount"]
    place.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(suffix=".img") as image:
        image.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", image.name], check=True)
        mount = [*inside, "mount", "-o", "loop", image.name, place]
        mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
        if mounted.returncode:
            pytest.skip(f"no loop devices here: {mounted.stderr}")
        try:
            yield
        finally:
            subprocess.run([*inside, "umount", "--lazy", place], check=True)
