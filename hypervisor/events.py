"""What libvirt's events are to the portal: a reason to read one domain again.

Callbacks run in the event loop's thread while every connection's traffic waits for it, so they only name the domain and
hand an `Event` over. State is never taken from an event's details: the domain is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import libvirt

logger = logging.getLogger(__name__)


class EventKind(StrEnum):
    """What to do about an event.

    - CHANGED: read the domain again.
    - DEFINITION: read it again; its XML may have changed, or it came into being or went.
    - STARTED: read it again; a run of it began, which may have ended since.
    - REBOOTED: read it again; its guest has rebooted or was reset.
    - AGENT: read it again; its guest agent connected or left.
    """

    CHANGED = "changed"
    DEFINITION = "definition"
    STARTED = "started"
    REBOOTED = "rebooted"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a domain."""

    uuid: UUID
    kind: EventKind


Notify = Callable[[Event], None]

_KINDS: dict[int, EventKind] = {
    libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: EventKind.REBOOTED,
    libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_CONTROL_ERROR: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND_DISK: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED: EventKind.CHANGED,
    libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: EventKind.AGENT,
}
"""The events that are watched beside the lifecycle's. Balloon changes are not: they come all the time."""

_LIFECYCLE_KINDS: dict[int, EventKind] = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: EventKind.DEFINITION,
    libvirt.VIR_DOMAIN_EVENT_STARTED: EventKind.STARTED,
}


def register(handle: Any, notify: Notify) -> Iterator[int]:
    """Register every callback on a libvirt connection; gives the id of each, for `deregister`.

    Raises:
        libvirt.libvirtError: the connection cannot send events (virConnectDomainEventRegisterAny).
    """
    yield handle.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _on_lifecycle, notify)
    for number, kind in _KINDS.items():
        yield handle.domainEventRegisterAny(None, number, _on_event, (notify, kind))


def deregister(handle: Any, ids: list[int]) -> None:
    """Remove callbacks, also from a dead connection: each holds a reference to the connection."""
    for callback in ids:
        try:
            handle.domainEventDeregisterAny(callback)
        except libvirt.libvirtError as error:
            logger.debug("A callback could not be removed at the host: %s", error)


def _on_lifecycle(_connection: Any, domain: Any, event: int, _detail: int, notify: Notify) -> None:
    _tell(notify, domain, _LIFECYCLE_KINDS.get(event, EventKind.CHANGED))


def _on_event(_connection: Any, domain: Any, *details: Any) -> None:
    notify, kind = details[-1]
    _tell(notify, domain, kind)


def _tell(notify: Notify, domain: Any, kind: EventKind) -> None:
    try:
        notify(Event(UUID(bytes=domain.UUID()), kind))
    except Exception:
        logger.exception("An event was lost: its receiver failed")
