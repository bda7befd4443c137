// Types a text into a Screen at a steady pace, and can be stopped after any character: between the keys of one, a dead
// key would stay behind in the guest. It sees no page.

import { MODIFIERS } from "./layouts.js";

/** A key is held for this long: shorter than any guest's repeat, and QEMU hands on an event each 10 ms. */
const HOLD_MS = 12;
/** How long a guest's Caps Lock may take to be off. */
const CAPS_MS = 1000;

/**
 * Type `characters` (an array, one character each) from number `from` on. `strokes` says how, as strokesOf returns it;
 * without it they are written as they are, as to a serial line. `rate`: characters in a second. `signal` stops it;
 * its reason is the answer's. Returns {typed: the number of the first character that was not typed, why: "done" or
 * the signal's reason, or "gone" with the screen}. However it ends, no key is left down.
 */
export async function type(characters, { screen, strokes = null, rate, from = 0, signal, onTyped = () => {} }) {
  const hands = strokes ? new Hands(screen, strokes) : new Line(screen);
  let typed = from;
  let due = performance.now();
  hands.rest();
  try {
    await hands.free(signal);
    while (typed < characters.length) {
      signal.throwIfAborted();
      due = Math.max(due + 1000 / rate, performance.now());
      await hands.type(characters[typed]);
      if (!screen.alive) break;
      typed += 1;
      onTyped(typed);
      await pause(due - performance.now(), signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    return { typed, why: signal.reason };
  } finally {
    hands.rest();
  }
  return { typed, why: typed < characters.length ? "gone" : "done" };
}

/** Presses keys. Modifiers stay down from one character to the next that needs the same. */
class Hands {
  #down = new Set();
  #bare = false;

  constructor(screen, strokes) {
    Object.assign(this, { screen, strokes });
  }

  async type(character) {
    for (const stroke of this.strokes.get(character)) {
      await this.#hold(stroke.modifiers);
      this.#press(stroke.code, true, stroke.keysym);
      await pause(HOLD_MS);
      this.#press(stroke.code, false, stroke.keysym);
      if (this.strokes.get(character).length > 1) await pause(HOLD_MS);
    }
  }

  /**
   * Turn Caps Lock off. Where the guest's lamp is seen, keysyms are kept back: by them QEMU turns Caps Lock itself, from
   * what it remembers of keys instead of from the lamp.
   */
  async free(signal) {
    this.#bare = typeof this.screen.capsLock === "boolean";
    if (!this.screen.capsLock) return;
    this.#press("CapsLock", true);
    await pause(HOLD_MS);
    this.#press("CapsLock", false);
    const late = performance.now() + CAPS_MS;
    while (this.screen.capsLock && performance.now() < late) await pause(HOLD_MS, signal);
  }

  /** Let go of everything, also of modifiers that someone else left down. */
  rest() {
    for (const code of [...this.#down, ...OTHERS]) this.#press(code, false);
  }

  async #hold(modifiers) {
    for (const code of MODIFIERS) {
      const wanted = modifiers.includes(code);
      if (wanted === this.#down.has(code)) continue;
      this.#press(code, wanted);
      await pause(HOLD_MS);
    }
  }

  #press(code, down, keysym = KEYSYMS[code]) {
    if (down) this.#down.add(code);
    else this.#down.delete(code);
    if (this.screen.alive) this.screen.press(code, down, this.#bare ? 0 : keysym);
  }
}

const KEYSYMS = {
  ShiftLeft: 0xffe1,
  ShiftRight: 0xffe2,
  ControlLeft: 0xffe3,
  ControlRight: 0xffe4,
  AltLeft: 0xffe9,
  AltRight: 0xfe03,
  MetaLeft: 0xffeb,
  MetaRight: 0xffec,
};
const OTHERS = Object.keys(KEYSYMS);

/** Writes to a serial line. */
class Line {
  constructor(screen) {
    this.screen = screen;
  }

  type(character) {
    this.screen.write(character === "\n" ? "\r" : character);
  }

  free() {}

  rest() {}
}

/** Wait, but not longer than the signal lets it; then it rejects. */
function pause(milliseconds, signal = null) {
  return new Promise((resolve, reject) => {
    const stopped = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stopped);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stopped, { once: true });
    if (signal?.aborted) stopped();
  });
}
