"""What is read from an open libvirt connection: its host, one domain, or all of them by bulk calls.

No call here waits for a domain's job, so a QEMU process that does not answer holds up none of them. The functions take
libvirt's connection and raise libvirt's errors; `Connection` gives them their turn and translates.
"""

from __future__ import annotations

import logging
from collections.abc import Container
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import libvirt
from lxml import etree

from hypervisor.definition import agent_is_connected, parse
from hypervisor.errors import BadDefinition
from hypervisor.readings import Definition, HostFacts, Reading
from hypervisor.states import DomainState

logger = logging.getLogger(__name__)

_STATISTICS = libvirt.VIR_DOMAIN_STATS_STATE
"""Not VIR_DOMAIN_STATS_CPU_TOTAL: for it libvirt asks QEMU, even with NOWAIT where no other job is under way, and so
one QEMU process that does not answer holds up the figures of all domains (tried with libvirt 9.0)."""
_NO_WAITING = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
_GONE = frozenset({libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_DOMAIN})
_OFF = frozenset({DomainState.SHUTOFF, DomainState.NOSTATE})

Statistics = dict[str, Any]
"""What libvirt answers for one domain: "state.state", "state.reason"."""


@dataclass(frozen=True, slots=True)
class _Lists:
    """Which domains of a host are what: one filtered virConnectListAllDomains each."""

    persistent: frozenset[bytes]
    autostarted: frozenset[bytes]
    saved: frozenset[bytes]
    with_snapshots: frozenset[bytes]


def host_facts(handle: Any) -> HostFacts:
    """Read what a host says of itself (virNodeGetInfo, virConnectGetCapabilities and others)."""
    model, memory_mib, cpus, *_rest = handle.getInfo()
    capabilities = handle.getCapabilities()
    root = _capabilities(capabilities)
    return HostFacts(
        hostname=handle.getHostname(),
        libvirt_version=_version(handle.getLibVersion()),
        hypervisor_version=_version(handle.getVersion()),
        cpus=cpus,
        cpu_model=root.findtext("host/cpu/model") or model,
        memory_bytes=memory_mib * 2**20,
        capabilities_xml=capabilities,
        free_memory_bytes=handle.getFreeMemory(),
        machine_types=_of_guests(root, "arch[@name=$arch]//machine/text()"),
        domain_types=_of_guests(root, "arch[@name=$arch]/domain/@type"),
        features=_of_guests(root, "features/*[@default='on' or not(@default)]"),
    )


def one(handle: Any, uuid: UUID) -> Reading | None:
    """Read one domain with its definition, None when libvirt does not know it."""
    try:
        domain = handle.lookupByUUID(uuid.bytes)
        [(_domain, statistics)] = handle.domainListGetStats([domain], _STATISTICS, _NO_WAITING)
        return _reading_of_one(domain, statistics)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return None
        raise


def every(handle: Any, definitions_of: Container[UUID] | None) -> list[Reading]:
    """Read all domains of a host by five bulk calls.

    Beside these, one call each: the CPU time of domains that run (virDomainGetInfo), the number of snapshots where
    there are some, and the XML of those in `definitions_of` (None: of every one). A domain that goes away meanwhile is
    left out.
    """
    statistics = handle.getAllDomainStats(_STATISTICS, _NO_WAITING)
    lists = _lists(handle)
    readings = (_reading_of_many(domain, found, lists, definitions_of) for domain, found in statistics)
    return [reading for reading in readings if reading]


def _reading_of_one(domain: Any, statistics: Statistics) -> Reading:
    persistent = bool(domain.isPersistent())
    state = _state(statistics)
    return Reading(
        uuid=UUID(bytes=domain.UUID()),
        name=domain.name(),
        state=state,
        reason=statistics.get("state.reason", 0),
        persistent=persistent,
        autostart=bool(domain.autostart()) if persistent else False,
        has_saved_image=bool(domain.hasManagedSaveImage()),
        snapshot_count=domain.snapshotNum(),
        definition=_definition(domain, persistent=persistent),
        agent_connected=_agent_connected(domain, state),
        cpu_time_ns=_cpu_time(domain, state),
        domain_id=_id(domain),
    )


def _reading_of_many(
    domain: Any, statistics: Statistics, lists: _Lists, definitions_of: Container[UUID] | None
) -> Reading | None:
    key: bytes = domain.UUID()
    uuid = UUID(bytes=key)
    state = _state(statistics)
    persistent = key in lists.persistent
    wanted = definitions_of is None or uuid in definitions_of
    try:
        return Reading(
            uuid=uuid,
            name=domain.name(),
            state=state,
            reason=statistics.get("state.reason", 0),
            persistent=persistent,
            autostart=key in lists.autostarted,
            has_saved_image=key in lists.saved,
            snapshot_count=domain.snapshotNum() if key in lists.with_snapshots else 0,
            definition=_definition(domain, persistent=persistent) if wanted else None,
            agent_connected=_agent_connected(domain, state) if wanted else None,
            cpu_time_ns=_cpu_time(domain, state),
            domain_id=_id(domain),
        )
    except libvirt.libvirtError as error:
        if error.get_error_code() in _GONE:
            return None
        raise


def _lists(handle: Any) -> _Lists:
    return _Lists(
        persistent=_listed(handle, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
        autostarted=_listed(handle, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
        saved=_listed(handle, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
        with_snapshots=_listed(handle, libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT),
    )


def _listed(handle: Any, flag: int) -> frozenset[bytes]:
    return frozenset(domain.UUID() for domain in handle.listAllDomains(flag))


def _state(statistics: Statistics) -> DomainState:
    try:
        return DomainState(statistics.get("state.state", 0))
    except ValueError:  # newer than this table
        return DomainState.NOSTATE


def _cpu_time(domain: Any, state: DomainState) -> int | None:
    if state in _OFF:
        return None
    *_figures, nanoseconds = domain.info()
    return int(nanoseconds)


def _id(domain: Any) -> int | None:
    """Return the number of its present run, which came with the domain itself (virDomainGetID)."""
    number = domain.ID()
    return number if number >= 0 else None


def _definition(domain: Any, *, persistent: bool) -> Definition | None:
    """Read a domain's definition; None for one that cannot be parsed, which must not hide all others of its host."""
    try:
        return parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE if persistent else 0))
    except BadDefinition as error:
        logger.warning("The definition of %s cannot be read: %s", domain.UUIDString(), error.text)
        return None


def _agent_connected(domain: Any, state: DomainState) -> bool:
    try:
        return state not in _OFF and agent_is_connected(domain.XMLDesc(0))
    except BadDefinition:
        return False


def _capabilities(xml: str) -> etree._Element:
    return etree.fromstring(xml.encode(), etree.XMLParser(encoding="utf-8", resolve_entities=False, no_network=True))


def _of_guests(root: etree._Element, path: str) -> tuple[str, ...]:
    """Return what an XPath finds below <guest> for the host's own architecture, each once, in the XML's order."""
    arch = root.findtext("host/cpu/arch") or ""
    found: Any = root.xpath(f"guest[arch/@name=$arch]/{path}", arch=arch)
    return tuple(dict.fromkeys(str(each.tag if isinstance(each, etree._Element) else each) for each in found))


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
