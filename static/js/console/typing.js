// The panel "Type text": what to type, how it will be typed, and how far it is. typist.js presses the keys.

import { csrfToken, say } from "../words.js";
import { desk } from "./desk.js";
import { strokesOf, untypable } from "./layouts.js";
import { recall, remember } from "./memory.js";
import { type } from "./typist.js";
import { draw, listed } from "./typing_preview.js";

const KEPT = "typing";
const PLACES_SHOWN = 10;

const panel = desk.find('[data-panel="typing"]');
const form = panel.querySelector("[data-typing]");
const part = (name) => panel.querySelector(`[data-typing-${name}]`);
const field = (name) => panel.querySelector(`#typing-${name}`);
const words = JSON.parse(document.getElementById("console-words").textContent).typing;
const sentence = (word, values) => say(words[word], values);

const text = field("text");
const secretText = field("secret-text");
const secret = part("secret");
const choices = ["layout", "system", "rate"].map(field);

let running = null; // the AbortController of what is being typed
let stopped = null; // {characters, at}: what can go on

/* What is asked for */

const line = () => Boolean(desk.screen?.can.has("text"));
const asked = () => (secret.checked ? secretText : text).value.replaceAll(/\r\n?/g, "\n");
const strokes = () => (line() ? null : strokesOf(field("layout").value, field("system").value));

/** A serial line takes every character but those that command a terminal. */
function missingIn(characters) {
  if (!line()) return untypable(characters.join(""), strokes());
  const control = /[^\P{Cc}\n\t]/u;
  return characters.map((character, at) => ({ character, at })).filter(({ character }) => control.test(character));
}

/** Why nothing can be typed now: a word of `words`, or "". */
function hindrance() {
  if (!desk.screen) return "why_gone";
  if (!desk.screen.can.has("keys") && !line()) return "why_pictures";
  return desk.mode === "view" ? "why_view" : "";
}

/* Showing it */

function show() {
  const characters = [...asked()];
  const missing = missingIn(characters);
  const why = hindrance();
  for (const element of panel.querySelectorAll("[data-keys-only]")) element.hidden = line();
  part("caps").hidden = line() || typeof desk.screen?.capsLock === "boolean";
  for (const element of panel.querySelectorAll("[data-plain]")) element.hidden = secret.checked;
  for (const element of panel.querySelectorAll("[data-hidden-text]")) element.hidden = !secret.checked;
  part("preview").hidden = secret.checked || !characters.length;
  if (!part("preview").hidden) draw(part("preview"), characters, missing);
  tell("missing", missing.length ? missingSentence(missing) : "");
  part("leave-out").hidden = !missing.length || secret.checked;
  part("summary").textContent = why ? words[why] : characters.length ? summary(characters.length) : "";
  part("start").disabled = Boolean(running || why || missing.length || !characters.length);
  part("start").hidden = Boolean(running);
  part("cancel").hidden = !running;
  part("go-on").hidden = Boolean(running || !stopped);
  part("go-on").disabled = Boolean(why || missing.length);
  for (const control of [text, secretText, secret, part("enter"), ...choices]) control.disabled = Boolean(running);
}

function missingSentence(missing) {
  if (!secret.checked) return sentence("missing", { characters: listed(missing) });
  const places = missing.slice(0, PLACES_SHOWN).map(({ at }) => at + 1);
  return sentence("missing_secret", { places: places.join(", ") });
}

function summary(count) {
  return sentence("summary", { count, seconds: Math.max(1, Math.round(count / field("rate").value)) });
}

function tell(name, sentence) {
  part(name).textContent = sentence;
  part(name).hidden = !sentence;
}

/* Typing it */

function start() {
  const characters = [...asked(), ...(part("enter").checked ? ["\n"] : [])];
  run({ characters, at: 0, secret: secret.checked });
  secretText.value = "";
}

