// Draws machines wherever the page shows them: rows of the list ([data-machine] tr) and the machine's own page.
// Names and titles are text that somebody else chose: they only ever become textContent.

import { closedNow } from "./maintenance.js";
import { factsIn, isActive, refusal, rightOf, suggested } from "./table.js";
import { timeElement } from "./times.js";
import { say, size, table, words } from "./words.js";

const VIEW = 2;
const OPERATE = 3;
const ONLY_HERE = /^(127\.|::1|fe80:|169\.254\.)/;

const running = new Map(); // uuid -> open operation, as the API describes it
const consoles = new Map(); // uuid -> whether it has anything that the console can show

export const shown = (uuid) => document.querySelectorAll(`[data-machine="${CSS.escape(uuid)}"]`);
export const operationOf = (uuid) => running.get(uuid) ?? null;

/** Take over what the server drew. */
export function adopt(root = document) {
  for (const job of root.querySelectorAll("[data-machine] [data-job][data-kind]")) {
    const uuid = job.closest("[data-machine]").dataset.machine;
    if (!running.has(uuid)) running.set(uuid, { id: Number(job.dataset.job), operation: job.dataset.kind, version: 0 });
  }
  for (const row of root.querySelectorAll("tr[data-machine]:not([data-hinted])"))
    hint(row, row.dataset.state, row.querySelector('.state[data-fact="state"]')?.title ?? "");
}

export function drawMachine(machine) {
  consoles.set(machine.uuid, machine.consoles.length > 0);
  for (const place of shown(machine.uuid)) {
    const changed = Number(place.dataset.version) < machine.version;
    place.dataset.state = machine.state;
    place.dataset.version = machine.version;
    place.dataset.host = machine.host_id;
    place.dataset.facts = factsIn(machine).join(" ");
    setReachable(place, machine.host_reachable, machine.seen_at);
    drawFacts(place, machine);
    drawButtons(place);
    if (changed) glow(place);
  }
}

export function drawHost(host) {
  for (const place of document.querySelectorAll(`[data-machine][data-host="${Number(host.id)}"]`)) {
    setReachable(place, host.reachable, host.seen_at);
    drawButtons(place);
  }
}

export function drawRight(uuid, word) {
  for (const place of shown(uuid)) {
    if (Number(place.dataset.right) === rightOf(word)) continue;
    place.dataset.right = rightOf(word);
    drawButtons(place);
  }
}

/** Draw the buttons of a machine's page again, with why its owner may run no more machines (empty: they may). */
export function redraw(place, full) {
  if ((place.dataset.full ?? "") === full) return;
  if (full) place.dataset.full = full;
  else delete place.dataset.full;
  if (table) drawButtons(place);
}

/** Draw what runs on a machine, or that nothing does any more. */
export function drawJob(operation) {
  const now = running.get(operation.machine);
  if (["queued", "running"].includes(operation.status)) {
    if (now?.id && operation.id && now.id > operation.id) return;
    running.set(operation.machine, operation);
  } else if (!now || now.id === operation.id || !now.id) {
    running.delete(operation.machine);
  } else {
    return;
  }
  for (const place of shown(operation.machine)) {
    drawProgress(place, running.get(operation.machine));
    drawButtons(place);
  }
}

export function glow(element) {
  element.classList.remove("glow");
  void element.offsetWidth; // restarts the animation
  element.classList.add("glow");
  setTimeout(() => element.classList.remove("glow"), 2000);
}

/* Facts */

function drawFacts(place, machine) {
  const facts = {
    state: table.states[machine.state],
    reason: [machine.state, "unknown"].includes(machine.state_reason) ? "" : machine.state_reason,
    name: machine.name,
    host: machine.host,
    vcpus: machine.vcpus,
    memory: size(machine.memory_bytes),
    disk: machine.disk_bytes ? size(machine.disk_bytes) : words.none,
    display: [machine.graphics.join(", ").toUpperCase(), machine.video_model].filter(Boolean).join(" ") || words.none,
    agent: words.agent[Number(machine.agent_connected)],
    persistent: machine.state === "undefined" ? table.states.undefined : words.persistent[Number(machine.persistent)],
    why: table.reasons[machine.state]?.[machine.state_reason] ?? "",
    meaning: table.meanings[machine.state],
    "saved-files": machine.saved_file_count,
    autostart: words.autostart[Number(machine.autostart)],
    saved: words.saved[Number(machine.has_saved_image)],
    snapshots: machine.snapshot_count,
  };
  for (const [name, value] of Object.entries(facts)) write(place, `[data-fact="${name}"]`, value);
  write(place, ".c-owner", machine.project ?? machine.owner ?? "");
  write(place, '[data-fact="owner"]', machine.project ?? machine.owner ?? words.nobody);
  write(place, ".c-memory", `${machine.vcpus} / ${size(machine.memory_bytes)}`);
  hint(place, machine.state, machine.state_reason);
  for (const button of place.querySelectorAll('.switch[data-operation="autostart"]')) {
    button.setAttribute("aria-checked", String(machine.autostart));
    button.value = machine.autostart ? "0" : "1";
  }
  replace(place.querySelector('.c-since, [data-fact="since"]'), timeElement(machine.state_since));
  drawTitle(place, machine.title);
  drawOptional(place, "description", machine.description);
  drawOptional(place, "conflict", machine.conflict);
  drawAddresses(place, machine.addresses);
}

