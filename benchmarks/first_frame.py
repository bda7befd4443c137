"""From the click on “Console” to the first painted frame of a running guest, in Chromium, through the whole portal."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.live_portal import LivePortal, live_portal

ROUNDS = 10
TARGET = 600.0
"""Milliseconds."""
BOOTED = 30.0
"""Seconds until the guest's screen stands still and the portal has nothing else to do."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WATCH = """
addEventListener("click", () => sessionStorage.setItem("clicked", performance.timeOrigin + performance.now()), true);
const small = new OffscreenCanvas(64, 36).getContext("2d", { willReadFrequently: true });
const look = () => {
  const screen = document.querySelector("[data-screen] canvas");
  if (screen?.width) {
    small.drawImage(screen, 0, 0, 64, 36);
    const { data } = small.getImageData(0, 0, 64, 36);
    if (data.some((value, at) => at % 4 !== 3 && value > 16)) {
      window.painted = performance.timeOrigin + performance.now() - Number(sessionStorage.getItem("clicked"));
      return;
    }
  }
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def run() -> list[Figure]:
    """Measure with nothing in the browser's cache, as at a first visit, and again and again."""
    with live_portal() as live, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        time.sleep(BOOTED)
        login = _login(browser, live)
        first = [_first_visit(browser, live, login) for _ in range(ROUNDS)]
        page = _window(browser, live, login)
        _measured(page, live)
        again = [_measured(page, live) for _ in range(ROUNDS)]
        browser.close()
    return [
        figures.of("click to first painted frame, first visit", first, target=TARGET),
        figures.of("click to first painted frame", again, target=TARGET),
    ]


def _login(browser: Browser, live: LivePortal) -> object:
    context = browser.new_context(base_url=live.portal.url)
    page = context.new_page()
    page.goto("/login/")
    page.get_by_label("Username").fill("owner")
    page.get_by_label("Password").fill(live.credentials["users"]["owner"]["password"])
    page.locator("main button[type=submit], main button:not([type])").first.click()
    page.wait_for_url(lambda url: "/login" not in url)
    state = context.storage_state()
    context.close()
    return state


def _window(browser: Browser, live: LivePortal, login: object) -> Page:
    """Return a window whose cache holds nothing but what the machine's page needs."""
    context: BrowserContext = browser.new_context(base_url=live.portal.url, storage_state=login)  # type: ignore[arg-type]
    context.add_init_script(WATCH)
    return context.new_page()


def _first_visit(browser: Browser, live: LivePortal, login: object) -> float:
    """Measure in a new window, and close it: an open console would be work beside the next one."""
    page = _window(browser, live, login)
    took = _measured(page, live)
    page.context.close()
    return took


def _measured(page: Page, live: LivePortal) -> float:
    """Click on the machine's console; return after how many milliseconds its picture was there."""
    page.goto(f"/machines/{live.machine}/", wait_until="networkidle")
    page.locator('main a[href$="/console/"]').first.click()
    page.wait_for_url("**/console/**")
    while not (took := page.evaluate("window.painted")):
        time.sleep(0.05)
    return float(took)
