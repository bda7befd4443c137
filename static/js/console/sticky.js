// Modifiers that stay down for the next key, for fingers and for one hand: pressed once for one key, twice until again.

import { desk } from "./desk.js";
import { MODIFIERS } from "./key_names.js";

const buttons = [...desk.page.querySelectorAll("[data-sticky]")];

function set(button, state) {
  const { sticky: code } = button.dataset;
  const was = button.dataset.held ?? "";
  if (!was && state) desk.screen?.press(code, true);
  if (was && !state) desk.screen?.press(code, false);
  button.dataset.held = state;
  button.setAttribute("aria-pressed", String(Boolean(state)));
}

/** A key was pressed and let go: what was held for one key is let go too. */
export function letGo() {
  for (const button of buttons) if (button.dataset.held === "once") set(button, "");
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    const next = { "": "once", once: "locked", locked: "" };
    set(button, next[button.dataset.held ?? ""]);
  });
}

// A key of a real keyboard counts too, and so does a click (Ctrl and a click). The guest gets both before the release.
const isModifier = (code) => MODIFIERS.includes(code) || MODIFIERS.includes(code.replace(/Right$/, "Left"));
addEventListener(
  "keyup",
  (event) => {
    if (desk.find("[data-screen]").contains(event.target) && !isModifier(event.code)) setTimeout(letGo);
  },
  true,
);
addEventListener(
  "pointerup",
  (event) => desk.find("[data-screen]").contains(event.target) && setTimeout(letGo, 50),
  true,
);

function release() {
  for (const button of buttons) set(button, "");
}
desk.addEventListener("gone", release);
desk.addEventListener("mode", () => desk.mode === "view" && release());
