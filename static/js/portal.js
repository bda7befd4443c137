// Every page's script for someone who is signed in: the shell, and what is live.

import { awaited, expectAwaited, lookForUnanswered, tellResult } from "./ask.js";
import "./asks.js";
import "./help.js";
import "./help_chat.js";
import "./machine_page.js";
import "./maintenance.js";
import { adopt, drawButtonsAgain, drawHost, drawJob, drawMachine, drawRight } from "./machines.js";
import "./notices.js";
import { drawOperation } from "./operations.js";
import "./row_menu.js";
import "./shell.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { say, table, words } from "./words.js";

/** Watch what the page shows now, what a history needs besides, and whatever this tab still waits for. */
function watch() {
  const shown = document.querySelectorAll("[data-machine], [data-watch-machine]");
  const besides = JSON.parse(document.getElementById("watch")?.textContent ?? "{}").besides ?? [];
  const uuids = [...shown].map((place) => place.dataset.machine ?? place.dataset.watchMachine);
  for (const place of document.querySelectorAll("[data-machine]"))
    updates.know(place.dataset.machine, Number(place.dataset.version));
  for (const row of document.querySelectorAll("[data-operation-row], [data-operation-page]")) {
    const open = ["queued", "running"].includes(row.dataset.status);
    const id = Number(row.dataset.operationRow ?? row.dataset.operationPage);
    if (open && !updates.operations.has(id)) updates.operations.set(id, { version: Number(row.dataset.version), open });
  }
  for (const job of document.querySelectorAll("[data-machine] [data-job][data-kind]")) {
    const id = Number(job.dataset.job); // it may have ended before the socket listens
    if (id && !updates.operations.has(id)) updates.operations.set(id, { version: 0, open: true });
  }
  adopt();
  expectAwaited();
  updates.watch([...uuids, ...awaited(), ...besides]);
}

function leaveLostPage(rights) {
  const page = document.querySelector("[data-machine-page], [data-watch-machine]");
  const uuid = page?.dataset.machine ?? page?.dataset.watchMachine;
  if (!uuid || rights[uuid] !== "") return;
  toast(say(words.right_lost, { machine: document.querySelector("h1")?.textContent ?? "" }), { level: "warning" });
  setTimeout(() => location.assign("/"), 2500);
}

if (table) {
  updates.addEventListener("machine", ({ detail }) => drawMachine(detail));
  updates.addEventListener("host", ({ detail }) => drawHost(detail));
  updates.addEventListener("rights", ({ detail }) => {
    for (const [uuid, word] of Object.entries(detail)) if (word) drawRight(uuid, word);
    leaveLostPage(detail);
  });
  updates.addEventListener("missing", ({ detail }) => {
    leaveLostPage(Object.fromEntries(detail.map((uuid) => [uuid, ""]))); // taken before the socket was open
  });
  document.addEventListener("portal:maintenance", drawButtonsAgain);
  updates.addEventListener("operation", ({ detail }) => {
    drawJob(detail);
    drawOperation(detail);
  });
}
updates.addEventListener("operation", ({ detail }) => tellResult(detail));
updates.addEventListener("rights", lookForUnanswered, { once: true }); // what is asked from now on, the socket tells
document.addEventListener("portal:list-changed", watch);
watch();
