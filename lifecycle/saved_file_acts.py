"""Saved files in a worker: writing one, going on from one, deleting one, and what became of one whose worker died.

The row is written before the file and deleted after it, and a file is called complete only once libvirt says that it
is; so whatever is killed in between, no file is without a row, and no half file passes for a machine's memory.
"""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from hypervisor.connection import Connection
from hypervisor.errors import DomainNotFound, HypervisorError, SavedFileBroken, SavedFileMissing
from hypervisor.readings import Reading
from hypervisor.states import ACTIVE_STATES, DomainState, PortalFacts, State, Verdict, reason_word, state_of
from hypervisor.storage import Storage
from lifecycle.calling import LOST, called
from lifecycle.connections import Purpose, connection_of, pool
from lifecycle.following import follow
from lifecycle.models import OPEN, Operation, SavedFile, Status
from lifecycle.outcomes import Ending, succeeded
from lifecycle.saved_files import (
    fits,
    image_sentence,
    note,
    nothing_sentence,
    restorable,
    saved_file,
    stale_sentence,
)
from machines.models import Host, Machine

log = logging.getLogger(__name__)


# Operations


def save(operation: Operation) -> Ending | None:
    """Save a machine to a file of this name; when that fails or is cancelled, nothing of the file is left."""
    machine = operation.machine
    connection = connection_of(machine, Purpose.LONG)
    domain = connection.domain(machine.uuid)
    storage = _storage(connection, settings.SAVED_FILES_POOL)
    file = _begun(operation, storage)
    if file is None:
        sentence = _("A file for this name is on the host already. Choose another name.")
        return Ending(Status.FAILED, sentence, "file_exists")
    path = storage.volume_path(file.pool, file.volume)
    number = Machine.objects.values_list("domain_id", flat=True).get(pk=machine.pk)
    try:
        ending = called(operation, lambda: follow(operation, partial(domain.save_to, path)))
    except HypervisorError:
        _settle_quietly(file)
        raise
    if ending is not LOST:
        _count_again(file, number)
        _keep(file, storage)
    return ending


def start(operation: Operation) -> Ending | None:
    """Start a machine: from its managed-save image, else from the saved file that fits its disks, else from these."""
    machine = Machine.objects.select_related("host").get(pk=operation.machine_id)
    is_saved = machine.state == State.SAVED
    connection = connection_of(machine, Purpose.LONG if is_saved else Purpose.QUICK)
    if is_saved:
        reading = connection.read(machine.uuid)
        file = restorable(machine)
        if file and not (reading and reading.has_saved_image):
            return _restored(operation, machine, file)
    return called(operation, connection.domain(machine.uuid).start)


def restore(operation: Operation) -> Ending | None:
    """Go on from a certain saved file; without one, from what a start goes on from, and never from the disks alone."""
    machine = Machine.objects.select_related("host").get(pk=operation.machine_id)
    if name := operation.parameters.get("file"):
        file = saved_file(machine, name)
        if file is None or not file.complete:
            return Ending(Status.FAILED, _("It has no saved file “%(name)s”.") % {"name": name}, "no_saved_file")
        return _restored(operation, machine, file)
    connection = connection_of(machine, Purpose.LONG)
    reading = connection.read(machine.uuid)
    if reading and reading.has_saved_image:
        return called(operation, connection.domain(machine.uuid).start)
    if file := restorable(machine):
        return _restored(operation, machine, file)
    return Ending(Status.FAILED, nothing_sentence(), "no_saved_file")


def fresh_boot(operation: Operation) -> Ending | None:
    """Boot from the disks; a managed-save image goes, saved files stay and are older than the disks from now on."""
    domain = connection_of(operation.machine, Purpose.QUICK).domain(operation.machine.uuid)
    return called(operation, partial(domain.start, fresh=True))


def delete(operation: Operation) -> Ending | None:
    """Delete a saved file; one that is gone already is fine."""
    if file := saved_file(operation.machine, operation.parameters["file"]):
        return called(operation, partial(_delete, file))
    return succeeded()


# What became of a file whose worker died


def settle(file: SavedFile) -> bool:
    """Find out whether a file that was being written is whole; if not, it goes with its row.

    While its machine has a job, libvirt may still be writing it, whoever has given it up: deleting it would lose all.

    Raises:
        HypervisorError: its host could not say; the row stays as it is.
    """
    storage, connection = _storage_of(file)
    if not SavedFile.objects.filter(pk=file.pk, complete=False).exists():
        return SavedFile.objects.filter(pk=file.pk).exists()
    if whole := _is_whole(connection, storage.volume_path(file.pool, file.volume), file.machine_id):
        _keep(file, storage)
    elif not _job_runs(connection, file.machine_id):
        _delete(file)
    return whole


