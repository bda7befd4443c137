"""Finds out whether KVM runs guests on this machine: by running one, because a /dev/kvm that opens proves nothing."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from pathlib import Path

from demo.guest import GuestImage
from demo.guest_xml import DomainType

KVM = Path("/dev/kvm")
LIMIT = 6.0  # seconds; with KVM the guest is up in one
ANSWER = b"This is probe"  # the beginning of the guest's welcome on its serial console


def domain_type(image: GuestImage, state: Path) -> DomainType:
    """Return "kvm" when a guest answered under it within seconds, else "qemu"; tried once for each boot of the host.

    The answer is kept in the directory `state`.
    """
    kept = state / "acceleration"
    this_boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    words = kept.read_text().split() if kept.exists() else []
    if len(words) == 2 and words[0] == this_boot:
        return "kvm" if words[1] == "kvm" else "qemu"
    found: DomainType = "kvm" if os.access(KVM, os.R_OK | os.W_OK) and kvm_runs(image) else "qemu"
    state.mkdir(parents=True, exist_ok=True)
    kept.write_text(f"{this_boot} {found}\n")
    return found


def kvm_runs(image: GuestImage, limit: float = LIMIT) -> bool:
    """Boot the guest under KVM and say whether it came up within `limit` seconds."""
    qemu = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-machine", "q35,accel=kvm", "-cpu", "host", "-m", "128"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", "console=ttyS0 quiet GUEST_NAME=probe"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        return _says(qemu, ANSWER, limit)
    finally:
        qemu.kill()
        qemu.wait(timeout=LIMIT)


def _says(program: subprocess.Popen[bytes], words: bytes, limit: float) -> bool:
    """Say whether the program prints these words within `limit` seconds; one that has ended prints no more."""
    assert program.stdout  # noqa: S101 - it was started with a pipe
    heard = b""
    until = time.monotonic() + limit
    with selectors.DefaultSelector() as selector:
        selector.register(program.stdout, selectors.EVENT_READ)
        while (rest := until - time.monotonic()) > 0 and selector.select(rest):
            if not (data := os.read(program.stdout.fileno(), 4096)):
                return False
            heard += data
            if words in heard:
                return True
    return False
