"""What may be asked in which state, by whom, and what beside the state it takes: the specification, written by hand.

Nothing here is computed from the portal's own table: tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILE = "before-update"
"""The saved file of the machines that are asked."""

XML = "its definition"
"""In place of the XML of the machine that is asked."""

STATE_WORDS = {
    "undefined": "undefined",
    "shutoff": "shut off",
    "running": "running",
    "idle": "idle",
    "shutdown": "shutting down",
    "paused": "paused",
    "saved": "saved",
    "crashed": "crashed",
    "dying": "dying",
    "pmsuspended": "asleep",
}
"""The ten states, in the order in which sentences name them."""

NOT_PERSISTENT = ("persistent", "It is transient: its host keeps no definition of it.")
NO_IMAGE = ("has_saved_image", "It has no managed-save image.")
NO_FILE = ("saved_file_count", "It has no saved file.")
NO_AGENT = ("agent_connected", "Its guest agent is not connected.")


@dataclass(frozen=True)
class Ask:
    """One way to ask for an operation: its kind, the word on its button, who may, and with which parameters.

    `lacking` is what it needs beside the state: a column, and the sentence when that is empty.
    """

    kind: str
    label: str
    right: str = "operator"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    lacking: tuple[str, str] | None = None


ASKS = {
    "start": Ask("start", "Start"),
    "restore": Ask("restore", "Restore"),
    "restore a file": Ask("restore", "Restore", parameters={"file": FILE, "confirm": "machine"}, lacking=NO_FILE),
    "fresh-boot": Ask("fresh-boot", "Boot afresh"),
    "wakeup": Ask("wakeup", "Wake up"),
    "shutdown": Ask("shutdown", "Shut down"),
    "reboot": Ask("reboot", "Reboot"),
    "suspend": Ask("suspend", "Pause"),
    "resume": Ask("resume", "Resume"),
    "save": Ask("save", "Save", lacking=NOT_PERSISTENT),
    "save to a file": Ask("save", "Save", parameters={"file": "after-update"}),
    "pmsuspend": Ask("pmsuspend", "Put to sleep", lacking=NO_AGENT),
    "reset": Ask("reset", "Reset"),
    "keep-running": Ask("keep-running", "Keep running"),
    "destroy": Ask("destroy", "Force off"),
    "discard-image": Ask("discard-image", "Discard saved image", lacking=NO_IMAGE),
    "delete-file": Ask("delete-file", "Delete saved file", "owner", {"file": FILE}, NO_FILE),
    "autostart": Ask("autostart", "Autostart", "owner", {"on": True}, NOT_PERSISTENT),
    "inject-nmi": Ask("inject-nmi", "Inject NMI", "admin"),
    "send-keys": Ask("send-keys", "Send keys", "admin", {"keys": ["KEY_LEFTCTRL", "KEY_C"]}),
    "define": Ask("define", "Define", "owner"),
    "define from XML": Ask("define", "Define", "admin", {"xml": XML}),
    "create": Ask("create", "Start once", "owner"),
    "create from XML": Ask("create", "Start once", "admin", {"xml": XML}),
    "undefine": Ask("undefine", "Undefine", "owner", {"saved_image": True, "snapshots": True}, NOT_PERSISTENT),
}

ALWAYS = {"delete-file", "define from XML"}
KNOWN = ALWAYS | {"autostart", "undefine"}
ON = KNOWN | {"reset", "destroy"}
AWAKE = ON | {
    "shutdown",
    "reboot",
    "suspend",
    "save",
    "save to a file",
    "pmsuspend",
    "inject-nmi",
    "send-keys",
}
ALLOWED: dict[str, set[str]] = {
    "undefined": ALWAYS | {"define", "create", "create from XML", "restore a file"},
    "shutoff": KNOWN | {"start", "restore a file"},
    "running": AWAKE,
    "idle": AWAKE,
    "shutdown": ON | {"suspend", "inject-nmi", "send-keys"},
    "paused": ON | {"resume", "save", "save to a file", "inject-nmi"},
    "saved": KNOWN | {"start", "restore", "restore a file", "fresh-boot", "discard-image"},
    "crashed": KNOWN | {"start", "restore a file", "destroy"},
    "dying": ON | {"shutdown", "keep-running", "inject-nmi", "send-keys"},
    "pmsuspended": ON | {"wakeup"},
}


def states_of(ask: str) -> list[str]:
    """Return the states that allow it, in the order in which sentences name them."""
    return [state for state in STATE_WORDS if ask in ALLOWED[state]]


def sentence_in(state: str, ask: str) -> str:
    """Return what people are told who ask for it in a state that does not allow it."""
    possible = " or ".join(", ".join(STATE_WORDS[other] for other in states_of(ask)).rsplit(", ", 1))
    return f"The machine is {STATE_WORDS[state]}; “{ASKS[ask].label}” is possible when it is {possible}."
