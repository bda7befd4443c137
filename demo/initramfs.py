"""Writes the archive that Linux unpacks as its first root file system (cpio, "newc"), without needing root."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath
from typing import BinaryIO

ALIGNMENT = 4  # bytes
TRAILER = "TRAILER!!!"


class Initramfs:
    """An archive in the writing: everything belongs to root and is as old as time. Directories appear on their own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._names: set[str] = set()
        self.add_directory("dev")
        self._entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
        for name in ("proc", "sys"):
            self.add_directory(name)

    def add(self, path: Path, name: str) -> None:
        """Add a file as it is, following links; a directory without what is in it."""
        if path.is_dir():
            self.add_directory(name)
        else:
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            self._entry(name, stat.S_IFREG | mode, path.read_bytes())

    def add_text(self, text: str, name: str) -> None:
        """Add a file with this text."""
        self._entry(name, stat.S_IFREG | 0o644, text.encode())

    def add_link(self, target: str, name: str) -> None:
        """Add a symbolic link to `target`, a path from the root."""
        self._entry(name, stat.S_IFLNK | 0o777, f"/{target}".encode())

    def add_directory(self, name: str) -> None:
        """Add a directory, unless it is there."""
        if name not in self._names:
            self._entry(name, stat.S_IFDIR | 0o755)

    def close(self) -> None:
        """Write the end mark; the file stays open."""
        self._entry(TRAILER, 0)

    def _entry(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        parent = str(PurePosixPath(name).parent)
        if parent != ".":
            self.add_directory(parent)
        self._names.add(name)
        path = name.encode() + b"\0"
        numbers = (len(self._names), mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self._write(b"070701" + b"".join(b"%08X" % number for number in numbers) + path)
        self._write(data)

    def _write(self, data: bytes) -> None:
        self._file.write(data + b"\0" * (-len(data) % ALIGNMENT))
