// What an open page of a machine cannot draw from news alone is fetched again: its definition, its saved files, what a
// right shows, whether there is a screen.

import { redraw } from "./machines.js";
import { rightOf } from "./table.js";
import { updates } from "./updates.js";

const LATER_MS = 300; // several changes at once are one
const PARTS = '[data-fact="right"], nav.tabs, [data-look], #definition, [data-more], [data-switch], [data-live]';

const page = document.querySelector("[data-machine-page]");
let timer = 0;
let known = null; // what [data-live] depends on, as the last news said
let displays = page?.querySelector("[data-consoles]")?.dataset.consoles;
let right = Number(page?.dataset.right);

function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(refresh, LATER_MS);
}

async function refresh() {
  const answer = await fetch(location.href).catch(() => null);
  if (answer?.status === 403) {
    location.assign(`/machines/${page.dataset.machine}/`); // this tab is no longer theirs
    return;
  }
  if (!answer?.ok) return;
  const read = new DOMParser().parseFromString(await answer.text(), "text/html");
  redraw(page, read.querySelector("[data-machine-page]")?.dataset.full ?? "");
  const parts = [...read.querySelectorAll(`[data-machine-page] :is(${PARTS})`)];
  const shown = page.querySelectorAll(PARTS);
  if (parts.length !== shown.length) return;
  for (const [index, part] of parts.entries()) draw(shown[index], part);
}

const looks = (part) => part.textContent + part.querySelectorAll(":disabled, [aria-disabled], [href]").length;

/** Ticks of a form survive what happens around them. */
function keepTicks(old, fresh) {
  const ticked = [...old.querySelectorAll("input:checked")].map((box) => `${box.name}=${box.value}`);
  for (const box of fresh.querySelectorAll("input[type=checkbox]"))
    box.checked = !box.disabled && ticked.includes(`${box.name}=${box.value}`);
}

function draw(old, fresh) {
  if (looks(old) === looks(fresh) && old.tagName === fresh.tagName) return;
  keepTicks(old, fresh);
  if (old.tagName === fresh.tagName) old.replaceChildren(...document.adoptNode(fresh).childNodes);
  else old.replaceWith(document.adoptNode(fresh));
}

/** Whether this page has parts that follow a machine, and what they follow has changed. */
function livesOn(machine) {
  if (!page.querySelector("[data-live]")) return false;
  const { state, has_saved_image: image, saved_file_count: files, snapshot_count: snapshots, persistent } = machine;
  const now = JSON.stringify([state, image, files, snapshots, persistent, machine.host_reachable]);
  const changed = known !== now;
  known = now;
  return changed;
}

// What a refused form came back to has the address it was posted to, which cannot be read again.
if (page?.dataset.address) history.replaceState(history.state, "", page.dataset.address);

page?.querySelector("nav.tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

if (page) {
  const ours = page.dataset.machine;
  updates.addEventListener("machine", ({ detail }) => {
    if (detail.uuid !== ours) return;
    const now = detail.consoles.join(" ");
    const another = displays !== undefined && displays !== now;
    if (another) displays = now;
    if (another || page.querySelector("#definition, [data-asks=undefine]") || livesOn(detail)) refreshSoon();
  });
  updates.addEventListener("operation", ({ detail }) => {
    if (detail.machine === ours && page.querySelector("[data-live]")) refreshSoon();
  });
  updates.addEventListener("access", ({ detail }) => {
    if (detail === ours && page.querySelector("[data-grant-list]")) refreshSoon();
  });
  updates.addEventListener("listing", () => {
    if (page.querySelector("[data-quota] [data-uses]")) refreshSoon(); // others of the same owner start and stop
  });
  updates.addEventListener("rights", ({ detail }) => {
    if (!detail[ours] || rightOf(detail[ours]) === right) return;
    right = rightOf(detail[ours]);
    refreshSoon();
  });
}
