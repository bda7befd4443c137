// The menu of a row: every operation, what is not possible now with its reason. Without scripts its button is a link
// to the machine's page, which has the same.

import { ask } from "./ask.js";
import { operationButton, refusalFor, setRefusal } from "./machines.js";
import { allowed } from "./table.js";
import { say, table, words } from "./words.js";

const menu = document.querySelector("[data-row-menu-list]");
let row = null;

export const menuIsOpen = () => Boolean(menu?.matches(":popover-open"));

function item(name, refused, said) {
  const button = operationButton(name);
  button.type = "button";
  button.className = table.operations[name].loses ? "menu-item danger" : "menu-item";
  setRefusal(button, refused);
  if (refused && refused.sentence !== said?.sentence) {
    const reason = document.createElement("small");
    reason.className = "menu-reason";
    const wrongState = refused.code === "state_conflict" && !table.operations[name].states.includes(row.dataset.state);
    reason.textContent = wrongState ? say(words.when, { allowed: allowed(name) }) : refused.sentence;
    button.querySelector("span").append(reason);
  }
  return button;
}

/** What stands in the way of most of them is said once, above. */
function obstacle(names, refusals) {
  const places = names.map((name) => table.operations[name].place);
  return refusals.find((refused, index) => places[index] === "button" && refused && refused.code !== "state_conflict");
}

function note(found) {
  if (!found) return [];
  const line = document.createElement("div");
  line.className = "menu-note";
  line.textContent = found.sentence;
  return [line];
}

function open(opener) {
  row = opener.closest("[data-machine]");
  const names = Object.keys(table.operations).filter((name) => table.operations[name].place !== "form");
  const refusals = names.map((name) => refusalFor(row, name));
  const said = obstacle(names, refusals);
  menu.replaceChildren(...note(said), ...names.map((name, index) => item(name, refusals[index], said)));
  menu.showPopover();
  place(opener.getBoundingClientRect());
  (menu.querySelector("button:not([aria-disabled])") ?? menu.querySelector("button")).focus();
}

/** Below the opener, else above it, else beside it: never under the pointer, which might then ask for something. */
function place(from) {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const [below, above] = [from.bottom + 4, from.top - height - 4];
  const beside = below + height > innerHeight && above < 0;
  const left = beside ? from.left - width - 4 : from.right - width;
  const top = beside ? innerHeight - height - 8 : below + height <= innerHeight ? below : above;
  menu.style.left = `${Math.max(8, left)}px`;
  menu.style.top = `${Math.max(8, top)}px`;
}

if (menu) {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-row-menu]");
    if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    open(opener);
  });
  menu.addEventListener("click", (event) => {
    const button = event.target.closest("[data-operation]");
    if (!button || button.getAttribute("aria-disabled")) return;
    const { machine } = row.dataset;
    menu.hidePopover();
    ask(machine, button.dataset.operation);
  });
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...menu.querySelectorAll("button")];
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  });
  addEventListener("scroll", () => menuIsOpen() && menu.hidePopover(), { passive: true });
}
