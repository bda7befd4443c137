"""Pictures of screens: libvirt's test driver for the form, real guests for what they show and for faults."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from hypervisor import screenshots
from hypervisor.connection import Connection
from hypervisor.domain import Domain
from hypervisor.errors import DomainBusy, DomainInWrongState, DomainNotFound, NotSupported
from tests.guest import Guest
from tests.hypervisor.conftest import Real


def picture(domain: Domain) -> Image.Image:
    return Image.open(BytesIO(domain.screenshot())).convert("RGB")


def test_the_test_driver_has_a_picture(domain: Domain) -> None:
    assert min(picture(domain).size) > 10


def test_a_picture_larger_than_the_limit_is_refused(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "MOST_BYTES", 100)
    with pytest.raises(NotSupported, match="too large"):
        domain.screenshot()
    monkeypatch.undo()
    assert domain.screenshot()


@pytest.mark.guest
@pytest.mark.parametrize("options", [{}, {"graphics": ["spice"], "video": "qxl"}])
def test_a_guests_screen_is_pictured_and_changes(make_real: Callable[..., Real], options: dict[str, object]) -> None:
    real = make_real(**options)
    before = picture(real.domain)
    assert before.width >= 640
    real.guest.run("for i in 1 2 3 4 5 6 7 8 9; do echo '##################################' >/dev/tty1; done")
    after = picture(real.domain)
    assert after.tobytes() != before.tobytes()
    real.domain.suspend()
    assert picture(real.domain).size == after.size
    real.domain.destroy()
    with pytest.raises(DomainInWrongState):
        real.domain.screenshot()


@pytest.mark.guest
def test_a_guest_without_a_screen_has_no_picture(make_real: Callable[..., Real]) -> None:
    real, blind = make_real(wait=False), make_real(wait=False, graphics=[], video="none")
    with pytest.raises(DomainInWrongState, match="no such screen"):
        real.domain.screenshot(7)
    with pytest.raises(NotSupported, match="no picture"):
        blind.domain.screenshot()


@pytest.mark.guest
def test_a_stopped_guest_is_given_up_in_time_and_holds_up_no_other(
    make_guest: Callable[..., Guest], host: Connection
) -> None:
    stuck, other = make_guest(wait=False), make_guest(wait=False)
    domain, unharmed = host.domain(stuck.uuid), host.domain(other.uuid)
    os.kill(stuck.qemu_pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(DomainBusy):
                domain.screenshot(within=0.5)
            assert time.monotonic() - began < 1.5
            assert unharmed.screenshot()
            assert host.read(stuck.uuid)
            assert len(host.read_all()) >= 2
    finally:
        os.kill(stuck.qemu_pid, signal.SIGCONT)
    assert domain.screenshot(within=10)


@pytest.mark.guest
def test_a_domain_that_is_gone_has_no_picture(make_real: Callable[..., Real]) -> None:
    real = make_real(start=False)
    real.guest.virsh("undefine")
    with pytest.raises(DomainNotFound):
        real.domain.screenshot()
