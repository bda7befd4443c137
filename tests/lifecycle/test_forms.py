"""Pages that ask for an operation's parameters: who gets them, and that a refusal loses nothing that was typed."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from lxml import html
from lxml.html import HtmlElement

from hypervisor.states import State
from lifecycle.form_pages import PAGES
from lifecycle.linux_chords import CHORDS
from lifecycle.linux_keys import LINUX_KEYS
from lifecycle.models import Operation, SavedFile, Status
from machines.models import Grant, GrantRole, Host, Machine
from machines.operation_table import TABLE, Place
from tests.cast import ClientOf, MakeMachine
from tests.lifecycle.conftest import MakeOperation
from tests.lifecycle.pages import machine_url, messages, one, operation_url, page, text

FORM = {"form": "1"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
IMAGE, CD = "/images/my machine.qcow2", "/images/cd.iso"
DISKS = f"""<domain type='test'><name>machine</name><devices>
  <disk device='disk'><source file='{IMAGE}'/><target dev='vda'/></disk>
  <disk device='cdrom'><source file='{CD}'/><target dev='sda'/><readonly/></disk>
</devices><os><nvram>/nvram/machine.fd</nvram></os></domain>"""


@pytest.fixture
def co_owner(machine: Machine) -> User:
    person = User.objects.create_user("co-owner")
    Grant.objects.create(machine=machine, user=person, role=GrantRole.OWNER)
    return person


def answered(client: Client, url: str, data: dict[str, object], status: int) -> HtmlElement:
    response = client.post(url, data)
    assert response.status_code == status, response.content[:500]
    return html.fromstring(response.content.decode())


def keep_file(machine: Machine, name: str, **fields: object) -> SavedFile:
    values = {"pool": "pool", "volume": name, "bytes": 2**28, "runs": machine.runs, "complete": True, **fields}
    Machine.objects.filter(pk=machine.pk).update(saved_file_count=1, saved_at_run=values["runs"])
    return SavedFile.objects.create(machine=machine, host=machine.host, name=name, **values)


def put(machine: Machine, **fields: object) -> None:
    Machine.objects.filter(pk=machine.pk).update(**fields)


# Who gets them


@pytest.mark.parametrize(
    ("tab", "allowed"),
    [
        ("saved/", {"operator", "owner", "co-owner", "admin"}),
        ("undefine/", {"owner", "co-owner", "admin"}),
        ("define/", {"admin"}),
        ("keys/", {"admin"}),
    ],
)
def test_each_form_is_for_those_who_may_use_it(
    client_of: ClientOf,
    machine: Machine,
    owner: User,
    co_owner: User,
    operator: User,
    viewer: User,
    helpdesk: User,
    admin: User,
    stranger: User,
    client: Client,
    tab: str,
    allowed: set[str],
) -> None:
    url = machine_url(machine, tab)
    for person in (owner, co_owner, operator, viewer, helpdesk, admin):
        answer = client_of(person).get(url)
        assert answer.status_code == (200 if person.username in allowed else 403), person
    assert client_of(stranger).get(url).status_code == 404
    assert client_of(admin).get(f"/machines/{uuid.uuid4()}/{tab}").status_code == 404
    assert client_of(admin).post(url).status_code == 405
    assert client.get(url)["Location"] == f"/login/?next={url}"


def test_new_machines_are_for_administrators(client_of: ClientOf, admin: User, owner: User, helpdesk: User) -> None:
    assert client_of(admin).get("/machines/new/").status_code == 200
    for person in (owner, helpdesk):
        assert client_of(person).get("/machines/new/").status_code == 404
        assert client_of(person).post("/machines/new/", {"xml": "<domain/>"}).status_code == 404
    assert page(client_of(admin), "/").cssselect('a[href="/machines/new/"]')
    assert not page(client_of(owner), "/").cssselect('a[href="/machines/new/"]')


def test_every_operation_of_a_form_has_its_page() -> None:
    with_form = {kind.name for kind in TABLE.values() if kind.place is Place.FORM} - {"autostart"}
    assert with_form <= set(PAGES)


# Saved files


def test_a_file_is_named_before_it_is_deleted(client_of: ClientOf, owner: User, machine: Machine) -> None:
    keep_file(machine, "lunch")
    tree = answered(client_of(owner), operation_url(machine, "delete-file"), FORM | {"file": "lunch"}, 200)
    assert "“lunch”" in text(one(tree, "h1"))


def test_without_saved_files_the_page_says_what_to_do(client_of: ClientOf, owner: User, machine: Machine) -> None:
    tree = page(client_of(owner), machine_url(machine, "saved/"))
    assert "Save the machine to a file" in text(one(tree, ".empty"))
    assert one(tree, "#save-name").get("value")  # a name is suggested


def test_saving_to_a_file_needs_no_scripts(client_of: ClientOf, operator: User, machine: Machine) -> None:
    client = client_of(operator)
    tree = page(client, machine_url(machine, "saved/"))
    form = one(tree, "form[data-asks=save]")
    fields = {field.get("name"): field.get("value") for field in form.cssselect("input")}
    response = client.post(form.get("action"), fields)
    assert response["Location"] == machine_url(machine, "saved/")
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters) == ("save", {"file": fields["file"]})


@pytest.mark.parametrize("name", [HOSTILE, "../../etc/passwd", "-first", "x" * 65])
def test_a_refused_name_comes_back_as_it_was_typed(
    client_of: ClientOf, owner: User, machine: Machine, name: str
) -> None:
    tree = answered(client_of(owner), operation_url(machine, "save"), FORM | {"file": name}, 400)
    assert one(tree, "#save-name").get("value") == name
    assert "letters, digits" in text(one(tree, "[data-refused]"))
    assert not tree.cssselect("main img, main script:not([type])")
    assert not Operation.objects.exists()


def test_a_name_that_is_taken_comes_back(client_of: ClientOf, owner: User, machine: Machine) -> None:
    keep_file(machine, "lunch")
    tree = answered(client_of(owner), operation_url(machine, "save"), FORM | {"file": "lunch"}, 409)
    assert one(tree, "#save-name").get("value") == "lunch"
    assert "already" in text(one(tree, "[data-refused]"))
    here = machine_url(machine, "saved/")  # the address that was posted to cannot be read again
    assert one(tree, "[data-machine-page]").get("data-address") == here
    assert {field.get("value") for field in tree.cssselect("main input[name=next]")} == {here}


def test_each_file_says_whether_it_fits_and_what_may_be_done(
    client_of: ClientOf, owner: User, operator: User, machine: Machine
) -> None:
    put(machine, state=State.SAVED, runs=3)
    machine.refresh_from_db()
    keep_file(machine, "old", runs=2)
    keep_file(machine, "new", saved_by=owner)
    keep_file(machine, "half", complete=False)
    tree = page(client_of(owner), machine_url(machine, "saved/"))
    rows = {row.get("data-saved-file"): row for row in tree.cssselect("[data-saved-file]")}
    assert "has not run since" in text(rows["new"]) and "256 MiB" in text(rows["new"]) and "owner" in text(rows["new"])
    assert "older than the disks" in text(rows["old"])
    assert "being written" in text(rows["half"]) and not rows["half"].cssselect("button")
    assert not tree.cssselect("[data-saved-file] button[disabled]")
    row = page(client_of(operator), machine_url(machine, "saved/")).cssselect("[data-saved-file=new]")[0]
    assert one(row, "[data-asks=delete-file]").get("disabled") is not None
    assert "“owner”" in text(row)
    assert one(row, "[data-asks=restore]").get("disabled") is None


def test_a_stale_file_is_restored_only_by_the_machines_name_typed(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    put(machine, state=State.SHUTOFF, runs=3)
    keep_file(machine, "old", runs=2)
    client, url = client_of(owner), operation_url(machine, "restore")
    tree = answered(client, url, FORM | {"file": "old"}, 409)
    assert "damages their file systems" in text(one(tree, "[role=alert]"))
    tree = answered(client, url, FORM | {"file": "old", "confirm": HOSTILE}, 409)
    assert one(tree, "[name=confirm]").get("value") == HOSTILE
    assert text(one(tree, ".errorlist")) == "That is not its name."
    assert not Operation.objects.exists()
    form = one(tree, "main form")
    fields = {field.get("name"): field.get("value") for field in form.cssselect("input")}
    assert client.post(form.get("action"), fields | {"confirm": "machine"}).status_code == 302
    assert Operation.objects.get().parameters["file"] == "old"


def test_deleting_a_file_is_asked_once_and_keeps_its_name(client_of: ClientOf, owner: User, machine: Machine) -> None:
    keep_file(machine, "lunch")
    client, url = client_of(owner), operation_url(machine, "delete-file")
    form = one(answered(client, url, FORM | {"file": "lunch"}, 200), ".confirm form")
    fields = {field.get("name"): field.get("value") for field in form.cssselect("input")}
    client.post(form.get("action"), fields)
    assert Operation.objects.get().parameters == {"file": "lunch"}


# Undefine


def test_undefine_names_what_goes_and_what_stays_and_ticks_nothing(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    put(machine, definition_xml=DISKS, state=State.SAVED, has_saved_image=True, snapshot_count=2, saved_file_count=3)
    tree = page(client_of(owner), machine_url(machine, "undefine/"))
    boxes = {(box.get("name"), box.get("value")): box for box in tree.cssselect("input[type=checkbox]")}
    expected = {"saved_image": "1", "snapshots": "1", "nvram": "1"}
    assert set(boxes) == {*expected.items(), ("disks", IMAGE), ("disks", CD)}
    assert not [box for box in boxes.values() if box.get("checked") is not None]
    assert {box.get("value") for box in boxes.values() if box.get("disabled") is not None} == {CD}
    words = text(one(tree, "form.choices"))
    assert "2 snapshots" in words and IMAGE in words and "3 saved files" in words


def test_disks_of_a_running_machine_cannot_be_ticked(client_of: ClientOf, owner: User, machine: Machine) -> None:
    put(machine, definition_xml=DISKS, domain_id=7)
    tree = page(client_of(owner), machine_url(machine, "undefine/"))
    assert len(tree.cssselect("input[name=disks][disabled]")) == 2
    assert "transient" in text(one(tree, "form.choices"))


def test_a_refused_undefine_keeps_its_ticks(client_of: ClientOf, owner: User, machine: Machine) -> None:
    put(machine, definition_xml=DISKS, state=State.SHUTOFF, snapshot_count=2)
    data = FORM | {"confirm": "1", "disks": [IMAGE], "nvram": "1"}
    tree = answered(client_of(owner), operation_url(machine, "undefine"), data, 409)
    assert {box.get("name") for box in tree.cssselect("input[checked]")} == {"disks", "nvram"}
    assert "snapshots" in text(one(tree, "[data-refused]"))
    client_of(owner).post(operation_url(machine, "undefine"), data | {"snapshots": "1"})
    parameters = Operation.objects.get().parameters
    assert parameters == {"saved_image": False, "snapshots": True, "nvram": True, "disks": [IMAGE]}


def test_what_is_confirmed_without_the_form_keeps_every_tick(
    client_of: ClientOf, owner: User, machine: Machine
) -> None:
    put(machine, definition_xml=DISKS, state=State.SHUTOFF, snapshot_count=1)
    client, data = client_of(owner), {"snapshots": "1", "disks": [IMAGE]}
    form = one(answered(client, operation_url(machine, "undefine"), data, 200), ".confirm form")
    client.post(form.get("action"), {field.get("name"): field.get("value") for field in form.cssselect("input")})
    parameters = Operation.objects.get().parameters
    assert (parameters["snapshots"], parameters["disks"]) == (True, [IMAGE])


# Define


def test_xml_that_is_refused_comes_back_with_what_is_wrong(client_of: ClientOf, admin: User, machine: Machine) -> None:
    typed = f"<domain>\r\n<name>{HOSTILE}</nam"
    tree = answered(client_of(admin), operation_url(machine, "define"), FORM | {"xml": typed}, 400)
    assert one(tree, "textarea").text.replace("\r\n", "\n").lstrip("\n") == typed.replace("\r\n", "\n")
    assert text(one(tree, "[data-refused]"))
    assert not tree.cssselect("main img, main script:not([type])")


def test_owners_may_not_hand_over_xml_nor_see_that_form(client_of: ClientOf, owner: User, machine: Machine) -> None:
    client = client_of(owner)
    response = client.post(operation_url(machine, "define"), FORM | {"xml": machine.definition_xml})
    assert response.status_code == 302
    assert "“admin”" in messages(client)
    assert not Operation.objects.exists()


def test_lines_of_a_definition_are_kept_as_they_were_typed(client_of: ClientOf, admin: User, machine: Machine) -> None:
    xml = f"<domain type='test'>\n<name>machine</name>\n<uuid>{machine.uuid}</uuid>\n</domain>"
    client_of(admin).post(operation_url(machine, "define"), FORM | {"xml": xml.replace("\n", "\r\n")})
    assert Operation.objects.get().parameters == {"xml": xml}


def test_a_definition_that_failed_can_be_edited_and_tried_again(
    client_of: ClientOf, admin: User, owner: User, make_operation: MakeOperation, make_machine: MakeMachine
) -> None:
    operation = make_operation(kind="define", status=Status.FAILED, parameters={"xml": "<sent/>"}, message="No.")
    link = one(page(client_of(admin), operation.get_absolute_url()), f'a[href*="?operation={operation.pk}"]')
    tree = page(client_of(admin), link.get("href"))
    assert one(tree, "textarea").text.strip() == "<sent/>"
    assert "No." in text(one(tree, "main [role=alert]"))
    assert "?operation=" not in html.tostring(page(client_of(owner), operation.get_absolute_url())).decode()
    other = make_machine("other")
    tree = page(client_of(admin), machine_url(other, f"define/?operation={operation.pk}"))
    assert "<sent/>" not in one(tree, "textarea").text


def test_an_undefined_machine_offers_to_be_defined_first(client_of: ClientOf, owner: User, machine: Machine) -> None:
    put(machine, state=State.UNDEFINED)
    tree = page(client_of(owner), machine_url(machine))
    for name in ("define", "create"):
        button = one(tree, f".to-define [data-operation={name}]")
        assert button.get("aria-disabled") is None


# New machines


@pytest.mark.parametrize(
    ("outcome", "kind", "parameters"),
    [("define", "define", {}), ("start", "create", {"persistent": True}), ("once", "create", {"persistent": False})],
)
def test_a_new_machine_is_made_from_xml(
    client_of: ClientOf, admin: User, owner: User, host: Host, outcome: str, kind: str, parameters: dict[str, object]
) -> None:
    data = {"xml": "<domain type='test'><name>fresh</name></domain>", "host": host.name, "owner": "owner"}
    response = client_of(admin).post("/machines/new/", data | {"outcome": outcome})
    machine = Machine.objects.get()
    assert (response["Location"], machine.name, machine.owner) == (machine_url(machine), "fresh", owner)
    operation = Operation.objects.get()
    assert (operation.kind, operation.parameters) == (kind, parameters)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"xml": f"<domain>{HOSTILE}"}, ""),
        ({"xml": " "}, "Paste its definition"),
        ({"owner": HOSTILE}, "no active user"),
        ({"host": "nowhere"}, "no host"),
        ({"outcome": "explode"}, "Choose what"),
    ],
)
def test_a_refused_new_machine_loses_nothing_that_was_typed(
    client_of: ClientOf, admin: User, host: Host, wrong: dict[str, str], sentence: str
) -> None:
    good = {"xml": "<domain type='test'><name>a</name></domain>", "host": host.name, "owner": "", "outcome": "once"}
    data = good | wrong
    tree = answered(client_of(admin), "/machines/new/", data, 400)
    assert one(tree, "textarea").text.removeprefix("\n") == data["xml"]
    assert one(tree, "[name=owner]").get("value") == data["owner"]
    assert sentence in text(one(tree, "[data-refused]"))
    assert not tree.cssselect("main img, main script:not([type])")
    assert not Machine.objects.exists()


def test_an_uploaded_file_that_is_refused_is_shown_to_be_edited(client_of: ClientOf, admin: User, host: Host) -> None:
    upload = SimpleUploadedFile("machine.xml", b"<domain><nam")
    tree = answered(client_of(admin), "/machines/new/", {"file": upload, "host": host.name}, 400)
    assert one(tree, "textarea").text.strip() == "<domain><nam"


def test_without_a_host_new_machines_say_what_to_do_first(client_of: ClientOf, admin: User) -> None:
    assert "Add a host" in text(one(page(client_of(admin), "/machines/new/"), ".empty"))


# Keys and autostart


def test_every_chord_is_made_of_known_keys(client_of: ClientOf, admin: User, machine: Machine) -> None:
    keys = {key for _group, chords in CHORDS for chord in chords for key in chord.keys.split()}
    assert keys <= set(LINUX_KEYS)
    tree = page(client_of(admin), machine_url(machine, "keys/"))
    assert one(tree, "#keys-own").get("value") == ""
    button = tree.cssselect("button[name=keys]")[0]
    client_of(admin).post(button.get("formaction"), FORM | {"keys": button.get("value")})
    expected = {"keys": ["KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE"], "hold_ms": 100}
    assert Operation.objects.get().parameters == expected


def test_keys_that_do_not_exist_come_back(client_of: ClientOf, admin: User, machine: Machine) -> None:
    data = FORM | {"keys": "KEY_NOSUCH KEY_ENTER", "hold_ms": "250"}
    tree = answered(client_of(admin), operation_url(machine, "send-keys"), data, 400)
    assert one(tree, "#keys-own").get("value") == "KEY_NOSUCH KEY_ENTER"
    assert one(tree, "#keys-hold").get("value") == "250"
    assert "KEY_NOSUCH" in text(one(tree, "[data-refused]"))


def test_autostart_is_a_switch_for_owners_and_a_fact_for_others(
    client_of: ClientOf, owner: User, operator: User, machine: Machine
) -> None:
    switch = one(page(client_of(owner), machine_url(machine)), "[role=switch][formaction]")
    assert (switch.get("aria-checked"), switch.get("value")) == ("false", "1")
    client_of(owner).post(switch.get("formaction"), {switch.get("name"): switch.get("value")})
    assert Operation.objects.get().parameters == {"on": True}
    tree = page(client_of(operator), machine_url(machine))
    assert not tree.cssselect("[role=switch][formaction]")
    assert text(one(tree, "[data-fact=autostart]")) == "no"
