"""A SPICE console at a real QXL guest: picture, keys, pointer, wheel, size, clipboard, sound, and its end."""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Iterator
from tempfile import NamedTemporaryFile

import pytest
from lxml import etree
from lxml.builder import E, ElementMaker
from playwright.sync_api import Page, expect

from demo.guest_xml import guest_xml
from tests import opl2
from tests.browser.audience import PHONE, Audience
from tests.browser.console_page import (
    CONSOLE,
    SCREEN,
    connected,
    console_of,
    has_picture,
    hint,
    menu,
    sessions,
    type_into,
)
from tests.browser.stage import Stage, eventually
from tests.guest import Guest
from tests.spice_agent import CLIPBOARD as GIVEN
from tests.spice_agent import GRAB, MONITORS_CONFIG, MOUSE_STATE, REQUEST, UTF8, SpiceAgent

pytestmark = [pytest.mark.guest, pytest.mark.browser]

GLASS = "glass"
QEMU = ElementMaker(
    namespace="http://libvirt.org/schemas/domain/qemu/1.0", nsmap={"qemu": "http://libvirt.org/schemas/domain/qemu/1.0"}
)


@pytest.fixture(scope="module")
def glass(stage: Stage) -> Iterator[Guest]:
    """A machine with both displays, QXL, the SPICE agent's channel and an OPL2, which the small kernel can play."""
    identity = uuid.uuid4()
    domain = etree.fromstring(
        guest_xml(
            GLASS,
            stage.image,
            uuid=identity,
            domain_type=stage.domain_type,
            graphics=("vnc", "spice"),
            video="qxl",
            made_by="tests",
        )
    )
    domain.find("devices").append(E.channel(E.target(type="virtio", name="com.redhat.spice.0"), type="spicevmc"))
    domain.append(QEMU.commandline(QEMU.arg(value="-device"), QEMU.arg(value=opl2.DEVICE)))
    with NamedTemporaryFile("wb", suffix=".xml") as file:
        file.write(etree.tostring(domain))
        file.flush()
        stage.virsh("define", file.name)
    guest = Guest(stage.libvirt, GLASS, identity)
    stage.guests[GLASS] = guest
    stage.give(guest)
    stage.make_run(guest)
    yield guest
    stage.forget(GLASS)


@pytest.fixture(autouse=True)
def _glass_runs(stage: Stage, glass: Guest) -> None:
    stage.make_run(glass)


def spice_of(audience: Audience, role: str = "owner", query: str = "", **options: object) -> Page:
    page = console_of(audience, role, GLASS, f"?protocol=spice{query}", **options)
    connected(page)
    eventually(lambda: has_picture(page))
    return page


def test_the_display_is_chosen_and_the_choice_is_remembered_for_the_machine(audience: Audience) -> None:
    page = console_of(audience, "owner", GLASS)
    connected(page)
    assert page.locator(CONSOLE).get_attribute("data-console") == "vnc"
    page.locator("[data-protocols] > summary").click()
    page.locator('[data-protocol="spice"]').click()
    expect(page.locator("#spice-area canvas")).to_be_visible()
    connected(page)
    page.goto("/")
    page.goto(f"/machines/{audience.stage.ids[GLASS]}/console/")
    connected(page)
    assert page.locator(CONSOLE).get_attribute("data-console") == "spice"


def test_keys_reach_the_machine_each_channel_takes_its_own_ticket_and_leaving_ends_it(
    stage: Stage, audience: Audience, glass: Guest
) -> None:
    page = audience.page_of("owner")
    audience.expect_complaint("willReadFrequently")
    answers: list[dict] = []
    sockets: list[str] = []
    page.on("response", lambda answer: answer.url.endswith("console-tickets") and answers.append(answer.json()))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"/machines/{glass.uuid}/console/?protocol=spice")
    connected(page)
    eventually(lambda: has_picture(page))
    type_into(page, "touch /tmp/spice\n")
    eventually(lambda: "spice" in glass.run("ls /tmp"))
    [answer] = answers
    assert len(set(answer["tickets"])) == len(answer["channels"]) == len([url for url in sockets if "console" in url])
    assert not any(ticket in page.content() for ticket in answer["tickets"])
    page.goto("/")
    row = eventually(lambda: (rows := sessions(stage, protocol="spice"))[0]["ended"] and rows[0])
    assert (row["end_reason"], row["mode"]) == ("left", "control")
    assert row["bytes_to_client"] > 1000


def test_the_screen_comes_back_after_the_machine_was_off_and_leaves_nothing_of_the_old_one(
    stage: Stage, audience: Audience, glass: Guest
) -> None:
    audience.expect_complaint("409")
    page = spice_of(audience)
    glass.virsh("destroy")
    expect(page.get_by_text("glass is shut off")).to_be_visible()
    assert page.locator("[data-screen] > *").count() == 0
    stage.make_run(glass)
    connected(page)
    eventually(lambda: has_picture(page))
    assert page.locator("#spice-area").count() == page.locator(SCREEN).count() == 1
    type_into(page, "touch /tmp/again\n")
    eventually(lambda: "again" in glass.run("ls /tmp"))


