// How much the picture may be compressed, for displays that have a choice. "Automatic" follows the measured round trip.

import { desk } from "./desk.js";
import { recall, remember } from "./memory.js";

const LEVELS = {
  sharp: { quality: 9, compression: 0 },
  balanced: { quality: 6, compression: 2 },
  slow: { quality: 3, compression: 9 },
};
const SLOW_MS = 120; // round trips above this are a slow line's
const LOOK_MS = 30_000;

const buttons = [...desk.page.querySelectorAll("[data-quality]")];
let level = "balanced"; // what "automatic" came to
let timer = 0;

const chosen = () => recall("quality", "automatic");

function apply() {
  desk.wanted = LEVELS[chosen()] ?? LEVELS[level];
  desk.screen?.quality(desk.wanted);
  for (const button of buttons) {
    button.setAttribute("aria-checked", String(button.dataset.quality === chosen()));
    button.disabled = desk.connection === "connected" && !desk.screen?.can.has("quality");
  }
}

async function measure() {
  clearTimeout(timer);
  timer = setTimeout(measure, LOOK_MS);
  if (chosen() !== "automatic" || document.hidden || !desk.screen?.can.has("quality")) return;
  const took = await desk.screen.roundTrip(5000);
  if (took === null) return;
  level = took > SLOW_MS ? "slow" : "balanced";
  apply();
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    remember("quality", button.dataset.quality);
    apply();
    button.closest("details").open = false;
    desk.screen?.focus();
  });
}

desk.addEventListener("screen", () => {
  apply();
  clearTimeout(timer);
  timer = setTimeout(measure, 3000);
});
desk.addEventListener("gone", () => clearTimeout(timer));
apply();
