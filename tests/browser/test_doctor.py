"""The console doctor in a browser: what is broken on purpose is what it names."""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import expect_connection, path_of
from tests.browser.stage import OFFICE, Stage
from tests.browser.test_serial_console import another_program
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]


def examined(page: Page) -> None:
    """Press the doctor's button and wait for the verdict."""
    panel = page.locator("[data-panel=doctor]")
    if not panel.is_visible():
        page.locator("summary:has-text('Screen')").click()
        page.locator("[data-opens=doctor]").click()
    else:
        page.locator("[data-doctor-again]").click()
    expect(page.locator("[data-doctor]")).not_to_have_attribute("data-doctor", "looking", timeout=20_000)


def test_the_doctor_names_what_is_wrong(audience: Audience, stage: Stage) -> None:
    stage.make_run(OFFICE)
    for noise in ("willReadFrequently", "WebSocket", "409"):
        audience.expect_complaint(noise)
    page = audience.page_of("owner", path_of(stage.office, "console/?protocol=vnc"))
    expect_connection(page, "connected")
    examined(page)
    verdict = page.locator("[data-doctor-verdict]")
    expect(page.locator("[data-doctor]")).to_have_attribute("data-doctor", "well")
    expect(page.locator("[data-doctor-findings] [data-part=screen] .number")).to_contain_text("ms")

    os.kill(stage.office.qemu_pid, signal.SIGSTOP)
    try:
        examined(page)
        expect(verdict).to_contain_text("sends nothing")
    finally:
        os.kill(stage.office.qemu_pid, signal.SIGCONT)

    stage.office.virsh("destroy")
    expect_connection(page, "waiting")
    examined(page)
    expect(verdict).to_contain_text("shut off")


def screens_row(page: Page) -> Locator:
    """What the doctor found of the display."""
    return page.locator("[data-doctor-findings] [data-part=screen]")


def test_a_spice_screen_that_is_shown_elsewhere_is_looked_at_and_stays_there(audience: Audience, wire: Guest) -> None:
    audience.expect_complaint("willReadFrequently")
    path = path_of(wire, "console/?protocol=spice")
    first = audience.page_of("owner", path)
    expect_connection(first, "connected")
    examined(first)
    expect(screens_row(first)).to_contain_text("display answers")
    expect(screens_row(first).locator(".number")).to_contain_text("ms")

    second = audience.page_of("owner", path)
    expect_connection(second, "connected")
    expect_connection(first, "closed")
    session = second.locator("[data-console]").get_attribute("data-session")
    for _ in range(2):
        second.wait_for_timeout(2000)  # one may not look again at once
        examined(first)
        expect(screens_row(first)).to_contain_text("display answers")
        expect(screens_row(first).locator(".number")).to_contain_text("ms")
    second.wait_for_timeout(1000)
    expect_connection(second, "connected")
    assert second.locator("[data-console]").get_attribute("data-session") == session


def test_a_serial_console_is_looked_at_and_who_holds_it_is_named(audience: Audience, stage: Stage, wire: Guest) -> None:
    audience.expect_complaint("WebSocket")  # the proxy is restarted
    page = audience.page_of("owner", path_of(wire, "console/?protocol=serial"))
    expect_connection(page, "connected")
    examined(page)
    expect(screens_row(page)).to_have_attribute("data-well", "true")
    expect(screens_row(page)).to_contain_text("the console proxy answers")
    page.goto("/")

    stage.portal.restart("consoleproxy")  # it reads on for a while after its last viewer left
    with another_program(stage, wire) as ends:
        page.goto(path_of(wire, "console/?protocol=serial"))
        expect_connection(page, "closed")
        examined(page)
        expect(page.locator("[data-doctor-verdict]")).to_contain_text("Another program holds the serial console")
        assert not ends
    page.wait_for_timeout(2000)
    examined(page)
    expect(screens_row(page)).to_contain_text("display answers")
    expect(screens_row(page).locator(".number")).to_contain_text("ms")


def test_a_display_that_hangs_is_found_by_the_doctor_over_spice(audience: Audience, wire: Guest) -> None:
    audience.expect_complaint("willReadFrequently")
    page = audience.page_of("owner", path_of(wire, "console/?protocol=spice"))
    expect_connection(page, "connected")
    os.kill(wire.qemu_pid, signal.SIGSTOP)
    try:
        examined(page)
        expect(page.locator("[data-doctor-verdict]")).to_contain_text("sends nothing")
    finally:
        os.kill(wire.qemu_pid, signal.SIGCONT)