def test_who_looks_on_opens_no_channel_for_keys_and_fits_a_phone(audience: Audience, glass: Guest) -> None:
    page = spice_of(audience, query="&mode=view", viewport=PHONE)
    page.locator(SCREEN).click()
    page.keyboard.press("a")
    expect(menu(page, "Keys").get_by_role("button", name="Ctrl-Alt-Del")).to_be_disabled()
    box = page.locator(SCREEN).bounding_box()
    assert (round(box["x"]), round(box["width"])) == (0, PHONE["width"])


def test_pointer_wheel_size_and_clipboard_go_through_the_agent(audience: Audience, glass: Guest) -> None:
    page = spice_of(audience)
    agent = SpiceAgent(glass)

    [sized, *_] = eventually(lambda: agent.heard(MONITORS_CONFIG))
    _count, _flags, height, width = struct.unpack_from("<IIII", sized)
    place = page.locator("[data-screen]").bounding_box()
    assert (width, height) == (place["width"] // 8 * 8, place["height"] // 8 * 8)

    box = page.locator(SCREEN).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.up()
    page.mouse.wheel(0, 120)
    states = eventually(
        lambda: (
            (found := [struct.unpack_from("<III", body) for body in agent.heard(MOUSE_STATE)])
            and any(buttons & 1 << 5 for _x, _y, buttons in found)
            and found
        )
    )
    assert any((abs(x - 360) <= 1 and abs(y - 100) <= 1) and buttons & 1 << 1 for x, y, buttons in states)
    assert not states[-1][2]

    agent.grab(UTF8)
    eventually(lambda: agent.heard(REQUEST))
    page.evaluate(
        """async () => {
            const { desk } = await import(document.querySelector('link[href*="console/desk"]').href);
            window.copied = new Promise((resolve) => {
                desk.screen.addEventListener("clipboard", ({ detail }) => resolve(detail.text));
            });
            window.desk = desk;
        }"""
    )
    text = "Grüße, 世界 " * 400  # longer than one piece
    agent.give(text[:900])
    assert page.evaluate("window.copied") == text[:900]
    page.evaluate("(text) => window.desk.screen.paste(text)", text)
    eventually(lambda: agent.heard(GRAB))
    agent.ask()
    given = eventually(lambda: agent.heard(GIVEN))
    assert given[0][8:].decode() == text


HELD_BACK = """
const play = HTMLMediaElement.prototype.play;
let clicked = false;
addEventListener("click", () => { clicked = true; }, true);
addEventListener("playing", (event) => {
    if (clicked) return;
    event.stopImmediatePropagation();
    event.target.pause();
}, true);
HTMLMediaElement.prototype.play = function () {
    if (clicked) return play.call(this);
    return Promise.reject(new DOMException("not yet", "NotAllowedError"));
};
"""
"""A browser that is driven counts as used by a person, so it never keeps sound back by itself, as others do."""


def test_the_machines_sound_is_played_once_the_browser_is_told_that_it_may(audience: Audience, glass: Guest) -> None:
    page = spice_of(audience)
    page.add_init_script(HELD_BACK)
    page.reload()
    connected(page)
    opl2.play(glass)
    expect(hint(page, "sound")).to_be_visible(timeout=15_000)
    page.get_by_role("button", name="Hear it").click()
    expect(hint(page, "sound")).to_be_hidden()
    page.evaluate(
        """() => {
            const context = new AudioContext();
            window.analyser = new AnalyserNode(context, { fftSize: 16384 });
            context.createMediaElementSource(document.querySelector("#spice-area audio")).connect(window.analyser);
            window.analyser.connect(context.destination);
        }"""
    )
    assert eventually(lambda: _is_of_the_tone(_loudest(page)), every=0.5)
    sound = menu(page, "Screen").get_by_role("menuitemcheckbox", name="Sound")
    sound.click()
    expect(sound).to_have_attribute("aria-checked", "false")
    assert page.evaluate("document.querySelector('#spice-area audio').muted")
    opl2.hush(glass)


def _is_of_the_tone(hertz: float) -> bool:
    """Whether it is the chip's tone or one of its overtones, which may be louder."""
    times = hertz / opl2.HERTZ
    return 1 <= round(times) <= 5 and abs(times - round(times)) < 0.03


def _loudest(page: Page) -> float:
    """The frequency that is heard most, in Hz."""
    time.sleep(0.5)
    return page.evaluate(
        """() => {
            const heard = new Float32Array(window.analyser.frequencyBinCount);
            window.analyser.getFloatFrequencyData(heard);
            return heard.indexOf(Math.max(...heard)) * window.analyser.context.sampleRate / window.analyser.fftSize;
        }"""
    )
