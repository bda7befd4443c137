"""Everything that can go wrong at the seam.

    HypervisorError
    ├── HostUnreachable          the host or its libvirt does not answer
    ├── HostBusy                 too many calls are in flight on this connection
    ├── DomainNotFound           libvirt does not know the domain (any more)
    ├── DomainInWrongState       the domain's state does not allow what was asked
    ├── DomainBusy               another job holds the domain, or its QEMU process does not answer
    ├── AgentUnavailable         the guest agent is not there or does not answer
    ├── OperationAborted         the job was cancelled
    ├── ConsoleHeld              another program has the domain's serial console open
    ├── PermissionDenied         libvirt refuses this connection
    ├── NotSupported             the host or the domain cannot do that
    ├── NoSpace                  the host's storage is full
    ├── BadDefinition            the XML is refused
    ├── SavedFileMissing         the file that a machine was saved to is not there
    ├── SavedFileBroken          the file is no saved machine, or was cut off
    ├── PoolNotFound             the host has no such storage pool, or cannot use it
    ├── VolumeNotFound           no storage pool of the host has the file
    └── VolumeInUse              another machine or another disk builds on the file

Each carries a sentence for a person and, where libvirt spoke, its code and its own text. The mapping from
libvirt's codes to this tree stands once, in `hypervisor.translation`, so that processes which only catch these errors
need not load libvirt.
"""

from __future__ import annotations


class HypervisorError(Exception):
    """Something went wrong at the seam.

    - word: a stable code for scripts.
    - sentence: what happened and what to do, for a person; it names neither hosts nor paths.
    - code: libvirt's error number (VIR_ERR_*), None where libvirt was not asked.
    - text: libvirt's own words, for the log and for administrators.
    """

    word = "hypervisor_error"

    def __init__(self, sentence: str, *, code: int | None = None, text: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.sentence} (libvirt {self.code}: {self.text})" if self.text else self.sentence

    def again(self) -> HypervisorError:
        """Return an equal error that may be raised in another thread: it holds no traceback."""
        return type(self)(self.sentence, code=self.code, text=self.text)


class HostUnreachable(HypervisorError):
    """The host or its libvirt does not answer."""

    word = "host_unreachable"


class HostBusy(HypervisorError):
    """Too many calls are in flight on this connection."""

    word = "host_busy"


class DomainNotFound(HypervisorError):
    """libvirt does not know the domain (any more)."""

    word = "domain_not_found"


class DomainInWrongState(HypervisorError):
    """The domain's state does not allow what was asked."""

    word = "domain_in_wrong_state"


class DomainBusy(HypervisorError):
    """Another job holds the domain, or its QEMU process does not answer."""

    word = "domain_busy"


class AgentUnavailable(HypervisorError):
    """The guest agent is not there or does not answer."""

    word = "agent_unavailable"


class OperationAborted(HypervisorError):
    """The job was cancelled."""

    word = "operation_aborted"


class ConsoleHeld(HypervisorError):
    """Another program has the domain's serial console open."""

    word = "console_held"


class PermissionDenied(HypervisorError):
    """libvirt refuses this connection."""

    word = "permission_denied"


class NotSupported(HypervisorError):
    """The host or the domain cannot do that."""

    word = "not_supported"


class NoSpace(HypervisorError):
    """The host's storage is full."""

    word = "no_space"


class BadDefinition(HypervisorError):
    """The XML is refused."""

    word = "bad_definition"


class SavedFileMissing(HypervisorError):
    """The file that a machine was saved to is not there."""

    word = "saved_file_missing"


class SavedFileBroken(HypervisorError):
    """The file is no saved machine, or was cut off."""

    word = "saved_file_broken"


class PoolNotFound(HypervisorError):
    """The host has no such storage pool, or cannot use it."""

    word = "pool_not_found"


class VolumeNotFound(HypervisorError):
    """No storage pool of the host has the file."""

    word = "volume_not_found"


class VolumeInUse(HypervisorError):
    """Another machine or another disk builds on the file."""

    word = "volume_in_use"
