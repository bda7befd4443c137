"""Several people at one screen, in real browsers: who is there, who types, and how that changes hands."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.stage import OFFICE, Stage, eventually
from tests.browser.test_console import CONSOLE, connected, console_of, type_into

pytestmark = [pytest.mark.guest, pytest.mark.browser]


@pytest.fixture(autouse=True)
def _office_runs(stage: Stage) -> None:
    stage.make_run(OFFICE)
    stage.in_guest(OFFICE, "rm -f /tmp/by-*")


@pytest.fixture
def both(stage: Stage, audience: Audience) -> Iterator[tuple[Page, Page]]:
    """The owner, who types, and the viewer, who looks on, each in a browser of their own.

    Nobody asked or had borrowed control a moment ago, as in the test before.
    """
    forgotten = "from consoles import loans; loans.forget(machine, 'vnc')"
    unasked = "from consoles.models import ConsoleEvent; ConsoleEvent.objects.filter(kind='asked').delete()"
    stage.backstage.run(f"{forgotten}; {unasked}", machine=str(stage.ids[OFFICE]))
    owner = console_of(audience, "owner")
    connected(owner)
    expect(owner.get_by_role("button", name="Who is here: 1")).to_be_visible()
    viewer = console_of(audience, "viewer")
    connected(viewer)
    yield owner, viewer


def typed(stage: Stage) -> set[str]:
    """The names that were typed into the guest."""
    return set(stage.in_guest(OFFICE, "ls /tmp").split())


def mode(page: Page) -> str:
    return page.locator(CONSOLE).get_attribute("data-mode")


def test_control_is_asked_for_handed_over_and_taken_back(stage: Stage, both: tuple[Page, Page]) -> None:
    owner, viewer = both
    for page, typing in ((owner, "You type"), (viewer, "owner types")):
        page.get_by_role("button", name=f"Who is here: 2. {typing}.").click()
        panel = page.get_by_role("complementary", name="Who is here")
        expect(panel.get_by_role("listitem").filter(has_text="owner")).to_contain_text("types")
        expect(panel.get_by_role("listitem").filter(has_text="viewer")).to_contain_text("looks on")
        panel.get_by_role("button", name="Close").click()

    viewer.get_by_role("button", name="Ask for control").click()
    expect(viewer.get_by_role("button", name="Stop asking")).to_be_visible()
    line = owner.get_by_role("group", name="viewer asks for control of the machine.")
    line.get_by_role("button", name="Give").click()
    expect(viewer.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    expect(viewer.get_by_text("owner handed you control. You may type.")).to_be_visible()
    expect(owner.get_by_role("button", name="Take back control")).to_be_visible()
    expect(line).to_have_count(0)

    type_into(owner, "touch /tmp/by-owner\n")
    type_into(viewer, "touch /tmp/by-viewer\n")
    eventually(lambda: "by-viewer" in typed(stage))
    assert "by-owner" not in typed(stage)

    started = time.monotonic()
    owner.get_by_role("button", name="Take back control").click()
    expect(viewer.locator(CONSOLE)).to_have_attribute("data-mode", "view", timeout=2000)
    assert time.monotonic() - started < 1.5
    expect(viewer.get_by_text("owner has control now. You look on.")).to_be_visible()
    type_into(viewer, "touch /tmp/by-viewer-later\n")
    type_into(owner, "touch /tmp/by-owner-later\n")
    eventually(lambda: "by-owner-later" in typed(stage))
    assert "by-viewer-later" not in typed(stage)


def test_who_is_refused_is_told_and_who_borrowed_and_leaves_gives_it_back(
    audience: Audience, both: tuple[Page, Page]
) -> None:
    audience.expect_complaint("429")
    owner, viewer = both
    viewer.get_by_role("button", name="Ask for control").click()
    owner.get_by_role("button", name="Not now").click()
    expect(viewer.get_by_text("owner keeps control for now.")).to_be_visible()
    viewer.get_by_role("button", name="Ask for control").click()
    expect(viewer.get_by_text("You asked a moment ago.")).to_be_visible()

    owner.get_by_role("button", name="Who is here: 2").click()
    owner.get_by_role("button", name="Give control").click()
    expect(owner.locator(CONSOLE)).to_have_attribute("data-mode", "view")
    viewer.goto("/")
    expect(owner.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    expect(owner.get_by_text("You have control now.")).to_be_visible()
    expect(owner.get_by_role("button", name="Who is here: 1. You type.")).to_be_visible()


def test_who_borrowed_control_and_loads_the_page_again_goes_on_with_it(stage: Stage, both: tuple[Page, Page]) -> None:
    owner, viewer = both
    owner.get_by_role("button", name="Who is here: 2").click()
    owner.get_by_role("button", name="Give control").click()
    expect(viewer.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    for name in ("by-reload", "by-second-reload"):
        viewer.reload()
        connected(viewer)
        expect(viewer.locator(CONSOLE)).to_have_attribute("data-mode", "control")
        type_into(viewer, f"touch /tmp/{name}\n")
        eventually(lambda name=name: name in typed(stage))
    expect(owner.locator(CONSOLE)).to_have_attribute("data-mode", "view")
    panel = owner.get_by_role("complementary", name="Who is here")
    panel.get_by_role("button", name="Take back control").click()
    expect(viewer.locator(CONSOLE)).to_have_attribute("data-mode", "view")
    viewer.reload()
    connected(viewer)
    expect(viewer.get_by_role("button", name="Ask for control")).to_be_visible()
    expect(owner.locator(CONSOLE)).to_have_attribute("data-mode", "control")
    assert (mode(owner), mode(viewer)) == ("control", "view")


def test_a_console_that_is_about_to_close_says_so_and_can_be_kept(stage: Stage, audience: Audience) -> None:
    page = console_of(audience, "owner", viewport=PHONE)
    connected(page)
    session = page.locator(CONSOLE).get_attribute("data-session")
    warn = """
import time
from consoles.proxy import redis_names
from machines.redis_client import redis_client
now = time.time()
report = {"session": session, "event": "warned", "at": now, "reason": reason, "ends_at": now + 60}
redis_client().xadd(redis_names.EVENTS_STREAM, report | {"to_client": 0, "from_client": 0})
"""
    stage.backstage.run(warn, session=session, reason="idle")
    expect(page.get_by_role("alert").filter(has_text="because nobody types here")).to_have_count(1)
    page.get_by_role("button", name="Keep it open").click()
    expect(page.get_by_text("This console stays open.")).to_be_visible()
    kinds = (
        "from consoles.models import ConsoleEvent\n"
        "value = list(ConsoleEvent.objects.filter(session=session).values_list('kind', flat=True))"
    )
    assert stage.backstage.run(kinds, session=session) == ["warned", "kept"]

    stage.backstage.run(warn, session=session, reason="limit")
    expect(page.get_by_text("it was open for as long as one may be").first).to_be_visible()
    expect(page.get_by_role("button", name="Keep it open")).to_be_hidden()
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]
