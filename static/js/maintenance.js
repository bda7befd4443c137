// The banner of what administrators announce to everybody. Each notice begins and ends by its own times, without a word
// from the server; a changed one comes by the socket.
//
// Tells the document: portal:maintenance, when what may be begun has changed.

import { serverNow } from "./times.js";
import { updates } from "./updates.js";

const LONGEST_MS = 3_600_000; // a laptop's sleep stretches timers

const banner = document.querySelector("[data-maintenance]");
let notices = [];
let closed = "";
let timer = 0;

/** Why nothing new may begin now, for all but administrators; empty when it may. */
export const closedNow = () => closed;

function take(told) {
  updates.notices = told.version;
  notices = told.notices.map((notice) => ({
    ...notice,
    from: Date.parse(notice.begins_at),
    until: notice.ends_at ? Date.parse(notice.ends_at) : Number.POSITIVE_INFINITY,
  }));
  draw();
}

function draw() {
  clearTimeout(timer);
  const now = serverNow();
  const present = notices.filter(({ from, until }) => from <= now && now < until);
  const lines = present.map(({ text, closes }) => line(text, closes));
  if (banner.textContent !== lines.map((one) => one.textContent).join("")) banner.replaceChildren(...lines);
  banner.hidden = !lines.length;
  const closing = present.filter(({ closes }) => closes).sort((one, other) => other.until - one.until);
  const sentence = closing[0]?.sentence ?? "";
  if (sentence !== closed) {
    closed = sentence;
    document.dispatchEvent(new CustomEvent("portal:maintenance"));
  }
  const next = Math.min(...notices.flatMap(({ from, until }) => [from, until]).filter((moment) => moment > now));
  if (Number.isFinite(next)) timer = setTimeout(draw, Math.min(next - now + 20, LONGEST_MS));
}

function line(text, closes) {
  const paragraph = document.createElement("p");
  paragraph.dataset.closes = Number(closes);
  paragraph.textContent = text;
  return paragraph;
}

if (banner) {
  banner.role = "status"; // what comes is read out; what was there is read with the page
  const told = document.getElementById("maintenance")?.textContent;
  take(told ? JSON.parse(told) : { version: "", notices: [] });
  updates.addEventListener("maintenance", ({ detail }) => take(detail));
  document.addEventListener("visibilitychange", () => document.hidden || draw());
}
