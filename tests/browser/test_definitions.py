"""Definitions in a browser: what is wrong is said beside what was typed; for one run; and disks that go when ticked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from lxml import etree
from playwright.sync_api import Locator, Page, expect

from tests.browser.audience import Audience
from tests.browser.pages import LIMIT, expect_state, path_of, press
from tests.browser.stage import Stage
from tests.guest import Guest

pytestmark = [pytest.mark.guest, pytest.mark.browser]

POOL = "disks-of-the-stage"


@pytest.fixture
def spare(stage: Stage) -> Iterator[Guest]:
    """A machine of the owner's that is off, and that tests may do anything to."""
    guest = stage.define("spare")
    stage.give(guest)
    yield guest
    stage.forget("spare")


@pytest.fixture
def disks(stage: Stage, spare: Guest) -> Iterator[dict[str, Path]]:
    """Two disks of `spare` in a storage pool, by target."""
    pool = stage.libvirt.directory / "disks"
    pool.mkdir()
    stage.virsh("pool-create-as", POOL, "dir", "--target", str(pool))
    files = {"vda": pool / "system.img", "vdb": pool / "my data.img"}
    for target, path in files.items():
        stage.virsh("vol-create-as", POOL, path.name, "1M")
        attach(spare, path, target)
    announce(spare)
    yield files
    stage.virsh("pool-destroy", POOL)


def attach(guest: Guest, path: Path, target: str) -> None:
    guest.virsh("attach-disk", str(path), target, "--config", "--driver", "qemu", "--subdriver", "raw")


def announce(guest: Guest) -> None:
    """Have libvirt send an event; it sends none for the disks of what is off."""
    guest.virsh("desc", "--config", "changed")


def xml_of(guest: Guest, **changes: str) -> str:
    """Return its definition with other texts in some elements."""
    root = etree.fromstring(guest.virsh("dumpxml", "--inactive"))
    for path, value in changes.items():
        root.find(path).text = value
    return etree.tostring(root, encoding="unicode")


def known(stage: Stage) -> set[str]:
    return set(stage.virsh("list", "--all", "--name").split())


def said_of(guest: Guest, about: str) -> str:
    """Return a line of `virsh dominfo`."""
    lines = dict(line.split(":", 1) for line in guest.virsh("dominfo").splitlines() if ":" in line)
    return lines[about].strip()


def text(page: Page) -> Locator:
    return page.get_by_label("The domain's XML")


def ask(page: Page, word: str) -> None:
    """Press a button of the form; the menu above it has the same words."""
    page.locator("form.panel").get_by_role("button", name=word, exact=True).click()


def expect_refused(page: Page, typed: str, *words: str) -> None:
    """Find what is wrong, and the text as it was typed."""
    for part in words:
        expect(page.locator("main")).to_contain_text(part)
    expect(page.get_by_role("alert").first).to_be_visible()
    assert text(page).input_value() == typed


def test_a_definition_that_cannot_be_taken_is_said_to_be_so_beside_what_was_typed(
    stage: Stage, audience: Audience, spare: Guest
) -> None:
    page, lab = audience.page_of("admin", path_of(spare, "define/")), stage.lab
    for complaint in ("400", "409"):
        audience.expect_complaint(complaint)
    before = xml_of(spare)
    for typed, words in (
        (before.replace("</name>", "</nam>"), ("This is not well-formed XML.", "mismatch")),
        (xml_of(spare, uuid=str(lab.uuid)), ("of another machine, lab", str(lab.uuid))),
        (xml_of(spare, name="lab"), ("a defined machine keeps its name",)),
    ):
        text(page).fill(typed)
        ask(page, "Define")
        expect_refused(page, typed, *words)
    assert xml_of(spare) == before
    spare.virsh("undefine")
    expect_state(page, spare, "undefined")
    page.goto(path_of(spare, "define/"))
    typed = xml_of(lab, uuid=str(spare.uuid))
    for button in ("Define", "Start once (transient)", "Define and start"):
        text(page).fill(typed)
        ask(page, button)
        expect_refused(page, typed, "Another machine on this host has the name “lab”.")
    with stage.script("admin") as script:
        assert script.get("/operations", params={"machine": str(spare.uuid)}).json()["items"] == []
    assert known(stage) == {"lab", "office", "shelf"}


