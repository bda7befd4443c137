"""The serial console in a real browser, at a real guest with a shell on ttyS0; the guest's agent is the witness."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, expect

from hypervisor.connection import Connection
from tests.browser.audience import PHONE, Audience
from tests.browser.stage import OFFICE, Stage, eventually
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

CONSOLE = "[data-console]"


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)


def console_of(audience: Audience, role: str, query: str = "?protocol=serial", **options) -> Page:
    return audience.page_of(role, f"/machines/{audience.stage.ids[OFFICE]}/console/{query}", **options)


def connected(page: Page, within: float = 20) -> None:
    expect(page.locator(CONSOLE)).to_have_attribute("data-connection", "connected", timeout=within * 1000)


def text(page: Page) -> str:
    """What the terminal shows, without the ends of lines."""
    return page.evaluate("document.querySelector('.xterm-rows')?.innerText ?? ''").replace("\xa0", " ")


def shows(page: Page, words: str, limit: float = 20) -> None:
    eventually(lambda: words in text(page), limit)


def type_into(page: Page, words: str) -> None:
    """Type as a person does."""
    page.locator("[data-screen] .xterm-screen").click()
    page.keyboard.type(words, delay=10)
    page.keyboard.press("Enter")


def has_shell(page: Page) -> None:
    """Press Enter until the shell asks for a command."""
    page.locator("[data-screen] .xterm-screen").click()

    def asks() -> bool:
        page.keyboard.press("Enter")
        time.sleep(0.3)
        return text(page).rstrip().endswith("office:/root#")

    eventually(asks)


@contextmanager
def another_program(stage: Stage, guest: Guest | None = None) -> Iterator[list[int]]:
    """Hold the console by a libvirt connection of our own; the list grows when it is thrown out."""
    connection, ends = Connection(stage.libvirt.uri), []
    connection.open()
    console = connection.domain((guest or stage.office).uuid).open_console(lambda _said: None, lambda: ends.append(1))
    yield ends
    console.close()
    connection.close()


def test_typing_seeing_reloading_and_looking_on(stage: Stage, audience: Audience) -> None:
    owner = console_of(audience, "owner")
    connected(owner)
    has_shell(owner)
    type_into(owner, "clear; echo $((6 * 7)) >/tmp/answer")
    type_into(owner, "clear; printf '\\033[31mred\\033[38;2;200;210;220mown\\033[0m'; cat /tmp/answer")
    shows(owner, "redown42")
    assert stage.in_guest(OFFICE, "cat /tmp/answer") == "42"
    colours_are_drawn(owner)

    owner.reload()
    connected(owner)
    shows(owner, "redown42")

    viewer = console_of(audience, "viewer")
    connected(viewer)
    shows(viewer, "redown42")
    expect(viewer.get_by_text("View only")).to_be_visible()
    type_into(viewer, "touch /tmp/viewer")
    type_into(owner, 'echo so"far"')
    shows(viewer, "sofar")
    assert "viewer" not in stage.in_guest(OFFICE, "ls /tmp")
    assert "touch" not in text(owner)


def colours_are_drawn(page: Page) -> None:
    colour = "[...document.querySelectorAll('.xterm-rows span')].find((span) => span.innerText === %r)"
    red, own, plain = (page.evaluate(f"getComputedStyle({colour % word}).color") for word in ("red", "own", "42"))
    assert own == "rgb(200, 210, 220)"
    assert len({red, own, plain}) == 3


def test_what_was_asked_before_a_reload_is_not_answered_again(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    has_shell(page)
    type_into(page, "stty -echo; cat >/tmp/typed")
    type_into(page, "x")
    stage.in_guest(OFFICE, "printf 'where\\033[6n?' >/dev/ttyS0")
    shows(page, "where?")
    eventually(lambda: stage.in_guest(OFFICE, "cat /tmp/typed").startswith("x"))
    for _ in range(3):
        page.reload()
        connected(page)
        shows(page, "where?")
    type_into(page, "")
    page.keyboard.press("Control+d")
    page.keyboard.press("Enter")
    time.sleep(0.5)
    assert stage.in_guest(OFFICE, "cat /tmp/typed").count("R") == 1
    type_into(page, "stty echo")


def test_it_stays_through_a_reset_and_comes_back_after_the_proxy_was_killed(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("WebSocket")
    page = console_of(audience, "owner")
    connected(page)
    has_shell(page)
    type_into(page, 'clear; echo before-the-"reset"')
    shows(page, "before-the-reset")
    session = page.locator(CONSOLE).get_attribute("data-session")
    stage.virsh("reset", OFFICE)
    shows(page, "Linux machine of the kvmportal demo", 120)
    assert page.locator(CONSOLE).get_attribute("data-session") == session
    with page.expect_response("**/console-tickets"):
        stage.portal.restart("consoleproxy")
    connected(page)
    has_shell(page)


def test_another_program_that_holds_it_is_said_and_can_be_thrown_out(stage: Stage, audience: Audience) -> None:
    stage.portal.restart("consoleproxy")  # it reads on for a while after its last viewer left
    with another_program(stage) as ends:
        page = console_of(audience, "owner")
        viewer = console_of(audience, "viewer")
        expect(page.get_by_text("Another program holds the serial console of office")).to_be_visible()
        expect(viewer.get_by_role("button", name="Take it over")).to_be_hidden()
        assert not ends
        page.get_by_role("button", name="Take it over").click()
        connected(page)
        assert eventually(lambda: ends)
    has_shell(page)


def test_the_chooser_offers_it_and_the_size_can_be_told(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("willReadFrequently")  # Chromium's advice to noVNC
    page = console_of(audience, "owner", "")
    connected(page)
    page.locator("[data-protocols] summary").click()
    page.get_by_role("link", name="Serial").click()
    expect(page.locator(CONSOLE)).to_have_attribute("data-console", "serial")
    connected(page)
    has_shell(page)
    page.get_by_label("Screen", exact=True).click()
    page.get_by_role("button", name="Tell the machine the size").click()
    type_into(page, "clear; stty size >/tmp/size")
    rows, columns = eventually(lambda: stage.in_guest(OFFICE, "cat /tmp/size")).split()
    assert int(rows) > 25
    assert int(columns) > 100


def test_an_empty_line_is_explained_and_enter_is_offered(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    has_shell(page)
    stage.in_guest(OFFICE, "printf '\\033c' > /dev/ttyS0")
    hint = page.locator('[data-hint="blank"]')
    expect(hint).to_contain_text("said nothing on this line yet", timeout=20_000)
    hint.get_by_role("button", name="Press a key").click()
    shows(page, "office:/root#")
    expect(hint).to_be_hidden()


def test_it_fits_a_phone_with_eighty_columns(audience: Audience) -> None:
    page = console_of(audience, "viewer", viewport=PHONE)
    connected(page)
    eventually(lambda: page.locator(".xterm-screen").bounding_box()["width"] <= PHONE["width"])
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
