"""The page's typist under node, at a screen that writes down its keys; libxkbcommon says what they come to."""

from __future__ import annotations

from tests.consoles.scripts import run_module
from tests.consoles.xkb import Keyboard

TYPE = """
import { strokesOf } from "./console/layouts.js";
import { type } from "./console/typist.js";
async function run({ text, layout, rate = 2000, from = 0, stopAt, breakAt }) {
  const control = new AbortController();
  const keys = [];
  const screen = {
    alive: true,
    press(code, down, keysym) {
      keys.push({ code, down, keysym });
      const pressed = keys.filter((key) => key.down).length;
      if (pressed === breakAt) screen.alive = false;
      if (pressed === stopAt) control.abort("cancelled");
    },
    write: (text) => keys.push(text),
  };
  const strokes = layout ? strokesOf(layout) : null;
  const told = [];
  const began = performance.now();
  const onTyped = (count) => told.push(count);
  const ending = await type([...text], { screen, strokes, rate, from, signal: control.signal, onTyped });
  return { ...ending, told, keys, took: performance.now() - began };
}
answer = await Promise.all(given.map(run));
"""


def type_all(directory, runs: list[dict]) -> list[dict]:
    return run_module(directory, TYPE, runs)


def type_it(directory, text: str, layout: str = "", **given) -> dict:
    return type_all(directory, [{"text": text, "layout": layout, **given}])[0]


def comes_to(layout: str, keys: list[dict]) -> str:
    keyboard = Keyboard(layout)
    for key in keys:
        if key["code"] not in {"ShiftRight", "ControlRight", "MetaLeft", "MetaRight"}:
            keyboard.press(key["code"], key["down"])
    return keyboard.typed


def left_down(keys: list[dict]) -> set[str]:
    down: set[str] = set()
    for key in keys:
        (down.add if key["down"] else down.discard)(key["code"])
    return down


def test_a_text_comes_out_as_it_was_given(tmp_path) -> None:
    text = "Grep '^[a-z]{2,}' ~/\"x y\" | awk \\\n\t`id -u` != $HOME & echo @{#} <>;:_*+=%?!"
    layouts = ["de", "fr", "es", "jp", "us"]
    for layout, result in zip(
        layouts, type_all(tmp_path, [{"text": text, "layout": each} for each in layouts]), strict=True
    ):
        assert comes_to(layout, result["keys"]) == text
        assert result["why"] == "done"
        assert result["told"] == list(range(1, len(text) + 1))
        assert left_down(result["keys"]) == set()


def test_accents_come_out_through_dead_keys(tmp_path) -> None:
    text = "Crêpe à l'Évêché, ^^ ñ"
    assert comes_to("es", type_it(tmp_path, text, "es")["keys"]) == text


def test_stopped_at_any_key_it_leaves_none_down_and_says_how_far_it_came(tmp_path) -> None:
    text = "A{ê@^b"
    runs = [{"text": text, "layout": "de", "stopAt": stop} for stop in range(1, 9)]
    results = type_all(tmp_path, runs)
    for result in results:
        assert result["why"] == "cancelled"
        assert left_down(result["keys"]) == set()
        assert comes_to("de", result["keys"]) == text[: result["typed"]]
    assert {result["typed"] for result in results} == {1, 2, 3, 4}


def test_it_goes_on_from_where_it_was_stopped(tmp_path) -> None:
    assert comes_to("us", type_it(tmp_path, "Hello", "us", **{"from": 3})["keys"]) == "lo"


def test_a_screen_that_is_gone_is_not_pressed_any_more(tmp_path) -> None:
    result = type_it(tmp_path, "abc", "us", breakAt=2)
    assert result["why"] == "gone"
    assert [key["code"] for key in result["keys"] if key["down"]] == ["KeyA", "KeyB"]
    assert result["keys"][-1]["down"]
    assert result["typed"] == 1


def test_modifiers_stay_down_between_characters_that_need_the_same(tmp_path) -> None:
    keys = type_it(tmp_path, "{[]}", "de")["keys"]
    assert [key["code"] for key in keys if key["down"]] == ["AltRight", "Digit7", "Digit8", "Digit9", "Digit0"]


def test_keys_carry_the_keysym_of_the_character_so_that_caps_lock_comes_right(tmp_path) -> None:
    keys = [key for key in type_it(tmp_path, "aA€", "fr")["keys"] if key["down"]]
    assert [(key["code"], key["keysym"]) for key in keys] == [
        ("KeyQ", 0x61),
        ("ShiftLeft", 0xFFE1),
        ("KeyQ", 0x41),
        ("AltRight", 0xFE03),
        ("KeyE", 0x01000000 + ord("€")),
    ]


def test_it_keeps_its_pace(tmp_path) -> None:
    took = type_it(tmp_path, "Ab" * 5, "us", rate=20)["took"]
    assert 480 <= took < 1500


def test_a_serial_line_gets_the_text_itself(tmp_path) -> None:
    result = type_it(tmp_path, "é€\n日")
    assert result["keys"] == ["é", "€", "\r", "日"]
