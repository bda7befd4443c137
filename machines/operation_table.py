"""The one table of operations: what each is called, when and by whom it may be asked, what it destroys, what ends it.

Python, templates, API and the browser (`machines.table_json`) all read this table; `machines.refusals` applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from django.utils.translation import gettext_lazy

from hypervisor.states import ACTIVE_STATES, State
from machines.access import Right
from machines.parameters import LONGEST_XML, Choice, Flag, Number, Parameter, Text, TextList, WordList
from machines.state_words import Words


class Queue(StrEnum):
    """The two Celery queues: a long operation never delays a quick one."""

    QUICK = "quick"
    LONG = "long"


class Place(StrEnum):
    """Where pages offer an operation."""

    BUTTON = "button"
    """A button of its own."""
    MENU = "menu"
    """An item of the menu “More”."""
    FORM = "form"
    """A page of its own that asks for its parameters."""


class Fact(StrEnum):
    """What beside the state has to be true of a machine, named like its field."""

    PERSISTENT = "persistent"
    SAVED_IMAGE = "has_saved_image"
    SAVED_FILES = "saved_file_count"
    AGENT = "agent_connected"


@dataclass(frozen=True, slots=True)
class Variant:
    """What holds instead when a certain parameter is given; an empty right means the kind's own."""

    states: frozenset[State]
    requires: tuple[Fact, ...] = ()
    right: Right = Right.NONE


@dataclass(frozen=True, slots=True)
class Kind:
    """One operation that can be asked of a machine.

    - states: where it is allowed.
    - requires: what beside the state has to be true of the machine.
    - variants: what holds instead when the parameter of this name is given.
    - loses: what is destroyed, as a sentence with `%(name)s`; empty when nothing is, and then nobody is asked.
    - waits: the call only starts it; the watcher's news or a deadline finishes it.
    - runs: it makes a machine run that is off, which its owner's quota limits.
    - preempts: it ends whatever other operation is in the way.
    - url: the name of the page that asks for its parameters, for the place FORM.
    """

    name: str
    label: Words
    doing: Words
    icon: str
    queue: Queue
    states: frozenset[State]
    right: Right = Right.OPERATE
    loses: Words = ""
    waits: bool = False
    runs: bool = False
    preempts: bool = False
    cancellable: bool = False
    parameters: tuple[Parameter, ...] = ()
    requires: tuple[Fact, ...] = ()
    variants: Mapping[str, Variant] = field(default_factory=dict)
    place: Place = Place.BUTTON
    url: str = ""

    @property
    def ways(self) -> dict[str, Words]:
        """The modes that people may choose beside the default, in words."""
        for parameter in self.parameters:
            if isinstance(parameter, Choice) and parameter.name == "mode":
                return {mode: words for mode, words in parameter.values.items() if mode != parameter.default}
        return {}

    def variant(self, given: Mapping[str, object] | None = None) -> Variant:
        """Return what holds when it is asked with these parameters."""
        for name, variant in self.variants.items():
            if given and given.get(name):
                return Variant(variant.states, variant.requires, variant.right or self.right)
        return Variant(self.states, self.requires, self.right)


_HOW = Choice(
    "mode",
    gettext_lazy("how"),
    "default",
    values={
        "default": gettext_lazy("as the host thinks best"),
        "acpi": gettext_lazy("by the power button"),
        "agent": gettext_lazy("by the guest agent"),
    },
)
_SLEEP = Choice(
    "mode",
    gettext_lazy("how"),
    "mem",
    values={
        "mem": gettext_lazy("to memory"),
        "disk": gettext_lazy("to its own disk"),
        "hybrid": gettext_lazy("to memory and its own disk"),
    },
)
FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}"
_FILE_FORM = gettext_lazy("at most 64 letters, digits, dots, dashes and underscores")
_FILE = Text("file", gettext_lazy("saved file"), pattern=FILE_NAME, form=_FILE_FORM)
_THE_FILE = Text("file", gettext_lazy("saved file"), needed=True, pattern=FILE_NAME, form=_FILE_FORM)
_XML = Text("xml", gettext_lazy("definition"), hidden=True, longest=LONGEST_XML)
_KEYS = WordList(
    "keys",
    gettext_lazy("keys"),
    needed=True,
    pattern=r"KEY_[A-Z0-9_]{1,32}",
    form=gettext_lazy("a list of at most 16 Linux key names such as KEY_LEFTCTRL"),
    most=16,
)

