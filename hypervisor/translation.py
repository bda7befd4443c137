"""What libvirt's error numbers mean: the one mapping to our errors. Numbers are compared, never message texts."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import libvirt

from hypervisor.errors import (
    AgentUnavailable,
    BadDefinition,
    ConsoleHeld,
    DomainBusy,
    DomainInWrongState,
    DomainNotFound,
    HostUnreachable,
    HypervisorError,
    NoSpace,
    NotSupported,
    OperationAborted,
    PermissionDenied,
    PoolNotFound,
    SavedFileBroken,
    SavedFileMissing,
    VolumeNotFound,
)

Meaning = tuple[type[HypervisorError], str]
Meanings = Mapping[int | tuple[int, int], Meaning]
"""By libvirt's number, or by VIR_ERR_SYSTEM_ERROR and the operating system's number."""

UNREACHABLE: Meaning = (HostUnreachable, "The host does not answer. It is tried again all the time.")
_REFUSED_LOGIN: Meaning = (
    HostUnreachable,
    "The host answers, but refuses the portal's login. An administrator has to check how the portal connects to it.",
)
_DENIED: Meaning = (
    PermissionDenied,
    "The host does not let the portal do this. An administrator has to allow it there.",
)
_NOT_FOUND: Meaning = (DomainNotFound, "The host does not know this machine any more.")
_FULL: Meaning = (
    NoSpace,
    "The host's storage is full. Delete what is not needed there, or ask an administrator, and try again.",
)
_UNSUPPORTED: Meaning = (NotSupported, "This host or this machine cannot do that.")
_REFUSED_XML: Meaning = (BadDefinition, "The host does not accept this definition.")
_NO_AGENT: Meaning = (
    AgentUnavailable,
    "The guest agent does not answer. Is it installed in the machine, and does it run?",
)
_NO_AGENT_CHANNEL: Meaning = (
    AgentUnavailable,
    "This machine has no channel for a guest agent. An administrator can add one to its definition.",
)
_PROCESS_ENDED: Meaning = (
    DomainInWrongState,
    "The machine's process on the host ended in the middle of this. Look at the machine's state and try again.",
)
BROKEN_FILE: Meaning = (
    SavedFileBroken,
    "This file is no saved machine, or saving it was interrupted. Nothing can be restored from it.",
)
_FAILED: Meaning = (HypervisorError, "The host could not do it. Its own words are kept with the operation.")

_BY_CODE: Meanings = {
    libvirt.VIR_ERR_NO_MEMORY: (HypervisorError, "The host has no memory left. Try again when other machines are off."),
    libvirt.VIR_ERR_NO_SUPPORT: _UNSUPPORTED,
    libvirt.VIR_ERR_INVALID_ARG: _UNSUPPORTED,  # also said of flags that this libvirt does not know
    libvirt.VIR_ERR_UNKNOWN_HOST: UNREACHABLE,
    libvirt.VIR_ERR_NO_CONNECT: UNREACHABLE,
    libvirt.VIR_ERR_INVALID_CONN: UNREACHABLE,
    libvirt.VIR_ERR_INVALID_DOMAIN: _NOT_FOUND,
    libvirt.VIR_ERR_OS_TYPE: _REFUSED_XML,
    libvirt.VIR_ERR_NO_KERNEL: _REFUSED_XML,
    libvirt.VIR_ERR_NO_ROOT: _REFUSED_XML,
    libvirt.VIR_ERR_NO_SOURCE: _REFUSED_XML,
    libvirt.VIR_ERR_NO_TARGET: _REFUSED_XML,
    libvirt.VIR_ERR_NO_NAME: _REFUSED_XML,
    libvirt.VIR_ERR_NO_OS: _REFUSED_XML,
    libvirt.VIR_ERR_NO_DEVICE: _REFUSED_XML,
    libvirt.VIR_ERR_XML_ERROR: _REFUSED_XML,
    libvirt.VIR_ERR_XML_DETAIL: _REFUSED_XML,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA: (
        BadDefinition,
        "The host does not accept this definition: an element or a value in it is not as it should be. "
        "The host's own words name it.",
    ),
    libvirt.VIR_ERR_INVALID_MAC: _REFUSED_XML,
    libvirt.VIR_ERR_DOM_EXIST: (BadDefinition, "The host already has a machine of this name or UUID."),
    libvirt.VIR_ERR_OPERATION_DENIED: _DENIED,
    libvirt.VIR_ERR_ACCESS_DENIED: _DENIED,
    libvirt.VIR_ERR_AUTH_FAILED: _DENIED,
    libvirt.VIR_ERR_AUTH_CANCELLED: _DENIED,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: _DENIED,
    libvirt.VIR_ERR_GNUTLS_ERROR: UNREACHABLE,
    libvirt.VIR_ERR_SSH: UNREACHABLE,
    libvirt.VIR_ERR_LIBSSH: UNREACHABLE,
    libvirt.VIR_ERR_NO_SERVER: UNREACHABLE,
    libvirt.VIR_ERR_NO_CLIENT: UNREACHABLE,
    libvirt.VIR_ERR_NO_HOSTNAME: UNREACHABLE,
    libvirt.VIR_ERR_NO_DOMAIN: _NOT_FOUND,
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "The machine's state does not allow this. It may have changed a moment ago; look at it and try again.",
    ),
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: (
        NotSupported,
        "The machine's definition asks for something that this host cannot do. An administrator has to change it.",
    ),
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: _UNSUPPORTED,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: _UNSUPPORTED,
    libvirt.VIR_ERR_CPU_INCOMPATIBLE: (
        NotSupported,
        "This host's processor lacks what the machine needs. An administrator has to change the machine's processor.",
    ),
    libvirt.VIR_ERR_OPERATION_TIMEOUT: (
        DomainBusy,
        "The machine is busy with another job, or its process on the host does not answer. Try again, or force it off.",
    ),
    libvirt.VIR_ERR_RESOURCE_BUSY: (
        DomainBusy,
        "Something that the machine needs is in use. Try again in a moment.",
    ),
    libvirt.VIR_ERR_BLOCK_COPY_ACTIVE: (
        DomainBusy,
        "A disk of the machine is being copied. Try again when that is done.",
    ),
    libvirt.VIR_ERR_OPERATION_ABORTED: (OperationAborted, "It was cancelled before it was done."),
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: _NO_AGENT,
    libvirt.VIR_ERR_AGENT_UNSYNCED: _NO_AGENT,
    libvirt.VIR_ERR_NO_STORAGE_POOL: (
        PoolNotFound,
        "The storage pool that the machine needs is not there. An administrator has to look at the host.",
    ),
    libvirt.VIR_ERR_NO_STORAGE_VOL: (
        VolumeNotFound,
        "A disk of the machine is not there. An administrator has to look at the host's storage.",
    ),
    libvirt.VIR_ERR_NO_NETWORK: (
        HypervisorError,
        "The network that the machine needs is not there. An administrator has to look at the host.",
    ),
    libvirt.VIR_ERR_HOOK_SCRIPT_FAILED: (
        HypervisorError,
        "The host's own script refused it. An administrator has to look at the host.",
    ),
    libvirt.VIR_ERR_DEVICE_MISSING: (HypervisorError, "The machine has no such device."),
    libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT: (HypervisorError, "The machine has no such snapshot any more."),
}
"""What libvirt's error numbers mean; numbers that are not here mean `_FAILED`."""

