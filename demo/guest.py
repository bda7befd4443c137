"""The small Linux guest of the demo and the tests: a kernel and an initramfs, made from Debian's packages in seconds.

    python -m demo.guest DIRECTORY

Nothing is installed, no privilege is needed: `apt-get download` and `dpkg -x`, then an archive written here.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demo.initramfs import Initramfs

FILES = Path(__file__).with_name("guest_files")
KERNEL_PACKAGE = "linux-image-cloud-amd64"
MODULES = (
    "virtio_pci",
    "virtio_console",
    "virtio_blk",
    "virtio_net",
    "virtio_balloon",
    "virtio_rng",
    "button",
    "evdev",
    "pvpanic_mmio",
)


class GuestNotBuilt(Exception):
    """A package could not be had or lacks what is expected; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What a domain boots directly: no disk, no boot loader."""

    kernel: Path
    initrd: Path


def build(cache: Path) -> GuestImage:
    """Return the guest's files in `cache`, building them unless this very recipe is there already.

    Raises:
        GuestNotBuilt: Debian's packages could not be downloaded or unpacked.
    """
    place = cache.absolute() / f"guest-{_recipe()}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
            result = Path(scratch) / "result"
            result.mkdir()
            _build_in(Path(scratch), result)
            try:
                result.rename(place)
            except OSError:  # another process was faster
                if not place.exists():
                    raise
    return GuestImage(kernel=place / "vmlinuz", initrd=place / "initrd")


def _build_in(scratch: Path, result: Path) -> None:
    root = scratch / "root"
    unpack([_kernel_package(), "busybox-static", "qemu-guest-agent"], scratch, root)
    shutil.copy(_one(root / "boot", "vmlinuz-*"), result / "vmlinuz")
    with (result / "initrd").open("wb") as file:
        archive = Initramfs(file)
        for path in sorted(FILES.rglob("*")):
            archive.add(path, str(path.relative_to(FILES)))
        archive.add_directory("root")
        busybox = _one(root / "bin", "busybox")
        archive.add(busybox, "bin/busybox")
        for applet in _run(str(busybox), "--list").split():
            if applet not in {"busybox", "shutdown"}:
                archive.add_link("bin/busybox", f"bin/{applet}")
        agent = _one(root / "usr/sbin", "qemu-ga")
        archive.add(agent, "bin/qemu-ga")
        for library in _libraries(agent):
            archive.add(library, str(library)[1:])
        modules = _modules(_one(root / "lib/modules", "*"))
        for module in modules:
            archive.add(module, f"modules/{module.name}")
        archive.add_text("".join(f"/modules/{module.name}\n" for module in modules), "modules/order")
        archive.close()


def _recipe() -> str:
    """Return a short name that changes when anything of the guest's making changes."""
    sources = [Path(__file__), *sorted(path for path in FILES.rglob("*") if path.is_file())]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:12]


def _kernel_package() -> str:
    """Return the package that the kernel's meta-package stands for today."""
    said = _run("apt-cache", "--no-all-versions", "show", KERNEL_PACKAGE)
    if not (found := re.search(r"^Depends: (linux-image-\S+)", said, re.MULTILINE)):
        raise GuestNotBuilt(f"{KERNEL_PACKAGE} names no kernel; this needs Debian 12 on amd64 with its package lists.")
    return found[1]


def unpack(packages: list[str], scratch: Path, root: Path) -> None:
    """Download Debian packages into `scratch`, where no others lie, and unpack them below `root`.

    Raises:
        GuestNotBuilt: they could not be had.
    """
    _run("apt-get", "--quiet", "download", *packages, cwd=scratch)
    for archive in scratch.glob("*.deb"):
        _run("dpkg", "-x", str(archive), str(root))


def _modules(tree: Path) -> list[Path]:
    """Return the modules, and those they need, in an order in which they can be loaded."""
    files = {path.stem.replace("-", "_"): path for path in tree.rglob("*.ko")}
    order: dict[str, Path] = {}

    def place(name: str) -> None:
        if name not in order:
            needs = re.search(rb"\0depends=([^\0]*)", files[name].read_bytes())
            for other in needs[1].decode().split(",") if needs and needs[1] else ():
                place(other)
            order[name] = files[name]

    for name in MODULES:
        place(name)
    return list(order.values())


def _libraries(program: Path) -> list[Path]:
    """Return the shared libraries of a program, from this machine (QEMU needs the same ones)."""
    said = _run("ldd", str(program))
    if missing := re.findall(r"(\S+) => not found", said):
        raise GuestNotBuilt(f"qemu-ga needs {', '.join(missing)}; run bin/setup.")
    return [Path(path) for path in re.findall(r"(/\S+) \(", said)]


def _one(directory: Path, pattern: str) -> Path:
    if not (found := sorted(directory.glob(pattern))):
        raise GuestNotBuilt(f"Debian's packages have no {directory.name}/{pattern} any more.")
    return found[0]


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        words = done.stderr.strip()
        raise GuestNotBuilt(f"{' '.join(command)} failed; `apt-get update` may be what is needed:\n{words}")
    return done.stdout


if __name__ == "__main__":
    image = build(Path(sys.argv[1]))
    print(image.kernel, image.initrd, sep="\n")
