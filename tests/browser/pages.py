"""What a person finds on the portal's pages, by the names that the contract promises: data-machine, data-state, ..."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.stage import PATIENCE
from tests.guest import Guest

LIMIT = PATIENCE * 1000  # milliseconds


def path_of(guest: Guest, part: str = "") -> str:
    return f"/machines/{guest.uuid}/{part}"


def shown(page: Page, guest: Guest) -> Locator:
    """The machine's row in a list, or the head of its page."""
    return page.locator(f'[data-machine="{guest.uuid}"]').first


def expect_state(page: Page, guest: Guest, *states: str, limit: float = LIMIT) -> None:
    """Wait until the page shows one of these states."""
    wanted = ", ".join(f'[data-machine="{guest.uuid}"][data-state="{state}"]' for state in states)
    expect(page.locator(wanted).first).to_be_attached(timeout=limit)


def operation(page: Page, guest: Guest, name: str) -> Locator:
    """The button of an operation."""
    return shown(page, guest).locator(f'[data-operation="{name}"]').first


def press(page: Page, guest: Guest, name: str) -> None:
    """Press an operation's button when it can be pressed, and confirm when asked."""
    button = operation(page, guest, name)
    expect(button).to_be_visible(timeout=LIMIT)
    expect(button).not_to_have_attribute("aria-disabled", "true", timeout=LIMIT)
    dangerous = "danger" in (button.get_attribute("class") or "")
    button.click()
    if dangerous:
        page.locator("dialog[open] [data-confirm]").click()


def screen(page: Page) -> Locator:
    """The console of a console page."""
    return page.locator("[data-console]")


def expect_connection(page: Page, word: str, limit: float = LIMIT) -> None:
    """Wait until the console is connecting, connected, waiting or closed."""
    expect(screen(page)).to_have_attribute("data-connection", word, timeout=limit)