def test_a_new_machine_that_cannot_be_made_keeps_the_whole_form_and_one_that_libvirt_refuses_is_corrected(
    stage: Stage, audience: Audience
) -> None:
    page, lab = audience.page_of("admin", "/machines/new/"), stage.lab
    for complaint in ("400", "409"):
        audience.expect_complaint(complaint)
    page.get_by_label("Owner").fill("owner")
    page.get_by_label("Define it, and leave it off").check()
    own, fresh = xml_of(lab), xml_of(lab, name="fresh")
    nameless = etree.fromstring(own)
    nameless.remove(nameless.find("uuid"))
    for typed, words in (
        (own[:-9], ("This is not well-formed XML.",)),
        (own, ("lab has this UUID already",)),
        (etree.tostring(nameless, encoding="unicode"), ("Another machine on this host has the name “lab”.",)),
    ):
        text(page).fill(typed)
        ask(page, "Make the machine")
        expect_refused(page, typed, *words)
        assert page.get_by_label("Owner").input_value() == "owner"
        assert page.get_by_label("Define it, and leave it off").is_checked()
    assert known(stage) == {"lab", "office", "shelf"}

    tree = etree.fromstring(fresh)
    tree.remove(tree.find("uuid"))
    tree.find("vcpu").text = "many"
    text(page).fill(etree.tostring(tree, encoding="unicode"))
    ask(page, "Make the machine")
    notice = page.locator('[data-toast][data-level="error"]')
    expect(notice).to_contain_text("fresh: “Define” failed", timeout=LIMIT)
    expect(page.get_by_text("fresh is on its way.")).to_have_count(0)
    guest = Guest(stage.libvirt, "fresh", UUID(page.locator("[data-machine-page]").get_attribute("data-machine")))
    stage.guests["fresh"] = guest
    try:
        assert "fresh" not in known(stage)
        notice.get_by_role("link", name="Details").click()
        page.get_by_role("link", name="Edit and try again").click()
        assert "<vcpu" in text(page).input_value()
        text(page).fill(text(page).input_value().replace(">many<", ">1<"))
        ask(page, "Define")
        expect_state(page, guest, "shutoff")
        assert "fresh" in known(stage)
    finally:
        stage.forget("fresh")


def test_a_machine_is_started_once_with_another_definition(stage: Stage, audience: Audience, spare: Guest) -> None:
    spare.virsh("desc", "--config", "--title", "Kept")
    page = audience.page_of("admin", path_of(spare, "define/"))
    once = xml_of(spare, title="Only for today")
    spare.virsh("undefine")
    text(page).fill(once)
    ask(page, "Start once (transient)")
    expect_state(page, spare, "running", "idle")
    expect(page.locator('[data-fact="title"]')).to_have_text("Only for today")
    assert (spare.state, said_of(spare, "Persistent")) == ("running", "no")
    press(page, spare, "destroy")
    expect_state(page, spare, "undefined")
    assert "spare" not in known(stage)
    press(page, spare, "define")
    expect_state(page, spare, "shutoff")
    assert (spare.state, said_of(spare, "Persistent")) == ("shut off", "yes")


def test_only_the_ticked_disk_goes_and_one_that_was_exchanged_meanwhile_never_goes_instead(
    stage: Stage, audience: Audience, spare: Guest, disks: dict[str, Path]
) -> None:
    page = audience.page_of("owner", path_of(spare, "undefine/"))
    boxes = page.locator("[name=disks]")
    expect(boxes).to_have_count(2, timeout=LIMIT)
    assert not [box for box in boxes.all() if box.is_checked()]
    tick(page, disks["vdb"])
    spare.virsh("detach-disk", "vdb", "--config")
    other = disks["vda"].with_name("other.img")
    stage.virsh("vol-create-as", POOL, other.name, "1M")
    attach(spare, other, "vdb")
    page.get_by_role("button", name="Undefine").click()
    sentence = f"Disk {disks['vdb']} cannot be deleted: The machine does not have it any more. Nothing was done."
    expect(page.locator("[data-toast][data-level=error]")).to_contain_text(sentence, timeout=LIMIT)
    assert "spare" in known(stage)
    assert all(path.exists() for path in (*disks.values(), other))

    announce(spare)
    page.goto(path_of(spare, "undefine/"))
    expect(page.locator("main")).to_contain_text(other.name, timeout=LIMIT)
    tick(page, other)
    page.get_by_role("button", name="Undefine").click()
    expect_state(page, spare, "undefined")
    expect(page.locator("[data-toasts]")).to_contain_text("Deleted with it: vdb.", timeout=LIMIT)
    assert "spare" not in known(stage)
    assert not other.exists()
    assert all(path.exists() for path in disks.values())


def tick(page: Page, path: Path) -> None:
    page.locator("label.check", has_text=str(path)).locator("input").check()
