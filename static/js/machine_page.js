// What an open page of a machine cannot draw from news alone is fetched again: its definition, what a right shows.

import { rightOf } from "./table.js";
import { updates } from "./updates.js";

const LATER_MS = 300; // several changes at once are one
const PARTS = '[data-fact="right"], nav.tabs, .columns > .screen, #definition';

const page = document.querySelector("[data-machine-page]");
let timer = 0;
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
  const parts = [...read.querySelectorAll(`[data-machine-page] :is(${PARTS})`)];
  const shown = page.querySelectorAll(PARTS);
  if (parts.length !== shown.length) return;
  for (const [index, part] of parts.entries()) draw(shown[index], part);
}

function draw(old, fresh) {
  if (old.textContent === fresh.textContent && old.tagName === fresh.tagName) return;
  if (old.tagName === fresh.tagName) old.replaceChildren(...document.adoptNode(fresh).childNodes);
  else old.replaceWith(document.adoptNode(fresh));
}

if (page) {
  const ours = page.dataset.machine;
  updates.addEventListener("machine", ({ detail }) => {
    if (detail.uuid === ours && page.querySelector("#definition")) refreshSoon();
  });
  updates.addEventListener("rights", ({ detail }) => {
    if (!detail[ours] || rightOf(detail[ours]) === right) return;
    right = rightOf(detail[ours]);
    refreshSoon();
  });
}