def settle_unfinished(host: Host) -> None:
    """Settle the files of a host that no open operation is writing any more.

    Raises:
        HypervisorError: the host could not say.
    """
    writing = Operation.objects.filter(kind="save", status__in=OPEN).values("machine")
    rows = SavedFile.objects.filter(host=host, complete=False).exclude(machine__in=writing)
    for file in rows.select_related("host", "machine__host"):
        settle(file)


def verdict_after_save(operation: Operation, verdict: Verdict) -> Verdict:
    """Return what a save to a file, whose worker died, came to: a whole file proves that it was done.

    Raises:
        HypervisorError: the host could not say.
    """
    file = saved_file(operation.machine, operation.parameters["file"])
    return Verdict(State.SAVED, "saved") if file and settle(file) else verdict


def ending_of_delete(operation: Operation) -> Ending:
    """Return how a deletion, whose worker died, ended.

    Raises:
        HypervisorError: the host could not say.
    """
    file = saved_file(operation.machine, operation.parameters["file"])
    if file:
        storage, _connection = _storage_of(file)
        if storage.volume(file.pool, file.volume):
            sentence = _("Contact with it was lost before it was done. The file is still there; you can ask again.")
            return Ending(Status.FAILED, sentence, "worker_lost")
        _delete(file)
    return succeeded(_("Contact with it was lost on the way; its host confirms that it was done."))


# How the files of a host are


def refresh(host: Host) -> None:
    """Look at the files of a host: write their sizes, and which are missing. Doing it twice changes nothing.

    Raises:
        HypervisorError: the host could not say.
    """
    rows = list(SavedFile.objects.filter(host=host, complete=True).select_related("host"))
    connection = pool(Purpose.QUICK).connection(host.uri)
    for name in {file.pool for file in rows}:
        volumes = {volume.name: volume.allocation for volume in _storage(connection, name).volumes(name)}
        for file in rows:
            if file.pool == name:
                _write_size(file, volumes.get(file.volume))


def _write_size(file: SavedFile, size: int | None) -> None:
    seen = (size is None, file.bytes if size is None else size)
    if (file.missing, file.bytes) != seen:
        SavedFile.objects.filter(pk=file.pk).update(missing=seen[0], bytes=seen[1])


# Steps


def _begun(operation: Operation, storage: Storage) -> SavedFile | None:
    """Write the row of a file that is about to be written; None when row or file of this name are there already."""
    machine, name = operation.machine, operation.parameters["file"]
    volume = f"{machine.uuid}.{name}.save"
    if storage.volume(settings.SAVED_FILES_POOL, volume):
        return None
    runs = Machine.objects.values_list("runs", flat=True).get(pk=machine.pk)
    try:
        with transaction.atomic():
            return SavedFile.objects.create(
                machine=machine,
                host=machine.host,
                name=name,
                pool=settings.SAVED_FILES_POOL,
                volume=volume,
                saved_by=operation.requested_by,
                runs=runs,
            )
    except IntegrityError:
        return None


def _keep(file: SavedFile, storage: Storage) -> None:
    """Call a file complete; its size is found later if the host does not say it now."""
    try:
        volume = storage.volume(file.pool, file.volume)
    except HypervisorError as error:
        log.info("The size of %s could not be read: %s", file.volume, error)
        volume = None
    with transaction.atomic():  # killed in between, the machine would not be known as saved
        SavedFile.objects.filter(pk=file.pk).update(complete=True, bytes=volume.allocation if volume else 0)
        note(file.machine_id)


def _count_again(file: SavedFile, number: int | None) -> None:
    """Have a file that was just written be of the run that its machine is counted in now.

    While it was written, a watcher that had been away may have counted the same run again. libvirt's number of the run
    shows that it is the same: it is the one from before, or none now that the machine is off.
    """
    now = Machine.objects.only("runs", "domain_id").get(pk=file.machine_id)
    if number is not None and now.domain_id in {number, None}:
        SavedFile.objects.filter(pk=file.pk).update(runs=now.runs)


def _delete(file: SavedFile) -> None:
    """Delete a file and then its row."""
    storage, _connection = _storage_of(file)
    storage.delete_volume(file.pool, file.volume)
    with transaction.atomic():
        SavedFile.objects.filter(pk=file.pk).delete()
        note(file.machine_id)


