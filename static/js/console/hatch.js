// The way out of the screen: Ctrl, Alt and Shift pressed together and let go lead to the bar. Nobody is trapped.

import { desk } from "./desk.js";

const HATCH = ["Control", "Alt", "Shift"];

const place = desk.find("[data-screen]");
const held = new Set();
let armed = false;
let spoiled = false; // another key came between: that chord is the machine's

addEventListener(
  "keydown",
  ({ key }) => {
    if (!held.size) spoiled = false;
    if (!HATCH.includes(key) && key !== "Meta") spoiled = true; // with all three down, Alt is Meta to some systems
    held.add(key === "Meta" ? "Alt" : key);
    armed = !spoiled && HATCH.every((name) => held.has(name));
  },
  true,
);
addEventListener(
  "keyup",
  ({ key }) => {
    held.delete(key === "Meta" ? "Alt" : key);
    if (!armed || held.size) return;
    armed = false;
    setTimeout(leave); // the machine hears of the last release first
  },
  true,
);
addEventListener("blur", () => held.clear());

function leave() {
  if (!place.contains(document.activeElement)) return desk.screen?.focus();
  desk.find(".console-bar a, .console-bar button")?.focus();
}

// Clicks on the screen are the machine's, and noVNC keeps them; menus of the bar close all the same.
place.addEventListener(
  "pointerdown",
  () => {
    for (const menu of desk.page.querySelectorAll("details[data-menu][open]")) menu.open = false;
  },
  true,
);
