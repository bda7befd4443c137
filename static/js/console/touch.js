// The row of keys that phones lack, and the phone's own keyboard: a field nobody sees takes what it writes.

import { desk } from "./desk.js";
import { strokeOf } from "./key_names.js";
import { pressChord } from "./keys.js";
import { recall, remember } from "./memory.js";
import { letGo } from "./sticky.js";

const row = desk.find("[data-key-row]");
const toggle = desk.find('[data-do="keyboard"]');
const field = desk.find("[data-key-field]");

// Deleting must always have something to delete.
const PADDING = "\u00a0".repeat(60);

function reset() {
  field.value = PADDING;
  field.setSelectionRange(PADDING.length, PADDING.length);
}

function type(text) {
  if (desk.screen?.can.has("text")) {
    desk.screen.write(text);
    return letGo();
  }
  for (const character of text) {
    const keys = strokeOf(character);
    if (keys) pressChord(keys);
    else desk.notify(field.dataset.unknown.replace("%(character)s", character), "warning");
    letGo();
  }
}

/** What changed since the last look is typed: phones rewrite whole words while they suggest others. */
function take() {
  const before = field.dataset.known ?? PADDING;
  const now = field.value;
  let same = 0;
  while (same < before.length && same < now.length && before[same] === now[same]) same += 1;
  for (let gone = before.length - same; gone > 0; gone -= 1) key("Backspace");
  type(now.slice(same));
  field.dataset.known = now;
}

function key(code) {
  pressChord([code]);
  letGo();
}

field.addEventListener("input", (event) => {
  take();
  if (!event.isComposing) {
    reset();
    field.dataset.known = PADDING;
  }
});
field.addEventListener("compositionend", () => {
  take();
  reset();
  field.dataset.known = PADDING;
});
field.addEventListener("focus", () => {
  reset();
  field.dataset.known = PADDING;
});
field.addEventListener("keydown", (event) => {
  const known = ["Enter", "Tab", "Escape", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"];
  if (event.isComposing || !known.includes(event.key)) return;
  event.preventDefault();
  key(event.key);
});

// Keys of the row leave the focus where it is, so that the phone's keyboard stays.
row.addEventListener("pointerdown", (event) => event.target.closest("button") && event.preventDefault());
row.addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-key]");
  if (pressed) {
    pressChord([pressed.dataset.key]);
    letGo();
  }
});

function show(open) {
  row.hidden = !open;
  toggle.setAttribute("aria-pressed", String(open));
  desk.page.toggleAttribute("data-key-row-open", open);
}

toggle.addEventListener("click", () => {
  show(row.hidden);
  remember("key-row", !row.hidden);
  if (!row.hidden && matchMedia("(pointer: coarse)").matches) field.focus();
  else desk.screen?.focus();
});
row.querySelector('[data-do="phone-keyboard"]').addEventListener("click", () => field.focus());

const drag = row.querySelector('[data-do="drag"]');
drag.addEventListener("click", () => {
  const wanted = drag.getAttribute("aria-pressed") !== "true";
  drag.setAttribute("aria-pressed", String(wanted));
  desk.screen?.drag(wanted);
});
desk.addEventListener("screen", () => desk.screen.drag(drag.getAttribute("aria-pressed") === "true"));

function draw() {
  const possible = desk.connection === "connected" && desk.mode === "control";
  for (const button of row.querySelectorAll("[data-key], [data-sticky]")) button.disabled = !possible;
}
desk.addEventListener("state", draw);
desk.addEventListener("mode", draw);
draw();
show(recall("key-row", false));
