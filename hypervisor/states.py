"""The ten states of a machine, and the one pure function that finds the state from what libvirt says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class State(StrEnum):
    """What a machine is doing, in the customer's ten words."""

    UNDEFINED = "undefined"
    SHUTOFF = "shutoff"
    RUNNING = "running"
    IDLE = "idle"
    SHUTDOWN = "shutdown"
    PAUSED = "paused"
    SAVED = "saved"
    CRASHED = "crashed"
    DYING = "dying"
    PMSUSPENDED = "pmsuspended"


ACTIVE_STATES = frozenset(
    {State.RUNNING, State.IDLE, State.SHUTDOWN, State.PAUSED, State.DYING, State.PMSUSPENDED},
)
"""States in which a QEMU process exists for certain (a crashed machine may or may not have one)."""


class DomainState(IntEnum):
    """libvirt's virDomainState, number for number."""

    NOSTATE = 0
    RUNNING = 1
    BLOCKED = 2
    PAUSED = 3
    SHUTDOWN = 4
    SHUTOFF = 5
    CRASHED = 6
    PMSUSPENDED = 7


REASONS: dict[DomainState, tuple[str, ...]] = {
    DomainState.NOSTATE: ("unknown",),
    DomainState.RUNNING: (
        "unknown",
        "booted",
        "migrated",
        "restored",
        "from snapshot",
        "unpaused",
        "migration canceled",
        "save canceled",
        "wakeup",
        "crashed",
        "post-copy",
        "post-copy failed",
    ),
    DomainState.BLOCKED: ("unknown",),
    DomainState.PAUSED: (
        "unknown",
        "user",
        "migration",
        "save",
        "dump",
        "I/O error",
        "watchdog",
        "from snapshot",
        "shutting down",
        "snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "api error",
    ),
    DomainState.SHUTDOWN: ("unknown", "user"),
    DomainState.SHUTOFF: (
        "unknown",
        "shutdown",
        "destroyed",
        "crashed",
        "migrated",
        "saved",
        "failed",
        "from snapshot",
        "daemon",
    ),
    DomainState.CRASHED: ("unknown", "panicked"),
    DomainState.PMSUSPENDED: ("unknown",),
}
"""A word for each number of libvirt's reason enumerations (virDomainRunningReason and its like), in their order."""


@dataclass(frozen=True, slots=True)
class PortalFacts:
    """What only the portal knows about a machine, beside what libvirt says.

    - shutdown_asked: a shutdown was accepted by libvirt and the guest has neither stopped nor refused yet.
    - overdue: shutting down or being destroyed failed or ran past its time, and the machine still runs.
    - quiet: next to no vCPU time was used for IDLE_AFTER.
    - saved_file: it was saved to a file of the portal and has not run since.
    """

    shutdown_asked: bool = False
    overdue: bool = False
    quiet: bool = False
    saved_file: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A state and, in libvirt's word, why. `reason` is "unknown" where libvirt does not say."""

    state: State
    reason: str


def reason_word(state: DomainState, reason: int) -> str:
    """Return libvirt's word for a reason number; "unknown" for numbers newer than this table."""
    words = REASONS[state]
    return words[reason] if 0 <= reason < len(words) else "unknown"


def state_of(state: DomainState, reason: int, *, has_saved_image: bool, facts: PortalFacts) -> Verdict:
    """Map what libvirt says of one domain, and the portal's facts, to one of the ten states.

    `undefined` is not in question here: it is the absence of the domain. Where the choice is not obvious:

    - shutoff with a saved image is saved, whatever the reason says, also crashed: restoring may have failed, but the
      image is there and starting uses it. So is one saved to a file that has not run since: its reason is saved.
    - An image beside an active domain says nothing: libvirt removes it when it starts from it.
    - shutoff and crashed are ends: an overdue or asked shutdown no longer matters.
    - paused goes before an asked shutdown: the guest is not on its way down while its vCPUs stand. Once it is resumed
      it is on its way again. An overdue one stays dying while paused: pausing it does not end what went wrong.
    - paused because it is shutting down is dying: libvirt shows it when its QEMU process did not end.
    - paused because it is starting up is paused: its vCPUs stand, and it stays so where libvirtd was interrupted.
    - nostate counts as running: the domain is active, and the hypervisor does not say more.
    - running with reason crashed is running: somebody let a crashed guest go on.
    - asleep (pmsuspended) goes before an asked shutdown, as paused does, and after an overdue one.
    """
    word = reason_word(state, reason)
    match state:
        case DomainState.SHUTOFF if has_saved_image or (facts.saved_file and word == "saved"):
            return Verdict(State.SAVED, word)
        case DomainState.SHUTOFF:
            return Verdict(State.CRASHED if word == "crashed" else State.SHUTOFF, word)
        case DomainState.CRASHED:
            return Verdict(State.CRASHED, word)
        case DomainState.PAUSED if word == "crashed":
            return Verdict(State.CRASHED, word)
        case DomainState.PAUSED if word == "shutting down":
            return Verdict(State.DYING, word)
    if facts.overdue:
        return Verdict(State.DYING, word)
    match state:
        case DomainState.PAUSED:
            return Verdict(State.PAUSED, word)
        case DomainState.PMSUSPENDED:
            return Verdict(State.PMSUSPENDED, word)
        case DomainState.SHUTDOWN:
            return Verdict(State.SHUTDOWN, word)
    if facts.shutdown_asked:
        return Verdict(State.SHUTDOWN, word)
    if state is DomainState.BLOCKED or facts.quiet:
        return Verdict(State.IDLE, word)
    return Verdict(State.RUNNING, word)
