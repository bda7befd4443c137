"""The chords that people press most where a screen is all they have, as buttons of the page of keys.

Those that restart or kill without asking are left out: Reset does that, and asks first.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from machines.state_words import Words


@dataclass(frozen=True, slots=True)
class Chord:
    """Keys that are pressed together, by their Linux names."""

    label: str
    keys: str
    meaning: Words = ""


_CONSOLE = "KEY_LEFTCTRL KEY_LEFTALT"
_SYSRQ = "KEY_LEFTALT KEY_SYSRQ"

CHORDS: tuple[tuple[Words, tuple[Chord, ...]], ...] = (
    (
        gettext_lazy("Often needed"),
        (
            Chord("Ctrl-Alt-Del", f"{_CONSOLE} KEY_DELETE"),
            Chord("Ctrl-Alt-Backspace", f"{_CONSOLE} KEY_BACKSPACE"),
            Chord("Alt-Tab", "KEY_LEFTALT KEY_TAB"),
            Chord("Enter", "KEY_ENTER"),
            Chord("Esc", "KEY_ESC"),
        ),
    ),
    (
        gettext_lazy("Virtual consoles"),
        tuple(Chord(f"Ctrl-Alt-F{number}", f"{_CONSOLE} KEY_F{number}") for number in range(1, 13)),
    ),
    (
        gettext_lazy("Magic SysRq of Linux"),
        (
            Chord("SysRq H", f"{_SYSRQ} KEY_H", gettext_lazy("help")),
            Chord("SysRq R", f"{_SYSRQ} KEY_R", gettext_lazy("take the keyboard back")),
            Chord("SysRq S", f"{_SYSRQ} KEY_S", gettext_lazy("write its disks' caches")),
            Chord("SysRq U", f"{_SYSRQ} KEY_U", gettext_lazy("make its disks read-only")),
            Chord("SysRq M", f"{_SYSRQ} KEY_M", gettext_lazy("show memory")),
            Chord("SysRq T", f"{_SYSRQ} KEY_T", gettext_lazy("show tasks")),
            Chord("SysRq W", f"{_SYSRQ} KEY_W", gettext_lazy("show blocked tasks")),
        ),
    ),
)
