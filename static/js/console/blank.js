// Says so when a connected screen shows nothing at all: most guests switch a screen off that nobody used for a while, and
// many say nothing on a serial line until they are asked.

import { desk } from "./desk.js";
import { pressChord } from "./keys.js";
import { hint, words } from "./notices.js";

const EVERY_MS = 2500;
const BLANK_MS = { serial: EVERY_MS / 2, other: 10_000 };
const DARK = 16; // of 255, in every colour
const ROWS = 64; // read at a time, so that a light dot near the top ends it

const small = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
let since = 0;

function allDark({ data }) {
  for (let at = 0; at < data.length; at += 4)
    if (data[at] > DARK || data[at + 1] > DARK || data[at + 2] > DARK) return false;
  return true;
}

/** A small copy shows most pictures; where it is dark, every dot is looked at. */
function isBlank(canvas) {
  small.canvas.width = 64;
  small.canvas.height = 36;
  small.drawImage(canvas, 0, 0, 64, 36);
  if (!allDark(small.getImageData(0, 0, 64, 36))) return false;
  small.canvas.width = canvas.width;
  small.canvas.height = ROWS;
  for (let top = 0; top < canvas.height; top += ROWS) {
    small.clearRect(0, 0, canvas.width, ROWS);
    small.drawImage(canvas, 0, -top);
    if (!allDark(small.getImageData(0, 0, canvas.width, ROWS))) return false;
  }
  return true;
}

function showsNothing() {
  if (desk.connection !== "connected" || !desk.screen?.can.has("picture") || document.hidden) return false;
  if (desk.protocol === "serial") return !desk.find("[data-screen] .xterm-rows")?.textContent.trim();
  const canvas = desk.find("[data-screen] canvas");
  return Boolean(canvas?.width) && isBlank(canvas);
}

function look() {
  if (showsNothing()) since ||= Date.now();
  else since = 0;
  const shown = since && Date.now() - since >= (BLANK_MS[desk.protocol] ?? BLANK_MS.other);
  const word = `${desk.protocol === "serial" ? "silent" : "blank"}${desk.mode === "control" ? "" : "_view"}`;
  hint("blank", shown && !words.standing[desk.page.dataset.state] ? words.hints[word] : "");
}

desk.find('[data-do="wake"]').addEventListener("click", () => {
  pressChord([desk.protocol === "serial" ? "Enter" : "ShiftLeft"]);
  desk.screen?.focus();
});
desk.addEventListener("gone", () => {
  since = 0;
  hint("blank");
});
setInterval(look, EVERY_MS);