/** On hover, a row's state also says what it means. */
function hint(place, state, reason) {
  const element = place.querySelector('td .state[data-fact="state"]');
  if (!element || !table) return;
  place.dataset.hinted = "";
  const sentences = [`${reason}.`, table.reasons[state]?.[reason], table.meanings[state]];
  element.title = sentences.filter(Boolean).join(" ");
}

function write(place, selector, value) {
  const element = place.querySelector(selector);
  const text = String(value);
  if (element && element.textContent !== text) element.textContent = text;
}

function replace(element, ...children) {
  element?.replaceChildren(...children);
}

function drawTitle(place, title) {
  let element = place.querySelector('[data-fact="title"]');
  if (!element && title) {
    element = document.createElement("small");
    element.className = "clip";
    element.dataset.fact = "title";
    place.querySelector(".c-name")?.append(element);
  }
  if (element) element.textContent = title;
}

/** What only some machines have; the words that belong to it hide with it. */
function drawOptional(place, name, text) {
  write(place, `[data-fact="${name}"]`, text);
  for (const element of place.querySelectorAll(`[data-optional="${name}"]`)) element.hidden = !text;
}

function drawAddresses(place, addresses) {
  const found = addresses.map((entry) => entry.address).filter((text) => text && !ONLY_HERE.test(text));
  found.sort((one, other) => one.includes(":") - other.includes(":"));
  replace(place.querySelector(".c-addresses"), ...found.slice(0, 1).map((text) => copyButton(text, "copy clip")));
  const all = place.querySelector('[data-fact="all-addresses"]');
  if (!all) return;
  if (found.length) replace(all, ...found.map((text) => copyButton(text, "copy")));
  else all.textContent = words.no_addresses;
}

function copyButton(text, classes) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = classes;
  button.textContent = text;
  return button;
}

function setReachable(place, reachable, seenAt) {
  if (reachable) delete place.dataset.reachable;
  else place.dataset.reachable = "0";
  if (!reachable && place.matches("tr") && !place.querySelector(".unreachable")) {
    const note = document.createElement("small");
    note.className = "unreachable";
    note.append(`${words.last_seen} `, Object.assign(document.createElement("span")));
    note.lastChild.dataset.fact = "seen";
    place.querySelector(".c-host")?.append(note);
  }
  const seen = place.querySelector('[data-fact="seen"]');
  if (seen && seenAt) replace(seen, timeElement(seenAt));
}

/* Operations */

const factsOf = (place) => ({
  state: place.dataset.state,
  right: Number(place.dataset.right),
  reachable: place.dataset.reachable !== "0",
  operation: running.get(place.dataset.machine)?.operation ?? null,
  facts: (place.dataset.facts ?? "").split(" "),
  closed: closedNow(),
  full: place.dataset.full ?? "",
});

/** What may be begun changed for every machine. */
export function drawButtonsAgain() {
  for (const place of document.querySelectorAll("[data-machine]")) drawButtons(place);
}

export const refusalFor = (place, name) => refusal(name, factsOf(place));

/** Make a button for an operation from the server's own. */
export function operationButton(name) {
  const button = document.getElementById("operation-button").content.firstElementChild.cloneNode(true);
  const kind = table.operations[name];
  button.dataset.operation = name;
  button.classList.toggle("danger", Boolean(kind.loses));
  button.querySelector("use").setAttribute("href", `#i-${kind.icon}`);
  button.querySelector("span").textContent = kind.label;
  return button;
}

function drawButtons(place) {
  const actions = place.querySelector(".actions");
  if (actions) drawSuggested(place, actions);
  for (const button of place.querySelectorAll("[data-operation]"))
    setRefusal(button, refusalFor(place, button.dataset.operation));
  for (const link of place.querySelectorAll("[data-form-of]")) setReason(link, refusalFor(place, link.dataset.formOf));
  if ("machinePage" in place.dataset) drawReasons(place);
}

/** Items of menus say below their name what is in the way. */
function setReason(item, refused) {
  const reason = item.querySelector("[data-reason]");
  if (!reason) return;
  reason.hidden = !refused;
  reason.textContent = refused?.sentence ?? "";
}

