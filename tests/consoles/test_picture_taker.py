"""Taking pictures of a host: libvirt's test driver for the flow, real guests for what hangs and what is shown."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from consoles import picture_shelf, picture_taker, thumbnails
from consoles.picture_sizes import Size
from consoles.picture_taker import PictureTaker
from demo.libvirtd import PrivateLibvirtd
from demo.servers import RedisServer
from machines import companions, leases
from machines.models import Host, Machine
from tests.cast import MakeMachine
from tests.consoles.peers import eventually as soon
from tests.guest import Guest
from tests.machines.conftest import Pushes

pytestmark = pytest.mark.django_db(transaction=True)

TEST_DOMAIN = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")

PATIENCE = 30.0
"""Seconds; what hangs in these tests hangs until their end."""

Begin = Callable[[Host], PictureTaker]


def patiently(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    return soon(condition, within)


@pytest.fixture
def begin(transactional_db: None) -> Iterator[Begin]:
    """A function that takes a host's pictures, as its watcher does."""
    begun: list[PictureTaker] = []

    def begin(host: Host) -> PictureTaker:
        held = leases.take(host.pk, f"test {len(begun)}")
        assert held
        begun.append(PictureTaker(host.name, host.uri, held))
        return begun[-1]

    yield begin
    for one in begun:
        one.close()
    patiently(lambda: not [one for one in begun if one._thread.is_alive()])


@pytest.fixture
def driver(make_machine: MakeMachine) -> Machine:
    """The test driver's machine; its host is that of the cast."""
    return make_machine("test", uuid=TEST_DOMAIN)


@pytest.fixture
def pushes(redis_server: RedisServer) -> Iterator[Pushes]:
    """What is pushed from now on."""
    pushes = Pushes(redis_server.url)
    yield pushes
    pushes.close()


def want(machine: Machine, size: Size = Size.SMALL) -> None:
    picture_shelf.want({machine.pk: machine.host_id}, size)


def version(machine: Machine, size: Size = Size.SMALL) -> int | None:
    return picture_shelf.versions([machine.pk], size).get(machine.pk)


def wanted(machine: Machine) -> int:
    """Look at a machine's stream; return the version of its last picture, 0 when there is none."""
    want(machine, Size.STREAM)
    return version(machine, Size.STREAM) or 0


def screen(machine: Machine, size: Size = Size.SMALL) -> Image.Image:
    found = picture_shelf.picture(machine.pk, size)
    assert found
    return Image.open(BytesIO(found.image)).convert("L")


def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, UUID]]:
    """Have every picture that is taken from now on noted, with its time."""
    found: list[tuple[float, UUID]] = []
    take = PictureTaker._take

    def noting(self: PictureTaker, machine: UUID, sizes: set[Size]) -> None:
        found.append((time.monotonic(), machine))
        take(self, machine, sizes)

    monkeypatch.setattr(PictureTaker, "_take", noting)
    return found


def test_the_watcher_of_a_host_has_its_pictures_taken() -> None:
    assert len(companions.companions) == 1


