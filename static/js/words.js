// What the server has for scripts (machines/browser_script.py): sentences in the reader's language, and, on pages that
// draw machines, the table of operations.

export { csrfToken } from "./csrf.js";

const brought = globalThis.kvmportal ?? {};

export const words = brought.words ?? {};
export const table = document.getElementById("operation-table") ? brought.table : null;
export const me = document.body.dataset.user ?? "";

/** Fill Python's %(name)s in a sentence. The result is text, never markup. */
export function say(sentence, values = {}) {
  return sentence.replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Write a number of bytes as the template filter `size` does. */
export function size(bytes) {
  if (!bytes) return "0 B";
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 5);
  const number = bytes / 1024 ** power;
  return `${number >= 10 || Number.isInteger(number) ? Math.round(number) : number.toFixed(1)} ${UNITS[power]}`;
}

/** Write how long something took, in seconds, as the template filter `took` does. */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}
