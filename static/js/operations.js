// Draws operations where they are shown as such: rows of a history, and an operation's own page.

import { bytesText, glow, jobText, setProgress } from "./machines.js";
import { momentElement } from "./times.js";
import { duration, words } from "./words.js";

const shown = (id) => document.querySelectorAll(`[data-operation-row="${id}"], [data-operation-page="${id}"]`);

export const isShown = (id) => shown(id).length > 0;

export function drawOperation(operation) {
  for (const place of shown(operation.id)) {
    if (Number(place.dataset.version) >= operation.version) continue;
    const moved = place.dataset.status !== operation.status;
    place.dataset.status = operation.status;
    place.dataset.version = operation.version;
    drawWords(place, operation);
    if (place.dataset.operationPage) drawPage(place, operation);
    else drawBar(place, operation);
    if (moved && place.dataset.operationRow) glow(place);
  }
}

function drawWords(place, operation) {
  const texts = {
    status: words.statuses[operation.status],
    message: operation.message,
    took: operation.finished_at
      ? duration((Date.parse(operation.finished_at) - Date.parse(operation.created_at)) / 1000)
      : "",
    text: jobText(operation),
    bytes: bytesText(operation),
    "error-text": operation.error?.text ?? "",
    "error-code": operation.error?.code ?? "",
  };
  for (const element of place.querySelectorAll("[data-op]")) {
    if (element.dataset.op in texts) element.textContent = texts[element.dataset.op];
  }
}

function drawBar(row, operation) {
  const bar = row.querySelector("progress");
  bar.hidden = operation.status !== "running";
  setProgress(bar, operation);
}

function drawPage(page, operation) {
  const ended = Boolean(operation.finished_at);
  page.querySelector("[data-op-open]").hidden = ended;
  setProgress(page.querySelector("progress"), operation);
  page.querySelector("[data-cancel]").hidden = !operation.cancellable || page.dataset.mayCancel !== "1";
  const message = page.querySelector("[data-op-message]");
  message.hidden = !operation.message;
  message.classList.toggle("bad", ["failed", "interrupted"].includes(operation.status));
  page.querySelector("[data-op-error]").hidden = !operation.error?.text;
  const steps = { started: operation.started_at, finished: operation.finished_at };
  for (const [name, when] of Object.entries(steps)) {
    page.querySelector(`[data-log="${name}"]`).hidden = !when;
    if (when) page.querySelector(`[data-op="${name}"]`).replaceChildren(momentElement(when));
  }
  page.querySelector('[data-log="waiting"]').hidden = !operation.waiting;
  if (operation.deadline) page.querySelector('[data-op="deadline"]').replaceChildren(momentElement(operation.deadline));
  page.querySelector('[data-log="cancel"]').hidden = !operation.cancel_requested;
  page.querySelector('[data-log="progress"]').hidden = !operation.bytes.total;
}
