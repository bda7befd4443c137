"""From libvirt's event to the changed DOM in a real browser; the floor is the same event in a plain Python callback.

A machine is paused and resumed by turns. The clock starts just before the call to libvirt. Browser and Python read the
same clock of the machine.
"""

from __future__ import annotations

import queue
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks import figures
from benchmarks.figures import Figure
from benchmarks.live_portal import LivePortal, live_portal
from hypervisor import eventloop
from hypervisor.connection import Connection
from tests.browser.conftest import FLAGS

ROUNDS = 100
SETTLE = 15.0  # seconds after which the guest has booted
PAUSE = 0.1  # seconds between two changes: a person's, not a storm's
LIMIT = 10.0  # seconds

WATCH = """(uuid) => {
  const rows = () => document.querySelectorAll(`[data-machine="${uuid}"][data-state]`);
  window.seen = [];
  new MutationObserver(() => {
    const state = rows()[0]?.dataset.state;
    const at = performance.timeOrigin + performance.now();
    if (window.seen.at(-1)?.state !== state) window.seen.push({ state, at });
  }).observe(document.body, { subtree: true, attributes: true, childList: true, attributeFilter: ["data-state"] });
}"""


def run() -> list[Figure]:
    """Measure the machine list of the owner, open in Chromium."""
    with live_portal() as live, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = _log_in(browser.new_page(), live)
        time.sleep(SETTLE)
        page.evaluate(WATCH, str(live.machine))
        floor, seen = _change(live, page)
        browser.close()
    extra = [dom - event for dom, event in zip(seen, floor, strict=True)]
    return [
        figures.of("floor: the event in a Python callback", floor),
        figures.of("the changed DOM", seen, target=25, p99_target=100),
        figures.of("of which after the callback", extra),
    ]


def _log_in(page: Page, live: LivePortal) -> Page:
    page.goto(f"{live.portal.url}/login/")
    page.fill("input[name=username]", "owner")
    page.fill("input[name=password]", live.credentials["users"]["owner"]["password"])
    page.click("form .btn-primary")
    page.wait_for_selector(f'[data-machine="{live.machine}"][data-state="running"]', timeout=60_000)
    return page


def _change(live: LivePortal, page: Page) -> tuple[list[float], list[float]]:
    """Pause and resume; return milliseconds to the callback and to the DOM for each change."""
    eventloop.start()
    news: queue.SimpleQueue[float] = queue.SimpleQueue()
    connection = Connection(live.libvirt.uri)
    connection.open()
    connection.watch(lambda _event: news.put(time.time()))
    domain = connection.domain(live.machine)
    floor, seen = [], []
    for number in range(ROUNDS):
        _drain(news)
        begin = time.time()
        domain.suspend() if number % 2 == 0 else domain.resume()
        floor.append((news.get(timeout=LIMIT) - begin) * 1000)
        shown = _shown(page, "paused" if number % 2 == 0 else "running", begin)
        seen.append(shown - begin * 1000)
        time.sleep(PAUSE)
    connection.close()
    return floor, seen


def _shown(page: Page, state: str, begin: float) -> float:
    """Return when the DOM showed the state, in milliseconds of the browser's clock; looks every few milliseconds."""
    while time.time() - begin < LIMIT:
        last = page.evaluate("window.seen.at(-1) ?? null")
        if last and last["state"] == state and last["at"] >= begin * 1000:
            return float(last["at"])
        time.sleep(0.02)
    raise TimeoutError(f"The page did not show {state} within {LIMIT:.0f} s.")


def _drain(news: queue.SimpleQueue[float]) -> None:
    while not news.empty():
        news.get()
