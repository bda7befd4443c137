"""Keys that the console's page offers: chords that browsers keep for themselves, and the rows for fingers.

Keys are named by their place, as `KeyboardEvent.code` does (static/js/console/key_names.js writes them for people).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy

from machines.state_words import Words


@dataclass(frozen=True, slots=True)
class Chord:
    """Keys that are pressed in this order and let go in the reverse one."""

    label: Words
    codes: str
    meaning: Words = ""


_BOTH = "ControlLeft AltLeft"

FIRST = (
    Chord("Ctrl-Alt-Del", f"{_BOTH} Delete"),
    Chord("Ctrl-Alt-Backspace", f"{_BOTH} Backspace"),
    Chord("Alt-Tab", "AltLeft Tab"),
    Chord("Alt-F4", "AltLeft F4"),
    Chord("Ctrl-W", "ControlLeft KeyW"),
    Chord(gettext_lazy("Super (Windows key)"), "MetaLeft"),
    Chord("Print", "PrintScreen"),
)

FOLDED: tuple[tuple[Words, tuple[Chord, ...]], ...] = (
    ("Ctrl-Alt-F1 … F12", tuple(Chord(f"Ctrl-Alt-F{n}", f"{_BOTH} F{n}") for n in range(1, 13))),
    (
        gettext_lazy("SysRq of Linux"),
        tuple(
            Chord(f"SysRq {letter}", f"AltLeft PrintScreen Key{letter}", meaning)
            for letter, meaning in (
                ("H", gettext_lazy("help")),
                ("R", gettext_lazy("take the keyboard back")),
                ("E", gettext_lazy("ask all programs to end")),
                ("I", gettext_lazy("kill all programs")),
                ("S", gettext_lazy("write its disks' caches")),
                ("U", gettext_lazy("make its disks read-only")),
                ("B", gettext_lazy("reboot at once")),
                ("F", gettext_lazy("kill what takes the most memory")),
                ("M", gettext_lazy("show memory")),
                ("T", gettext_lazy("show tasks")),
                ("W", gettext_lazy("show blocked tasks")),
            )
        ),
    ),
)

STICKY = (
    ("ControlLeft", "Ctrl"),
    ("AltLeft", "Alt"),
    ("ShiftLeft", "Shift"),
    ("MetaLeft", "Super"),
    ("AltRight", "AltGr"),
)
"""Modifiers that stay down for the next key."""

ROW = (
    ("Escape", "Esc"),
    ("Tab", "Tab"),
    ("ArrowLeft", "←"),
    ("ArrowUp", "↑"),
    ("ArrowDown", "↓"),
    ("ArrowRight", "→"),
    ("Home", "Home"),
    ("End", "End"),
    ("PageUp", "PgUp"),
    ("PageDown", "PgDn"),
    ("Insert", "Ins"),
    ("Delete", "Del"),
    *((f"F{number}", f"F{number}") for number in range(1, 13)),
)
"""Keys that phones' keyboards lack."""

ALL = (
    *((f"Key{letter}", letter) for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    *((f"Digit{digit}", digit) for digit in "1234567890"),
    *ROW,
    ("Space", gettext_lazy("Space")),
    ("Enter", "Enter"),
    ("Backspace", "Backspace"),
    ("PrintScreen", "Print"),
    ("Pause", "Pause"),
    ("ScrollLock", "Scroll lock"),
    ("CapsLock", "Caps lock"),
    ("NumLock", "Num lock"),
    ("ContextMenu", gettext_lazy("Menu")),
    ("Minus", "-"),
    ("Equal", "="),
    ("BracketLeft", "["),
    ("BracketRight", "]"),
    ("Backslash", "\\"),
    ("IntlBackslash", gettext_lazy("key between Shift and Z")),
    ("Semicolon", ";"),
    ("Quote", "'"),
    ("Backquote", "`"),
    ("Comma", ","),
    ("Period", "."),
    ("Slash", "/"),
)
"""What a person's own chord may hold beside modifiers."""


def chord_groups() -> dict[str, object]:
    """Return what the keys menu shows at once, and what it folds away."""
    return {"first": FIRST, "folded": FOLDED}
