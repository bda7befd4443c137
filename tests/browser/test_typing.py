"""Typing a text into a real guest through the page: what its keyboard layout makes of it is read by its agent."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import expect_connection, path_of
from tests.browser.stage import OFFICE, Stage, eventually
from tests.consoles.console_keymap import give_keymap, take_keymap
from tests.consoles.scripts import run_module
from tests.consoles.test_layouts import TABLES
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

ARRIVED = "/tmp/arrived"
TYPED = "Typed"


@pytest.fixture(autouse=True)
def _office_listens(stage: Stage) -> Iterator[None]:
    """Its text console is a `cat` into a file, in place of the shell."""
    stage.make_run(OFFICE)
    with listening(stage.office):
        yield


@contextmanager
def listening(guest: Guest) -> Iterator[None]:
    """Let what is typed on a guest's text console go to a file, and leave the guest its shell and keymap."""
    guest.run(f"rm -f {ARRIVED}")
    put_on_tty1(guest, f"/bin/sh -c 'exec cat >{ARRIVED}'")
    eventually(lambda: guest.run(f"test -e {ARRIVED} && pidof cat"))
    yield
    put_on_tty1(guest, "-/bin/sh")
    take_keymap(guest)


def put_on_tty1(guest: Guest, command: str) -> None:
    guest.run(
        f"""grep -v ^tty1: /etc/inittab >/tmp/inittab; echo "tty1::respawn:{command}" >>/tmp/inittab
        cp /tmp/inittab /etc/inittab; kill -HUP 1
        for process in /proc/[0-9]*; do
            [ "$(readlink $process/fd/0)" = /dev/tty1 ] && kill -9 ${{process#/proc/}}
        done"""
    )


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return run_module(tmp_path_factory.mktemp("layouts"), TABLES)


def arrived(guest: Guest) -> str:
    """What came, but for a last line that has not ended."""
    return guest.run(f"echo .; cat {ARRIVED}; echo .")[2:-1]


def arrives(guest: Guest, text: str, limit: float = 20) -> str:
    """Wait until just this text came; return what did."""
    until = time.monotonic() + limit
    while (now := arrived(guest)) != text and time.monotonic() < until:
        time.sleep(0.2)
    return now


def typing_on(audience: Audience, stage: Stage, role: str = "owner", query: str = "") -> tuple[Page, Locator]:
    """The office's console with the panel open."""
    return typing_at(audience, stage.office, role, query)


def typing_at(audience: Audience, guest: Guest, role: str = "owner", query: str = "") -> tuple[Page, Locator]:
    """A guest's console with the panel open."""
    audience.expect_complaint("willReadFrequently")
    page = audience.page_of(role, path_of(guest, f"console/{query}"))
    expect_connection(page, "connected")
    page.get_by_role("button", name="Type text").press("Enter")  # the bar moves while it hears who is there
    return page, page.locator('[data-panel="typing"]')


def type_text(panel: Locator, text: str, layout: str, rate: str = "12", system: str = "linux") -> None:
    panel.locator("#typing-layout").select_option(layout)
    panel.locator("#typing-system").select_option(system)
    panel.locator("#typing-rate").select_option(rate)
    panel.locator("#typing-text").fill(text)
    panel.get_by_role("button", name="Type", exact=True).click()


def noted(stage: Stage) -> dict | None:
    """What the audit has of the last typing."""
    code = """
from consoles.models import ConsoleEvent
value = ConsoleEvent.objects.filter(kind="typed").order_by("-at").values_list("detail", flat=True).first()
"""
    return stage.backstage.run(code)


def result(panel: Locator) -> Locator:
    return panel.locator("[data-typing-result]")


def test_every_character_arrives_in_the_layout_of_the_guest(stage: Stage, audience: Audience, tables) -> None:
    _, panel = typing_on(audience, stage)
    everything = ""
    for layout in ("de", "fr", "jp"):
        give_keymap(stage.office, layout)
        characters = sorted(set(tables[f"{layout} linux"]) - set("\n\t"))
        lines = ["".join(characters[start : start + 40]) for start in range(0, len(characters), 40)]
        text = "\n".join([*lines, "tab\tand {[(~^`'\"\\|@#)]} end", ""])
        everything += text
        type_text(panel, text, layout, "40")
        expect(result(panel)).to_contain_text(f"Typed {len(text)} characters", timeout=180_000)
        assert arrives(stage.office, everything) == everything


def test_it_is_typed_over_spice_too_in_the_layout_of_the_guest(
    audience: Audience, wire: Guest, tables: dict[str, Any]
) -> None:
    with listening(wire):
        page, panel = typing_at(audience, wire, query="?protocol=spice")
        everything = ""
        for layout in ("us", "de"):
            give_keymap(wire, layout)
            characters = sorted(set(tables[f"{layout} linux"]) - set("\n\t"))
            lines = ["".join(characters[start : start + 40]) for start in range(0, len(characters), 40)]
            text = "\n".join([*lines, "tab\tand {[(~^`'\"\\|@#)]} end", ""])
            everything += text
            type_text(panel, text, layout)
            expect(result(panel)).to_contain_text(f"Typed {len(text)} characters", timeout=90_000)
            assert arrives(wire, everything) == everything
        page.locator("[data-screen] canvas").click()
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        assert arrives(wire, everything + "a\n") == everything + "a\n", "no modifier was left down"


