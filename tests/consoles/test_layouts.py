"""The page's tables of keyboard layouts, held against libxkbcommon: what they say is typed and what comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.consoles.scripts import run_module
from tests.consoles.xkb import Keyboard

LAYOUTS = {
    "us": ("us", ""),
    "uk": ("gb", ""),
    "de": ("de", ""),
    "fr": ("fr", ""),
    "es": ("es", ""),
    "jp": ("jp", ""),
    "it": ("it", ""),
    "pt": ("pt", ""),
    "ch": ("ch", ""),
    "dvorak": ("us", "dvorak"),
}
ASCII = {chr(point) for point in range(0x20, 0x7F)} | {"\n", "\t"}
LATIN_1 = {chr(point) for point in range(0xA0, 0x100)}
LEFT_OUT = {"us": "¦", "jp": "¦", "dvorak": "¦·"}
"""On a key that these keyboards do not have, or among dead keys that other systems do not have."""

Strokes = list[dict[str, Any]]

TABLES = """
import { LAYOUTS, strokesOf } from "./console/layouts.js";
answer = {};
for (const layout of Object.keys(LAYOUTS))
  for (const system of ["linux", "windows"])
    answer[`${layout} ${system}`] = Object.fromEntries(strokesOf(layout, system));
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Strokes]]:
    """How each character is typed, by "layout system"."""
    return run_module(tmp_path_factory.mktemp("layouts"), TABLES)


def comes_out(keyboard: Keyboard, strokes: Strokes) -> str:
    keyboard.typed = ""
    for stroke in strokes:
        for modifier in stroke["modifiers"]:
            keyboard.press(modifier, True)
        keyboard.press(stroke["code"], True)
        keyboard.press(stroke["code"], False)
        for modifier in stroke["modifiers"]:
            keyboard.press(modifier, False)
    return keyboard.typed


def wrong(keyboard: Keyboard, table: dict[str, Strokes], among: Iterable[str]) -> dict[str, str]:
    outcomes = {character: comes_out(keyboard, table[character]) for character in among if character in table}
    return {character: typed for character, typed in outcomes.items() if typed != character}


def test_every_layout_of_the_page_is_held_against_x(tables) -> None:
    assert {name.split()[0] for name in tables} == set(LAYOUTS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_character_of_a_layout_comes_out_as_itself_on_linux(tables, layout: str) -> None:
    table = tables[f"{layout} linux"]
    assert wrong(Keyboard(*LAYOUTS[layout]), table, table) == {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_of_ascii_can_be_typed_with_every_layout(tables, layout: str) -> None:
    assert ASCII - set(tables[f"{layout} linux"]) == set()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_page_calls_untypable_stands_on_no_key(tables, layout: str) -> None:
    on_keys = set(Keyboard(*LAYOUTS[layout]).characters()) & LATIN_1
    assert on_keys - set(tables[f"{layout} linux"]) == set(LEFT_OUT.get(layout, ""))


@pytest.mark.parametrize("layout", ["de", "fr", "es", "it", "pt", "ch", "uk"])
def test_letters_with_the_accents_of_western_europe_can_be_typed(tables, layout: str) -> None:
    table = tables[f"{layout} linux"]
    assert [letter for letter in "àáâäèéêëìíîïòóôöùúûüÀÉÎÖÛç" if letter not in table] == []


@pytest.mark.parametrize(
    ("layout", "character", "keys"),
    [
        ("de", "^", "Backquote Space"),
        ("de", "ê", "Backquote KeyE"),
        ("de", "@", "AltRight+KeyQ"),
        ("fr", "~", "AltRight+Digit2 Space"),
        ("fr", "`", "AltRight+Digit7 Space"),
        ("fr", "ñ", "AltRight+Digit2 KeyN"),
        ("fr", "1", "ShiftLeft+Digit1"),
        ("es", "~", "AltRight+Digit4 Space"),
        ("uk", "é", "AltRight+KeyE"),
        ("it", "{", "ShiftLeft+AltRight+BracketLeft"),
        ("jp", "_", "ShiftLeft+IntlRo"),
    ],
)
def test_windows_has_keys_of_its_own(tables, layout: str, character: str, keys: str) -> None:
    strokes = tables[f"{layout} windows"][character]
    assert " ".join("+".join([*stroke["modifiers"], stroke["code"]]) for stroke in strokes) == keys


@pytest.mark.parametrize(("layout", "characters"), [("it", "~`"), ("de", "«ãœ"), ("us", "é€")])
def test_windows_lacks_what_only_linux_has(tables, layout: str, characters: str) -> None:
    assert not set(characters) & set(tables[f"{layout} windows"])


def test_what_cannot_be_typed_is_listed_with_its_place(tmp_path) -> None:
    code = """
    import { strokesOf, untypable } from "./console/layouts.js";
    answer = untypable(given, strokesOf("us"));
    """
    missing = run_module(tmp_path, code, "a€b\U0001f600\n\u0007")
    assert missing == [
        {"character": "€", "at": 1},
        {"character": "\U0001f600", "at": 3},
        {"character": "\u0007", "at": 5},
    ]
