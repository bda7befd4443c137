"""Every page, as every role: no complaint in the browser's console (scripts, styles, CSP), and room on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import expect_state, path_of, press, shown
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def operation_page(stage: Stage, audience: Audience) -> str:
    """The path of the page of an operation that ended."""
    stage.make_run(stage.lab)
    page = audience.page_of("owner", path_of(stage.lab))
    press(page, stage.lab, "suspend")
    expect_state(page, stage.lab, "paused")
    expect(page.locator("[data-job-panel]")).to_be_hidden(timeout=20_000)
    page.goto(path_of(stage.lab, "history/"))
    number = page.locator("[data-operation-row]").first.get_attribute("data-operation-row")
    return f"/operations/{number}/"


def pages_of(role: str, stage: Stage, operation_page: str) -> list[str]:
    """The pages that this role can open."""
    paths = ["/", "/?q=nothing+is+called+so", "/?state=running&sort=-since", "/operations/", "/notices/", "/profile/"]
    paths += ["/profile/logins/", "/profile/second-factor/"]
    paths += ["/asks/", "/requests/", "/requests/new/", "/projects/", "/help/"]
    if role == "stranger":
        return paths
    paths += [path_of(stage.office), path_of(stage.office, "history/"), path_of(stage.office, "access/")]
    if role in {"owner", "helpdesk", "admin"}:
        paths += [path_of(stage.office, "help/")]
    if role in {"owner", "admin"}:
        paths += [path_of(stage.office, "definition/"), path_of(stage.shelf), operation_page]
        paths += [path_of(stage.office, "saved/"), path_of(stage.shelf, "undefine/")]
        paths += [path_of(stage.office, "timeline/"), path_of(stage.office, "timeline/?at=2026-11-26T10:00")]
    if role == "admin":
        places = ("", "machines/host/", "machines/machine/", f"machines/machine/{stage.office.uuid}/change/")
        more = ("lifecycle/operation/", "consoles/consolesession/", "auth/user/", "auth/group/")
        more += ("audit/entry/", "audit/batch/", "audit/checkpoint/")
        more += ("usersessions/usersession/",)
        more += ("machines/grant/", "machines/sharelink/", "people/project/", "people/quota/", "sharing/ask/")
        more += ("assist/assist/",)
        paths += [f"/admin/{part}" for part in places + more]
        paths += ["/machines/new/", path_of(stage.office, "define/"), path_of(stage.office, "keys/")]
        paths += ["/admin/maintenance/maintenance/add/", "/fleet/"]
        paths += ["/audit/", "/audit/access/", f"/audit/access/?machine={stage.office.uuid}&at=2026-11-26T10:00"]
        paths += ["/hosts/", "/hosts/local/", "/operations/?by=me&kind=save&last=24h&since=2026-01-01&until=2026-01-02"]
    return paths


@pytest.mark.parametrize("role", ["owner", "viewer", "stranger", "helpdesk", "admin"])
def test_no_page_complains_and_none_scrolls_sideways_on_a_phone(
    role: str, stage: Stage, audience: Audience, operation_page: str
) -> None:
    desk, phone = audience.page_of(role), audience.page_of(role, viewport=PHONE, has_touch=True, is_mobile=True)
    for path in pages_of(role, stage, operation_page):
        for page in (desk, phone):
            answer = page.goto(path)
            assert answer.status == 200, path
        if not path.startswith("/admin/"):
            assert phone.evaluate(SIDEWAYS) <= 0, path


def test_the_login_page_fits_a_phone_and_refuses_a_wrong_password(audience: Audience) -> None:
    page = audience.window(viewport=PHONE)
    page.goto("/login/")
    assert page.evaluate(SIDEWAYS) <= 0
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert "/login/" in page.url


def test_buttons_are_large_enough_to_touch(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner", path_of(stage.office), viewport=PHONE, has_touch=True, is_mobile=True)
    for button in page.locator("main [data-operation]:visible").all():
        assert button.bounding_box()["height"] >= 44


def test_dark_mode_darkens_every_page_and_is_remembered(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner", "/", color_scheme="light")
    assert brightness(page) > 200
    page.locator("[data-theme-toggle]").click()
    assert brightness(page) < 80
    page.goto(path_of(stage.office))
    assert brightness(page) < 80


def test_the_keyboard_alone_finds_and_opens_a_machine(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner", "/")
    page.keyboard.press("/")
    page.keyboard.type("offi")
    expect(page.locator("tr[data-machine]")).to_have_count(1)
    page.locator("#search").press("Tab")
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{path_of(stage.office)}")
    expect(shown(page, stage.office)).to_be_visible()


def brightness(page: Page) -> float:
    """How bright the page's ground is, from 0 to 255."""
    return page.evaluate(
        "() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);"
        " return (r + g + b) / 3 }"
    )
