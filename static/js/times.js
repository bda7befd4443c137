// Keeps relative times true, in the same words as the server's (`ago` in machines/templatetags/portal.py).

import { say, words } from "./words.js";

const DAY = 86400;
const HOUR = 3600;
const MINUTE = 60;
const REFRESH_MS = 15_000;

// A browser whose clock is wrong still counts from the server's.
const ahead = Date.now() - Date.parse(document.querySelector("meta[name=server-time]")?.content ?? new Date());

/** The time by the server's clock, in milliseconds. */
export const serverNow = () => Date.now() - ahead;

export function ago(when) {
  const seconds = (serverNow() - Date.parse(when)) / 1000;
  if (seconds >= DAY) return say(words.time.day, { n: Math.floor(seconds / DAY) });
  if (seconds >= HOUR) return say(words.time.hour, { n: Math.floor(seconds / HOUR) });
  if (seconds >= MINUTE) return say(words.time.minute, { n: Math.floor(seconds / MINUTE) });
  return words.time.now;
}

const exact = new Intl.DateTimeFormat(document.documentElement.lang || undefined, {
  dateStyle: "medium",
  timeStyle: "long",
});

/** Make a <time> that says exactly when, as logs do. */
export function momentElement(when) {
  const element = document.createElement("time");
  element.dateTime = when;
  element.dataset.exact = "";
  element.textContent = exact.format(new Date(when));
  return element;
}

/** Make a <time> that stays true; the exact time, in the reader's zone, is on hover. */
export function timeElement(when) {
  const element = document.createElement("time");
  element.dateTime = when;
  element.title = exact.format(new Date(when));
  element.textContent = ago(when);
  return element;
}

export function refreshTimes(root = document) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const text = "exact" in element.dataset ? exact.format(new Date(element.dateTime)) : ago(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = exact.format(new Date(element.dateTime));
  }
}

if (words.time) {
  refreshTimes();
  setInterval(refreshTimes, REFRESH_MS);
  document.addEventListener("visibilitychange", () => document.hidden || refreshTimes());
  document.addEventListener("portal:list-changed", () => refreshTimes());
}