_BY_ERRNO: Meanings = {
    errno.ENOENT: (
        HypervisorError,
        "Something that the machine needs is not on its host. An administrator has to look at the host.",
    ),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ECONNRESET: _PROCESS_ENDED,
    errno.EPIPE: _PROCESS_ENDED,
    errno.ENOMEM: _BY_CODE[libvirt.VIR_ERR_NO_MEMORY],
}
"""What the operating system's numbers mean where libvirt passes one on (VIR_ERR_SYSTEM_ERROR)."""

_BY_CODE_OPENING: Meanings = {
    **{number: _REFUSED_LOGIN for number, meaning in _BY_CODE.items() if meaning is _DENIED},
    libvirt.VIR_ERR_NO_CONNECT: (
        HostUnreachable,
        "The host's libvirt URI cannot be understood. An administrator has to correct it.",
    ),
}
"""While a connection is opened, whatever else goes wrong means that the host does not answer."""

DEFINING: Meanings = {
    libvirt.VIR_ERR_OPERATION_FAILED: (
        BadDefinition,
        "The host already has another machine of this name, or of this UUID under another name.",
    ),
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: (
        BadDefinition,
        "The definition asks for something that this host does not have: a machine type, a processor or a device.",
    ),
    libvirt.VIR_ERR_INVALID_ARG: _REFUSED_XML,
    libvirt.VIR_ERR_INTERNAL_ERROR: _REFUSED_XML,
    libvirt.VIR_ERR_SYSTEM_ERROR: _REFUSED_XML,
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (
        BadDefinition,
        "The definition names a file that is not on the host: its emulator, for example.",
    ),
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOSPC): _FULL,
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.EDQUOT): _FULL,
}
"""What some numbers mean while XML is handed over, in addition."""

