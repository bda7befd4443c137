// The console doctor: measures page, socket, proxy and display from here, asks the portal for the rest, and says in a
// sentence what is wrong and what to do. What is nearest to the person is judged first: nothing behind it can work.

import { updates } from "../updates.js";
import { say } from "../words.js";
import { desk } from "./desk.js";
import { words } from "./notices.js";
import { probeOf } from "./tickets.js";

const SLOW = { page: 1500, socket: 500, screen: 500 }; // milliseconds
const LIMIT = 5000;
const ORDER = ["page", "socket", "host", "display", "proxy", "screen", "agent"];
const HARMLESS = new Set(["agent"]); // a screen works without
const OUTCOMES = { 4404: "gone", 4423: "held", 4429: "full", 4503: "host" }; // of a probe, by the proxy's close code

const panel = desk.find("[data-doctor]");
const said = words.doctor;

/** One finding: {part, well, sentence, took} with took in milliseconds where it was measured. */
const finding = (part, outcome, took = null, values = {}) => ({
  part,
  well: outcome === "well",
  took,
  sentence: say(said[`${part}_${outcome}`], values),
});

const judged = (part, took) => finding(part, took > SLOW[part] ? "slow" : "well", took);

async function timed(act) {
  const began = performance.now();
  const result = await act();
  return { result, took: performance.now() - began };
}

async function portalsFindings() {
  const url = `/api/v1/machines/${desk.machine}/console-check?protocol=${desk.protocol}`;
  try {
    const { result, took } = await timed(() => fetch(url, { signal: AbortSignal.timeout(2 * LIMIT) }));
    const { items } = await result.json();
    return [judged("page", took), ...items];
  } catch {
    return [finding("page", "lost")];
  }
}

async function socketsFinding() {
  const took = await updates.ping(LIMIT);
  return took === null ? finding("socket", "lost") : judged("socket", took);
}

async function screensFinding() {
  if (desk.screen?.can.has("answers")) return screensAnswer(desk.screen);
  if (desk.screen || desk.protocol === "pictures") return { ...finding("screen", "skipped"), well: true };
  return probe();
}

async function screensAnswer(screen) {
  const took = await screen.roundTrip(LIMIT);
  if (screen.answersFrom === "display") return took === null ? finding("screen", "silent") : judged("screen", took);
  return took === null ? finding("screen", "unanswered") : { ...finding("screen", "carried", took), well: true };
}

/** Have the proxy look at the display; nobody who is connected notices. */
async function probe() {
  let granted;
  try {
    granted = await probeOf(desk.machine, desk.protocol);
  } catch (error) {
    return { ...finding("screen", "refused"), sentence: error.sentence || said.screen_refused };
  }
  const socket = new WebSocket(granted.url, ["binary", `ticket.${granted.ticket}`]);
  const { result, took } = await timed(() => firstSign(socket));
  socket.close();
  if (result === "data") return judged("screen", took);
  if (result === "open") return finding("screen", "silent", took);
  return finding("screen", OUTCOMES[result] ?? "unreachable", null, { url: granted.url });
}

/** Resolves with how far a socket came: data, open, nothing, or the code with which the proxy closed it. */
function firstSign(socket) {
  let reached = "nothing";
  return new Promise((resolve) => {
    setTimeout(() => resolve(reached), LIMIT);
    socket.addEventListener("open", () => {
      reached = "open";
    });
    socket.addEventListener("message", () => resolve("data"));
    socket.addEventListener("close", ({ code }) => resolve(code in OUTCOMES ? code : reached));
  });
}

function draw(findings) {
  const rows = findings.map((one) => {
    const row = desk.find("[data-doctor-row]").content.firstElementChild.cloneNode(true);
    row.dataset.well = String(one.well);
    row.dataset.part = one.part;
    row.querySelector("b").textContent = said[one.part];
    row.querySelector(".number").textContent = Number.isFinite(one.took) ? `${Math.round(one.took)} ms` : "";
    row.querySelector("p").textContent = one.sentence;
    return row;
  });
  panel.querySelector("[data-doctor-findings]").replaceChildren(...rows);
}

async function look() {
  if (panel.dataset.doctor === "looking") return;
  panel.dataset.doctor = "looking";
  const verdict = panel.querySelector("[data-doctor-verdict]");
  verdict.textContent = said.looking;
  const answers = await Promise.all([portalsFindings(), socketsFinding(), screensFinding()]);
  const findings = answers.flat().sort((one, other) => ORDER.indexOf(one.part) - ORDER.indexOf(other.part));
  draw(findings);
  const wrong = findings.find((one) => !one.well && !HARMLESS.has(one.part));
  verdict.textContent = wrong?.sentence ?? said.well;
  panel.dataset.doctor = wrong ? "ill" : "well";
}

panel.querySelector("[data-doctor-again]").addEventListener("click", look);
desk.addEventListener("panel", ({ detail }) => detail.name === "doctor" && detail.open && look());
