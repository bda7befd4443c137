"""The list in a browser: search, filters, keys, menu, and rows that come and go without jumping under the pointer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, expect_state, path_of, shown
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture
def running(stage: Stage) -> Iterator[None]:
    """Office and lab run, shelf is off; office runs again afterwards."""
    stage.make_run(stage.office)
    stage.make_run(stage.lab)
    yield
    stage.make_run(stage.office)


@pytest.fixture
def page(running: None, audience: Audience) -> Page:
    """The owner's list of machines, its socket open."""
    return audience.page_of("owner", "/")


def rows(page: Page) -> list[str]:
    return page.locator("[data-rows] .name").all_inner_texts()


def expect_rows(page: Page, *names: str) -> None:
    expect(page.locator("[data-rows] .name")).to_have_text(list(names), timeout=LIMIT)


def away(page: Page) -> None:
    """Take the pointer off the table."""
    page.mouse.move(5, 5)


def test_slash_searches_and_chips_take_it_back(stage: Stage, page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("off")
    expect_rows(page, "office")
    assert page.url.endswith("/?q=off")
    expect(page.locator("#search")).to_be_focused()
    page.locator(".chip").click()
    expect_rows(page, "lab", "office", "shelf")
    expect(page.locator("#search")).to_have_value("")
    page.go_back()
    expect_rows(page, "office")
    expect(page.locator("#search")).to_have_value("off")


def test_filters_and_order_live_in_the_address(stage: Stage, page: Page) -> None:
    page.locator("[data-filter-form] summary").click()
    page.locator("input[name=state][value=shutoff]").check()
    expect_rows(page, "shelf")
    assert page.url.endswith("/?state=shutoff")
    page.locator("th.c-name a").click()
    expect(page.locator("th.c-name")).to_have_attribute("aria-sort", "descending")
    assert "sort=-name" in page.url and "state=shutoff" in page.url
    page.goto("/?q=nothing+like+it")
    page.get_by_text("Clear filters").click()
    expect_rows(page, "lab", "office", "shelf")


def test_a_machine_that_starts_to_match_appears_and_one_that_no_longer_does_leaves(stage: Stage, page: Page) -> None:
    page.goto("/?state=paused")
    away(page)
    expect(page.get_by_text("No machine matches")).to_be_visible()
    stage.office.virsh("suspend")
    expect_rows(page, "office")
    stage.office.virsh("resume")
    expect(page.get_by_text("No machine matches")).to_be_visible(timeout=LIMIT)


def test_rows_do_not_jump_under_the_pointer(stage: Stage, page: Page) -> None:
    stage.lab.virsh("suspend")
    stage.office.virsh("suspend")
    page.goto("/?state=paused")
    expect_rows(page, "lab", "office")
    shown(page, stage.office).hover()
    stage.office.virsh("resume")
    expect_state(page, stage.office, "running", "idle")
    expect(page.locator("[data-apply]")).to_be_visible()
    assert rows(page) == ["lab", "office"]
    away(page)
    expect_rows(page, "lab")
    stage.lab.virsh("resume")


def test_the_keyboard_keeps_its_place_when_the_list_is_fetched_again(stage: Stage, page: Page) -> None:
    page.goto("/?sort=-since")
    away(page)
    name = shown(page, stage.lab).locator(".name")
    name.focus()
    stage.office.virsh("suspend")
    expect(page.locator("[data-rows] .name").first).to_have_text("office", timeout=LIMIT)
    expect(name).to_be_focused()


def test_the_keyboard_reaches_every_machine_and_its_operations(stage: Stage, page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(shown(page, stage.office).locator(".name")).to_be_focused()
    page.keyboard.press("k")
    expect(shown(page, stage.lab).locator(".name")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    shown(page, stage.office).locator("[data-row-menu]").focus()
    page.keyboard.press("Enter")
    menu = page.locator("[data-row-menu-list]")
    expect(menu.locator("[data-operation=shutdown]")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(menu.locator("[data-operation=suspend]")).to_be_focused()
    page.keyboard.press("Enter")
    stage.office.wait_for_state("paused")
    expect_state(page, stage.office, "paused")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_url("**/operations/")


def test_the_menu_says_why_something_is_not_possible(stage: Stage, page: Page) -> None:
    shown(page, stage.office).locator("[data-row-menu]").click()
    start = page.locator("[data-row-menu-list] [data-operation=start]")
    expect(start).to_have_attribute("aria-disabled", "true")
    expect(start).to_contain_text("possible when shut off, saved or crashed")


def test_what_destroys_is_asked_in_the_machines_name_and_may_be_left(stage: Stage, page: Page) -> None:
    shown(page, stage.office).locator("[data-row-menu]").click()
    page.locator("[data-row-menu-list] [data-operation=destroy]").click()
    dialog = page.locator("#confirm")
    expect(dialog).to_contain_text("office stops at once")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert stage.office.state == "running"
    shown(page, stage.office).locator("[data-row-menu]").click()
    page.locator("[data-row-menu-list] [data-operation=destroy]").click()
    dialog.locator("[data-confirm]").click()
    stage.office.wait_for_state("shut off")
    expect(page.locator("[data-toasts]")).to_contain_text("“Force off” succeeded", timeout=LIMIT)
    expect(shown(page, stage.office).locator("[data-operation=start]")).to_be_visible()


def test_a_click_answers_at_once_and_its_result_finds_the_user_on_another_page(stage: Stage, page: Page) -> None:
    answered = page.evaluate(
        """(uuid) => new Promise((resolve) => {
          const row = document.querySelector(`[data-machine="${uuid}"]`);
          const began = performance.now();
          new MutationObserver(() => row.querySelector("[data-job]") && resolve(performance.now() - began))
            .observe(row, { childList: true, subtree: true });
          row.querySelector('[data-operation="shutdown"]').click();
        })""",
        str(stage.office.uuid),
    )
    assert answered < 100
    page.goto("/profile/")
    expect(page.locator("[data-toasts]")).to_contain_text("office: “Shut down” succeeded", timeout=2 * LIMIT)
    page.locator("[data-toasts] a").click()
    page.wait_for_url("**/operations/*/")
    expect(page.locator("[data-op=status]").first).to_have_text("succeeded")


def test_dark_and_light_are_kept(page: Page) -> None:
    page.locator("[data-theme-toggle]").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto("/operations/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.locator("[data-theme-toggle]").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")


def test_without_scripts_a_machine_can_be_run(stage: Stage, running: None, audience: Audience) -> None:
    audience.page_of("owner")
    page = audience.window(java_script_enabled=False, storage_state=audience.logins["owner"])
    page.goto("/")
    shown(page, stage.office).locator("[data-row-menu]").click()
    page.wait_for_url(f"**{path_of(stage.office)}")
    page.locator("[data-operation=start]").click(force=True)  # it says that it is disabled, and why
    expect(page.locator("[data-toasts]")).to_contain_text("The machine is")
    page.locator("[data-operation=destroy]").click()
    expect(page.locator(".confirm")).to_contain_text("office stops at once")
    page.locator(".confirm [data-confirm]").click()
    expect(page.locator("[data-toasts]")).to_contain_text("is on its way")
    stage.office.wait_for_state("shut off")


def test_rows_become_cards_on_a_phone(stage: Stage, running: None, audience: Audience) -> None:
    page = audience.page_of("owner", "/", viewport=PHONE, has_touch=True, is_mobile=True)
    card = shown(page, stage.office)
    box = card.bounding_box()
    assert box["width"] > 300 and box["height"] > 80
    for button in card.locator(".actions .btn").all():
        assert button.bounding_box()["height"] >= 44
    card.locator("[data-row-menu]").tap()
    menu = page.locator("[data-row-menu-list]").bounding_box()
    assert menu["x"] >= 0 and menu["x"] + menu["width"] <= PHONE["width"]
