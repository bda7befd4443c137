"""Many machines at once, in a browser: ticks, the bar, and one result for each, which goes on while one looks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT, expect_state, shown
from tests.browser.stage import Stage
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]


def box(page: Page, guest: Guest) -> Locator:
    return shown(page, guest).locator("input[name=machine]")


def ask(page: Page, name: str) -> None:
    page.locator(f'#bulk [name=operation][value="{name}"]').click()


def result(page: Page, guest: Guest) -> Locator:
    return page.locator(".results tbody tr", has_text=guest.name)


def test_three_machines_are_asked_at_once_and_each_has_its_result(stage: Stage, audience: Audience) -> None:
    stage.make_run(stage.office)
    stage.make_run(stage.lab)
    page = audience.page_of("owner", "/")
    bar, count = page.locator("#bulk"), page.locator("[data-bulk-count]")
    expect(bar).to_be_hidden()

    box(page, stage.office).check()
    expect(count).to_have_text("1 selected")
    shown(page, stage.lab).locator(".name").focus()
    page.keyboard.press("x")
    expect(count).to_have_text("2 selected")
    expect(bar.locator("[value=start]")).to_have_attribute("aria-disabled", "true")
    page.locator("[data-tick-page]").check()
    expect(count).to_have_text("3 selected")
    expect(bar.locator("[value=start]")).not_to_have_attribute("aria-disabled", "true")  # the shelf allows it
    box(page, stage.shelf).focus()
    page.keyboard.press("Enter")  # asks nothing
    page.wait_for_timeout(200)
    assert page.url == f"{stage.url}/"

    ask(page, "suspend")
    page.wait_for_url("**/bulk/*/")
    expect(page.locator("[data-bulk-summary]")).to_have_text("2 accepted, 1 refused")
    for guest in (stage.office, stage.lab):
        expect(result(page, guest)).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
        guest.wait_for_state("paused")
    expect(result(page, stage.shelf)).to_contain_text("The machine is shut off; “Pause” is possible when")
    expect(page.locator("[data-tally=succeeded]")).to_have_text("2 succeeded")
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1

    page.goto("/?state=paused")
    expect_state(page, stage.lab, "paused")
    page.locator("[data-tick-page]").check()
    stage.shelf.virsh("desc", "--config", "--title", "changed")  # news of another machine leaves the ticks alone
    expect(count).to_have_text("2 selected")
    ask(page, "resume")
    page.wait_for_url("**/bulk/*/")
    for guest in (stage.office, stage.lab):
        expect(result(page, guest)).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
        guest.wait_for_state("running")
    stage.shelf.virsh("desc", "--config", "--title", "")


def test_ticks_survive_a_list_that_changes_and_what_leaves_it_is_no_longer_ticked(
    stage: Stage, audience: Audience
) -> None:
    stage.make_run(stage.office)
    stage.make_run(stage.lab)
    page = audience.page_of("owner", "/?state=running")
    page.locator("[data-tick-page]").check()
    page.mouse.move(5, 5)
    stage.lab.virsh("suspend")
    expect(shown(page, stage.lab)).to_have_count(0, timeout=LIMIT)
    expect(page.locator("[data-bulk-count]")).to_have_text("1 selected")
    expect(box(page, stage.office)).to_be_checked()
    stage.lab.virsh("resume")
    expect(shown(page, stage.lab)).to_be_visible(timeout=LIMIT)
    expect(box(page, stage.lab)).not_to_be_checked()
    page.locator("[data-bulk-clear]").click()
    expect(page.locator("#bulk")).to_be_hidden()


def test_without_scripts_on_a_phone_the_question_names_what_is_lost(stage: Stage, audience: Audience) -> None:
    audience.page_of("owner")
    options = {"java_script_enabled": False, "viewport": PHONE, "has_touch": True, "is_mobile": True}
    page = audience.window(storage_state=audience.logins["owner"], **options)
    page.goto("/")
    stage.make_run(stage.office)
    target = shown(page, stage.office).locator(".c-tick label").bounding_box()
    assert min(target["width"], target["height"]) >= 44
    box(page, stage.office).check()
    box(page, stage.lab).check()
    for button in page.locator("#bulk .bulk-buttons > button:visible").all():
        assert min(button.bounding_box()["width"], button.bounding_box()["height"]) >= 44
    page.locator("#bulk summary").tap()
    ask(page, "destroy")
    expect(page.locator(".prospects")).to_contain_text("office stops at once")
    expect(page.locator(".confirm [data-confirm]")).to_have_text("Force off 2 machines")
    page.locator(".confirm a").click()
    page.wait_for_url(f"{stage.url}/")
    assert stage.office.state == "running"


def test_all_that_match_are_asked_also_those_of_other_pages(stage: Stage, audience: Audience) -> None:
    stage.make_run(stage.office)
    stage.make_run(stage.lab)
    page = audience.page_of("owner", "/?limit=1&sort=name")
    expect(page.locator("tr[data-machine]")).to_have_count(1)
    box(page, stage.lab).check()
    page.get_by_label("all 3 that match").check()
    expect(page.locator("[data-bulk-count]")).to_have_text("3 selected")
    ask(page, "suspend")
    expect(page.locator(".confirm")).to_contain_text("3 machines match now. Only these are asked")
    expect(page.locator(".confirm")).to_contain_text("1 will be refused")
    expect(page.locator(".prospects").last).to_contain_text("shelf")
    page.locator(".confirm [data-confirm]").click()
    page.wait_for_url("**/bulk/*/")
    for guest in (stage.office, stage.lab):
        expect(result(page, guest)).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
        guest.wait_for_state("paused")
    expect(result(page, stage.shelf)).to_contain_text("The machine is shut off; “Pause” is possible when")
    page.goto("/?state=paused&limit=1")
    page.locator("[data-tick-page]").check()
    page.get_by_label("all 2 that match").check()
    ask(page, "resume")
    page.locator(".confirm [data-confirm]").click()
    page.wait_for_url("**/bulk/*/")
    for guest in (stage.office, stage.lab):
        expect(result(page, guest)).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
        guest.wait_for_state("running")


def test_names_can_be_copied(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner", "/?q=lab", permissions=["clipboard-read", "clipboard-write"])
    page.locator(".pager-names").click()
    expect(page.locator("#names")).to_have_text("lab\n")
    page.get_by_role("button", name="UUIDs").click()
    expect(page.locator("#names")).to_have_text(f"{stage.lab.uuid}\n")
    page.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == f"{stage.lab.uuid}\n"
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().splitlines()[1].startswith(f"{stage.lab.uuid},lab,")


def test_names_and_uuids_are_downloaded_as_text_and_as_csv(stage: Stage, audience: Audience) -> None:
    page = audience.page_of("owner", "/machines/names/?sort=-name")
    guests = sorted(stage.guests.values(), key=lambda guest: guest.name, reverse=True)
    names, uuids = [guest.name for guest in guests], [str(guest.uuid) for guest in guests]
    assert sorted(names) == sorted(set(stage.virsh("list", "--all", "--name").split()))
    both = [f"{guest.uuid}\t{guest.name}" for guest in guests]
    for word, lines in (("Names", names), ("UUIDs", uuids), ("Both", both)):
        page.get_by_role("button", name=word, exact=True).click()
        assert downloaded(page, "Text") == lines, word
        assert page.locator("#names").text_content().split("\n")[:-1] == lines, word
    head, *rows = downloaded(page, "CSV")
    assert head.split(",")[:2] == ["uuid", "name"]
    assert [row.split(",")[:2] for row in rows] == [list(pair) for pair in zip(uuids, names, strict=True)]


def downloaded(page: Page, name: str) -> list[str]:
    """Return the lines of a file that a link downloads."""
    with page.expect_download() as download:
        page.get_by_role("link", name=name, exact=True).click()
    return download.value.path().read_text(encoding="utf-8-sig").splitlines()
