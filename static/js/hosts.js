// Keeps the pages of hosts and of the fleet true: their parts are fetched again when a host is lost or comes back, on the
// fleet's page also when machines, operations or consoles change, every second while a connection is tested, and now and
// then.

import { refreshTimes } from "./times.js";
import { updates } from "./updates.js";

const SETTLE_MS = 300; // several hosts at once are one fetch
const TESTING_MS = 1000;
const QUIET_MS = 15_000;

const page = document.querySelector("[data-hosts-page]");
const drawn = new Map(); // a part's name -> what the server sent last
let timer = 0;
let due = Number.POSITIVE_INFINITY; // when the next fetch begins

const after = () => (page.querySelector("[data-testing]") ? TESTING_MS : QUIET_MS);

/** Fetch within this time; news that keep coming do not put it off. */
function refreshIn(milliseconds) {
  if (Date.now() + milliseconds >= due && due > Date.now()) return;
  clearTimeout(timer);
  due = Date.now() + milliseconds;
  timer = setTimeout(refresh, milliseconds);
}

async function refresh() {
  due = Number.POSITIVE_INFINITY;
  if (document.hidden) return; // `visibilitychange` goes on
  const answer = await fetch(location.href).catch(() => null);
  if (answer?.redirected || answer?.status === 404) {
    location.reload(); // signed out, no longer an administrator, or the host is gone
    return;
  }
  if (answer?.ok) drawParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  refreshIn(after());
}

function drawParts(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    if (drawn.get(name) === part.outerHTML) continue;
    drawn.set(name, part.outerHTML);
    replace(page.querySelector(`[data-part="${name}"]`), document.adoptNode(part));
  }
  refreshTimes(page);
}

/** Put a part in place; what was unfolded stays so, and the keyboard where it stood. */
function replace(old, fresh) {
  for (const open of old.querySelectorAll("details[open][id]")) {
    fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
  }
  const stood = old.contains(document.activeElement) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (stood?.href) [...fresh.querySelectorAll("a")].find((link) => link.href === stood.href)?.focus();
  else if (stood)
    fresh.querySelector(`#${CSS.escape(stood.parentElement.id || "none")} > :is(summary, button)`)?.focus();
}

if (page) {
  updates.addEventListener("host", () => refreshIn(SETTLE_MS));
  updates.addEventListener("back", () => refreshIn(SETTLE_MS));
  if ("fleetPage" in page.dataset)
    for (const news of ["fleet", "listing"]) updates.addEventListener(news, () => refreshIn(SETTLE_MS));
  document.addEventListener("visibilitychange", () => document.hidden || refreshIn(SETTLE_MS));
  refreshIn(after());
}
