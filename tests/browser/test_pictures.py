"""Pictures of screens on the pages: they come, they change with the screen, and they go where they may not be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.stage import OFFICE, SHELF, Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

LIT = """image => {
    const canvas = new OffscreenCanvas(image.naturalWidth ?? image.width, image.naturalHeight ?? image.height);
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, index) => index % 4 === 0 && value > 60).length / (canvas.width * canvas.height);
}"""
"""How much of a picture is not dark: 0 to 1."""
CLEAR = "printf '\\033[2J\\033[H' > /dev/tty1"
WITHIN = 20_000
"""Milliseconds."""
PAINT = "for i in $(seq 24); do printf '\\033[7m%80s\\033[0m\\n' ' '; done > /dev/tty1"


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)


@pytest.fixture
def easel(stage: Stage) -> Iterator[Guest]:
    """A machine with a QXL screen that only SPICE shows; owner's, and viewer may look at it."""
    guest = stage.define("easel", graphics=["spice"], video="qxl")
    guest.virsh("start")
    stage.give(guest)
    stage.grant(guest, "viewer")
    guest.wait_for_agent()
    yield guest
    stage.forget("easel")


@pytest.fixture
def allowed_again(stage: Stage) -> Iterator[None]:
    yield
    stage.backstage.run("from consoles.models import ConsolePolicy; ConsolePolicy.objects.all().delete()")


def console(page: Page, connection: str) -> None:
    """Wait until the console's page is in this state."""
    expect(page.locator("[data-console]")).to_have_attribute("data-connection", connection, timeout=WITHIN)


def streams(stage: Stage) -> list[list[str]]:
    """The streams of pictures on record, newest first: who, and how it ended."""
    code = """
rows = ConsoleSession.objects.filter(protocol="pictures").order_by("-asked_at")
value = [list(row) for row in rows.values_list("user__username", "end_reason")]
"""
    return stage.backstage.run(code)


def picture_of(page: Page, stage: Stage, name: str) -> Locator:
    return page.locator(f'[data-machine="{stage.ids[name]}"] [data-picture] img')


def asked(page: Page) -> list[str]:
    """Have what the page asks pictures of be noted, from now on."""
    found: list[str] = []
    page.on("request", lambda request: request.url.endswith("/api/v1/pictures") and found.append(request.post_data))
    return found


def test_the_list_shows_a_screen_and_its_changes_and_moves_nothing(stage: Stage, audience: Audience) -> None:
    stage.in_guest(OFFICE, CLEAR)
    page = audience.page_of("owner", "/operations/")
    requests = asked(page)
    page.goto("/")
    height = page.locator("[data-rows]").bounding_box()
    picture = picture_of(page, stage, OFFICE)
    expect(picture).to_be_visible(timeout=WITHIN)
    expect(picture).to_have_attribute("alt", "Screen of office")
    assert page.locator("[data-rows]").bounding_box() == height
    before, dark = picture.get_attribute("src"), picture.evaluate(LIT)
    stage.in_guest(OFFICE, PAINT)
    eventually(lambda: picture.get_attribute("src") != before and picture.evaluate(LIT) > dark + 0.2)
    assert picture_of(page, stage, SHELF).count() == 0
    assert requests
    assert not [one for one in requests if str(stage.ids[SHELF]) in one], "it is off"


def test_the_machines_page_shows_it_large_and_leads_to_the_console(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("viewer", f"/machines/{stage.ids[OFFICE]}/", viewport=PHONE)
    picture = picture_of(page, stage, OFFICE)
    expect(picture).to_be_visible(timeout=WITHIN)
    assert picture.evaluate("image => image.naturalWidth") >= 640
    page.locator("a.screen").click()
    page.wait_for_url("**/console/**")
    audience.expect_complaint("willReadFrequently")


def test_pictures_switched_off_are_gone_from_open_pages_at_once_and_come_again(
    stage: Stage, audience: Audience, allowed_again: None
) -> None:
    stage.in_guest(OFFICE, CLEAR)
    onlooker = audience.page_of("viewer")
    expect(picture_of(onlooker, stage, OFFICE)).to_be_visible(timeout=WITHIN)
    page = audience.page_of("owner", f"/machines/{stage.ids[OFFICE]}/")
    expect(picture_of(page, stage, OFFICE)).to_be_visible(timeout=WITHIN)
    switch = page.get_by_role("switch", name="Show small pictures of its screen")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    expect(picture_of(onlooker, stage, OFFICE)).to_have_count(0, timeout=WITHIN)
    expect(onlooker.locator("[data-picture][data-off]")).to_have_attribute(
        "title", "Pictures of this screen are switched off."
    )
    expect(page.get_by_text("Open the console")).to_be_visible()
    assert picture_of(page, stage, OFFICE).count() == 0
    switch.click()
    expect(picture_of(onlooker, stage, OFFICE)).to_be_visible(timeout=WITHIN)
    expect(picture_of(page, stage, OFFICE)).to_be_visible(timeout=WITHIN)


def test_a_picture_goes_with_the_machine_and_comes_with_it(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("viewer", viewport=PHONE)
    expect(picture_of(page, stage, OFFICE)).to_be_visible(timeout=WITHIN)
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    stage.virsh("destroy", OFFICE)
    expect(picture_of(page, stage, OFFICE)).to_have_count(0, timeout=WITHIN)
    stage.virsh("start", OFFICE)
    expect(picture_of(page, stage, OFFICE)).to_be_visible(timeout=WITHIN)


def test_helpdesk_sees_the_state_and_asks_for_no_picture(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("helpdesk", "/operations/")
    requests = asked(page)
    page.goto("/")
    expect(page.locator(f'tr[data-machine="{stage.ids[OFFICE]}"]')).to_be_visible()
    page.wait_for_timeout(500)
    assert requests == []


def test_who_comes_second_to_a_spice_screen_looks_on_by_pictures_until_the_right_is_gone(
    stage: Stage, audience: Audience, easel: Guest
) -> None:
    easel.run(CLEAR)
    owner = audience.page_of("owner", f"/machines/{easel.uuid}/console/")
    console(owner, "connected")
    for words in ("409", "404", "willReadFrequently"):
        audience.expect_complaint(words)
    viewer = audience.page_of("viewer", f"/machines/{easel.uuid}/console/")
    console(viewer, "closed")
    expect(viewer.get_by_text("owner is at this screen")).to_be_visible()
    viewer.get_by_role("link", name="Look on by pictures").click()
    console(viewer, "connected")
    expect(viewer.get_by_text("Pictures, about once a second. owner is on the SPICE screen.")).to_be_visible()
    canvas = viewer.locator("canvas.console-pictures")
    dark = canvas.evaluate(LIT)
    easel.run(PAINT)
    eventually(lambda: canvas.evaluate(LIT) > dark + 0.2)
    console(owner, "connected")
    assert streams(stage)[0] == ["viewer", ""]

    stage.revoke(easel)
    expect(viewer.locator("[data-console]")).to_have_attribute("data-connection", "closed", timeout=2000)
    expect(canvas).to_have_count(0)
    assert streams(stage)[0] == ["viewer", "revoked"]
    console(owner, "connected")


def test_leaving_the_page_ends_the_stream(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("viewer", f"/machines/{stage.ids[OFFICE]}/console/?protocol=pictures", viewport=PHONE)
    console(page, "connected")
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
    page.goto("/")
    eventually(lambda: streams(stage)[0] == ["viewer", "left"])