async function run(job) {
  const { characters, at } = job;
  const { session } = desk;
  const layout = line() ? "" : field("layout").value;
  const typing = { screen: desk.screen, strokes: strokes(), rate: Number(field("rate").value), from: at };
  running = new AbortController();
  stopped = null;
  tell("result", "");
  part("progress").hidden = false;
  progress(job, at);
  show();
  part("cancel").focus();
  const onTyped = (typed) => progress(job, typed);
  const ending = await type(characters, { ...typing, signal: running.signal, onTyped });
  running = null;
  report(session, { characters: ending.typed - at, secret: job.secret, layout });
  ended(job, ending);
}

function progress({ characters }, typed) {
  part("progress").max = characters.length;
  part("progress").value = typed;
  part("summary").textContent = sentence("progress", { typed, count: characters.length });
}

function ended(job, { typed, why }) {
  const count = job.characters.length;
  part("progress").hidden = true;
  const isLost = job.secret && why !== "done";
  tell("result", [sentence(why, { typed, count }), ...(isLost ? [words.forgotten] : [])].join(" "));
  if (why !== "done" && !job.secret) stopped = { ...job, at: typed };
  show();
  if (panel.hidden) return why === "done" || desk.notify(part("result").textContent);
  if (why === "done" || why === "touched") return desk.screen?.focus();
  (stopped ? part("go-on") : secretText).focus();
}

/** The portal keeps how much was typed, never what. */
function report(session, typed) {
  if (!session || !typed.characters) return;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const request = { method: "POST", headers, body: JSON.stringify(typed), keepalive: true };
  fetch(`/api/v1/consoles/${session}/typed`, request).catch(() => {});
}

const stop = (why) => running?.abort(why);

/* What was chosen for this machine, or else the last choice for any */

function choose() {
  const kept = recall(`${KEPT}:${desk.machine}`) ?? recall(KEPT, {});
  for (const choice of choices) {
    const value = kept[choice.id];
    if ([...choice.options].some((option) => option.value === value)) choice.value = value;
  }
}

function keep() {
  const kept = Object.fromEntries(choices.map((choice) => [choice.id, choice.value]));
  remember(KEPT, kept);
  remember(`${KEPT}:${desk.machine}`, kept);
  remember(`system:${desk.machine}`, field("system").value);
}

/* Events */

function changed() {
  stopped = null;
  tell("result", "");
  show();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!part("start").disabled) start();
});
for (const asking of [text, secretText, secret]) asking.addEventListener("input", changed);
form.addEventListener("change", ({ target }) => {
  if (choices.includes(target)) keep();
  show();
});
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
secret.addEventListener("change", () => {
  if (secret.checked) secretText.focus();
  else secretText.value = "";
  show();
});
part("leave-out").addEventListener("click", () => {
  const missing = new Set(missingIn([...asked()]).map(({ character }) => character));
  text.value = [...asked()].filter((character) => !missing.has(character)).join("");
  changed();
  text.focus();
});
part("cancel").addEventListener("click", () => stop("cancelled"));
part("go-on").addEventListener("click", () => run(stopped));

desk.addEventListener("screen", () => {
  desk.screen.addEventListener("can", show);
  show();
});
desk.addEventListener("gone", () => {
  stop("gone");
  show();
});
desk.addEventListener("mode", () => {
  if (desk.mode === "view") stop("view");
  show();
});
desk.addEventListener("panel", ({ detail }) => {
  if (detail.name !== "typing") return;
  if (!detail.open) {
    stop("cancelled");
    secretText.value = "";
  }
  show();
});
document.addEventListener("visibilitychange", () => document.hidden && stop("hidden"));
for (const touch of ["keydown", "pointerdown"])
  desk.find("[data-screen]").addEventListener(touch, () => stop("touched"), { capture: true });
window.addEventListener("pagehide", () => {
  stop("gone");
  text.value = "";
  secretText.value = "";
});

choose();
show();
