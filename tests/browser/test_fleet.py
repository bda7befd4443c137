"""What administrators announce shows on every open page by itself and goes by itself; their fleet's page is live."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, expect_connection, operation, path_of
from tests.browser.stage import Stage
from tests.browser.test_every_page import SIDEWAYS

pytestmark = [pytest.mark.guest, pytest.mark.browser]

TEXT = "The storage is being moved; what runs goes on. " * 3
ANNOUNCE = """
from datetime import timedelta
from maintenance.models import Maintenance
now = timezone.now()
Maintenance.objects.create(
    text=text, level='closed', begins_at=now + timedelta(seconds=begins), ends_at=now + timedelta(seconds=ends)
)
"""
FORGET = "from maintenance.models import Maintenance\nfor row in Maintenance.objects.all(): row.delete()"


def banner_of(page: Page) -> dict[str, float]:
    """How bright the banner and its words are, from 0 to 255, and how much it sticks out of the window."""
    return page.evaluate(
        """() => {
          const banner = document.querySelector("[data-maintenance]"), style = getComputedStyle(banner);
          const bright = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3;
          return { ground: bright(style.backgroundColor), words: bright(style.color),
                   out: banner.getBoundingClientRect().right - innerWidth };
        }"""
    )


def test_maintenance_comes_and_goes_on_open_pages_by_itself(stage: Stage, audience: Audience) -> None:
    stage.make_run(stage.office)
    desk = audience.page_of("owner", path_of(stage.office))
    phone = audience.page_of("owner", "/", viewport=PHONE, has_touch=True, is_mobile=True, color_scheme="dark")
    console = audience.page_of("owner", path_of(stage.office, "console/"))
    boss, admin = audience.page_of("admin", path_of(stage.office)), audience.page_of("admin", "/admin/")
    expect_connection(console, "connected")
    pages = [desk, phone, console, boss, admin]
    for page in pages:
        expect(page.locator("[data-maintenance]")).to_be_hidden()
        page.evaluate("window.neverReloaded = true")
    try:
        stage.backstage.run(ANNOUNCE, text=TEXT, begins=3, ends=18)
        for page in pages:
            expect(page.locator("[data-maintenance]")).to_contain_text("The storage is being moved", timeout=LIMIT)
        suspend = operation(desk, stage.office, "suspend")
        expect(suspend).to_have_attribute("aria-disabled", "true")
        assert "Nothing new can be begun" in suspend.get_attribute("title")
        expect(desk.locator("[data-obstacle]")).to_contain_text("Maintenance until")
        expect(operation(boss, stage.office, "suspend")).not_to_have_attribute("aria-disabled", "true")
        expect_connection(console, "connected")
        assert phone.evaluate(SIDEWAYS) <= 0
        dark, light = banner_of(phone), banner_of(desk)
        assert dark["ground"] < 80 < 170 < dark["words"]
        assert light["words"] < 80 < 170 < light["ground"]
        assert dark["out"] <= 0
        for page in pages:
            expect(page.locator("[data-maintenance]")).to_be_hidden(timeout=LIMIT)
        expect(suspend).not_to_have_attribute("aria-disabled", "true")
        assert all(page.evaluate("window.neverReloaded") for page in pages)
    finally:
        stage.backstage.run(FORGET)


def test_the_fleets_page_shows_an_open_console_and_ends_it(stage: Stage, audience: Audience) -> None:
    stage.make_run(stage.office)
    fleet = audience.page_of("admin", "/fleet/")
    phone = audience.page_of("admin", "/fleet/", viewport=PHONE, has_touch=True, is_mobile=True)
    fleet.evaluate("window.neverReloaded = true")
    console = audience.page_of("owner", path_of(stage.office, "console/"))
    expect_connection(console, "connected")
    item = fleet.locator("[data-console-session]", has_text="owner")
    expect(item).to_have_count(1, timeout=LIMIT)
    assert fleet.evaluate("window.neverReloaded")
    assert phone.evaluate(SIDEWAYS) <= 0
    item.get_by_role("button").click()
    expect_connection(console, "closed")
    expect(fleet.locator("[data-console-session]", has_text="owner")).to_have_count(0, timeout=LIMIT)
    fleet.locator("[data-host-row] a.name").first.click()
    fleet.wait_for_url("**/hosts/*/")
