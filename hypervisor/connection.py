"""One connection to one libvirt: opened with keepalive, guarded, closed once. A dead one is replaced, never revived."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container, Iterable
from typing import Any
from uuid import UUID

import libvirt

from hypervisor import capacities, events, reads
from hypervisor.calls import PATIENCE, Calls, is_alive
from hypervisor.definition import identity, with_passwords
from hypervisor.domain import Domain
from hypervisor.errors import SavedFileBroken
from hypervisor.opening import open_handle, release
from hypervisor.readings import Capacity, Disk, HostFacts, Reading
from hypervisor.storage import Storage
from hypervisor.translation import BROKEN_FILE, CREATING, DEFINING, READING_FILE, RESTORING

logger = logging.getLogger(__name__)

OPEN_SECONDS = 10.0
"""How long `open` waits for a host."""
CLOSE_SECONDS = 2.0
"""How long `close` waits for a host to take leave; with one that hangs, that goes on in the background."""


class Connection:
    """A connection to a host's libvirt. Threads may share it.

    new -> open -> dead (the host hung up, or keepalive got no answer: `on_close` is called once) -> closed
    new -> closed, open -> closed
    Every method that asks the host raises HostUnreachable unless it is open, and HostBusy when no turn comes within
    `patience`. Where several calls are made at once, it opens more libvirt connections beside its first (see `Calls`).
    """

    def __init__(self, uri: str, *, on_close: Callable[[], None] | None = None, patience: float = PATIENCE) -> None:
        """Prepare a connection.

        Args:
            uri: libvirt's.
            on_close: called once, in the event loop's thread, when the connection dies by itself. It must not block.
            patience: seconds that a call waits for its turn.
        """
        self.uri = uri
        self._on_close = on_close
        self._callbacks: list[int] = []
        self._calls = Calls(self._open_line, patience)
        self.storage = Storage(self._calls)

    @property
    def alive(self) -> bool:
        """True from a successful `open` until the connection dies or is closed. Asks nobody."""
        return is_alive(self._calls.first)

    def open(self) -> None:
        """Connect; waits at most OPEN_SECONDS (virConnectOpen, virConnectSetKeepAlive).

        Raises:
            HostUnreachable: it cannot be opened, for whatever reason.
        """
        self._calls.open(open_handle(self.uri, OPEN_SECONDS, self._on_lost))

    def close(self) -> None:
        """Give the connection and its callbacks back; closing twice is fine.

        Calls still in flight keep their libvirt connections until they return.
        """
        lines = self._calls.close()
        callbacks, self._callbacks = self._callbacks, []
        if lines:
            leave = threading.Thread(target=_take_leave, args=(lines, callbacks), name=f"close {self.uri}", daemon=True)
            del lines
            leave.start()
            leave.join(CLOSE_SECONDS)

    def host_facts(self) -> HostFacts:
        """Read what the host says of itself. The first time libvirt asks its QEMU binaries, which takes seconds."""
        with self._calls.host() as line:
            return reads.host_facts(line)

    def read(self, uuid: UUID) -> Reading | None:
        """Read one domain with its definition and whether its agent is connected; None when libvirt does not know it.

        It waits for no domain's job, so it does not hang on a QEMU process that does not answer.
        """
        with self._calls.host() as line:
            return reads.one(line, uuid)

    def read_all(self, definitions_of: Container[UUID] | None = None) -> list[Reading]:
        """Read all domains by bulk calls (virConnectGetAllDomainStats, filtered virConnectListAllDomains).

        Args:
            definitions_of: whose XML to read too, one call each, and whether the agent is connected; None for all.
        """
        with self._calls.host() as line:
            return reads.every(line, definitions_of)

    def disk_capacity(self, uuid: UUID, disks: Iterable[Disk]) -> Capacity:
        """Return what a domain's own disks can hold: those of its definition, but for media and what is shared.

        A disk that is no volume of an active pool counts only where libvirt can open its file, and only while the
        domain is off. It asks no QEMU process and waits for no job, but for the host's storage, as long as that takes.
        """
        with self._calls.slow() as line:
            return capacities.of_domain(line, uuid, disks)

    def capacity_in_pools(self, disks: Iterable[Disk]) -> int:
        """Return what the disks of a definition can hold, in bytes, before a domain has them: only volumes count.

        It may refresh the host's active storage pools, which takes as long as the storage does.
        """
        with self._calls.slow() as line:
            return capacities.in_pools(line, disks)

    def watch(self, notify: events.Notify) -> None:
        """Have `notify` called for every change of a domain, in the event loop's thread; it must only enqueue.

        Once for a connection. Watch first and then `read_all`, and nothing falls between
        (virConnectDomainEventRegisterAny).
        """
        with self._calls.host():
            for callback in events.register(self._calls.first, notify):
                self._callbacks.append(callback)

    def domain(self, uuid: UUID) -> Domain:
        """Return a domain to act on (virDomainLookupByUUID).

        Raises:
            DomainNotFound: libvirt does not know it.
        """
        with self._calls.read(uuid) as domain:
            return Domain(uuid, domain.name(), self._calls)

    def define(self, xml: str) -> UUID:
        """Define a persistent domain, or change its definition, without starting it (virDomainDefineXMLFlags).

        A display keeps the password that it has unless the XML gives it one.

        Raises:
            BadDefinition: the XML is hostile, no domain's, against libvirt's schema, or libvirt refuses it.
        """
        uuid, _name = identity(xml)
        with self._calls.host(DEFINING) as line:
            whole = with_passwords(xml, _with_secrets(line, uuid) or xml)
            return UUID(bytes=line.defineXMLFlags(whole, libvirt.VIR_DOMAIN_DEFINE_VALIDATE).UUID())

    def create_transient(self, xml: str) -> UUID:
        """Start a domain that is gone when it is off (virDomainCreateXML).

        Where a domain of this name and UUID is defined already, it is that one that runs, with this XML for once.

        Raises:
            BadDefinition: the XML is hostile, no domain's, against libvirt's schema, or libvirt refuses it.
            DomainInWrongState: it runs already.
        """
        uuid, _name = identity(xml)
        with self._calls.slow(CREATING, uuid) as line:
            return UUID(bytes=line.createXML(xml, libvirt.VIR_DOMAIN_START_VALIDATE).UUID())

    def restore_from(self, path: str) -> UUID:
        """Bring back the domain that was saved to a file on the host, which stays (virDomainRestoreFlags).

        libvirt asks neither whether the domain has run since nor whose file it is: the caller has to, before.

        Returns:
            Whose file it is.

        Raises:
            SavedFileMissing: there is no such file.
            SavedFileBroken: it is no saved domain, or was cut off.
            DomainInWrongState: the domain runs.
        """
        uuid = self.saved_file_uuid(path)
        with self._calls.slow(RESTORING, uuid) as line:
            line.restoreFlags(path, None, 0)
        return uuid

    def saved_file_uuid(self, path: str) -> UUID:
        """Say whose file it is (virDomainSaveImageGetXMLDesc).

        Raises:
            SavedFileMissing: there is no such file.
            SavedFileBroken: it is no saved domain, or was cut off.
        """
        with self._calls.slow(READING_FILE) as line:
            uuid, _name = identity(line.saveImageGetXMLDesc(path, 0))
        if not uuid:
            raise SavedFileBroken(BROKEN_FILE[1], text="the saved definition has no UUID")
        return uuid

    def _open_line(self) -> Any:
        return open_handle(self.uri, OPEN_SECONDS)

    def _on_lost(self, _line: Any, _reason: int, _nothing: None) -> None:
        try:
            if self._on_close:
                self._on_close()
        except Exception:
            logger.exception("The owner of a connection failed when it was told of its end")


def _with_secrets(line: Any, uuid: UUID | None) -> str:
    """Return the definition that a domain has now, with its secrets; empty where there is none."""
    try:
        secure = libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE
        return str(line.lookupByUUID(uuid.bytes).XMLDesc(secure)) if uuid else ""
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return ""
        raise


def _take_leave(lines: list[Any], callbacks: list[int]) -> None:
    events.deregister(lines[0], callbacks)
    release(lines[0])
