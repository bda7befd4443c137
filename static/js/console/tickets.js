// Asks the portal for a console session. Loaded by itself before all else of the page: where there is a picture to be
// seen, its tickets are on their way while the other modules still load.

import { csrfToken } from "../csrf.js";
import { recall } from "./memory.js";

const EARLY_MS = 8000; // how long an answer that nobody took yet is good for; a ticket is, for at least 15 s

/** Why there is no picture: `code` is the proxy's close code, or 0 with the API's `status` and error `word`. */
export class NoScreen extends Error {
  constructor({ code = 0, status = 0, word = "", sentence = "" }) {
    super(sentence || word || `${code || status}`);
    Object.assign(this, { code, status, word, sentence });
  }
}

/**
 * Ask for a console session: {url, tickets, session, mode, ...}. Rejects with a NoScreen.
 * takeOver: whether to throw out another program that has the serial console.
 */
export function ticketsFor(machine, protocol, mode, takeOver = false) {
  const body = JSON.stringify({ protocol, mode, take_over: takeOver });
  const begun = early;
  early = null;
  const fits = begun?.body === body && performance.now() - begun.at < EARLY_MS;
  return fits ? begun.tickets : ask(machine, "console-tickets", body);
}

/** Ask for a ticket by which the proxy says whether a display answers: {url, ticket}. Rejects with a NoScreen. */
export function probeOf(machine, protocol) {
  return ask(machine, "console-probe", JSON.stringify({ protocol }));
}

/** Which of these displays of the machine was chosen last in this browser, if any. */
export function chosenLast(machine, displays) {
  const last = recall(`protocol:${machine}`);
  return displays.includes(last) ? last : null;
}

async function ask(machine, what, body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const answer = await fetch(`/api/v1/machines/${machine}/${what}`, { method: "POST", headers, body });
  const content = await answer.json().catch(() => ({}));
  if (answer.ok) return content;
  throw new NoScreen({
    status: answer.status,
    word: content.error?.code ?? "",
    sentence: content.error?.message ?? "",
  });
}

/** What the page's head says of a picture that there is: which machine, its displays (the one shown first), the mode. */
function askEarly({ of: machine, displays, mode }) {
  const protocol = chosenLast(machine, displays.split(" ")) ?? displays.split(" ")[0];
  const body = JSON.stringify({ protocol, mode, take_over: false });
  const tickets = ask(machine, "console-tickets", body);
  tickets.catch(() => {}); // whoever takes them is told
  return { body, tickets, at: performance.now() };
}

const picture = document.querySelector("meta[name=console-picture]");
let early = picture && askEarly(picture.dataset);
