"""The people in front of the portal: browser windows by role, and what their pages complained of."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from tests.browser.stage import Stage

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


class Audience:
    """Opens windows. A test that provokes an error says so by `expect_complaint`."""

    def __init__(self, stage: Stage, chromium: Browser, logins: dict[str, Any]) -> None:
        self.stage = stage
        self.chromium = chromium
        self.logins = logins
        self.contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.expected: list[str] = []

    def page_of(self, role: str, path: str = "/", *, fresh: bool = False, **options: Any) -> Page:
        """A window of this role, logged in, at this path. A `fresh` one has a login session of its own."""
        options = {"base_url": self.stage.url, "viewport": DESK, **options}
        known = None if fresh else self.logins.get(role)
        page = self.window(storage_state=known, **options)
        if not known:
            log_in(page, role, self.stage.password(role))
            if not fresh:
                self.logins[role] = page.context.storage_state()
        page.goto(path)
        return page

    def window(self, **options: Any) -> Page:
        """An empty window of nobody."""
        context = self.chromium.new_context(**{"base_url": self.stage.url, "viewport": DESK, **options})
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._complain(f"{page.url}: {error}"))
        return page

    def expect_complaint(self, part: str) -> None:
        """Let complaints that contain this pass."""
        self.expected.append(part)

    def leave(self) -> list[str]:
        """Close all windows; return what pages complained of, which nobody expected."""
        for context in self.contexts:
            context.close()
        return self.complaints

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            place = message.location
            self._complain(f"{message.type} at {place.get('url')}:{place.get('lineNumber')}: {message.text}")

    def _complain(self, words: str) -> None:
        if not any(part in words for part in self.expected):
            self.complaints.append(words)


def log_in(page: Page, role: str, password: str) -> None:
    """Go through the login form."""
    page.goto("/login/")
    page.get_by_label("Username").fill(role)
    page.get_by_label("Password").fill(password)
    page.locator("main button[type=submit], main button:not([type])").first.click()
    page.wait_for_url(lambda url: "/login" not in url)
