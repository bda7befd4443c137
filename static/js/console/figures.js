// The read-out of the connection: round trip, bytes and frames, once a second while it is switched on.

import { desk } from "./desk.js";
import { recall, remember } from "./memory.js";

const EVERY_MS = 1000;
const ASK_EVERY = 2; // reads

const box = desk.find("[data-figures]");
const toggle = desk.find('[data-do="figures"]');
let last = null;
let reads = 0;
let took = null;

const shown = () => recall("figures", false);
const write = (name, text) => {
  box.querySelector(`[data-figure="${name}"]`).textContent = text;
};

/** kB are 1,000 bytes, as lines are sold. */
function rate(bytes) {
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB/s` : `${(bytes / 1_000_000).toFixed(1)} MB/s`;
}

async function ask(screen) {
  took = await screen.roundTrip(EVERY_MS * ASK_EVERY);
}

function read() {
  const { screen } = desk;
  if (!screen || !shown() || document.hidden) return;
  const now = { ...screen.figures(), at: performance.now() };
  const seconds = last ? (now.at - last.at) / 1000 : 1;
  write("rate", rate(((now.bytes - (last?.bytes ?? now.bytes)) / seconds) | 0));
  write("frames", `${Math.max(0, Math.round((now.frames - (last?.frames ?? now.frames)) / seconds))}/s`);
  const trip = now.roundTrip ?? took;
  write("trip", trip === null ? "–" : `${trip.toFixed(trip < 10 ? 1 : 0)} ms`);
  last = now;
  reads += 1;
  if (screen.can.has("answers") && reads % ASK_EVERY === 0) ask(screen);
}

function draw() {
  box.hidden = !shown() || desk.connection !== "connected";
  toggle.setAttribute("aria-checked", String(shown()));
}

toggle.addEventListener("click", () => {
  remember("figures", !shown());
  draw();
});
desk.addEventListener("screen", () => {
  last = null;
  took = null;
});
desk.addEventListener("state", draw);
setInterval(read, EVERY_MS);
draw();
