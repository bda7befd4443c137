"""Saved files without a guest: what is demanded, who may, what is fresh, and files that nobody finished or has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db.models import ProtectedError
from django.utils import timezone

from demo.libvirtd import PrivateLibvirtd
from hypervisor.readings import Reading
from hypervisor.states import REASONS, DomainState, State, Verdict
from lifecycle import operations, reconcile, running, saved_file_acts, saved_files, tasks
from lifecycle.models import Operation, SavedFile, Status
from lifecycle.pulse import DEAD_AFTER
from machines import leases, mirror
from machines.leases import HeldLease
from machines.models import Host, Machine
from machines.refused import Refused
from tests.cast import ClientOf
from tests.lifecycle.conftest import Ask, MakeDomain, fresh

MakeFile = Callable[..., SavedFile]


@pytest.fixture
def make_file(machine: Machine, owner: User) -> MakeFile:
    """A function that makes the row of a saved file of `machine`, complete and of its present run."""

    def make(name: str = "before", **fields: object) -> SavedFile:
        machine.refresh_from_db()
        defaults = {
            "machine": machine,
            "host": machine.host,
            "pool": "kvmportal-saved",
            "volume": f"{machine.uuid}.{name}.save",
            "bytes": 4096,
            "saved_by": owner,
            "runs": machine.runs,
            "complete": True,
        }
        file = SavedFile.objects.create(name=name, **(defaults | fields))
        saved_files.note(machine.uuid)
        return file

    return make


def off(machine: Machine, state: State = State.SAVED, **fields: object) -> Machine:
    """Let the machine be off, saved unless told otherwise."""
    values = {"domain_state": DomainState.SHUTOFF, "state_reason": "saved"} | fields
    Machine.objects.filter(pk=machine.pk).update(state=state, **values)
    machine.refresh_from_db()
    return machine


def refused(ask: Ask, machine: Machine, kind: str, **parameters: object) -> Refused:
    with pytest.raises(Refused) as caught:
        ask(machine, kind, **parameters)
    return caught.value


# What is demanded


def test_name_that_is_taken_is_refused_with_what_to_do(machine: Machine, ask: Ask, make_file: MakeFile) -> None:
    make_file("before")
    refusal = refused(ask, machine, "save", file="before")
    assert (refusal.code, refusal.status) == ("file_exists", 409)
    assert "Choose another name, or delete that file" in refusal.sentence
    assert ask(machine, "save", file="after").parameters == {"file": "after"}


def test_same_name_is_free_for_another_machine(make_machine, owner: User, ask: Ask, make_file: MakeFile) -> None:
    make_file("before")
    assert ask(make_machine("other", owner=owner), "save", file="before")


@pytest.mark.parametrize("kind", ["restore", "delete-file"])
@pytest.mark.parametrize("complete", [None, False])
def test_file_that_is_not_there_or_half_written_cannot_be_used(
    machine: Machine, ask: Ask, make_file: MakeFile, kind: str, complete: bool | None
) -> None:
    make_file("whole")
    if complete is False:
        make_file("half", complete=False)
    refusal = refused(ask, off(machine), kind, file="half")
    assert (refusal.code, refusal.status) == ("no_saved_file", 404)


def test_fresh_file_is_restored_without_a_word(machine: Machine, ask: Ask, make_file: MakeFile) -> None:
    make_file("before")
    row = ask(off(machine), "restore", file="before")
    assert operations.queue_of(row) == "long"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"runs": 7}, "has run since then"),
        ({"state": State.SHUTOFF, "state_reason": "shutdown"}, "may have run since then"),
        ({"state": State.CRASHED, "state_reason": "crashed"}, "may have run since then"),
    ],
)
def test_stale_file_needs_the_machines_name(
    machine: Machine, ask: Ask, make_file: MakeFile, fields: dict, words: str
) -> None:
    make_file("before")
    off(machine, **fields)
    for confirm in ({}, {"confirm": "yes"}, {"confirm": "before"}):
        refusal = refused(ask, machine, "restore", file="before", **confirm)
        assert (refusal.code, refusal.status) == ("stale_file", 409)
        assert refusal.details == {"needs": "confirm", "file": "before"}
        assert words in refusal.sentence
        assert "damages" in refusal.sentence
    assert ask(machine, "restore", file="before", confirm="machine").status == Status.QUEUED


def test_managed_image_goes_before_any_file(machine: Machine, ask: Ask, make_file: MakeFile) -> None:
    make_file("before")
    refusal = refused(ask, off(machine, has_saved_image=True), "restore", file="before", confirm="machine")
    assert refusal.code == "state_conflict"
    assert "discard it" in refusal.sentence


def test_undefined_machine_is_restored_from_its_file_and_its_file_deleted(
    machine: Machine, ask: Ask, make_file: MakeFile
) -> None:
    make_file("before")
    off(machine, State.UNDEFINED, state_reason="unknown", domain_state=DomainState.NOSTATE)
    row = ask(machine, "restore", file="before")
    assert "Restoring" in refused(ask, machine, "delete-file", file="before").sentence
    operations.advance(row, status=Status.FAILED)
    assert ask(machine, "delete-file", file="before")


def test_machine_is_not_created_past_a_file_that_fits(machine: Machine, ask: Ask, make_file: MakeFile) -> None:
    xml = f"<domain type='test'><name>machine</name><uuid>{machine.uuid}</uuid></domain>"
    make_file("before", runs=machine.runs)
    off(machine, State.UNDEFINED, domain_id=None, definition_xml=xml)
    found = refused(ask, machine, "create")
    assert (found.code, found.details) == ("saved_file", {"file": "before"})
    Machine.objects.update(runs=99)
    assert ask(machine, "create")


def test_start_goes_on_from_the_newest_file_only_while_it_fits(machine: Machine, make_file: MakeFile) -> None:
    make_file("old", runs=machine.runs)
    Machine.objects.update(runs=machine.runs + 1)
    newest = make_file("new")
    assert saved_files.restorable(off(machine)) == newest
    assert saved_files.restorable(off(machine, runs=machine.runs + 1)) is None
    assert saved_files.restorable(off(machine, State.SHUTOFF, runs=newest.runs)) is None


# The mirror: saved or not


def seen(held: HeldLease, machine: Machine, reason: str) -> State:
    """Let the watcher read the machine as off for this reason; return its state."""
    number = REASONS[DomainState.SHUTOFF].index(reason)
    reading = Reading(
        machine.uuid,
        machine.name,
        DomainState.SHUTOFF,
        number,
        persistent=True,
        autostart=False,
        has_saved_image=False,
        snapshot_count=0,
    )
    mirror.apply(held, [reading])
    machine.refresh_from_db()
    return State(machine.state)


def test_run_that_nobody_saw_makes_the_file_stale(machine: Machine, ask: Ask, make_file: MakeFile) -> None:
    file = make_file("before")
    off(machine, State.SHUTOFF)
    held = leases.take(machine.host_id, "tests")
    assert held
    assert seen(held, machine, "saved") == State.SAVED
    assert saved_files.fits(machine, file)
    assert seen(held, machine, "shutdown") == State.SHUTOFF
    assert not saved_files.fits(machine, file)
    assert seen(held, machine, "saved") == State.SHUTOFF, "saved elsewhere: this file is of an earlier run"
    assert refused(ask, machine, "restore", file="before").code == "stale_file"


def test_counts_are_on_the_machines_row_also_of_a_missing_file(machine: Machine, make_file: MakeFile) -> None:
    make_file("one", runs=3)
    make_file("two", runs=5, missing=True)
    make_file("half", runs=9, complete=False)
    machine.refresh_from_db()
    assert (machine.saved_file_count, machine.saved_at_run) == (2, 5)
    SavedFile.objects.all().delete()
    saved_files.note(machine.uuid)
    machine.refresh_from_db()
    assert (machine.saved_file_count, machine.saved_at_run) == (0, None)


# Who may


def test_files_are_listed_for_those_who_may_operate(
    script_of: ClientOf, machine: Machine, make_file: MakeFile, owner: User, operator: User
) -> None:
    file = make_file("before")
    off(machine)
    for person in (owner, operator):
        answer = script_of(person).get(f"/api/v1/machines/{machine.uuid}/saved-files")
        assert answer.status_code == 200
        (item,) = answer.json()["items"]
        assert datetime.fromisoformat(item.pop("saved_at")) - file.saved_at < timedelta(seconds=1)
        assert item == {
            "name": "before",
            "bytes": 4096,
            "saved_by": "owner",
            "fresh": True,
            "complete": True,
            "missing": False,
        }


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("helpdesk", 403), ("stranger", 404), ("admin", 200)])
def test_files_are_memory_and_not_for_everybody(
    script_of: ClientOf, machine: Machine, make_file: MakeFile, request: pytest.FixtureRequest, role: str, status: int
) -> None:
    make_file()
    person = request.getfixturevalue(role)
    assert script_of(person).get(f"/api/v1/machines/{machine.uuid}/saved-files").status_code == status


def test_listing_files_costs_no_query_for_each(
    client_of: ClientOf, machine: Machine, make_file: MakeFile, owner: User, django_assert_max_num_queries
) -> None:
    for number in range(5):
        make_file(f"file-{number}")
    client = client_of(owner)
    with django_assert_max_num_queries(8):
        client.get(f"/api/v1/machines/{machine.uuid}/saved-files")


def test_machine_with_saved_files_is_not_forgotten_and_admin_shows_why(
    client_of: ClientOf, admin: User, machine: Machine, make_file: MakeFile
) -> None:
    make_file("before")
    off(machine, State.UNDEFINED)
    with pytest.raises(ProtectedError):
        machine.delete()
    address = f"/admin/machines/machine/{machine.pk}/delete/"
    assert "before" in client_of(admin).get(address).content.decode()
    client_of(admin).post(address, {"post": "yes"})
    assert Machine.objects.filter(pk=machine.pk).exists()


# On a real host, without a guest


@pytest.fixture
def directory(libvirtd: PrivateLibvirtd, machine: Machine, settings) -> Path:
    """The directory of the saved files of `machine`'s host, which is a real libvirt that does not know the machine."""
    settings.SAVED_FILES_DIR = str(libvirtd.directory / "saved")
    Host.objects.update(uri=libvirtd.uri)
    machine.refresh_from_db()
    path = Path(settings.SAVED_FILES_DIR)
    path.mkdir(exist_ok=True)
    return path


