// The bell in the header: how many notices are unread, the last ten in its menu, a toast for what is news. Also keeps
// the page of notices up to date. The socket only says that there is something; what, the API tells in the reader's
// language. No page counts them as it is made: the bell shows what it knew on the page before, and looks.

import { timeElement } from "./times.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { csrfToken, me, say, words } from "./words.js";

const SHOWN = 10;
const TOASTS_AT_ONCE = 3;
const GATHER_MS = 150; // many at once are one look,
const PAUSE_MS = 500; // or few

const bell = document.querySelector("[data-notices]");
const count = bell?.querySelector("[data-unread-count]");
const all = bell?.querySelector("[data-notices-all]");
const KNOWN = `notices-unread:${me}`;
const OPENED = `tab-opened:${me}`;
const SEEN = `notices-seen:${me}`;
const SEEN_AT_MOST = 500;
const opened = whenOpened();
let newest = 0;
let looking = false;
let again = false;

/** When this tab showed its first page, by the server's clock. */
function whenOpened() {
  const drawn = document.querySelector("meta[name=server-time]")?.content ?? new Date().toISOString();
  const known = sessionStorage.getItem(OPENED) ?? drawn;
  sessionStorage.setItem(OPENED, known);
  return Date.parse(known);
}

async function look() {
  again = looking;
  if (looking) return;
  looking = true;
  await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
  again = false;
  try {
    const answer = await fetch(`/api/v1/notices?limit=${SHOWN}`);
    if (answer.ok) draw(await answer.json());
  } catch {
    again = false; // the socket comes back with the portal, and then it is looked again
  }
  setTimeout(() => {
    looking = false;
    if (again) look();
  }, PAUSE_MS);
}

function draw({ items, unread }) {
  drawCount(unread);
  newest = items[0]?.id ?? 0;
  all.hidden = !unread;
  bell.querySelector("[data-notices-empty]").hidden = items.length > 0;
  bell.querySelector("[data-notices-list]").replaceChildren(...items.map(line));
  tellNews(items);
  const page = document.querySelector("[data-notices-first]");
  if (page && Number(page.querySelector("[data-notice]")?.dataset.notice ?? 0) !== newest) refreshPage();
}

function drawCount(unread) {
  sessionStorage.setItem(KNOWN, unread);
  count.textContent = unread;
  count.hidden = !unread;
  bell.querySelector("summary").setAttribute("aria-label", say(words.notices, { n: unread }));
}

function line(item) {
  const link = document.createElement("a");
  link.className = "menu-item bell-line";
  link.href = item.url || "/notices/";
  link.dataset.notice = item.id;
  link.dataset.level = item.level;
  if (!item.read_at) link.dataset.unread = "";
  const text = document.createElement("span");
  text.textContent = item.text;
  link.append(text, timeElement(item.created_at));
  const entry = document.createElement("li");
  entry.append(link);
  return entry;
}

/** Told elsewhere: one's own operations by the page that asked for them, asks for a right by asks.js, with buttons. */
const toldElsewhere = (item) => item.own || item.kind === "right_asked";

/** Toast what came since this tab was opened: on this page, or while a page was left and the next one loaded. */
function tellNews(items) {
  const seen = JSON.parse(sessionStorage.getItem(SEEN) ?? "[]");
  const isNew = ({ id, created_at }) => Date.parse(created_at) > opened && !seen.includes(id);
  const fresh = items.filter(isNew);
  sessionStorage.setItem(SEEN, JSON.stringify([...fresh.map(({ id }) => id), ...seen].slice(0, SEEN_AT_MOST)));
  const news = fresh.filter((item) => !item.read_at && !toldElsewhere(item));
  if (news.length > TOASTS_AT_ONCE) {
    const link = { href: "/notices/", text: words.show_notices };
    toast(say(words.new_notices, { n: news.length }), { link });
    return;
  }
  for (const item of news.reverse()) {
    const link = item.url ? { href: item.url, text: words.details } : null;
    toast(item.text, { level: item.level, link });
  }
}

async function markRead(body) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const options = { method: "POST", headers, body: JSON.stringify(body), keepalive: true };
  const answer = await fetch("/api/v1/notices/read", options).catch(() => null);
  if (answer?.ok) look();
}

/** Draw the page of notices again, where it shows the newest. */
async function refreshPage() {
  if (!document.querySelector("[data-notices-first]")) return;
  const answer = await fetch(location.href).catch(() => null);
  if (!answer?.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-notices-page]");
  const place = document.querySelector("[data-notices-page]");
  if (!page || !place) return;
  place.replaceWith(page);
  document.dispatchEvent(new Event("portal:list-changed"));
}

if (bell) {
  drawCount(Number(sessionStorage.getItem(KNOWN) ?? 0));
  const hear = () => {
    look();
    refreshPage();
  };
  updates.addEventListener("notices", hear);
  // Once the socket has joined, also after a loss, it is looked what came before that. It has when it tells of rights.
  let missed = true;
  updates.addEventListener("back", () => {
    missed = true;
  });
  updates.addEventListener("rights", () => {
    if (missed) look();
    missed = false;
  });
  // What is about a machine that is seen no more goes, too.
  updates.addEventListener("listing", ({ detail }) => detail === "machines" && hear());
  bell.addEventListener("toggle", () => bell.open && look());
  all.addEventListener("click", () => markRead({ up_to: newest }));
  document.addEventListener("click", ({ target }) => {
    const link = target.closest?.("a")?.closest("[data-notice][data-unread]");
    if (link) markRead({ ids: [Number(link.dataset.notice)] });
  });
}