_AWAKE = frozenset({State.RUNNING, State.IDLE})
_ON = ACTIVE_STATES
_OFF = frozenset({State.SHUTOFF, State.CRASHED})
_GONE = frozenset({State.UNDEFINED})
_ALL = frozenset(State)
_KNOWN = _ALL - _GONE

TABLE: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "start",
            gettext_lazy("Start"),
            gettext_lazy("Starting"),
            "player-play",
            Queue.QUICK,
            _OFF | {State.SAVED},
            runs=True,
        ),
        Kind(
            "restore",
            gettext_lazy("Restore"),
            gettext_lazy("Restoring"),
            "restore",
            Queue.LONG,
            frozenset({State.SAVED}),
            runs=True,
            parameters=(_FILE, Text("confirm", gettext_lazy("the machine's name, typed"), hidden=True)),
            variants={"file": Variant(_OFF | {State.SAVED, State.UNDEFINED}, (Fact.SAVED_FILES,))},
        ),
        Kind(
            "fresh-boot",
            gettext_lazy("Boot afresh"),
            gettext_lazy("Booting afresh"),
            "bolt",
            Queue.QUICK,
            frozenset({State.SAVED}),
            loses=gettext_lazy(
                "%(name)s boots from its disks. What ran in it when it was saved, and unsaved work in that, is lost."
            ),
            runs=True,
            place=Place.MENU,
        ),
        Kind(
            "wakeup",
            gettext_lazy("Wake up"),
            gettext_lazy("Waking up"),
            "sun",
            Queue.QUICK,
            frozenset({State.PMSUSPENDED}),
        ),
        Kind(
            "shutdown",
            gettext_lazy("Shut down"),
            gettext_lazy("Shutting down"),
            "power",
            Queue.QUICK,
            _AWAKE | {State.DYING},
            waits=True,
            cancellable=True,
            parameters=(_HOW,),
        ),
        Kind(
            "reboot",
            gettext_lazy("Reboot"),
            gettext_lazy("Rebooting"),
            "refresh",
            Queue.QUICK,
            _AWAKE,
            waits=True,
            cancellable=True,
            parameters=(_HOW,),
        ),
        Kind(
            "suspend",
            gettext_lazy("Pause"),
            gettext_lazy("Pausing"),
            "player-pause",
            Queue.QUICK,
            _AWAKE | {State.SHUTDOWN},
        ),
        Kind(
            "resume",
            gettext_lazy("Resume"),
            gettext_lazy("Resuming"),
            "player-play",
            Queue.QUICK,
            frozenset({State.PAUSED}),
        ),
        Kind(
            "save",
            gettext_lazy("Save"),
            gettext_lazy("Saving"),
            "device-floppy",
            Queue.LONG,
            _AWAKE | {State.PAUSED},
            cancellable=True,
            parameters=(_FILE,),
            requires=(Fact.PERSISTENT,),
            variants={"file": Variant(_AWAKE | {State.PAUSED})},
        ),
        Kind(
            "pmsuspend",
            gettext_lazy("Put to sleep"),
            gettext_lazy("Putting to sleep"),
            "moon",
            Queue.QUICK,
            _AWAKE,
            parameters=(_SLEEP,),
            requires=(Fact.AGENT,),
            place=Place.MENU,
        ),
        Kind(
            "reset",
            gettext_lazy("Reset"),
            gettext_lazy("Resetting"),
            "rotate-clockwise",
            Queue.QUICK,
            _ON,
            loses=gettext_lazy(
                "%(name)s restarts at once, as if its reset button was pressed. Unsaved work in it is lost."
            ),
        ),
        Kind(
            "keep-running",
            gettext_lazy("Keep running"),
            gettext_lazy("Keeping running"),
            "heart",
            Queue.QUICK,
            frozenset({State.DYING}),
        ),
        Kind(
            "destroy",
            gettext_lazy("Force off"),
            gettext_lazy("Forcing off"),
            "plug-connected-x",
            Queue.QUICK,
            _ON | {State.CRASHED},
            loses=gettext_lazy("%(name)s stops at once, as if its power was cut. Unsaved work in it is lost."),
            preempts=True,
        ),
        Kind(
            "discard-image",
            gettext_lazy("Discard saved image"),
            gettext_lazy("Discarding the saved image"),
            "eraser",
            Queue.QUICK,
            frozenset({State.SAVED}),
            loses=gettext_lazy("The saved memory of %(name)s is deleted, and unsaved work in it. Its disks stay."),
            requires=(Fact.SAVED_IMAGE,),
            place=Place.MENU,
        ),
        Kind(
            "delete-file",
            gettext_lazy("Delete saved file"),
            gettext_lazy("Deleting a saved file"),
            "trash",
            Queue.QUICK,
            _ALL,
            Right.OWN,
            loses=gettext_lazy("The saved file of %(name)s is deleted, and unsaved work in it. Its disks stay."),
            parameters=(_THE_FILE,),
            requires=(Fact.SAVED_FILES,),
            place=Place.FORM,
            url="lifecycle:saved_files",
        ),
        Kind(
            "autostart",
            gettext_lazy("Autostart"),
            gettext_lazy("Setting autostart"),
            "clock-play",
            Queue.QUICK,
            _KNOWN,
            Right.OWN,
            parameters=(Flag("on", gettext_lazy("start with the host"), needed=True),),
            requires=(Fact.PERSISTENT,),
            place=Place.FORM,
            url="lifecycle:machine",
        ),
        Kind(
            "inject-nmi",
            gettext_lazy("Inject NMI"),
            gettext_lazy("Injecting an NMI"),
            "urgent",
            Queue.QUICK,
            _ON - {State.PMSUSPENDED},
            Right.ADMIN,
            loses=gettext_lazy(
                "%(name)s gets a non-maskable interrupt. Many systems take it as an order to crash and dump memory."
            ),
            place=Place.MENU,
        ),
        Kind(
            "send-keys",
            gettext_lazy("Send keys"),
            gettext_lazy("Sending keys"),
            "keyboard",
            Queue.QUICK,
            _AWAKE | {State.SHUTDOWN, State.DYING},
            Right.ADMIN,
            parameters=(_KEYS, Number("hold_ms", gettext_lazy("held for, in milliseconds"), 100, least=1, most=10_000)),
            place=Place.FORM,
            url="lifecycle:send_keys",
        ),
        Kind(
            "define",
            gettext_lazy("Define"),
            gettext_lazy("Defining"),
            "file-plus",
            Queue.QUICK,
            _GONE,
            Right.OWN,
            parameters=(_XML,),
            variants={"xml": Variant(_ALL, (), Right.ADMIN)},
            place=Place.MENU,
        ),
        Kind(
            "create",
            gettext_lazy("Start once"),
            gettext_lazy("Creating"),
            "player-track-next",
            Queue.QUICK,
            _GONE,
            Right.OWN,
            runs=True,
            parameters=(Flag("persistent", gettext_lazy("define it too"), default=False), _XML),
            variants={"xml": Variant(_GONE, (), Right.ADMIN)},
            place=Place.MENU,
        ),
        Kind(
            "undefine",
            gettext_lazy("Undefine"),
            gettext_lazy("Undefining"),
            "file-x",
            Queue.QUICK,
            _KNOWN,
            Right.OWN,
            loses=gettext_lazy("Its host forgets %(name)s. Its definition is kept here; its disks stay unless ticked."),
            parameters=(
                Flag("saved_image", gettext_lazy("delete its managed-save image"), default=False),
                Flag("snapshots", gettext_lazy("forget its snapshots"), default=False),
                Flag("nvram", gettext_lazy("delete its NVRAM"), default=False),
                TextList("disks", gettext_lazy("disks to delete"), default=[]),
            ),
            requires=(Fact.PERSISTENT,),
            place=Place.FORM,
            url="lifecycle:undefine",
        ),
    )
}
"""In the order of a machine's life, which is the order of the buttons."""


SUGGESTED: dict[State, tuple[str, ...]] = {
    State.UNDEFINED: ("define",),
    State.SHUTOFF: ("start",),
    State.RUNNING: ("shutdown",),
    State.IDLE: ("shutdown",),
    State.SHUTDOWN: ("destroy",),
    State.PAUSED: ("resume",),
    State.SAVED: ("restore",),
    State.CRASHED: ("start",),
    State.DYING: ("keep-running", "destroy"),
    State.PMSUSPENDED: ("wakeup",),
}
"""What most people want next: lists draw these as buttons and keep the rest in a menu."""