STARTING: Meanings = {
    libvirt.VIR_ERR_INTERNAL_ERROR: (
        HypervisorError,
        "The machine's process did not start: the host may lack memory or something that the definition names, or "
        "another machine uses one of its disks. An administrator has to look at the host's own words.",
    ),
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (
        HypervisorError,
        "A file that the machine needs, a disk for example, is not on its host. An administrator has to look at the "
        "host's own words.",
    ),
}
"""What some numbers mean while a domain is started, in addition."""

CREATING: Meanings = {
    **STARTING,
    libvirt.VIR_ERR_OPERATION_FAILED: DEFINING[libvirt.VIR_ERR_OPERATION_FAILED],
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: DEFINING[libvirt.VIR_ERR_CONFIG_UNSUPPORTED],
    libvirt.VIR_ERR_INVALID_ARG: _REFUSED_XML,
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "A machine of this name and UUID runs on the host already.",
    ),
}
"""What some numbers mean while a domain is started from XML, in addition."""

READING_FILE: Meanings = {
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (
        SavedFileMissing,
        "The saved file is not on the host: it was deleted there, or its storage is not mounted.",
    ),
    libvirt.VIR_ERR_OPERATION_FAILED: BROKEN_FILE,
    libvirt.VIR_ERR_XML_ERROR: BROKEN_FILE,
}
"""What some numbers mean while the head of a saved file is read, in addition."""

_NOT_RESTORED: Meaning = (
    HypervisorError,
    "The machine could not be restored; its file is still there. It may be cut off, restoring may have been "
    "interrupted, or the host lacks something that the machine needs. The host's own words say more.",
)
RESTORING: Meanings = {
    **STARTING,
    libvirt.VIR_ERR_INTERNAL_ERROR: _NOT_RESTORED,
    libvirt.VIR_ERR_OPERATION_FAILED: _NOT_RESTORED,
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "The machine runs: it has to be off before it can be restored.",
    ),
}
"""What some numbers mean while a domain is restored from a file whose head was read, in addition."""

SAVING: Meanings = {
    libvirt.VIR_ERR_OPERATION_FAILED: (
        HypervisorError,
        "The machine could not be saved. The host's storage may be full: make room there, or ask an administrator.",
    ),
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "The machine cannot be saved now: it has to be on, and one that is transient can only be saved to a file.",
    ),
}
"""What some numbers mean while memory is written to a file, in addition: libvirt has none for a full disk here."""

SAVING_TO_FILE: Meanings = {
    **SAVING,
    libvirt.VIR_ERR_OPERATION_INVALID: (DomainInWrongState, "The machine cannot be saved now: it has to be on."),
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (
        PoolNotFound,
        "The directory for saved files is not on the host. An administrator has to look at its storage.",
    ),
}
"""What some numbers mean while memory is written to a named file, in addition."""

AGENT: Meanings = {
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: _NO_AGENT_CHANNEL,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: _NO_AGENT_CHANNEL,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: _NO_AGENT,
}
"""What some numbers mean while the guest agent is asked, in addition."""

_NO_SUCH_SLEEP: Meaning = (
    NotSupported,
    "This machine has no such sleep: its definition does not allow it, or its guest cannot do it.",
)
SLEEPING: Meanings = {
    **AGENT,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: _NO_SUCH_SLEEP,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: _NO_SUCH_SLEEP,
    libvirt.VIR_ERR_INTERNAL_ERROR: _NO_SUCH_SLEEP,
}
"""What some numbers mean while a guest is sent to sleep, in addition."""

WAKING: Meanings = {
    libvirt.VIR_ERR_INTERNAL_ERROR: (DomainInWrongState, "The machine is not asleep, so it cannot be woken."),
}
"""What some numbers mean while a guest is woken, in addition."""

