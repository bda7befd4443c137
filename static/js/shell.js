// What every page does: menus that close, dialogs that open, things that are copied, keys.

/* Menus */

const openMenus = () => document.querySelectorAll("details[data-menu][open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
  const opener = event.target.closest?.("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog).showModal();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/* Copying: `.copy` copies its own text, [data-copy="#id"] that element's. Hidden buttons appear where scripts run. */

for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.(".copy, [data-copy]");
  if (!button) return;
  event.preventDefault();
  const source = button.dataset.copy ? document.querySelector(button.dataset.copy) : button;
  await copy(source.value ?? source.textContent);
  button.dataset.copied = "";
  setTimeout(() => delete button.dataset.copied, 1500);
});

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain http there is no clipboard interface; a selected text area still copies.
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/* Keys */

const GO = { m: "/", o: "/operations/", n: "/notices/" };
let afterG = 0;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable], [data-console]")) return;
  if (afterG && Date.now() - afterG < 1500 && GO[event.key]) {
    location.href = GO[event.key];
    return;
  }
  afterG = event.key === "g" ? Date.now() : 0;
  if (act(event.key)) event.preventDefault();
});

function act(key) {
  if (key === "/") {
    const search = document.getElementById("search");
    if (!search) return false;
    search.focus();
    search.select();
  } else if (key === "?") {
    document.getElementById("keys")?.showModal();
  } else if (key === "j" || key === "k") {
    return step(key === "j" ? 1 : -1);
  } else if (key === "x") {
    const box = document.activeElement?.closest("[data-rows] > tr")?.querySelector('input[name="machine"]');
    box?.click();
    return Boolean(box);
  } else {
    return false;
  }
  return true;
}

function step(by) {
  const names = [...document.querySelectorAll("[data-rows] .name")];
  if (!names.length) return false;
  const row = document.activeElement?.closest("tr");
  const now = names.findIndex((name) => row?.contains(name));
  names[now < 0 ? (by > 0 ? 0 : names.length - 1) : Math.min(Math.max(now + by, 0), names.length - 1)].focus();
  return true;
}
