// Ticks in the list of machines and the bar that asks one operation of all of them. The bar is a plain form; this keeps
// count, keeps ticks when the list is fetched again, and says what none of the ticked machines allows now.

import { refusalFor } from "./machines.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { say, words } from "./words.js";

let ticked = new Set(); // never more than what is on the page
let last = null;
let due = 0;

const bar = () => document.getElementById("bulk");
const boxes = () => [...document.querySelectorAll('[data-rows] input[name="machine"]')];
const matching = () => bar()?.querySelector("[name=matching]");

function draw() {
  const form = bar();
  if (!form) return;
  const all = boxes();
  const chosen = all.filter((box) => box.checked);
  ticked = new Set(chosen.map((box) => box.value));
  form.querySelector("[data-bulk-count]").textContent = say(words.selected, {
    n: matching()?.checked ? matching().dataset.total : chosen.length,
  });
  form.querySelector("[data-bulk-clear]").hidden = false;
  for (const whole of document.querySelectorAll("[data-tick-page]")) {
    whole.hidden = false;
    whole.checked = chosen.length === all.length;
    whole.indeterminate = chosen.length > 0 && !whole.checked;
  }
  if (chosen.length) drawPossible(form, chosen);
}

/** An operation that none of them allows is greyed, and says so. Of machines on other pages nothing is known here. */
function drawPossible(form, chosen) {
  const rows = chosen.map((box) => box.closest("[data-machine]"));
  for (const button of form.querySelectorAll("[name=operation]")) {
    const possible = matching()?.checked || rows.some((row) => !refusalFor(row, button.value));
    if (possible) button.removeAttribute("aria-disabled");
    else button.setAttribute("aria-disabled", "true");
    button.title = possible ? button.textContent.trim() : words.none_selected;
  }
}

function drawSoon() {
  cancelAnimationFrame(due);
  due = requestAnimationFrame(draw);
}

function tickAll(checked) {
  for (const box of boxes()) box.checked = checked;
  if (!checked && matching()) matching().checked = false;
  draw();
}

/** With Shift held, everything between the last tick and this one follows it. */
function tickBetween(box) {
  const all = boxes();
  const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((one, other) => one - other);
  if (from >= 0) for (const between of all.slice(from, to + 1)) between.checked = box.checked;
}

document.addEventListener("click", (event) => {
  const box = event.target.closest?.('[data-rows] input[name="machine"]');
  if (box) {
    if (event.shiftKey) tickBetween(box);
    last = box;
    draw();
  } else if (event.target.closest?.("[data-tick-page]")) {
    tickAll(event.target.checked);
  } else if (event.target.closest?.("[data-bulk-clear]")) {
    const back = boxes().find((other) => other.checked);
    tickAll(false);
    back?.focus();
  } else if (event.target === matching()) {
    draw();
  }
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-bulk]") || !event.submitter?.getAttribute("aria-disabled")) return;
  event.preventDefault();
  toast(event.submitter.title);
});

document.addEventListener("portal:list-changed", () => {
  for (const box of boxes()) box.checked = ticked.has(box.value);
  draw();
});
for (const news of ["machine", "operation", "host", "rights"]) updates.addEventListener(news, drawSoon);
addEventListener("pageshow", draw); // a browser that goes back brings its ticks along
draw();