def test_only_a_machine_that_somebody_looks_at_is_taken(
    begin: Begin, driver: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = taken(monkeypatch)
    begin(driver.host)
    time.sleep(1.2)
    assert noted == []
    want(driver)
    patiently(lambda: version(driver))
    assert version(driver, Size.STREAM) is None
    assert screen(driver).width <= 320


def test_a_machine_is_taken_no_more_often_than_wanted_and_no_more_when_nobody_looks(
    begin: Begin, driver: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = taken(monkeypatch)
    want(driver, Size.STREAM)
    want(driver, Size.SMALL)
    begin(driver.host)
    patiently(lambda: len(noted) >= 4)
    (first, _), (last, _) = noted[0], noted[3]
    assert last - first > 3 * 0.8
    picture_shelf.redis_client().flushdb()
    time.sleep(1.0)
    before = len(noted)
    time.sleep(2.0)
    assert len(noted) == before


def test_a_host_gives_five_pictures_a_second_at_most(
    begin: Begin, make_machine: MakeMachine, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = taken(monkeypatch)
    for number in range(30):
        want(make_machine(f"m{number}"))
    begin(host)
    patiently(lambda: len(noted) >= 16)
    (first, _), (last, _) = noted[0], noted[15]
    assert last - first > 15 / 5 * 0.8
    assert len({machine for _, machine in noted[:16]}) == 16


def test_what_may_not_be_shown_is_not_taken(
    begin: Begin, driver: Machine, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = taken(monkeypatch)
    for one in (make_machine("off", state="shutoff"), make_machine("blind", graphics=[])):
        want(one)
    thumbnails.switch(driver, on=False)
    want(driver)
    begin(driver.host)
    time.sleep(1.5)
    assert noted == []
    want(driver, Size.STREAM)  # who opens a console is on record and shown
    patiently(lambda: version(driver, Size.STREAM))
    assert version(driver) is None
    thumbnails.switch(driver, on=True)
    patiently(lambda: version(driver))
    thumbnails.switch(driver, on=False)
    assert version(driver) is None


def test_each_watcher_takes_its_own_hosts_only(
    begin: Begin, driver: Machine, make_machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted = taken(monkeypatch)
    other = Host.objects.create(name="other", uri="test:///default?other", reachable=True)
    begin(other)
    want(driver)
    picture_shelf.want({driver.pk: other.pk}, Size.SMALL)  # it was the other host's a moment ago
    time.sleep(1.5)
    assert noted == []
    begin(driver.host)
    patiently(lambda: version(driver))
    assert {machine for _, machine in noted} == {driver.pk}


def test_a_screen_that_has_not_changed_is_no_news(begin: Begin, driver: Machine, pushes: Pushes, monkeypatch) -> None:
    noted = taken(monkeypatch)
    want(driver, Size.STREAM)
    begin(driver.host)
    patiently(lambda: len(noted) >= 3)
    messages = [message for _, message in pushes.take() if message["type"] == "picture"]
    number = version(driver, Size.STREAM)
    assert messages == [{"type": "picture", "machine": str(driver.pk), "size": "stream", "version": number}]


def test_an_outage_of_redis_is_waited_for(begin: Begin, driver: Machine, redis_server, monkeypatch) -> None:
    monkeypatch.setattr(picture_taker, "RETRY_AFTER", 0.2)
    begin(driver.host)
    redis_server.end()
    time.sleep(1)
    redis_server.start()
    want(driver)
    patiently(lambda: version(driver))


# Real guests


@pytest.fixture
def real_host(transactional_db: None, libvirtd: PrivateLibvirtd) -> Host:
    return Host.objects.create(name="real", uri=libvirtd.uri, reachable=True)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.guest
def test_a_guest_that_hangs_keeps_no_other_from_its_picture(
    begin: Begin, real_host: Host, make_machine: MakeMachine, make_guest: Callable[..., Guest]
) -> None:
    stuck, well = (make_guest(wait=False, video="qxl", graphics=["spice"]), make_guest())
    hangs, shows = (make_machine(one.name, uuid=one.uuid, host=real_host) for one in (stuck, well))
    with stopped(stuck.qemu_pid):
        begin(real_host)
        for one in (hangs, shows):
            want(one, Size.STREAM)
        patiently(lambda: wanted(shows))
        for number in range(3):
            before = wanted(shows)
            well.run(f"echo; echo {number} {number} {number} > /dev/tty1")
            patiently(lambda before=before: wanted(shows) > before)
        assert version(hangs, Size.STREAM) is None
    patiently(lambda: wanted(hangs), 90)
    assert max(screen(hangs, Size.STREAM).getdata()) > 0


@pytest.mark.guest
def test_a_paused_guest_still_has_a_picture(
    begin: Begin, real_host: Host, make_machine: MakeMachine, make_guest: Callable[..., Guest]
) -> None:
    guest = make_guest()
    machine = make_machine(guest.name, uuid=guest.uuid, host=real_host, state="paused")
    guest.run("echo; echo 'a line of text' > /dev/tty1")
    guest.virsh("suspend")
    begin(real_host)
    want(machine)
    patiently(lambda: version(machine))
    assert max(screen(machine).getdata()) > 60
