// Browsers keep sound back until somebody has done something on the page: then a button lets it be heard.

import { desk } from "./desk.js";
import { hint, words } from "./notices.js";

function draw() {
  const state = desk.screen?.sound ?? "none"; // none, playing, blocked or muted
  hint("sound", state === "blocked" ? words.hints.sound : "");
  const toggle = desk.find('[data-do="sound"]');
  toggle.hidden = !desk.screen?.can.has("sound");
  toggle.setAttribute("aria-checked", String(state !== "muted"));
}

desk.find('[data-do="hear"]').addEventListener("click", () => {
  desk.screen?.hear(true);
  desk.screen?.focus();
});
desk.find('[data-do="sound"]').addEventListener("click", () => desk.screen?.hear(desk.screen.sound === "muted"));
desk.addEventListener("screen", () => {
  desk.screen.addEventListener("sound", draw);
  draw();
});
desk.addEventListener("gone", draw);
