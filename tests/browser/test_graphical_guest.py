"""Mouse, wheel, drag and scaling at a guest with a mouse; what it shows is read by libvirt, not by the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import Audience
from tests.browser.stage import Stage, eventually
from tests.graphical_guest import Desktop, Screen, define_installer

pytestmark = [pytest.mark.guest, pytest.mark.browser, pytest.mark.full]

DISPLAYS = [("vnc", "vga"), ("spice", "qxl")]
BOOT_LIMIT = 400.0  # seconds; 50 on a quiet machine without KVM
WINDOWS = [(1400, 900), (1000, 640), (700, 500)]


@pytest.fixture(scope="module", params=DISPLAYS, ids=lambda display: display[0])
def desktop(request: pytest.FixtureRequest, stage: Stage) -> Iterator[tuple[str, Desktop]]:
    """The protocol, and the installer's language page on a machine of the owner's."""
    protocol, video = request.param
    guest = define_installer(
        stage.libvirt, f"desk-{protocol}", graphics=protocol, video=video, domain_type=stage.domain_type
    )
    stage.guests[guest.name] = guest
    stage.give(guest)
    guest.virsh("start")
    desktop = Desktop(guest, video)
    eventually(desktop.is_there, limit=BOOT_LIMIT, every=2)
    yield protocol, desktop
    stage.forget(guest.name)


def test_pointer_wheel_and_drag_reach_what_the_person_sees_in_windows_of_any_size(
    audience: Audience, desktop: tuple[str, Desktop]
) -> None:
    protocol, guest = desktop
    screen = guest.screen
    audience.expect_complaint("willReadFrequently")
    page = audience.page_of("owner", f"/machines/{guest.guest.uuid}/console/?protocol={protocol}")
    expect(page.locator("[data-console]")).to_have_attribute("data-connection", "connected")
    for number, (width, height) in enumerate(WINDOWS):
        page.set_viewport_size({"width": width, "height": height})
        row = 300 + 100 * number
        eventually(lambda row=row: _clicked(page, guest, row), every=1)

    before = guest.list_looks()
    page.mouse.move(*_at(page, screen, (600, 450)))
    page.mouse.wheel(0, 600)
    eventually(lambda: guest.list_looks() != before, every=0.5)

    scrolled = guest.list_looks()
    page.mouse.move(*_at(page, screen, screen.scrollbar))
    page.mouse.down()
    page.mouse.move(*_at(page, screen, (screen.scrollbar[0], screen.rows.stop - 100)), steps=8)
    page.mouse.up()
    eventually(lambda: guest.list_looks() != scrolled, every=0.5)


def _clicked(page: Page, guest: Desktop, row: int) -> bool:
    """Click at this height of the guest's screen; say whether that very row is chosen now."""
    page.mouse.click(*_at(page, guest.screen, (600, row)))
    page.wait_for_timeout(500)
    chosen = guest.chosen()
    return chosen is not None and abs(chosen - row) < 20


def _at(page: Page, screen: Screen, point: tuple[int, int]) -> tuple[float, float]:
    """Return where a point of the guest's screen is in the window."""
    box = page.locator("[data-screen] canvas").first.bounding_box()
    assert box
    return box["x"] + point[0] * box["width"] / screen.size[0], box["y"] + point[1] * box["height"] / screen.size[1]