def orphan(operation: Operation) -> Operation:
    """Make it a row whose worker was killed."""
    then = timezone.now() - DEAD_AFTER - timedelta(seconds=1)
    row = operations.advance(operation, status=Status.RUNNING, worker="killed:1", started_at=then, heartbeat_at=then)
    assert row
    return row


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("written", [b"", b"LibvirtQemudPart" + bytes(4096), None])
def test_file_that_a_lost_worker_left_unfinished_goes_with_its_row(
    machine: Machine, ask: Ask, make_file: MakeFile, directory: Path, written: bytes | None
) -> None:
    row = orphan(ask(machine, "save", file="half"))
    file = make_file("half", complete=False)
    if written is not None:
        (directory / file.volume).write_bytes(written)
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "worker_lost")
    assert not SavedFile.objects.exists()
    assert not (directory / file.volume).exists()


@pytest.mark.django_db(transaction=True)
def test_lost_deletion_ends_as_the_host_says(machine: Machine, ask: Ask, make_file: MakeFile, directory: Path) -> None:
    file = make_file("before")
    (directory / file.volume).write_bytes(b"memory")
    row = orphan(ask(machine, "delete-file", file="before"))
    reconcile.look(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "worker_lost")
    assert SavedFile.objects.exists()
    row = orphan(ask(machine, "delete-file", file="before"))
    (directory / file.volume).unlink()
    reconcile.look(row.pk)
    assert fresh(row).status == Status.SUCCEEDED
    assert not SavedFile.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_deleting_leaves_neither_file_nor_row_and_a_missing_file_is_fine(
    machine: Machine, ask: Ask, make_file: MakeFile, directory: Path
) -> None:
    for name in ("there", "gone"):
        make_file(name)
    (directory / f"{machine.uuid}.there.save").write_bytes(b"memory")
    for name in ("there", "gone"):
        row = ask(machine, "delete-file", file=name)
        running.run(row.pk)
        assert fresh(row).status == Status.SUCCEEDED, fresh(row).error_text
    assert not SavedFile.objects.exists()
    assert not list(directory.glob(f"{machine.uuid}*"))
    machine.refresh_from_db()
    assert machine.saved_file_count == 0


