// Lists that stay true: they are fetched again when something that matters changed, and merged row by row.
// Rows never jump while the pointer is over them. Clicks on filters, order and pages are htmx's.

import "./bulk.js";
import { glow } from "./machines.js";
import { isShown } from "./operations.js";
import { menuIsOpen } from "./row_menu.js";
import { updates } from "./updates.js";

const SETTLE_MS = 400; // many changes at once are one fetch
const RETRY_MS = 5000;
const QUIET_MS = 60_000; // whatever word was lost, the list is true again after this time

let pending = false;
let timer = 0;
let fetching = false;

const list = () => document.getElementById("list");

function held() {
  const pointed =
    matchMedia("(hover: hover)").matches && Boolean(list()?.querySelector("[data-rows]")?.matches(":hover"));
  return pointed || menuIsOpen() || Boolean(document.querySelector("dialog[open]"));
}

function refreshSoon({ after = SETTLE_MS } = {}) {
  pending = true;
  clearTimeout(timer);
  timer = setTimeout(applyOrOffer, after);
}

function applyOrOffer() {
  if (!pending || document.hidden) return;
  const offer = list()?.querySelector("[data-apply]");
  if (held() && offer) offer.hidden = false;
  else refresh();
}

/** Fetch the list. News that comes meanwhile may be missing in the answer: it is fetched once more. */
async function refresh() {
  if (fetching) return;
  fetching = true;
  pending = false;
  let after = SETTLE_MS;
  try {
    await fetchAndMerge();
  } catch {
    pending = true;
    after = RETRY_MS;
  } finally {
    fetching = false;
    if (pending) refreshSoon({ after });
  }
}

async function fetchAndMerge() {
  const asked = location.href;
  const answer = await fetch(asked, { headers: { "HX-Request": "true" } });
  if (answer.redirected) location.reload();
  if (answer.status >= 500) throw new Error(answer.statusText); // the portal restarts
  const text = answer.ok ? await answer.text() : "";
  const fresh = new DOMParser().parseFromString(text, "text/html").getElementById("list");
  if (fresh && asked === location.href) merge(list(), document.adoptNode(fresh));
}

/** Put the fresh list in place, keeping rows that did not change (and with them focus and animations). */
function merge(old, fresh) {
  const [rows, freshRows] = [old, fresh].map((section) => section.querySelector("[data-rows]"));
  const [bar, freshBar] = [old, fresh].map((section) => section.querySelector("[data-bulk-matching]"));
  if (!rows || !freshRows || !bar !== !freshBar) {
    old.replaceWith(fresh);
  } else {
    const stood = standing();
    mergeRows(rows, freshRows);
    for (const part of [".chips", ".pager", "#watch"]) swap(old, fresh, part);
    if (!bar?.querySelector(":checked")) bar?.replaceWith(freshBar);
    stood();
  }
  window.htmx?.process(list());
  document.dispatchEvent(new Event("portal:list-changed"));
}

const keyOf = (row) => row.dataset.machine ?? row.dataset.operationRow;
const signature = (row) => JSON.stringify([{ ...row.dataset }, row.querySelector("[data-job]")?.dataset.job ?? ""]);

function mergeRows(rows, freshRows) {
  const known = new Map([...rows.children].map((row) => [keyOf(row), row]));
  let place = rows.firstElementChild;
  for (const row of [...freshRows.children]) {
    const old = known.get(keyOf(row));
    known.delete(keyOf(row));
    if (old && isCurrent(old, row)) {
      if (old === place) place = place.nextElementSibling;
      else rows.insertBefore(old, place);
    } else {
      rows.insertBefore(row, place);
      if (old === place) place = place.nextElementSibling;
      if (old) old.remove();
      else glow(row);
    }
  }
  for (const gone of known.values()) gone.remove();
}

/** A row the socket has brought further than the fetched one stays. */
function isCurrent(old, fresh) {
  return signature(old) === signature(fresh) || Number(old.dataset.version) > Number(fresh.dataset.version);
}

function swap(old, fresh, selector) {
  const [was, is] = [old.querySelector(selector), fresh.querySelector(selector)];
  if (was && is) was.replaceWith(is);
  else if (was) was.remove();
  else if (is) old.prepend(is);
}

/** Remember where the keyboard stands, and give back what returns there. */
function standing() {
  const element = document.activeElement;
  const row = element?.closest("[data-rows] > tr");
  if (!row) return () => {};
  const own = [".name", 'input[name="machine"]'].find((one) => element.matches(one)) ?? "[data-row-menu]";
  const selector = element.dataset.operation ? `[data-operation="${element.dataset.operation}"]` : own;
  return () => {
    if (document.contains(element)) return;
    const again = [...document.querySelectorAll("[data-rows] > tr")].find((other) => keyOf(other) === keyOf(row));
    (again?.querySelector(selector) ?? again?.querySelector(".name"))?.focus({ preventScroll: true });
  };
}

/* What changes the list */

const sensitive = () => "sensitive" in (list()?.dataset ?? {});
const isHistory = () => "history" in (list()?.dataset ?? {});

// "machines": which ones are in it changed; "state": only something it may be filtered or sorted by.
updates.addEventListener("listing", ({ detail }) => (detail === "machines" || sensitive()) && refreshSoon());
updates.addEventListener("missing", () => refreshSoon());
updates.addEventListener("back", () => refreshSoon()); // nobody kept what was said meanwhile
setInterval(() => document.hidden || held() || refresh(), QUIET_MS);
updates.addEventListener("operation", ({ detail }) => isHistory() && !isShown(detail.id) && refreshSoon());
updates.addEventListener("rights", ({ detail }) => Object.values(detail).includes("") && refreshSoon());

document.addEventListener("pointerout", (event) => {
  const rows = event.target.closest?.("[data-rows]");
  if (pending && rows && !rows.contains(event.relatedTarget)) refreshSoon();
});
document.addEventListener("visibilitychange", () => pending && refreshSoon());
document.addEventListener("click", (event) => {
  if (event.target.closest?.("[data-apply]")) refresh();
});
/* htmx: the form follows the address, the address follows the form */

document.addEventListener("htmx:afterSwap", () => {
  pending = false;
  document.dispatchEvent(new Event("portal:list-changed"));
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (new URL(xhr.responseURL).pathname !== location.pathname) location.reload(); // the login is over
  if (xhr.status === 400) event.detail.shouldSwap = true;
});
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters, elt } = event.detail;
  if (!elt.matches("[data-filter-form]")) return;
  for (const name of [...Object.keys(parameters)]) if (parameters[name] === "") delete parameters[name];
});
document.addEventListener("htmx:pushedIntoHistory", () => {
  const form = document.querySelector("[data-filter-form]");
  const query = new URLSearchParams(location.search);
  for (const field of form?.elements ?? []) {
    if (!field.name || field === document.activeElement) continue;
    if (field.type === "checkbox") field.checked = query.getAll(field.name).includes(field.value);
    else field.value = query.get(field.name) ?? "";
  }
});