export function setRefusal(button, refused) {
  setReason(button, refused);
  if (refused) {
    button.setAttribute("aria-disabled", "true");
    button.title = refused.sentence;
  } else {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("title");
  }
}

/** Console, and the one or two operations that make sense next. Whoever stands on a button is not thrown off. */
function drawSuggested(place, actions) {
  const uuid = place.dataset.machine;
  const names = suggested(place.dataset.state);
  const drawn = [...actions.querySelectorAll("[data-operation]")].map((button) => button.dataset.operation);
  if (drawn.join() !== names.join()) {
    const stood = actions.contains(document.activeElement);
    for (const button of actions.querySelectorAll("[data-operation]")) button.remove();
    const menu = actions.querySelector("[data-row-menu]");
    for (const name of names) {
      const button = operationButton(name);
      button.formAction = `/machines/${uuid}/operations/${name}/`;
      menu.before(button);
    }
    if (stood && !actions.contains(document.activeElement)) menu.focus();
  }
  const console = actions.querySelector("[data-to-screen]");
  const wanted =
    Number(place.dataset.right) >= VIEW && isActive(place.dataset.state) && (consoles.get(uuid) ?? Boolean(console));
  if (wanted && !console) actions.prepend(consoleLink(uuid));
  if (!wanted) console?.remove();
}

function consoleLink(uuid) {
  const link = document.getElementById("console-link").content.firstElementChild.cloneNode(true);
  link.href = `/machines/${uuid}/console/`;
  return link;
}

/** The machine's page also says in words what is in the way. */
function drawReasons(place) {
  const names = Object.keys(table.operations).filter((name) => table.operations[name].place === "button");
  const refused = names.map((name) => [name, refusalFor(place, name)]);
  for (const [name, refusal] of refused) {
    const line = place.querySelector(`[data-why="${name}"]`);
    const button = place.querySelector(`[data-operation="${name}"]`);
    if (!line || !button) continue;
    line.hidden = !refusal;
    line.querySelector("[data-why-text]").textContent = refusal?.sentence ?? "";
    if (refusal) button.setAttribute("aria-describedby", line.id);
    else button.removeAttribute("aria-describedby");
  }
  const obstacle = refused
    .map(([, refusal]) => refusal)
    .find((refusal) => refusal && !["state_conflict", "quota_exceeded"].includes(refusal.code));
  const note = place.querySelector("[data-obstacle]");
  note.hidden = !["forbidden", "maintenance"].includes(obstacle?.code);
  note.textContent = obstacle?.sentence ?? "";
  place.querySelector("[data-reasons]").hidden = Boolean(obstacle) || refused.every(([, refusal]) => !refusal);
}

/* Progress */

export function jobText(operation) {
  const doing = operation.doing;
  if (operation.cancel_requested) return say(words.cancelling, { doing });
  if (operation.status === "queued") return say(words.queued, { doing });
  if (operation.waiting) return say(words.waiting, { doing });
  return operation.progress ? `${doing} ${operation.progress} %` : doing;
}

export function setProgress(bar, operation) {
  if (operation.progress) bar.value = operation.progress;
  else bar.removeAttribute("value");
}

export const bytesText = ({ bytes }) =>
  bytes?.total ? say(words.bytes, { done: size(bytes.processed), total: size(bytes.total) }) : "";

function drawProgress(place, operation) {
  const panel = place.querySelector("[data-job-panel]");
  if (panel) drawPanel(panel, operation, Number(place.dataset.right) >= OPERATE);
  else drawRowJob(place, operation);
}

function drawRowJob(row, operation) {
  let job = row.querySelector("[data-job]");
  if (!operation) {
    job?.remove();
    return;
  }
  if (!job) {
    job = document.getElementById("job").content.firstElementChild.cloneNode(true);
    row.querySelector(".c-state")?.append(job);
  }
  job.dataset.job = operation.id ?? "";
  job.querySelector("[data-job-text]").textContent = jobText(operation);
  setProgress(job.querySelector("progress"), operation);
}

function drawPanel(panel, operation, mayCancel) {
  panel.hidden = !operation;
  if (!operation) return;
  panel.dataset.job = operation.id ?? "";
  panel.querySelector("[data-job-text]").textContent = jobText(operation);
  panel.querySelector("[data-job-bytes]").textContent = bytesText(operation);
  setProgress(panel.querySelector("progress"), operation);
  const cancel = panel.querySelector("[data-cancel]");
  cancel.hidden = !operation.cancellable || !mayCancel;
  if (!operation.id) return;
  cancel.formAction = `/operations/${operation.id}/cancel/`;
  panel.querySelector("[data-job-link]").href = `/operations/${operation.id}/`;
}
