// The chat of an assist, on its page and beside the console: plain text, live on both sides.

import { timeElement } from "./times.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { csrfToken, me, words } from "./words.js";

const place = document.querySelector("[data-help-chat]");
const list = place?.querySelector("[data-chat-list]");
const form = place?.querySelector("[data-chat-form]");
const panel = place?.closest("[data-panel]");
const unread = document.querySelector("[data-chat-unread]");

let assist = Number(place?.dataset.helpChat ?? 0);
let missed = 0;

const url = () => `/api/v1/assists/${assist}/messages`;
const last = () => Number(list.lastElementChild?.dataset.message ?? 0);

function draw(message) {
  if (message.assist !== assist || list.querySelector(`[data-message="${message.id}"]`)) return;
  const item = place.querySelector("template").content.firstElementChild.cloneNode(true);
  item.dataset.message = message.id;
  if (message.by === me) item.dataset.mine = "";
  item.querySelector("b").textContent = message.by ?? "–";
  item.querySelector(".said").textContent = message.text;
  item.querySelector("small").append(timeElement(message.at));
  const later = [...list.children].find((other) => Number(other.dataset.message) > message.id);
  list.insertBefore(item, later ?? null);
  list.scrollTop = list.scrollHeight;
  if (panel?.hidden && message.by !== me) countUnread(missed + 1);
}

function countUnread(count) {
  missed = count;
  if (!unread) return;
  unread.textContent = String(count);
  unread.hidden = !count;
}

async function fetchNews() {
  if (!assist) return;
  const answer = await fetch(`${url()}?after=${last()}`).catch(() => null);
  if (!answer?.ok) return;
  for (const message of (await answer.json()).items) draw(message);
}

/** Follow what the lines about help say: which chat this is, whether one may write, whether one may ask. */
function follow() {
  const region = document.querySelector("[data-help-live][data-chat]");
  const talks = Number(region?.dataset.chat ?? 0);
  form.hidden = !talks;
  if (!panel) return;
  place.hidden = !(talks || assist);
  panel.querySelector("[data-help-ask]").hidden = region?.dataset.mayAsk !== "1";
  panel.querySelector("[data-help-none]").hidden = Boolean(talks || assist) || region?.dataset.mayAsk === "1";
  if (!talks || talks === assist) return;
  assist = talks;
  list.replaceChildren();
  countUnread(0);
  fetchNews();
}

async function send() {
  const text = form.elements.text.value.trim();
  if (!text || !assist) return;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const sent = fetch(url(), { method: "POST", headers, body: JSON.stringify({ text }) });
  const answer = await sent.catch(() => null);
  const content = await answer?.json().catch(() => null);
  if (!answer?.ok) {
    toast(content?.error?.message ?? words.offline, { level: "warning" });
    return;
  }
  form.elements.text.value = "";
  draw(content);
}

if (place) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  updates.addEventListener("chat", ({ detail }) => draw(detail));
  updates.addEventListener("back", fetchNews);
  document.addEventListener("portal:help-drawn", follow);
  if (panel) {
    new MutationObserver(() => panel.hidden || countUnread(0)).observe(panel, { attributeFilter: ["hidden"] });
  }
  follow();
  list.scrollTop = list.scrollHeight;
}
