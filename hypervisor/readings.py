"""What the seam reads from a host, as typed values: no libvirt object leaves this package."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hypervisor.states import DomainState


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk of a definition.

    - target: its name in the guest, "vda".
    - source: the path of its file or device on the host; empty where there is none, or where it is no path.
    - pool, volume: the names by which it is found in a storage pool instead; empty where it has a path, or neither.
    - device: "disk" or "cdrom" (or libvirt's "floppy", "lun").
    """

    target: str
    source: str
    device: str = "disk"
    readonly: bool = False
    shareable: bool = False
    pool: str = ""
    volume: str = ""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the disks of a domain can hold together, in bytes, whatever they take of the storage.

    - complete: as far as the host can ever tell; False where it can tell more when the domain is off.
    """

    bytes: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Definition:
    """The facts of a domain's XML that the portal shows. `xml` is the inactive definition where one exists."""

    xml: str
    title: str = ""
    description: str = ""
    vcpus: int = 0
    memory_bytes: int = 0
    video_model: str = ""
    graphics: tuple[str, ...] = ()
    has_serial: bool = False
    has_agent_channel: bool = False
    disks: tuple[Disk, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One domain as libvirt described it at one moment.

    `definition` is None when it was not read again because nothing said that it changed.
    `agent_connected` is None when it was not read (it needs the live XML).
    `cpu_time_ns` is the cumulative CPU time of the running domain, None when it is not running or not known.
    `domain_id` is libvirt's number of the present run, None when it is off.
    """

    uuid: UUID
    name: str
    state: DomainState
    reason: int
    persistent: bool
    autostart: bool
    has_saved_image: bool
    snapshot_count: int
    definition: Definition | None = None
    agent_connected: bool | None = None
    cpu_time_ns: int | None = None
    domain_id: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a guest's interface, as its agent reports it."""

    interface: str
    mac: str
    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host says about itself. Memory in bytes.

    The capabilities are those for guests of the host's own architecture: machine types ("pc-q35-7.2"), domain types
    ("kvm", "qemu") and libvirt's names of features ("acpi", "disksnapshot").
    """

    hostname: str
    libvirt_version: str
    hypervisor_version: str
    cpus: int
    cpu_model: str
    memory_bytes: int
    capabilities_xml: str = field(repr=False, default="")
    free_memory_bytes: int = 0
    machine_types: tuple[str, ...] = field(repr=False, default=())
    domain_types: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far the running job of a domain is (virDomainGetJobStats). Bytes; both 0 when libvirt does not say."""

    operation: str
    processed_bytes: int
    total_bytes: int

    @property
    def percent(self) -> int:
        """Progress from 0 to 100, 0 when the total is unknown."""
        return min(100, self.processed_bytes * 100 // self.total_bytes) if self.total_bytes else 0
