"""A console's page as a person uses it, and the audit of consoles that it leaves."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.stage import OFFICE, Stage

CONSOLE = "[data-console]"
SCREEN = "[data-screen] canvas"
KEYS = {"\n": "Enter", " ": "Space", "/": "Slash", ".": "Period", "-": "Minus"}


def console_of(audience: Audience, role: str, name: str = OFFICE, query: str = "", **options: Any) -> Page:
    """A console's page in a window of this role."""
    audience.expect_complaint("willReadFrequently")  # Chromium's advice to noVNC
    return audience.page_of(role, f"/machines/{audience.stage.ids[name]}/console/{query}", **options)


def connected(page: Page, within: float = 20) -> None:
    """Wait until there is a picture."""
    expect(page.locator(CONSOLE)).to_have_attribute("data-connection", "connected", timeout=within * 1000)


def connection(page: Page) -> str:
    """Say what the page says of its connection."""
    return page.locator(CONSOLE).get_attribute("data-connection")


def has_picture(page: Page) -> bool:
    """Whether the canvas shows more than one colour."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector("[data-screen] canvas");
            if (!canvas?.width) return false;
            const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(image.data.buffer)).size > 1;
        }"""
    )


def type_into(page: Page, text: str) -> None:
    """Type on a real keyboard, after a click on the screen."""
    page.locator(SCREEN).click()
    for letter in text:
        page.keyboard.press(KEYS.get(letter, letter))
        time.sleep(0.03)


def menu(page: Page, name: str) -> Locator:
    """Open a menu of the bar; return it."""
    page.locator(f'.console-bar summary[aria-label="{name}"]').click()
    return page.locator(".console-bar details[open] > .menu-list")


def hint(page: Page, name: str) -> Locator:
    """A line over the picture."""
    return page.locator(f'[data-hint="{name}"]')


def sessions(stage: Stage, **of: Any) -> list[dict[str, Any]]:
    """The audit of consoles, newest first."""
    code = """
from consoles.models import ConsoleSession
fields = ("user__username", "mode", "protocol", "end_reason", "bytes_to_client", "bytes_from_client", "address")
rows = ConsoleSession.objects.filter(**of).order_by("-asked_at")
value = [dict(zip(fields, row[:-2])) | {"opened": bool(row[-2]), "ended": bool(row[-1])}
         for row in rows.values_list(*fields, "opened_at", "ended_at")]
"""
    return stage.backstage.run(code, of=of)
