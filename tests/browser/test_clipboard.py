"""The clipboard between a browser and a real guest in which an agent runs, by VNC and by SPICE."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import expect_connection, path_of
from tests.browser.stage import Stage, eventually
from tests.consoles.clipboard_agent import ClipboardAgent
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

TEXT = "Zwölf Boxkämpfer, 日本語, “€”\n\tand a second line"
DESKS = {
    "vnc": {"clipboard": "qemu-vdagent"},
    "spice": {"clipboard": "spicevmc", "graphics": ["spice"], "video": "qxl"},
}


@pytest.fixture(scope="module", params=["vnc", pytest.param("spice", marks=pytest.mark.full)])
def desk(request, stage: Stage, tmp_path_factory) -> Iterator[tuple[str, Guest, ClipboardAgent]]:
    """A running machine of the owner, shown by this protocol, whose clipboard agent runs; the viewer may look."""
    name = f"desk-{request.param}"
    guest = stage.define(name, **DESKS[request.param])
    guest.virsh("start")
    stage.give(guest)
    stage.grant(guest, "viewer")
    stage.make_run(name)
    yield request.param, guest, ClipboardAgent(guest, tmp_path_factory.mktemp("agent"))
    stage.forget(name)


def clipboard_on(audience: Audience, guest: Guest, role: str = "owner", **options) -> tuple[Page, Locator]:
    """A console with the panel open."""
    audience.expect_complaint("willReadFrequently")
    page = audience.page_of(role, path_of(guest, "console/"), **options)
    expect_connection(page, "connected")
    page.get_by_role("button", name="Clipboard").press("Enter")  # the bar moves while it hears who is there
    return page, page.locator('[data-panel="clipboard"]')


def test_text_goes_both_ways(audience: Audience, desk) -> None:
    _, guest, agent = desk
    _, panel = clipboard_on(audience, guest)
    panel.get_by_label("To the machine").fill(TEXT)
    panel.get_by_role("button", name="Send").click()
    eventually(lambda: agent.pasted == TEXT)

    agent.copy(TEXT[::-1])
    expect(panel.get_by_label("From the machine")).to_have_value(TEXT[::-1])
    agent.copy("x" * 60_000)
    expect(panel.get_by_label("From the machine")).to_have_value("x" * 60_000)
    assert agent.complaints == ""


def test_both_clipboards_are_kept_the_same_where_the_browser_allows_it(audience: Audience, desk) -> None:
    _, guest, agent = desk
    page, panel = clipboard_on(audience, guest, permissions=["clipboard-read", "clipboard-write"])
    panel.get_by_label("Keep both clipboards the same").check()
    agent.copy("copied in the machine")
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == "copied in the machine")
    page.evaluate("navigator.clipboard.writeText('copied elsewhere')")
    page.locator("[data-screen] canvas").click()
    eventually(lambda: agent.pasted == "copied elsewhere")


@pytest.mark.parametrize("desk", ["vnc"], indirect=True)  # a SPICE screen has one person
def test_whoever_only_looks_gives_the_machine_nothing(audience: Audience, desk) -> None:
    _, guest, agent = desk
    before = agent.pasted
    page, panel = clipboard_on(audience, guest, "viewer", permissions=["clipboard-read", "clipboard-write"])
    expect(panel.get_by_text("You are only looking")).to_be_visible()
    panel.get_by_label("To the machine").fill("from the viewer")
    expect(panel.get_by_role("button", name="Send")).to_be_disabled()
    panel.get_by_label("Keep both clipboards the same").check()
    page.evaluate("navigator.clipboard.writeText('from the viewer')")
    page.locator("[data-screen] canvas").click()
    page.wait_for_timeout(1000)
    assert agent.pasted == before
