"""A recorded console: it is announced, and its recording shows again what was on the screen, at any time of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import expect_connection, path_of
from tests.browser.stage import OFFICE, Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]

LOOK = """() => {
    const canvas = document.querySelector("[data-part=screen] canvas");
    if (!canvas?.width) return "";
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let lit = 0;
    for (let place = 0; place < image.length; place += 4) lit += image[place] > 100;
    return String(lit);
}"""


@pytest.fixture(autouse=True)
def _office_is_recorded(stage: Stage) -> Iterator[None]:
    stage.make_run(OFFICE)
    put = "from consoles.models import ConsolePolicy; ConsolePolicy.objects.create(machine_id=uuid, record=True)"
    stage.backstage.run(put, uuid=str(stage.office.uuid))
    yield
    take = "from consoles.models import ConsolePolicy; ConsolePolicy.objects.filter(machine_id=uuid).delete()"
    stage.backstage.run(take, uuid=str(stage.office.uuid))


def lit(page: Page) -> int:
    """How many points of the player's picture are bright."""
    return int(page.evaluate(LOOK) or 0)


def test_a_recorded_console_says_so_and_is_replayed_with_seek_and_speed(audience: Audience, stage: Stage) -> None:
    audience.expect_complaint("willReadFrequently")
    page = audience.page_of("owner", path_of(stage.office, "console/?protocol=vnc"))
    expect_connection(page, "connected")
    expect(page.locator("[data-recorded-mark]")).to_be_visible()
    stage.office.run(
        "clear >/dev/tty1; sleep 2; for i in 1 2 3 4 5 6 7 8; do seq -s ' ' 1 200 >/dev/tty1; done; sleep 1"
    )
    page.wait_for_timeout(1000)
    page.goto(path_of(stage.office, "consoles/"))
    row = page.locator("[data-console-session]").first
    expect(row.get_by_role("link", name="Watch")).to_be_visible()
    row.get_by_role("link", name="Watch").click()

    player = page.locator("[data-player]")
    expect(player).to_have_attribute("data-player", "ready")
    play = page.locator("[data-part=play]")
    seek = page.locator("[data-part=seek]")
    page.locator("[data-part=speed]").select_option("4")
    duration = int(seek.get_attribute("max"))
    assert duration > 2500
    eventually(lambda: int(player.get_attribute("data-at")) == duration)
    expect(play).to_have_attribute("aria-pressed", "false")
    full = eventually(lambda: lit(page) > 5000 and lit(page))

    def drawn_at(milliseconds: int) -> int:
        seek.fill(str(milliseconds))
        page.wait_for_timeout(400)
        return lit(page)

    # while the guest slept, its screen was all but empty; the point of time is found from the end backwards
    assert any(drawn_at(duration - back) < full / 4 for back in range(1500, duration, 300))
    assert abs(drawn_at(duration) - full) < full / 20, "a cursor blinks, nothing else differs"


def test_others_have_no_player(audience: Audience, stage: Stage) -> None:
    page = audience.page_of("viewer", path_of(stage.office, "consoles/"))
    expect(page.get_by_role("link", name="Watch")).to_have_count(0)