@pytest.mark.django_db(transaction=True)
def test_round_finds_missing_and_unfinished_files_and_leaves_those_that_are_being_written(
    machine: Machine, make_file: MakeFile, directory: Path, ask: Ask
) -> None:
    make_file("there", bytes=0)
    make_file("gone")
    make_file("half", complete=False)
    (directory / f"{machine.uuid}.there.save").write_bytes(bytes(8192))
    row = orphan(ask(machine, "save", file="other"))
    tasks.look_at_saved_files_of(machine.host_id)
    assert SavedFile.objects.filter(name="half").exists(), "an open operation may be writing it"
    operations.advance(row, status=Status.FAILED)
    for _round in range(2):
        tasks.look_at_saved_files_of(machine.host_id)
        found = {file.name: (file.missing, file.bytes) for file in SavedFile.objects.all()}
        assert found == {"there": (False, 8192), "gone": (True, 4096)}


@pytest.mark.parametrize(("number", "runs"), [(7, 5), (None, 5), (8, 4)])
def test_run_that_was_counted_again_while_it_was_saved_is_still_the_same(
    machine: Machine, make_file: MakeFile, number: int | None, runs: int
) -> None:
    file = make_file("before", runs=4)
    Machine.objects.update(runs=5, domain_id=number)
    saved_file_acts._count_again(file, 7)
    assert SavedFile.objects.get().runs == runs


