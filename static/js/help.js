// Help, live: what a page says of it is fetched anew when it moves, buttons act without leaving the page, and news find
// their reader on whatever page they are.

import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { csrfToken, me, say, words } from "./words.js";

const LATER_MS = 100; // the same news comes by several ways
const HEAL_MS = 60_000; // a push may be lost
const ENDS = ["ended", "limit", "right_gone", "expired"];

const seen = new Set(); // what came already: assist, version and event
let timer = 0;

const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
const regions = () => [...document.querySelectorAll("[data-help-live]")];

/* Drawing */

function refreshSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => Promise.all(regions().map(refresh)), LATER_MS);
}

async function refresh(region) {
  const answer = await fetch(region.dataset.helpLive).catch(() => null);
  if (!answer?.ok || answer.redirected || !region.isConnected) return;
  const read = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = read.querySelector("[data-help-live]");
  if (!fresh || looks(fresh) === looks(region)) return;
  region.replaceWith(document.adoptNode(fresh));
  goToScreen(region, fresh);
  document.dispatchEvent(new CustomEvent("portal:help-drawn"));
}

/** The user has consented: that is what the helper's page waited for. */
function goToScreen(before, now) {
  const consented = before.dataset.helpState === "taken" && now.dataset.helpState === "active";
  if (consented && now.querySelector('[data-help-move="join"]')) move(now.dataset.assist, "join");
}

/** What makes a difference: words but for times, what may be done, and what scripts read. */
function looks(region) {
  const still = region.cloneNode(true);
  for (const moving of still.querySelectorAll("time, [name=csrfmiddlewaretoken]")) moving.remove();
  const moves = [...still.querySelectorAll("[data-help-move]")].map((button) => button.dataset.helpMove);
  const { chat, mayAsk, helpState } = region.dataset;
  return JSON.stringify([still.textContent.replace(/\s+/g, " "), moves, chat, mayAsk, helpState, region.hidden]);
}

/* Acting */

async function post(url, body = {}) {
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
  const content = await answer?.json().catch(() => null);
  if (!answer?.ok) toast(content?.error?.message ?? words.offline, { level: "warning" });
  refreshSoon();
  return answer?.ok ? content : null;
}

async function move(id, name) {
  const moved = await post(`/api/v1/assists/${id}/${name}`);
  if (moved?.console) location.assign(moved.console);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const name = event.submitter?.dataset.helpMove;
  if (form.dataset.helpMoves && name) {
    event.preventDefault();
    move(form.dataset.helpMoves, name);
  } else if ("helpAsk" in form.dataset) {
    event.preventDefault();
    askFromConsole(form);
  }
});

async function askFromConsole(form) {
  const { machine } = form.closest("[data-machine]").dataset;
  const note = form.elements.note.value;
  const asked = await post(`/api/v1/machines/${machine}/assists`, { note, picture: form.elements.picture.checked });
  if (asked) form.reset();
}

/* News */

/** The sentence of what happened, for whom it is news. */
function newsFor({ event, user, helper, by }) {
  if (by === me) return "";
  if (event === "asked") return "helps" in document.body.dataset && user !== me ? words.help.asked : "";
  if (["taken", "offered", "broke_glass"].includes(event)) return user === me ? words.help[event] : "";
  if (["accepted", "declined", "withdrawn"].includes(event)) return helper === me ? words.help[event] : "";
  return ENDS.includes(event) && [user, helper].includes(me) ? words.help.ended : "";
}

/** Whether the page says it by itself. */
const isShown = ({ id, machine }) =>
  document.querySelector(`[data-assist-page="${id}"], [data-help-machine="${machine}"]`) !== null;

updates.addEventListener("assist", ({ detail }) => {
  const news = [detail.id, detail.version, detail.event].join();
  if (seen.has(news)) return;
  seen.add(news);
  refreshSoon();
  const sentence = newsFor(detail);
  if (!sentence || isShown(detail)) return;
  const text = say(sentence, { ...detail, machine: detail.machine_name });
  const link = { href: `/help/${detail.id}/`, text: words.help.look };
  toast(text, { level: detail.event === "broke_glass" ? "error" : "info", link });
});
updates.addEventListener("back", refreshSoon);
showCount();

/** Helpers see in the header how many wait; no page waits for that. */
function showCount() {
  const link = document.querySelector("[data-help]");
  if (!link || !("helps" in document.body.dataset)) return;
  const count = document.createElement("b");
  count.className = "help-count";
  count.dataset.helpLive = `${link.pathname}?part=count`;
  count.hidden = true;
  link.append(count);
  refresh(count);
}
setInterval(() => document.hidden || refreshSoon(), HEAL_MS);
