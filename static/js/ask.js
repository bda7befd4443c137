// Asks for operations without leaving the page. Forms that ask are plain forms; this only gets there first.

import { drawJob, operationOf, refusalFor, shown } from "./machines.js";
import { serverNow } from "./times.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { csrfToken, me, say, table, words } from "./words.js";

// What was asked for in this tab, by operation id; before the answer is there, by machine. Results are told on
// whatever page the tab shows then, also when somebody clicked and left at once.
const ASKED = "operations-asked";
const FORGOTTEN_MS = 15 * 60_000;
const CLOCK_SLACK_MS = 2000;

let leaving = false;
addEventListener("pagehide", () => {
  leaving = true;
});
addEventListener("pageshow", () => {
  leaving = false;
});

const asked = () => JSON.parse(sessionStorage.getItem(ASKED) ?? "{}");

function remember(changes) {
  const kept = Object.entries({ ...asked(), ...changes }).filter(
    ([, what]) => what && Date.now() - what.at < FORGOTTEN_MS,
  );
  sessionStorage.setItem(ASKED, JSON.stringify(Object.fromEntries(kept)));
}

/** The machines of operations whose results are still awaited in this tab. */
export const awaited = () => Object.values(asked()).map((what) => what.machine);

/** Make the socket tell how they went, also if they ended between two pages. */
export function expectAwaited() {
  for (const id of Object.keys(asked()).filter(Number)) {
    if (!updates.operations.has(Number(id))) updates.operations.set(Number(id), { version: 0, open: true });
  }
}

/** Look for what a page asked for that was left before it had an answer: it may have ended between the two pages. */
export async function lookForUnanswered() {
  const unanswered = Object.entries(asked()).filter(([key]) => !Number(key));
  for (const [machine, { name, at }] of unanswered) {
    const since = at - (Date.now() - serverNow()) - CLOCK_SLACK_MS;
    const answer = await fetch(`/api/v1/operations?machine=${machine}&limit=10`).catch(() => null);
    const { items = [] } = answer?.ok ? await answer.json() : {};
    const found = items.find(
      (one) => one.operation === name && one.requested_by === me && Date.parse(one.created_at) >= since,
    );
    if (found) updates.take(found);
  }
}

function isAwaited(operation) {
  if (operation.id in asked()) return true;
  const unanswered = asked()[operation.machine];
  return unanswered?.name === operation.operation && operation.requested_by === me;
}

export async function ask(uuid, name, parameters = {}) {
  const kind = table.operations[name];
  const machine = shown(uuid)[0]?.querySelector('[data-fact="name"]')?.textContent ?? "";
  if (kind.loses && !(await confirmed(kind, machine))) return;
  const before = operationOf(uuid);
  drawJob({ id: 0, machine: uuid, operation: name, doing: kind.doing, status: "queued", progress: 0 });
  const what = { machine: uuid, name, at: Date.now() };
  remember({ [uuid]: what });
  try {
    const operation = await post(`/api/v1/machines/${uuid}/operations`, { operation: name, parameters });
    if (!operation) return; // accepted, but the answer broke off: whoever leaves at once hears of it on the next page
    if (updates.operations.get(operation.id)?.open === false) {
      takeBack(uuid, null); // the socket was faster: it has ended and was told
    } else {
      remember({ [operation.id]: what, [uuid]: null });
      updates.take(operation);
    }
  } catch (error) {
    if (leaving) return; // asked for all the same; the next page hears of it
    remember({ [uuid]: null });
    takeBack(uuid, before);
    toast(`${machine}: ${error.message}`, { level: "error" });
  }
}

export async function cancel(id) {
  try {
    const operation = await post(`/api/v1/operations/${id}/cancel`, {});
    if (operation) updates.take(operation);
  } catch (error) {
    toast(error.message, { level: "error" });
  }
}

/** Tell the result of an operation that was asked for here, once. */
export function tellResult(operation) {
  if (!isAwaited(operation)) return;
  if (!words.ended[operation.status]) {
    remember({ [operation.id]: { machine: operation.machine, name: operation.operation, at: Date.now() } });
    return;
  }
  remember({ [operation.id]: null, [operation.machine]: null });
  document.querySelector(`[data-asked^="${operation.id} "]`)?.remove(); // it is on its way no more
  const values = { machine: operation.machine_name, operation: operation.label };
  const level = { succeeded: "success", cancelled: "info" }[operation.status] ?? "error";
  const text = [say(words.ended[operation.status], values), operation.message].filter(Boolean).join("\n");
  toast(text, { level, link: { href: `/operations/${operation.id}/`, text: words.details } });
}

function takeBack(uuid, before) {
  const drawn = operationOf(uuid);
  if (drawn && !drawn.id) drawJob({ ...drawn, status: "cancelled" });
  if (before) drawJob({ status: "running", machine: uuid, ...before });
}

/** Return what was answered, null where it was accepted and the rest of the answer did not come. */
export async function post(url, body) {
  let answer;
  try {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
    answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), keepalive: true });
  } catch {
    throw new Error(words.offline);
  }
  if (answer.status === 401) location.reload();
  const content = await answer.json().catch(() => null);
  if (!answer.ok) throw new Error(content?.error?.message ?? words.offline);
  return content;
}

/** Say what is lost, in the machine's name, and ask once. */
function confirmed(kind, machine) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector(".dialog-title").textContent = say(words.confirm, { operation: kind.label, machine });
  dialog.querySelector(".dialog-text").textContent = say(kind.loses, { name: machine });
  dialog.querySelector("[data-confirm]").textContent = kind.label;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirmed"), { once: true });
  });
}

/** What the button that asks says beside its operation, as the API wants it. */
function parametersOf(button) {
  if (!button.name) return {};
  const read = { flag: (text) => text === "1", list: (text) => text.split(" ") }[button.dataset.type];
  return { [button.name]: read ? read(button.value) : button.value };
}

/** Forms with more to say are posted; their results are told on the page that follows. */
function rememberForm(form, button) {
  const name = button?.dataset.asks ?? form.dataset.asks;
  const uuid =
    form.action.match(/\/machines\/([0-9a-f-]{36})\//)?.[1] ?? button?.formAction.match(/[0-9a-f-]{36}/)?.[0];
  if (name && uuid) remember({ [uuid]: { machine: uuid, name, at: Date.now() } });
}

/** The page after a form says what was asked for. By its number the result is found, also if it came before this page. */
for (const { dataset } of document.querySelectorAll("[data-toast][data-asked]")) {
  const [id, name, machine] = dataset.asked.split(" ");
  remember({ [id]: { machine, name, at: Date.now() }, [machine]: null });
}

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  rememberForm(event.target, button);
  const id = button?.formAction.match(/\/operations\/(\d+)\/cancel\/$/)?.[1];
  if (!event.target.matches("[data-operations]") || !(button?.dataset.operation || id)) return;
  event.preventDefault();
  if (id) {
    cancel(id);
    return;
  }
  const place = button.closest("[data-machine]");
  const refused = refusalFor(place, button.dataset.operation);
  const askFor = { link: { href: `/machines/${place.dataset.machine}/access/`, text: words.ask_for_right } };
  if (refused) toast(refused.sentence, refused.code === "forbidden" ? askFor : {});
  else ask(place.dataset.machine, button.dataset.operation, parametersOf(button));
  const menu = button.closest("details[data-menu]");
  if (menu) menu.open = false;
});
