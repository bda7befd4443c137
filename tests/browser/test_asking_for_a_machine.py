"""A user asks for a machine, an administrator changes and grants it, and the user boots it: live on both screens."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from demo.libvirtd import LibvirtFailed
from tests.browser.audience import PHONE, Audience
from tests.browser.pages import LIMIT
from tests.browser.stage import Stage
from tests.browser.test_every_page import SIDEWAYS

pytestmark = [pytest.mark.guest, pytest.mark.browser]

POOL, NAME = "made-in-the-browser", "thesis-1"
LIVE = 5000  # milliseconds: five times what is promised


@pytest.fixture(autouse=True)
def template(stage: Stage, guest_disk: Path) -> Iterator[None]:
    """A template whose image boots. Afterwards nothing of it is left: no machine, no disk, no pool."""
    place = stage.libvirt.directory / POOL
    place.mkdir(exist_ok=True)
    shutil.copyfile(guest_disk, place / "image.raw")
    stage.virsh("pool-create-as", POOL, "dir", "--target", str(place))
    code = (
        "from making.models import MachineTemplate\n"
        "host = Host.objects.get()\n"
        "MachineTemplate.objects.create(name='Small', summary='For a try.', host=host, pool=pool, image='image.raw',"
        " vcpus=2, memory_mib=128, disk_gib=1, most_vcpus=2, video='vga', domain_type=kind)"
    )
    stage.backstage.run(code, pool=POOL, kind=stage.domain_type)
    yield
    for command in ("destroy", "undefine"):
        with suppress(LibvirtFailed):
            stage.virsh(command, NAME)
    code = (
        "from making.models import MachineRequest, MachineTemplate\n"
        "Machine.objects.filter(name=name).delete()\n"
        "MachineRequest.objects.all().delete()\n"
        "MachineTemplate.objects.all().delete()"
    )
    stage.backstage.run(code, name=NAME)
    stage.virsh("pool-destroy", POOL)


def ask(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Ask for a machine").first.click()
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Small").check()
    expect(page.get_by_label("Memory, MiB")).to_have_attribute("placeholder", "128")
    page.get_by_role("textbox", name="What for").fill("my thesis")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("Whoever can grant it is told at once")).to_be_visible()


def test_it_is_asked_for_changed_granted_and_booted(stage: Stage, audience: Audience) -> None:
    admin = audience.page_of("admin", "/requests/")
    expect(admin.get_by_text("Nothing waits for your answer")).to_be_visible()
    user = audience.page_of("stranger")
    ask(user)

    expect(admin.locator("[data-toast]", has_text=f"stranger asks for a machine: {NAME}.")).to_be_visible(timeout=LIVE)
    row = admin.locator("[data-request]", has_text=NAME)
    expect(row).to_contain_text("my thesis", timeout=LIVE)
    row.get_by_role("link", name="Answer").click()
    admin.get_by_label("vCPUs").fill("1")
    admin.get_by_label("A sentence for them").fill("One will do.")
    admin.get_by_role("button", name="Make the machine").click()
    expect(admin.get_by_text("granted by admin")).to_be_visible(timeout=LIMIT)

    told = user.locator("[data-toast]", has_text="but not as you asked. It is being made. One will do.")
    expect(told).to_be_visible(timeout=LIMIT)
    expect(user.locator('[data-answer="granted"]')).to_contain_text("vCPUs: 2", timeout=LIVE)
    user.get_by_role("link", name="Open the machine").click()
    head = user.locator("[data-machine]").first
    expect(head).to_have_attribute("data-state", "shutoff", timeout=LIMIT)
    start = head.locator('[data-operation="start"]').first
    expect(start).not_to_have_attribute("aria-disabled", "true", timeout=LIMIT)
    start.click()
    expect(head).to_have_attribute("data-state", re.compile("running|idle"), timeout=LIMIT)
    expect(user.locator('[data-fact="agent"]')).to_have_text("connected", timeout=LIMIT)


def test_it_is_declined_with_a_sentence_and_one_is_taken_back(stage: Stage, audience: Audience) -> None:
    user, admin = audience.page_of("stranger"), audience.page_of("admin", "/requests/")
    ask(user)
    admin.locator("[data-request]", has_text=NAME).get_by_role("link", name="Answer").click(timeout=LIMIT)
    admin.get_by_label("A sentence for them").fill("Not before June.")
    admin.get_by_role("button", name="Decline").click()
    expect(user.locator('[data-answer="declined"]')).to_contain_text("Not before June.", timeout=LIVE)
    ask(user)
    user.get_by_role("button", name="Ask no more").click()
    expect(user.locator('[data-answer="withdrawn"]')).to_be_visible()


def test_a_phone_has_room_for_all_of_it(stage: Stage, audience: Audience) -> None:
    user = audience.page_of("stranger", viewport=PHONE, has_touch=True, is_mobile=True)
    ask(user)
    admin = audience.page_of("admin", user.url, viewport=PHONE, has_touch=True, is_mobile=True)
    for page in (user, admin):
        for path in (page.url, "/requests/", "/requests/new/"):
            page.goto(path)
            assert page.evaluate(SIDEWAYS) <= 0, path
