"""A network that is gone without a word: SPICE and serial consoles notice it and come back, as VNC does."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import Audience
from tests.browser.console_page import connected, console_of, menu
from tests.browser.stage import Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

PROTOCOLS = ["spice", "serial"]
NOTICED = 15 + 5 + 8  # seconds: static/js/console/page.js: silence, its next look, patience
SLOW_MACHINE = 10


@contextmanager
def nothing_comes_through(stage: Stage) -> Iterator[None]:
    """Stop the proxy: no packet comes any more, and no end either."""
    proxy = stage.portal.processes["consoleproxy"].pid
    os.kill(proxy, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(proxy, signal.SIGCONT)


def open_by(audience: Audience, protocol: str) -> Page:
    audience.expect_complaint("WebSocket")
    page = console_of(audience, "owner", "wire", f"?protocol={protocol}")
    connected(page)
    return page


def type_into(page: Page, protocol: str, name: str) -> None:
    """Have a file made in the guest, by its keyboard or its serial line."""
    page.locator("[data-screen] .xterm-screen" if protocol == "serial" else "[data-screen] canvas").click()
    page.keyboard.press("Enter")
    page.keyboard.type(f"touch /tmp/{name}", delay=30)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_console_notices_by_itself_that_nothing_answers_any_more_and_comes_back(
    stage: Stage, audience: Audience, wire: Guest, protocol: str
) -> None:
    page = open_by(audience, protocol)
    with nothing_comes_through(stage):
        since = time.monotonic()
        with page.expect_response("**/console-tickets", timeout=60_000):
            pass
        took = time.monotonic() - since
    assert took < NOTICED + SLOW_MACHINE
    connected(page)
    type_into(page, protocol, f"after-{protocol}")
    eventually(lambda: f"after-{protocol}" in wire.run("ls /tmp"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_console_that_is_only_quiet_is_left_alone(audience: Audience, wire: Guest, protocol: str) -> None:
    page = open_by(audience, protocol)
    session = page.locator("[data-console]").get_attribute("data-session")
    if protocol == "spice":
        wire.run("printf '\\033[?25l' >/dev/tty1")  # a cursor that blinks would be a sign of life
    page.wait_for_timeout((NOTICED + 2) * 1000)
    assert page.locator("[data-console]").get_attribute("data-session") == session
    connected(page)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_round_trip_is_measured_without_anybody_doing_something(
    audience: Audience, wire: Guest, protocol: str
) -> None:
    page = open_by(audience, protocol)
    toggle = menu(page, "Screen").get_by_text("Connection figures")
    toggle.click()
    trip = page.locator('[data-figure="trip"]')
    expect(trip).to_have_text(re.compile(r"^[\d.]+ ms$"), timeout=15_000)
    assert float(trip.inner_text().split()[0]) < 2000
    page.evaluate("localStorage.clear()")
