"""The frame around a screen: keys, fingers, figures, quality, pictures, windows, and the way out of it."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.console_page import CONSOLE, SCREEN, connected, console_of, has_picture, hint, menu, type_into
from tests.browser.stage import OFFICE, Stage, eventually

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)


def presses_of(page: Page) -> None:
    """From now on remember what the screen is told to press: "+ControlLeft -ControlLeft"."""
    page.evaluate(
        """async () => {
            const { desk } = await import(document.querySelector('link[href*="console/desk"]').href);
            const press = desk.screen.press.bind(desk.screen);
            window.pressed = [];
            desk.screen.press = (code, down, ...more) => {
                window.pressed.push((down ? "+" : "-") + code);
                press(code, down, ...more);
            };
        }"""
    )


def pressed(page: Page) -> str:
    """What was pressed since the last look."""
    return page.evaluate("window.pressed.splice(0).join(' ')")


def test_chords_reach_the_machine_and_a_persons_own_are_remembered(stage: Stage, audience: Audience) -> None:
    stage.in_guest(OFFICE, "echo 1 >/proc/sys/kernel/sysrq; dmesg -c >/dev/null")
    page = console_of(audience, "owner")
    connected(page)
    keys = menu(page, "Keys")
    keys.get_by_text("SysRq of Linux").click()
    keys.get_by_role("button", name="SysRq H").click()
    eventually(lambda: "sysrq: HELP" in stage.in_guest(OFFICE, "dmesg"))

    presses_of(page)
    menu(page, "Keys").get_by_role("button", name="Another chord").click()
    dialog = page.locator("[data-chord-dialog]")
    dialog.get_by_label("Ctrl").check()
    dialog.get_by_label("Key, by its place").select_option("F5")
    expect(dialog.locator("[data-chosen]")).to_have_text("Ctrl-F5")
    dialog.get_by_role("button", name="Send and remember").click()
    assert pressed(page) == "+ControlLeft +F5 -F5 -ControlLeft"

    menu(page, "Keys").get_by_role("button", name="Another chord").click()
    dialog.get_by_role("button", name="Or press it here").focus()
    page.keyboard.press("Shift+Alt+k")
    expect(dialog.locator("[data-chosen]")).to_have_text("Alt-Shift-K")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()

    page.reload()
    connected(page)
    keys = menu(page, "Keys")
    keys.get_by_role("button", name="Ctrl-F5", exact=True).click()
    menu(page, "Keys").get_by_role("button", name="Forget this chord: Ctrl-F5").click()
    expect(page.get_by_role("button", name="Ctrl-F5", exact=True)).to_have_count(0)


def test_modifiers_stick_for_one_key_or_until_pressed_again_and_phones_get_their_keyboard(
    stage: Stage, audience: Audience
) -> None:
    page = console_of(audience, "owner", viewport=PHONE, has_touch=True)
    connected(page)
    eventually(lambda: has_picture(page))
    page.get_by_role("button", name="Keys on the screen").click()
    row = page.get_by_role("toolbar", name="Keys on the screen")
    field = page.locator("[data-key-field]")
    expect(field).to_be_focused()
    page.keyboard.type("touch /tmp/Phone_1")
    page.keyboard.press("Backspace")
    page.keyboard.insert_text("2")
    page.keyboard.press("Enter")
    eventually(lambda: "Phone_2" in stage.in_guest(OFFICE, "ls /tmp"))

    presses_of(page)
    row.get_by_role("button", name="Ctrl", exact=True).click()
    row.get_by_role("button", name="Tab", exact=True).click()
    assert pressed(page) == "+ControlLeft +Tab -Tab -ControlLeft"
    alt = row.get_by_role("button", name="Alt", exact=True)
    alt.click()
    alt.click()
    row.get_by_role("button", name="F2", exact=True).click()
    row.get_by_role("button", name="F3", exact=True).click()
    assert pressed(page) == "+AltLeft +F2 -F2 +F3 -F3"
    alt.click()
    assert pressed(page) == "-AltLeft"
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


def test_a_screenshot_is_a_png_named_after_machine_and_time(audience: Audience) -> None:
    page = console_of(audience, "viewer")
    connected(page)
    eventually(lambda: has_picture(page))
    with page.expect_download() as download:
        menu(page, "Screen").get_by_role("button", name="Save a screenshot").click()
    assert re.fullmatch(r"office \d{4}-\d\d-\d\d \d\d-\d\d-\d\d\.png", download.value.suggested_filename)
    picture = Image.open(io.BytesIO(download.value.path().read_bytes()))
    assert picture.format == "PNG"
    assert picture.size == (720, 400)


def test_figures_are_measured_and_quality_is_asked_for_and_both_are_remembered(audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    screen = menu(page, "Screen")
    screen.get_by_text("Connection figures").click()
    trip = page.locator('[data-figure="trip"]')
    expect(trip).to_have_text(re.compile(r"^[\d.]+ ms$"), timeout=15_000)
    expect(page.locator('[data-figure="rate"]')).to_have_text(re.compile(r"^[\d.]+ [kM]B/s$"))
    expect(page.locator('[data-figure="frames"]')).to_have_text(re.compile(r"^\d+/s$"))
    sent: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    screen.locator('[data-quality="slow"]').click()
    page.reload()
    connected(page)
    expect(trip).to_be_visible()
    expect(page.locator('[data-quality="slow"]')).to_have_attribute("aria-checked", "true")
    compression_9 = (-256 + 9).to_bytes(4, "big", signed=True)
    eventually(lambda: any(compression_9 in bytes(frame) for frame in sent if isinstance(frame, bytes)))


def test_native_size_shows_every_dot_and_is_remembered(audience: Audience) -> None:
    page = console_of(audience, "owner", viewport={"width": 500, "height": 400})
    connected(page)
    eventually(lambda: has_picture(page))
    fit = page.get_by_role("button", name="Fit the screen into the window")
    assert page.locator(SCREEN).bounding_box()["width"] <= 500
    fit.click()
    eventually(lambda: page.locator(SCREEN).bounding_box()["width"] == 720)
    page.reload()
    connected(page)
    expect(fit).to_have_attribute("aria-pressed", "false")
    eventually(lambda: page.locator(SCREEN).bounding_box()["width"] == 720)


def test_three_keys_lead_out_of_the_screen_and_back_and_leave_nothing_pressed(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    page.locator(SCREEN).click()
    expect(page.locator(".console-hatch")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(SCREEN)).to_be_focused()  # it is the machine's
    for key in ("Control", "Alt", "Shift"):
        page.keyboard.down(key)
    for key in ("Shift", "Alt", "Control"):
        page.keyboard.up(key)
    expect(page.get_by_role("link", name="Back to the machine")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".console-bar :focus")).not_to_have_attribute("href", re.compile("."))  # the next in the bar
    type_into(page, "\ntouch /tmp/free\n")
    eventually(lambda: "free" in stage.in_guest(OFFICE, "ls /tmp"))


def test_operations_are_asked_for_without_leaving_the_page(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    page.get_by_role("button", name="Operations of the machine").click()
    page.locator("#row-menu [data-operation=suspend]").click()
    expect(page.locator(CONSOLE)).to_have_attribute("data-state", "paused")
    expect(hint(page, "standing")).to_contain_text("office is paused")
    hint(page, "standing").get_by_role("button", name="Resume").click()
    expect(page.locator(CONSOLE)).to_have_attribute("data-state", "running")
    expect(hint(page, "standing")).to_be_hidden()
    assert stage.state_of(OFFICE) == "running"


def test_the_screen_moves_into_a_window_of_its_own_and_back(audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    with page.expect_popup() as popup:
        menu(page, "Screen").get_by_role("button", name="Open in a window of its own").click()
    connected(popup.value)
    expect(popup.value.get_by_role("link", name="Back to the machine")).to_be_hidden()
    expect(page.get_by_text("This screen is in a window of its own")).to_be_visible()
    popup.value.close()
    page.get_by_role("button", name="Show it here").click()
    connected(page)


def test_fullscreen_hides_the_bar_until_it_is_wanted(audience: Audience) -> None:
    page = console_of(audience, "owner")
    connected(page)
    page.get_by_role("button", name="Full screen").click()
    eventually(lambda: page.evaluate("Boolean(document.fullscreenElement)"))
    page.mouse.move(400, 400)
    eventually(lambda: page.locator(".console-bar").bounding_box()["y"] < 0)
    page.mouse.move(400, 1)
    eventually(lambda: page.locator(".console-bar").bounding_box()["y"] == 0)
    page.get_by_role("button", name="Full screen").click()
    eventually(lambda: not page.evaluate("Boolean(document.fullscreenElement)"))