def _settle_quietly(file: SavedFile) -> None:
    """Clear up after a save that failed; where the host cannot say now, `settle_unfinished` does so later."""
    try:
        settle(file)
    except HypervisorError as error:
        log.warning("%s could not be cleared up and is looked at later: %s", file.volume, error)


def _is_whole(connection: Connection, path: str, machine: UUID) -> bool:
    """Say whether libvirt has finished this file: it marks a half one as such until the last byte is written."""
    try:
        return connection.saved_file_uuid(path) == machine
    except (SavedFileMissing, SavedFileBroken):
        return False


def _job_runs(connection: Connection, machine: UUID) -> bool:
    try:
        return connection.domain(machine).job_progress() is not None
    except DomainNotFound:
        return False


def _restored(operation: Operation, machine: Machine, file: SavedFile) -> Ending | None:
    """Restore a file if it is this machine's and may be restored as things are on the host right now."""
    if file.host_id != machine.host_id:
        sentence = _("“%(file)s” is on another host than the machine is now.")
        return Ending(Status.FAILED, sentence % {"file": file.name}, "file_elsewhere")
    connection = connection_of(machine, Purpose.LONG)
    reading = connection.read(machine.uuid)
    if refusal := _refusal(operation, machine, file, reading):
        return refusal
    path = _storage(connection, file.pool).volume_path(file.pool, file.volume)
    if refusal := _wrong_file(connection, path, file):
        return refusal
    if reading and reading.state != DomainState.SHUTOFF:  # it crashed; its process was kept, and is in the way
        connection.domain(machine.uuid).destroy()
    ending = called(operation, partial(connection.restore_from, path))
    if ending and reading is None:
        return succeeded(_("It runs, but its host keeps no definition of it. Define it to keep it when it is off."))
    return ending


def _refusal(operation: Operation, machine: Machine, file: SavedFile, reading: Reading | None) -> Ending | None:
    """Return why this file may not be restored now. The host is believed, the portal's rows may lag behind it."""
    if reading and reading.has_saved_image:
        return Ending(Status.FAILED, image_sentence(), "saved_image")
    if reading and _runs(reading):
        return Ending(Status.FAILED, _("The machine runs already. Nothing was done."), "domain_in_wrong_state")
    confirmed = operation.parameters.get("confirm") == machine.name
    if confirmed or (fits(machine, file) and _is_as_it_was_saved(reading)):
        return None
    return Ending(Status.FAILED, stale_sentence(machine, file), "stale_file")


def _runs(reading: Reading) -> bool:
    verdict = state_of(reading.state, reading.reason, has_saved_image=False, facts=PortalFacts())
    return verdict.state in ACTIVE_STATES


def _is_as_it_was_saved(reading: Reading | None) -> bool:
    """Say whether the host shows no other end of the machine than being saved; it forgets ends when restarted."""
    return reading is None or (
        reading.state == DomainState.SHUTOFF and reason_word(reading.state, reading.reason) in {"saved", "unknown"}
    )


def _wrong_file(connection: Connection, path: str, file: SavedFile) -> Ending | None:
    """Return why what is in the pool under this name is not what was saved."""
    try:
        found = connection.saved_file_uuid(path)
    except SavedFileMissing as error:
        SavedFile.objects.filter(pk=file.pk).update(missing=True)
        sentence = _(
            "The file of “%(file)s” is not on its host any more; it was deleted there, or its storage is not mounted. "
            "If it is lost, delete the saved file here, and start the machine from its disks."
        )
        return Ending(Status.FAILED, sentence % {"file": file.name}, error.word, error.text)
    if found != file.machine_id:
        sentence = _("The file of “%(file)s” holds another machine's memory. Nothing was done. Ask an administrator.")
        return Ending(Status.FAILED, sentence % {"file": file.name}, "other_machine")
    SavedFile.objects.filter(pk=file.pk, missing=True).update(missing=False)
    return None


def _storage_of(file: SavedFile) -> tuple[Storage, Connection]:
    """Return the storage that a file is in, and the connection to its host."""
    connection = pool(Purpose.QUICK).connection(file.host.uri)
    return _storage(connection, file.pool), connection


def _storage(connection: Connection, name: str) -> Storage:
    """Return a host's storage, after seeing to it that this pool is there and active."""
    if name == settings.SAVED_FILES_POOL:
        connection.storage.ensure_pool(name, settings.SAVED_FILES_DIR)
    return connection.storage
