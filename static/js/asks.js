// Asks for rights and for room in quotas, live on every page: whoever can grant one answers with a click. Who asked gets a
// notice (notices.js). Pages of requests for machines are drawn again here, too.

import { post } from "./ask.js";
import { toast } from "./toasts.js";
import { updates } from "./updates.js";
import { me, say, words } from "./words.js";

const HOUR = 3600; // seconds
const LATER_MS = 300;

const shown = new Map(); // id -> the notice that asks
let timer = 0;

async function answer(ask, body) {
  try {
    await post(`/api/v1/asks/${ask.id}/answer`, body);
  } catch (error) {
    toast(error.message, { level: "error" });
  }
}

const wish = (ask) => {
  const values = { name: ask.asked_by, machine: ask.machine_name };
  if (!ask.quota) return say(words.asked, { ...values, role: words.roles[ask.role] });
  const { resource, whose } = ask.quota;
  return say(words.asked_room, { ...values, whose, resource: words.resources[resource], wanted: ask.wanted_words });
};

function askMe(ask) {
  const text = [wish(ask), ask.note && `“${ask.note}”`].filter(Boolean).join("\n");
  const yes = ask.quota
    ? { text: say(words.raise_to, { wanted: ask.wanted_words }), press: () => answer(ask, { grant: true }) }
    : { text: words.grant_hour, press: () => answer(ask, { grant: true, for_seconds: HOUR }) };
  const buttons = [yes, { text: words.decline, press: () => answer(ask, { grant: false }) }];
  const link = { href: ask.quota ? "/asks/" : `/machines/${ask.machine}/access/`, text: words.details };
  const notice = toast(text, { link, buttons });
  notice.dataset.askOf = ask.id;
  shown.set(ask.id, notice);
}

/** The page of asks is drawn again by the server. */
async function refresh() {
  const page = document.querySelector("[data-asks-page]");
  const response = await fetch(location.href).catch(() => null);
  if (!page || !response?.ok) return;
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-asks-page]");
  if (fresh) page.replaceChildren(...document.adoptNode(fresh).childNodes);
}

function later() {
  if (!document.querySelector("[data-asks-page]")) return;
  clearTimeout(timer);
  timer = setTimeout(refresh, LATER_MS);
}

updates.addEventListener("ask", ({ detail: ask }) => {
  shown.get(ask.id)?.remove();
  shown.delete(ask.id);
  if (ask.asked_by !== me && ask.status === "open") askMe(ask);
  later();
});
updates.addEventListener("requests", later);