PRESSING_KEYS: Meanings = {
    libvirt.VIR_ERR_INTERNAL_ERROR: (
        NotSupported,
        "The host could not press these keys: it does not know one of them, or the machine has no keyboard.",
    ),
}
"""What some numbers mean while keys are pressed, in addition."""

OPENING_CONSOLE: Meanings = {
    libvirt.VIR_ERR_OPERATION_FAILED: (
        ConsoleHeld,
        "The machine's serial console is held by another program on its host, virsh for example.",
    ),
    libvirt.VIR_ERR_INTERNAL_ERROR: (NotSupported, "The machine has no serial console that its host can open."),
}
"""What some numbers mean while a serial console is opened, in addition."""
SCREENSHOTTING: Meanings = {
    libvirt.VIR_ERR_INTERNAL_ERROR: (NotSupported, "The machine's display has no picture to take."),
    libvirt.VIR_ERR_OPERATION_INVALID: (DomainInWrongState, "The machine has no such screen now: it has to be on."),
}
"""What some numbers mean while a picture of a screen is taken, in addition."""

UNDEFINING: Meanings = {
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "The machine cannot be undefined like this: it has a saved image, snapshots or checkpoints that are not to go "
        "with it, or it is transient.",
    ),
}
"""What some numbers mean while a definition is forgotten, in addition."""

AUTOSTARTING: Meanings = {
    libvirt.VIR_ERR_OPERATION_INVALID: (
        DomainInWrongState,
        "Only a machine that is defined on its host can start with it. This one is transient.",
    ),
}
"""What some numbers mean while autostart is set, in addition."""

STORING: Meanings = {
    libvirt.VIR_ERR_NO_STORAGE_POOL: (
        PoolNotFound,
        "The host has no such storage pool. An administrator has to look at its storage.",
    ),
    libvirt.VIR_ERR_NO_STORAGE_VOL: (VolumeNotFound, "The file is not in the host's storage any more."),
    libvirt.VIR_ERR_OPERATION_INVALID: (
        PoolNotFound,
        "The host's storage pool is not active. An administrator has to look at its storage.",
    ),
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (
        PoolNotFound,
        "The directory of the host's storage pool is not there. An administrator has to look at its storage.",
    ),
}
"""What some numbers mean while a storage pool is asked, in addition."""

_IN_NO_POOL: Meaning = (
    VolumeNotFound,
    "The disk's file is in no storage pool of the host, so the portal cannot delete it. An administrator has to delete "
    "it on the host.",
)
DELETING_DISK: Meanings = {
    libvirt.VIR_ERR_NO_STORAGE_VOL: _IN_NO_POOL,
    (libvirt.VIR_ERR_SYSTEM_ERROR, errno.ENOENT): (VolumeNotFound, "The disk's file is not on the host any more."),
    libvirt.VIR_ERR_OPERATION_INVALID: _IN_NO_POOL,
}
"""What some numbers mean while the file of a disk is deleted, in addition."""


def from_libvirt(error: libvirt.libvirtError, meanings: Meanings | None = None) -> HypervisorError:
    """Return our error for libvirt's. The only place that knows what libvirt's numbers mean.

    Args:
        error: what libvirt raised.
        meanings: what numbers mean in this kind of call, before their general meaning: DEFINING, STARTING, SAVING, ...
    """
    code = error.get_error_code()
    kind, sentence = _meaning(error, code, meanings or {})
    return kind(sentence, code=code, text=error.get_error_message() or str(error))


def unreachable(error: libvirt.libvirtError) -> HypervisorError:
    """Return the HostUnreachable for an error of a connection that cannot be opened or has just died."""
    code = error.get_error_code()
    kind, sentence = _BY_CODE_OPENING.get(code, UNREACHABLE)
    return kind(sentence, code=code, text=error.get_error_message() or str(error))


def _meaning(error: libvirt.libvirtError, code: int | None, meanings: Meanings) -> Meaning:
    if code is None:
        return _FAILED
    system = code == libvirt.VIR_ERR_SYSTEM_ERROR
    here = (system and meanings.get((code, error.get_int1()))) or meanings.get(code)
    if here:
        return here
    return _BY_ERRNO.get(error.get_int1(), _FAILED) if system else _BY_CODE.get(code, _FAILED)
