"""Gives a guest's text console a keyboard layout of libxkbcommon, in the form that busybox's loadkmap reads."""

from __future__ import annotations

import base64
import subprocess

from tests.consoles.xkb import CODES, Keyboard
from tests.guest import Guest

DEAD = {"dead_grave", "dead_acute", "dead_circumflex", "dead_tilde", "dead_diaeresis", "dead_cedilla"}
"""Those that Linux composes without being told how."""
X_ABOVE_LINUX = 8
OTHERS = {
    "Backspace": "Delete",
    "Tab": "Tab",
    "Enter": "Return",
    "ControlLeft": "Control",
    "ShiftLeft": "Shift",
    "AltLeft": "Alt",
    "AltRight": "AltGr",
    "CapsLock": "Caps_Lock",
}


def give_keymap(guest: Guest, layout: str) -> None:
    """Load the layout; the first time, the guest's own one is kept for `take_keymap`."""
    encoded = base64.b64encode(compiled(layout)).decode()
    guest.run("test -e /tmp/keymap || dumpkmap >/tmp/keymap")
    said = guest.run(f"echo {encoded} | base64 -d | loadkmap && echo loaded")
    assert said == "loaded", said


def take_keymap(guest: Guest) -> None:
    """Load what was there before the first `give_keymap`."""
    guest.run("test ! -e /tmp/keymap || loadkmap </tmp/keymap")


def compiled(layout: str) -> bytes:
    """Return the layout as kbd's loadkeys compiles it."""
    keyboard = Keyboard(layout)
    lines = ["keymaps 0-3"]
    for code, number in CODES.items():
        words = [OTHERS[code]] if code in OTHERS else [_word(keyboard, sym) for sym in keyboard.levels(code)]
        words += (words if len(words) == 1 else ["VoidSymbol"]) * (4 - len(words))
        lines.append(f"keycode {number - X_ABOVE_LINUX} = {' '.join(words)}")
    source = "\n".join([*lines, ""]).encode()
    command = ["loadkeys", "--bkeymap", "--unicode", "-"]
    return subprocess.run(command, input=source, capture_output=True, check=True).stdout


def _word(keyboard: Keyboard, sym: int) -> str:
    name = keyboard.name(sym)
    if name in DEAD:
        return name
    character = keyboard.character(sym)
    if not character:
        return "VoidSymbol"
    return ("+" if character.isalpha() else "") + f"U+{ord(character):04x}"
