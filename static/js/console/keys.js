// The keys menu: chords that the browser or the system would keep for itself, and those that a person has made.

import { desk } from "./desk.js";
import { MODIFIERS, nameOfChord } from "./key_names.js";
import { recall, remember } from "./memory.js";

const OWN = "chords";
const MOST = 12;

const menu = desk.find("[data-keys-menu]");
const dialog = desk.find("[data-chord-dialog]");
const list = menu.querySelector("[data-own-chords]");
const template = menu.querySelector("template");
let chosen = [];

/** Press these keys in order and let go of them in reverse. */
export function pressChord(codes) {
  for (const code of codes) desk.screen?.press(code, true);
  for (const code of [...codes].reverse()) desk.screen?.press(code, false);
}

/* A person's own */

function drawOwn() {
  const chords = recall(OWN, []);
  list.replaceChildren(
    ...chords.map((codes) => {
      const line = template.content.firstElementChild.cloneNode(true);
      const [send, forget] = line.children;
      send.dataset.chord = codes.join(" ");
      send.querySelector("span").textContent = nameOfChord(codes);
      forget.dataset.forget = codes.join(" ");
      forget.setAttribute("aria-label", `${forget.title}: ${nameOfChord(codes)}`);
      return line;
    }),
  );
}

function keep(codes) {
  const others = recall(OWN, []).filter((chord) => chord.join() !== codes.join());
  remember(OWN, [...others, codes].slice(-MOST));
  drawOwn();
}

function forget(text) {
  remember(
    OWN,
    recall(OWN, []).filter((chord) => chord.join(" ") !== text),
  );
  drawOwn();
}

/* Making one: ticked modifiers and a chosen key, or both at once by pressing them */

const ticks = [...dialog.querySelectorAll("input[type=checkbox]")];
const select = dialog.querySelector("select");

function drawChosen() {
  chosen = [...ticks.filter((tick) => tick.checked).map((tick) => tick.value), select.value].filter(Boolean);
  dialog.querySelector("[data-chosen]").textContent = nameOfChord(chosen) || "…";
  dialog.querySelector("[data-send]").disabled = !chosen.length;
}

/** Tab and Escape keep their meaning here: nobody is trapped. */
function take(event) {
  if (["Tab", "Escape"].includes(event.code) && !event.ctrlKey && !event.altKey && !event.metaKey) return;
  event.preventDefault();
  const modifier = event.code.replace(/Right$/, "Left");
  const held = MODIFIERS.includes(event.code) ? event.code : modifier;
  for (const tick of ticks) {
    const { ctrlKey, altKey, shiftKey, metaKey } = event;
    const down = { ControlLeft: ctrlKey, AltLeft: altKey, ShiftLeft: shiftKey, MetaLeft: metaKey };
    tick.checked = tick.value === held || (down[tick.value] ?? event.getModifierState("AltGraph"));
  }
  if ([...select.options].some((option) => option.value === event.code)) select.value = event.code;
  else if (MODIFIERS.includes(held)) select.value = "";
  drawChosen();
}

dialog.querySelector("[data-take]").addEventListener("keydown", take);
dialog.addEventListener("change", drawChosen);
dialog.addEventListener("close", () => {
  if (dialog.returnValue === "send" && chosen.length) {
    keep(chosen);
    pressChord(chosen);
  }
  desk.screen?.focus();
});

menu.addEventListener("click", (event) => {
  const send = event.target.closest("[data-chord]");
  if (send) {
    pressChord(send.dataset.chord.split(" "));
    menu.open = false;
    desk.screen?.focus();
  }
  const gone = event.target.closest("[data-forget]");
  if (gone) forget(gone.dataset.forget);
  if (event.target.closest("[data-make-chord]")) {
    menu.open = false;
    dialog.returnValue = "";
    drawChosen();
    dialog.showModal();
  }
});

function draw() {
  const possible = desk.connection === "connected" && desk.mode === "control" && desk.screen?.can.has("keys");
  for (const button of menu.querySelectorAll("[data-chord]")) button.disabled = !possible;
}

drawOwn();
draw();
desk.addEventListener("state", draw);
desk.addEventListener("mode", draw);
desk.addEventListener("screen", draw);
menu.addEventListener("toggle", draw);
