// The line that says when this console is about to close, and keeps it open.

import { csrfToken, say } from "../words.js";
import { desk } from "./desk.js";
import { words } from "./people_words.js";

const line = desk.find("[data-people-warning]");
const text = line.querySelector("[data-people-warning-text]");
const said = line.querySelector("[data-people-warning-said]");
const keep = line.querySelector("[data-people-keep]");

let tick = 0;
let warned = null; // {reason, endsAt}

export function warn({ reason, ends_at: endsAt }) {
  dismissWarning();
  warned = { reason, endsAt: Date.parse(endsAt) };
  keep.hidden = reason !== "idle"; // what lasts no longer cannot be kept
  said.textContent = sentence();
  line.hidden = false;
  draw();
  tick = setInterval(draw, 1000);
}

export function dismissWarning() {
  clearInterval(tick);
  warned = null;
  line.hidden = true;
  said.textContent = "";
}

const left = () => Math.max(0, Math.round((warned.endsAt - Date.now()) / 1000));
const sentence = () => say(words[`ends_${warned.reason}`] ?? words.ends_limit, { seconds: left() });

function draw() {
  text.textContent = sentence();
  if (!left()) dismissWarning();
}

keep.addEventListener("click", async () => {
  const url = `/api/v1/consoles/${desk.session}/keep`;
  const answer = await fetch(url, { method: "POST", headers: { "X-CSRFToken": csrfToken } }).catch(() => null);
  desk.screen?.focus();
  if (!answer?.ok) return desk.notify(words.failed, "warning");
  dismissWarning();
  desk.notify(words.kept);
});

/** Whoever types need not be told: the proxy has seen it. */
function onActivity() {
  if (warned?.reason === "idle" && desk.mode === "control") dismissWarning();
}
for (const kind of ["keydown", "pointerdown"]) desk.find("[data-screen]").addEventListener(kind, onActivity, true);
