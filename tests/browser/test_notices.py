"""The bell in a real browser: it counts live, says what is news once, and what is read in one tab is read in all."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.audience import PHONE, Audience
from tests.browser.pages import path_of
from tests.browser.stage import Stage

pytestmark = [pytest.mark.guest, pytest.mark.browser]

MANY = """
from notices.telling import tell
machine = Machine.objects.get(uuid=uuid)
for number in range(5):
    parameters = {"how": "crashed"}
    tell("crashed", [machine.owner_id], key=f"browser:{uuid}:{number}", machine=machine, parameters=parameters)
"""
OWN = """
from notices.telling import tell
machine = Machine.objects.get(uuid=uuid)
parameters = {"how": "succeeded", "operation": "start"}
tell("operation_finished", [machine.owner_id], key=f"own:{uuid}", machine=machine, parameters=parameters)
"""
FORGET = """
from notices.models import Notice
Notice.objects.all().delete()
"""


@pytest.fixture(autouse=True)
def _no_notices(stage: Stage) -> None:
    """Begin without what the making of the stage, and tests before, told."""
    stage.backstage.run(FORGET)


def expect_count(page: Page, count: int) -> None:
    """Wait until the bell counts so many; none is no number."""
    number = page.locator("[data-unread-count]")
    if count:
        expect(number).to_have_text(str(count))
        expect(number).to_be_visible()
    else:
        expect(number).to_be_hidden()


def test_the_bell_counts_live_and_leads_to_what_happened(stage: Stage, audience: Audience) -> None:
    page, other = audience.page_of("stranger"), audience.page_of("stranger", "/notices/")
    expect_count(page, 0)
    expect(other.get_by_text("No notices")).to_be_visible()
    page.locator("[data-notices] summary").click()
    expect(page.get_by_text("Nothing happened yet that you are told of.")).to_be_visible()
    page.keyboard.press("Escape")
    stage.grant(stage.shelf, "viewer", user="stranger")
    try:
        for one in (page, other):
            expect_count(one, 1)
            expect(one.locator("[data-toast]", has_text="is shared with you; your right on it: viewer.")).to_have_count(
                1
            )
        expect(other.locator("li[data-notice][data-unread]")).to_have_count(1)
        page.locator("[data-notices] summary").click()
        line = page.locator(".bell-line")
        expect(line).to_have_count(1)
        expect(line).to_have_attribute("data-unread", "")
        line.click()
        page.wait_for_url(f"**{path_of(stage.shelf)}")
        for one in (page, other):
            expect_count(one, 0)
        expect(other.locator("li[data-notice]")).to_have_count(1)
        expect(other.locator("li[data-notice][data-unread]")).to_have_count(0)
    finally:
        stage.revoke(stage.shelf, user="stranger")
    expect(other.get_by_text("No notices")).to_be_visible()


def test_many_at_once_are_few_toasts_and_a_line_each_and_ones_own_operation_no_toast(
    stage: Stage, audience: Audience
) -> None:
    page = audience.page_of("owner", "/operations/", viewport=PHONE, has_touch=True, is_mobile=True)
    stage.backstage.run(OWN, uuid=str(stage.shelf.uuid))
    expect_count(page, 1)
    expect(page.locator("[data-toast]")).to_have_count(0)
    page.reload()
    expect_count(page, 1)
    stage.backstage.run(MANY, uuid=str(stage.shelf.uuid))
    expect_count(page, 6)
    assert 1 <= page.locator("[data-toast]").count() <= 3
    page.locator("[data-notices] summary").click()
    expect(page.locator(".bell-line")).to_have_count(6)
    box = page.locator("[data-notices] .menu-list").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.get_by_role("button", name="Mark all read").click()
    expect_count(page, 0)
    expect(page.locator("[data-notices] summary")).to_have_attribute("aria-label", re.compile(r"unread: 0$"))


def test_choices_are_kept_and_say_so(audience: Audience) -> None:
    page = audience.page_of("viewer", "/profile/")
    expect(page.get_by_text("This portal sends no mail")).to_be_visible()
    box = page.get_by_label("In the page: A machine was shared with you")
    expect(box).to_be_checked()
    for wanted in (False, True):
        box.set_checked(wanted)
        page.get_by_role("button", name="Keep these choices").click()
        expect(page.get_by_text("Your choice of notices is kept.")).to_be_visible()
        assert box.is_checked() is wanted
