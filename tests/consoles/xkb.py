"""A real keyboard beside the page's tables: libxkbcommon turns presses of keys into text as a Linux desktop does."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache

PRESS, RELEASE = 1, 0
IGNORED = 0
COMPOSING, COMPOSED, CANCELLED = 1, 2, 3
LOCALE = b"en_US.UTF-8"

CODES = {
    "Backquote": 49,
    **{f"Digit{number % 10}": 9 + number for number in range(1, 11)},
    **{"Minus": 20, "Equal": 21, "Backspace": 22, "Tab": 23, "IntlYen": 132},
    **{f"Key{letter}": 24 + place for place, letter in enumerate("QWERTYUIOP")},
    **{"BracketLeft": 34, "BracketRight": 35, "Enter": 36, "ControlLeft": 37},
    **{f"Key{letter}": 38 + place for place, letter in enumerate("ASDFGHJKL")},
    **{"Semicolon": 47, "Quote": 48, "ShiftLeft": 50, "Backslash": 51, "IntlBackslash": 94},
    **{f"Key{letter}": 52 + place for place, letter in enumerate("ZXCVBNM")},
    **{"Comma": 59, "Period": 60, "Slash": 61, "AltLeft": 64, "Space": 65, "CapsLock": 66, "IntlRo": 97},
    **{"AltRight": 108},
}
"""X's number of each key, which is Linux's and 8, by its name in KeyboardEvent.code."""


class _Names(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("rules", "model", "layout", "variant", "options")]


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libxkbcommon.so.0")
    for name in (
        "xkb_context_new",
        "xkb_keymap_new_from_names",
        "xkb_state_new",
        "xkb_compose_table_new_from_locale",
        "xkb_compose_state_new",
    ):
        getattr(library, name).restype = ctypes.c_void_p
    return library


class Keyboard:
    """One keyboard with a layout of X, for example "de" or "ch"; `typed` is what its presses came to."""

    def __init__(self, layout: str, variant: str = "") -> None:
        x = self._x = _library()
        self._context = ctypes.c_void_p(x.xkb_context_new(0))
        names = _Names(b"evdev", b"pc105", layout.encode(), variant.encode(), b"")
        self._keymap = ctypes.c_void_p(x.xkb_keymap_new_from_names(self._context, ctypes.byref(names), 0))
        if not self._keymap:
            raise LookupError(f"X has no keyboard layout {layout} {variant}")
        self._state = ctypes.c_void_p(x.xkb_state_new(self._keymap))
        table = ctypes.c_void_p(x.xkb_compose_table_new_from_locale(self._context, LOCALE, 0))
        self._compose = ctypes.c_void_p(x.xkb_compose_state_new(table, 0))
        self.typed = ""

    def press(self, code: str, down: bool) -> None:
        """Press or release the key that KeyboardEvent calls so."""
        number = CODES[code]
        if down:
            self._feed(self._x.xkb_state_key_get_one_sym(self._state, number))
        self._x.xkb_state_update_key(self._state, number, PRESS if down else RELEASE)

    def levels(self, code: str) -> list[int]:
        """Return the key's keysyms: plain, with Shift, with AltGr, with both (as far as it has them)."""
        x, number, syms = self._x, CODES[code], []
        for level in range(min(4, x.xkb_keymap_num_levels_for_key(self._keymap, number, 0))):
            found = ctypes.POINTER(ctypes.c_uint32)()
            count = x.xkb_keymap_key_get_syms_by_level(self._keymap, number, 0, level, ctypes.byref(found))
            syms.append(found[0] if count else 0)
        return syms

    def characters(self) -> Iterator[str]:
        """Yield all characters that stand on its keys, without dead keys."""
        for code in CODES:
            for sym in self.levels(code):
                if character := self.character(sym):
                    yield character

    def character(self, sym: int) -> str:
        """Return what this keysym types, empty for a dead key and for those that type nothing."""
        point = self._x.xkb_keysym_to_utf32(sym)
        return chr(point) if point >= 32 and point != 127 else ""

    def name(self, sym: int) -> str:
        """Return X's name of this keysym."""
        buffer = ctypes.create_string_buffer(64)
        self._x.xkb_keysym_get_name(sym, buffer, 64)
        return buffer.value.decode()

    def _feed(self, sym: int) -> None:
        x = self._x
        if x.xkb_compose_state_feed(self._compose, sym) == IGNORED:  # a modifier
            return
        status = x.xkb_compose_state_get_status(self._compose)
        if status == COMPOSED:
            buffer = ctypes.create_string_buffer(64)
            x.xkb_compose_state_get_utf8(self._compose, buffer, 64)
            self.typed += buffer.value.decode()
        elif status not in {COMPOSING, CANCELLED}:
            self.typed += {"Return": "\n", "Tab": "\t"}.get(self.name(sym), self.character(sym))
