// Pictures of screens: fills each [data-picture] (a row's cell, or the screen of a machine's page) that somebody sees.
// The portal takes pictures only of machines that a page says it shows, and says so for half a minute.

import { isActive } from "./table.js";
import { updates } from "./updates.js";
import { csrfToken, say, words } from "./words.js";

const RENEW_MS = 15_000;
const SETTLE_MS = 100; // rows that come into sight together are one request
const AT_MOST = 200;

const seen = new Set(); // places that are on the screen
const known = new Map(); // size + uuid -> the version of the last picture, 0 when there may be none
let asking = 0;

const machineOf = (place) => place.closest("[data-machine]");
const uuidOf = (place) => machineOf(place)?.dataset.machine;
const sizeOf = (place) => place.dataset.picture || "small";
const keyOf = (place) => sizeOf(place) + uuidOf(place);
const hasScreen = (place) => isActive(machineOf(place)?.dataset.state);
const address = (place, version) => `/machines/${uuidOf(place)}/picture/?size=${sizeOf(place)}&v=${version}`;

const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) seen.add(target);
      else seen.delete(target);
    }
    askSoon();
  },
  { rootMargin: "100px" },
);

/** Take over places that are new on the page, forget those that are gone. */
function adopt() {
  for (const place of seen) if (!place.isConnected) seen.delete(place);
  for (const place of document.querySelectorAll("[data-picture]:not([data-adopted])")) {
    place.dataset.adopted = "";
    draw(place);
    watcher.observe(place);
  }
}

/* Asking */

function askSoon() {
  clearTimeout(asking);
  asking = setTimeout(ask, SETTLE_MS);
}

function ask() {
  clearTimeout(asking);
  asking = setTimeout(ask, RENEW_MS);
  if (document.hidden) return;
  for (const size of ["small", "large"]) {
    const wanted = [...seen].filter((place) => sizeOf(place) === size && place.isConnected && hasScreen(place));
    const machines = [...new Set(wanted.map(uuidOf))].slice(0, AT_MOST);
    if (machines.length) want(machines, size).catch(() => {}); // said again soon
  }
}

async function want(machines, size) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const body = JSON.stringify({ machines, size });
  const answer = await fetch("/api/v1/pictures", { method: "POST", headers, body });
  if (!answer.ok) return;
  const { pictures, off } = await answer.json();
  for (const [uuid, version] of Object.entries(pictures)) learn(uuid, size, version);
  for (const uuid of machines) if (!(uuid in pictures)) learn(uuid, size, 0, off.includes(uuid));
}

/* Drawing */

/** version: null when there is none yet, 0 when there may be none; off: it was switched off. */
function learn(uuid, size, version, off = false) {
  if (version !== null) known.set(size + uuid, version);
  for (const place of document.querySelectorAll(`[data-machine="${CSS.escape(uuid)}"] [data-picture]`)) {
    if (sizeOf(place) !== size) continue;
    place.toggleAttribute("data-off", off);
    if (off) place.title = words.picture_off;
    else place.removeAttribute("title");
    draw(place);
  }
}

/** What a picture stands in: the place itself where it is a link, else a link that scripts make. */
function frame(place) {
  const found = place.matches("a") ? place : (place.querySelector("a.picture") ?? document.createElement("a"));
  if (found !== place && !found.isConnected) {
    found.className = "picture";
    found.tabIndex = -1; // the row has a button for it
    place.append(found);
  }
  return found;
}

function draw(place) {
  const box = frame(place);
  const version = hasScreen(place) ? known.get(keyOf(place)) : 0;
  if (box !== place) {
    if (hasScreen(place)) box.href = `/machines/${uuidOf(place)}/console/`;
    else box.removeAttribute("href");
  }
  const image = box.querySelector("img");
  if (!version) image?.remove();
  else if (place.isConnected && (seen.has(place) || image)) show(box, image, address(place, version), place);
}

/** Put the picture in place once it is there, so that nothing flickers. */
async function show(box, shown, source, place) {
  if (shown?.getAttribute("src") === source || box.dataset.loading === source) return;
  box.dataset.loading = source;
  const image = new Image();
  image.alt = say(words.picture_of, { machine: nameOf(place) });
  image.src = source;
  const came = await image.decode().then(
    () => true,
    () => false,
  );
  if (box.dataset.loading !== source) return;
  delete box.dataset.loading;
  if (!came || !hasScreen(place)) return;
  box.querySelector("img")?.remove();
  box.prepend(image);
}

const nameOf = (place) => machineOf(place).querySelector('[data-fact="name"]')?.textContent ?? "";

/* News */

updates.addEventListener("picture", ({ detail: { machine, size, version } }) => {
  if (version) return learn(machine, size, version);
  for (const each of ["small", "large"]) learn(machine, each, 0);
  askSoon();
});
updates.addEventListener("machine", ({ detail }) => {
  const places = document.querySelectorAll(`[data-machine="${CSS.escape(detail.uuid)}"] [data-picture]`);
  for (const place of places) {
    if (!hasScreen(place)) known.delete(keyOf(place));
    draw(place);
    if (hasScreen(place) && seen.has(place) && !known.has(keyOf(place))) askSoon();
  }
});
document.addEventListener("visibilitychange", () => document.hidden || ask());

new MutationObserver(adopt).observe(document.getElementById("content"), { childList: true, subtree: true });
adopt();
