"""The pages of hosts: a test of the connection shows its result by itself, and so does a host that goes and returns."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_a_tested_connection_and_a_host_that_goes_and_returns_show_by_themselves(
    stage: Stage, audience: Audience
) -> None:
    page = audience.page_of("admin", "/hosts/")
    rows = audience.page_of("admin", "/hosts/", viewport=PHONE)
    page.locator("[data-host-row] .name").first.click()
    state = page.locator("[data-part=state]")
    expect(state).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
    page.get_by_role("button", name="Test this connection").click()
    page.evaluate("window.neverReloaded = true")
    newest = page.locator("[data-host-test]").first
    expect(newest).to_have_attribute("data-status", "succeeded", timeout=LIMIT)
    expect(newest).to_contain_text("Connected: libvirt")
    stage.libvirt.end()
    try:
        expect(state).to_have_text("does not answer", timeout=LIMIT)
        expect(page.locator("[data-part=trouble]")).to_contain_text("Its machines keep the state that was last seen")
        expect(rows.locator("[data-host-row] .state")).to_have_text("does not answer", timeout=LIMIT)
        assert page.evaluate("window.neverReloaded")
        page.get_by_role("button", name="Test this connection").click()
        page.evaluate("window.neverReloaded = true")
        expect(newest).to_have_attribute("data-status", "failed", timeout=LIMIT)
        newest.get_by_text("What libvirt said").click()
        expect(newest.locator("pre")).to_contain_text("Failed to connect")
        page.set_viewport_size(PHONE)
        assert [page.evaluate(SIDEWAYS), rows.evaluate(SIDEWAYS)] == [0, 0]
    finally:
        stage.libvirt.start()
    expect(state).to_have_text("connected", timeout=LIMIT)
    expect(page.locator("[data-part=trouble]")).to_be_empty()
    expect(newest.locator("details")).to_have_attribute("open", "")
    expect(rows.locator("[data-host-row] .state")).to_have_text("connected", timeout=LIMIT)
    assert page.evaluate("window.neverReloaded")
