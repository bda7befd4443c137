// What this browser remembers of the console: where storage is refused, only as long as the page lives.

const PREFIX = "console:";
const meanwhile = new Map();

export function recall(key, otherwise = null) {
  if (meanwhile.has(key)) return meanwhile.get(key);
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(key, value) {
  meanwhile.set(key, value);
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // full or refused: remembered until the page is left
  }
}