@pytest.mark.django_db(transaction=True)
def test_worker_believes_the_host_and_restores_nothing_that_moved_on_since_it_was_asked(
    machine: Machine, ask: Ask, make_file: MakeFile, directory: Path
) -> None:
    make_file("before")
    row = ask(off(machine), "restore", file="before")
    Machine.objects.update(runs=99)
    running.run(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "stale_file")


@pytest.mark.django_db(transaction=True)
def test_restore_never_boots_from_the_disks_when_the_image_went_unseen(make_domain: MakeDomain, ask: Ask) -> None:
    domain, machine = make_domain(start=False)
    row = ask(off(machine, has_saved_image=True), "restore")
    running.run(row.pk)
    assert (fresh(row).status, fresh(row).error_code) == (Status.FAILED, "no_saved_file")
    assert not domain.is_active()


@pytest.mark.django_db(transaction=True)
def test_killed_before_the_machine_is_told_a_file_is_not_complete(
    machine: Machine, ask: Ask, make_file: MakeFile, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make_file("half", complete=False)

    def killed(_uuid: object) -> None:
        raise SystemExit  # as good as a kill: nobody catches it

    monkeypatch.setattr(saved_file_acts, "note", killed)
    with pytest.raises(SystemExit):
        saved_file_acts._keep(file, saved_file_acts._storage_of(file)[0])
    assert SavedFile.objects.filter(complete=False).exists(), "else nobody would count it any more"


@pytest.mark.parametrize("kind", ["start", "restore"])
def test_machine_whose_memory_is_being_read_is_not_called_started(
    machine: Machine, ask: Ask, make_file: MakeFile, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file("before")
    row = orphan(ask(off(machine), kind))
    monkeypatch.setattr(reconcile, "_aftermath", lambda _row: Verdict(State.PAUSED, "starting up"))
    assert reconcile._ending(row) is None
    monkeypatch.setattr(reconcile, "_aftermath", lambda _row: Verdict(State.RUNNING, "restored"))
    ending = reconcile._ending(row)
    assert ending
    assert ending.status == Status.SUCCEEDED
