"""The history in a browser, by who, what, status, machine and time; the API answers the same question alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, path_of, press
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]

ROWS = "[data-operation-row]"


def numbers(page: Page) -> list[int]:
    return [int(row.get_attribute("data-operation-row")) for row in page.locator(ROWS).all()]


def expect_numbers(page: Page, *wanted: int) -> None:
    expect(page.locator(ROWS)).to_have_count(len(wanted), timeout=LIMIT)
    assert numbers(page) == list(wanted)


def same_in_the_api(stage: Stage, page: Page, role: str) -> bool:
    with stage.script(role) as script:
        items = script.get(f"/operations?{urlsplit(page.url).query}").json()["items"]
    return [item["id"] for item in items] == numbers(page)


def ask(stage: Stage, role: str, uuid: object, operation: str, page: Page, state: str, guest: object) -> int:
    """Ask by the API and return the operation's number once it has ended."""
    with stage.script(role) as script:
        number = script.post(f"/machines/{uuid}/operations", json={"operation": operation}).json()["id"]
    expect_state(page, guest, state)
    expect(page.locator(f'[data-operation-row="{number}"]')).to_have_attribute(
        "data-status", "succeeded", timeout=LIMIT
    )
    return number


def test_filters_narrow_the_history_live_in_the_address_and_are_taken_back(stage: Stage, audience: Audience) -> None:
    lab, office = stage.lab, stage.office
    for guest in (lab, office):
        stage.make_run(guest)
    stage.backstage.run("Operation.objects.all().delete()")
    page = audience.page_of("owner", path_of(lab, "history/"))
    paused = ask(stage, "owner", lab.uuid, "suspend", page, "paused", lab)
    resumed = ask(stage, "admin", lab.uuid, "resume", page, "running", lab)
    page.goto(path_of(office, "history/"))
    elsewhere = ask(stage, "owner", office.uuid, "suspend", page, "paused", office)
    office.virsh("resume")
    expect_state(page, office, "running", "idle")

    page.goto("/operations/")
    expect_numbers(page, elsewhere, resumed, paused)
    page.locator("[data-filter-form] summary").click()
    page.get_by_label("Asked by").fill("me")
    page.get_by_label("Asked by").press("Tab")
    expect_numbers(page, elsewhere, paused)
    assert same_in_the_api(stage, page, "owner")
    page.get_by_label("Machine").fill("lab")
    page.get_by_label("Machine").press("Tab")
    expect_numbers(page, paused)
    assert page.url.endswith("/operations/?by=me&machine=lab") and same_in_the_api(stage, page, "owner")
    page.locator(".chip", has_text="asked by me").click()
    expect_numbers(page, resumed, paused)
    page.locator("[data-filter-form] summary").click()
    page.locator("[name=kind][value=resume]").check()
    expect_numbers(page, resumed)
    page.reload()
    expect_numbers(page, resumed)
    assert "kind=resume" in page.url and same_in_the_api(stage, page, "owner")

    page.goto("/operations/")
    page.locator("[data-filter-form] summary").click()
    page.locator("[name=status][value=failed]").check()
    expect(page.locator("#list")).to_contain_text("No operation matches", timeout=LIMIT)
    page.locator("[name=status][value=succeeded]").check()
    expect_numbers(page, elsewhere, resumed, paused)
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    page.get_by_label("Since").fill(tomorrow)
    page.get_by_label("Since").press("Tab")
    expect(page.locator("#list")).to_contain_text("No operation matches", timeout=LIMIT)
    page.goto("/operations/?last=1h")
    expect_numbers(page, elsewhere, resumed, paused)


def test_each_role_finds_the_history_of_the_machines_that_it_sees(stage: Stage, audience: Audience) -> None:
    lab, office = stage.lab, stage.office
    for guest in (lab, office):
        stage.make_run(guest)
    stage.backstage.run("Operation.objects.all().delete()")
    page = audience.page_of("owner", path_of(lab))
    press(page, lab, "suspend")
    expect_state(page, lab, "paused")
    press(page, lab, "resume")
    page.goto(path_of(office))
    press(page, office, "suspend")
    expect_state(page, office, "paused")
    press(page, office, "resume")
    expect_state(page, office, "running", "idle")
    audience.expect_complaint("closed before the connection is established")  # by a window that is closed at once
    for role, seen in (("owner", 4), ("viewer", 2), ("stranger", 0), ("helpdesk", 4), ("admin", 4)):
        window = audience.page_of(role, "/operations/")
        expect(window.locator(ROWS)).to_have_count(seen, timeout=LIMIT)
        assert same_in_the_api(stage, window, role)
