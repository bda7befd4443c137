"""What the keys of the key row say to a terminal, under node."""

from __future__ import annotations

from pathlib import Path

from tests.consoles.scripts import run_module

BYTES = """
import { bytesOf, withModifiers } from "./console/terminal_keys.js";
answer = {
  pressed: given.keys.map(([code, held]) => bytesOf(code, held)),
  written: given.texts.map(([text, held]) => withModifiers(text, held)),
};
"""
KEYS = {
    ("Escape", ""): "\x1b",
    ("Enter", ""): "\r",
    ("Tab", ""): "\t",
    ("Tab", "shift"): "\x1b[Z",
    ("Backspace", ""): "\x7f",
    ("ArrowUp", ""): "\x1b[A",
    ("ArrowLeft", "control"): "\x1b[1;5D",
    ("Home", ""): "\x1b[H",
    ("Delete", ""): "\x1b[3~",
    ("PageUp", "shift"): "\x1b[5;2~",
    ("F1", ""): "\x1bOP",
    ("F12", ""): "\x1b[24~",
    ("F4", "alt"): "\x1b[1;3S",
    ("KeyC", "control"): "\x03",
    ("KeyX", "alt"): "\x1bx",
    ("KeyA", ""): "a",
    ("KeyA", "shift"): "A",
    ("Digit2", "shift"): "@",
    ("BracketLeft", "control"): "\x1b",
    ("Slash", ""): "/",
    ("Space", "control"): "\x00",
    ("ShiftLeft", "shift"): "",
    ("AudioVolumeUp", ""): "",
}
TEXTS = {
    ("c", "control"): "\x03",
    ("ü", "control"): "ü",
    ("x", "alt"): "\x1bx",
    ("c", ""): "c",
    ("?", "control"): "\x7f",
}


def test_keys_say_what_xterm_says(tmp_path: Path) -> None:
    given = {
        name: [[key, {held: True} if held else {}] for key, held in table]
        for name, table in (("keys", KEYS), ("texts", TEXTS))
    }
    said = run_module(tmp_path, BYTES, given)
    assert dict(zip(KEYS, said["pressed"], strict=True)) == KEYS
    assert dict(zip(TEXTS, said["written"], strict=True)) == TEXTS
