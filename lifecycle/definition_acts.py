"""The worker's part of define, create, undefine and autostart: nothing that is there already is overwritten unasked."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hypervisor import definition
from hypervisor.connection import Connection
from hypervisor.errors import DomainInWrongState, HostUnreachable, HypervisorError
from lifecycle import new_disks
from lifecycle.calling import LOST, called
from lifecycle.connections import Purpose, connection_of, domain_of
from lifecycle.disks import disk_choices
from lifecycle.models import Operation, Status
from lifecycle.outcomes import Ending, succeeded
from lifecycle.saved_files import restorable
from machines.models import Machine

_Errors = dict[str, HypervisorError]


def define(operation: Operation) -> Ending | None:
    """Define the machine, from its last definition or a new one; a machine that runs takes it up later."""
    connection = connection_of(operation.machine, Purpose.QUICK)
    before = connection.read(operation.machine.uuid)
    if before and "xml" not in operation.parameters:
        raise _known_again()
    saved_to = restorable(operation.machine) if before is None else None
    ending = called(operation, lambda: _define(connection, operation))
    if ending is not LOST and saved_to:
        sentence = _(
            "It is defined. It is still saved: a start goes on from “%(file)s”, “Boot afresh” boots it from its disks."
        )
        return succeeded(sentence % {"file": saved_to.name})
    if ending is not LOST and before and before.domain_id is not None:
        return succeeded(_("It is defined. It runs on as it is; the definition holds from its next start on."))
    return ending


def create(operation: Operation) -> Ending | None:
    """Start the machine from a definition: defined first where it is to be persistent, else for this one run."""
    connection = connection_of(operation.machine, Purpose.QUICK)
    if connection.read(operation.machine.uuid):
        raise _known_again()
    if operation.parameters["persistent"]:
        return called(operation, lambda: _define_and_start(connection, operation))
    return called(operation, lambda: _create_transient(connection, operation))


def undefine(operation: Operation) -> Ending | None:
    """Have the host forget the machine; then, and only when it is off, delete the disks that were ticked."""
    connection = connection_of(operation.machine, Purpose.QUICK)
    paths = _paths(connection, operation)
    errors: _Errors = {}

    def act() -> None:
        _undefine(connection, operation)
        if paths:
            errors.update(_delete_disks(connection, operation.machine.uuid, paths))

    active = connection.domain(operation.machine.uuid).is_active()
    if called(operation, act) is LOST:
        return LOST
    return _disks_remain(paths, errors) if errors else succeeded(_undefined(operation, active, list(paths)))


def autostart(operation: Operation) -> Ending | None:
    """Have the machine started with its host, or not."""
    domain = domain_of(operation.machine, Purpose.QUICK)
    return called(operation, lambda: domain.set_autostart(operation.parameters["on"]))


def xml_of(operation: Operation) -> str:
    """Return the definition that an operation defines or starts its machine with."""
    xml = operation.parameters.get("xml") or operation.machine.definition_xml
    return definition.with_identity(xml, operation.machine.uuid)


def _known_again() -> DomainInWrongState:
    return DomainInWrongState(
        _("Its host knows this machine again, perhaps with another definition, so nothing was overwritten.")
    )


def _define(connection: Connection, operation: Operation) -> None:
    try:
        with new_disks.made(connection, operation.machine, xml_of(operation)) as xml:
            connection.define(xml)
    except HypervisorError as error:
        raise _kept(error, operation) from error


def _create_transient(connection: Connection, operation: Operation) -> None:
    try:
        with new_disks.made(connection, operation.machine, xml_of(operation)) as xml:
            connection.create_transient(xml)
    except HypervisorError as error:
        raise _kept(error, operation) from error


def _define_and_start(connection: Connection, operation: Operation) -> None:
    _define(connection, operation)
    try:
        connection.domain(operation.machine.uuid).start()
    except HypervisorError as error:
        raise _with(
            error, _("It is defined, but did not start. %(sentence)s") % {"sentence": error.sentence}
        ) from error


def _kept(error: HypervisorError, operation: Operation) -> HypervisorError:
    """Add that nothing is lost, where the definition is the one that the machine's row keeps."""
    if "xml" in operation.parameters or isinstance(error, HostUnreachable):
        return error
    kept = _("The definition is kept here: an administrator can correct it and define the machine again.")
    return _with(error, f"{error.sentence} {kept}")


def _with(error: HypervisorError, sentence: str) -> HypervisorError:
    return type(error)(sentence, code=error.code, text=error.text)


def _undefine(connection: Connection, operation: Operation) -> None:
    given = operation.parameters
    connection.domain(operation.machine.uuid).undefine(
        saved_image=given["saved_image"],
        snapshots=given["snapshots"],
        checkpoints=given["snapshots"],
        nvram=given["nvram"],
    )


def _paths(connection: Connection, operation: Operation) -> dict[str, str]:
    """Return the target of each file that was ticked, as its host has it now, with the file.

    Raises:
        DomainInWrongState: meanwhile a file is no disk of it any more or used by others, or the machine is on.
    """
    if not operation.parameters["disks"]:
        return {}
    domain = connection.domain(operation.machine.uuid)
    if domain.is_active():
        raise DomainInWrongState(_("Its disks can be deleted when it is off only. Nothing was done."))
    asker = operation.requested_by or User()
    choices = {choice.file: choice for choice in disk_choices(operation.machine, domain.xml(), asker)}
    paths = {}
    for file in operation.parameters["disks"]:
        why = choices[file].refusal if file in choices else _("The machine does not have it any more.")
        if why:
            words = {"disk": file, "why": why}
            raise DomainInWrongState(_("Disk %(disk)s cannot be deleted: %(why)s Nothing was done.") % words)
        paths[choices[file].target] = file
    return paths


def _delete_disks(connection: Connection, uuid: UUID, paths: dict[str, str]) -> _Errors:
    """Delete files; return those that stay, with the reason. A machine that somebody started meanwhile keeps all."""
    if connection.read(uuid):
        started = DomainInWrongState(_("The machine was started meanwhile."))
        return dict.fromkeys(paths, started)
    errors: _Errors = {}
    for target, path in paths.items():
        try:
            connection.storage.delete_disk(path)
        except HostUnreachable:
            raise
        except HypervisorError as error:
            errors[target] = error
    return errors


def _disks_remain(paths: dict[str, str], errors: _Errors) -> Ending:
    deleted = [target for target in paths if target not in errors]
    sentences = [_("Its host has forgotten it, but not all disks that were to go are deleted.")]
    if deleted:
        sentences.append(_("Deleted: %(disks)s.") % {"disks": ", ".join(deleted)})
    sentences += [
        _("Still there: %(disk)s. %(why)s") % {"disk": target, "why": error.sentence}
        for target, error in errors.items()
    ]
    text = "\n".join(f"{target} {paths[target]}: {error.text}" for target, error in errors.items())
    return Ending(Status.FAILED, " ".join(sentences), "disk_remains", text)


def _undefined(operation: Operation, active: bool, disks: list[str]) -> str:
    sentences = [
        _("It goes on until it is off; then its host forgets it.")
        if active
        else _("Its host has forgotten it. Its definition is kept here.")
    ]
    if disks:
        sentences.append(_("Deleted with it: %(disks)s.") % {"disks": ", ".join(disks)})
    if files := Machine.objects.values_list("saved_file_count", flat=True).get(pk=operation.machine_id):
        words = ngettext("Its saved file stays.", "Its %(number)s saved files stay.", files)
        sentences.append(words % {"number": files})
    return " ".join(sentences)