def test_a_text_that_cannot_be_typed_is_marked_and_none_of_it_is_typed(stage: Stage, audience: Audience) -> None:
    _, panel = typing_on(audience, stage)
    panel.locator("#typing-layout").select_option("us")
    panel.locator("#typing-text").fill("5 € or 5 “euros”\n")
    expect(panel.get_by_text("no key for: € “ ”")).to_be_visible()
    assert panel.locator("[data-typing-preview] mark").all_inner_texts() == ["€", "“", "”"]
    expect(panel.get_by_role("button", name="Type", exact=True)).to_be_disabled()
    panel.locator("#typing-text").press("Control+Enter")
    panel.get_by_role("button", name="Leave them out").click()
    expect(panel.locator("#typing-text")).to_have_value("5  or 5 euros\n")
    panel.get_by_role("button", name="Type", exact=True).click()
    assert arrives(stage.office, "5  or 5 euros\n") == "5  or 5 euros\n"


def test_a_secret_is_typed_and_nowhere_kept(stage: Stage, audience: Audience) -> None:
    page, panel = typing_on(audience, stage)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(f"{request.url} {request.post_data}"))
    panel.get_by_label("Secret: not shown").check()
    panel.get_by_label("Press Enter afterwards").check()
    field = panel.locator("#typing-secret-text")
    assert field.get_attribute("type") == "password"
    assert field.get_attribute("name") is None
    field.fill("s3cr{t}")
    expect(panel.locator("[data-typing-preview]")).to_be_hidden()
    field.press("Enter")
    expect(result(panel)).to_contain_text("Typed 8 characters")
    assert arrives(stage.office, "s3cr{t}\n") == "s3cr{t}\n"
    assert field.input_value() == ""
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, history.state])")
    assert "s3cr" not in page.content() + kept + "".join(sent)
    assert eventually(lambda: noted(stage)) == {"characters": 8, "secret": True, "layout": "us"}


def test_stopped_in_the_middle_no_modifier_is_left_and_it_goes_on_from_there(stage: Stage, audience: Audience) -> None:
    page, panel = typing_on(audience, stage)
    text = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 2
    type_text(panel, text, "us")
    expect(panel.locator("[data-typing-summary]")).to_have_text(re.compile(r"^([5-9]|1\d) of 52"))
    panel.get_by_role("button", name="Stop").click()
    expect(result(panel)).to_contain_text("Stopped by you after")
    page.locator("[data-screen] canvas").click()
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    first = eventually(lambda: arrived(stage.office))
    typed = int(re.search(r"after (\d+) of 52", result(panel).inner_text())[1])
    assert first == text[:typed] + "a\n"
    panel.get_by_role("button", name="Go on from here").click()
    expect(result(panel)).to_contain_text("Typed 52 characters", timeout=30_000)
    page.locator("[data-screen] canvas").click()
    page.keyboard.press("Enter")
    assert arrives(stage.office, first + text[typed:] + "\n") == first + text[typed:] + "\n"


def test_caps_lock_in_the_guest_does_not_turn_letters_round(stage: Stage, audience: Audience) -> None:
    _, panel = typing_on(audience, stage)
    stage.virsh("send-key", OFFICE, "--codeset", "linux", "KEY_CAPSLOCK")
    type_text(panel, "Hello World, 3 Apfel\n", "us")
    assert arrives(stage.office, "Hello World, 3 Apfel\n") == "Hello World, 3 Apfel\n"


def test_using_the_screen_while_it_types_stops_it(stage: Stage, audience: Audience) -> None:
    page, panel = typing_on(audience, stage)
    type_text(panel, "x" * 60, "us", "4")
    expect(panel.locator("progress")).to_be_visible()
    page.locator("[data-screen] canvas").click()
    expect(result(panel)).to_contain_text("You used the machine's screen yourself")


def test_a_lost_screen_stops_it_and_it_can_go_on(stage: Stage, audience: Audience) -> None:
    audience.expect_complaint("WebSocket")
    page, panel = typing_on(audience, stage)
    type_text(panel, "y" * 60, "us", "4")
    expect(panel.locator("[data-typing-summary]")).to_have_text(re.compile(r"^[3-9] of 60"))
    stage.portal.restart("consoleproxy")
    expect(result(panel)).to_contain_text("The screen was lost after")
    expect_connection(page, "connected")
    expect(panel.get_by_role("button", name="Go on from here")).to_be_enabled()


def test_on_a_serial_line_any_text_is_written(stage: Stage, audience: Audience) -> None:
    _, panel = typing_on(audience, stage, query="?protocol=serial")
    expect(panel.get_by_label("Its keyboard")).to_be_hidden()
    panel.locator("#typing-text").fill("\a日本")
    expect(panel.get_by_text("no key for: U+0007")).to_be_visible()
    panel.locator("#typing-text").fill("printf '%s' '日本 €' >/tmp/line\n")
    panel.get_by_role("button", name="Type", exact=True).click()
    eventually(lambda: stage.office.run("cat /tmp/line") == "日本 €")
    assert eventually(lambda: noted(stage))["layout"] == ""


def test_whoever_only_looks_cannot_type(stage: Stage, audience: Audience) -> None:
    _, panel = typing_on(audience, stage, "viewer")
    panel.locator("#typing-text").fill("viewer\n")
    expect(panel.get_by_text("You are only looking at this machine.")).to_be_visible()
    expect(panel.get_by_role("button", name="Type", exact=True)).to_be_disabled()
    panel.locator("#typing-text").press("Control+Enter")
    time.sleep(1)
    assert arrived(stage.office) == ""


def test_the_choices_are_remembered_for_each_machine(stage: Stage, audience: Audience) -> None:
    page, panel = typing_on(audience, stage)
    panel.locator("#typing-layout").select_option("fr")
    page.reload()
    expect_connection(page, "connected")
    page.get_by_role("button", name="Type text").press("Enter")
    expect(panel.locator("#typing-layout")).to_have_value("fr")
    page.evaluate("localStorage.clear()")
