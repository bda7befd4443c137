// One connection to a machine's screen, of whatever protocol. It ends once; page.js makes the next one.

import { NoScreen } from "./tickets.js";

const OPENING_MS = 15_000;

/**
 * Subclasses say what they can do in `can`, connect in `connect(granted)`, call `opened()` at the first picture and
 * `end(error)` when it is over, and let go of everything in `release()`.
 * Events: "picture" (once), "mode", and "clipboard" with detail {text}: what the guest copied.
 */
export class Screen extends EventTarget {
  static protocol = "";

  /** Words for what a subclass can do: keys, text, scale, quality, clipboard, picture, figures, answers, sound, size. */
  can = new Set();

  /** Who answers `roundTrip`: the machine's display, or only the console proxy before it. */
  answersFrom = "display";
  session = null;
  recorded = false;
  #over = false;
  #giveUp = 0;
  #ended;

  /** Settles when it is over: always rejected, with a NoScreen. */
  ended = new Promise((_, reject) => {
    this.#ended = reject;
  });

  /**
   * place: the element to draw in; tickets: the promise of `ticketsFor`; mode: what was asked for, control or view;
   * scaling: "fit" or "native"; wanted: {quality, compression} from 0 to 9.
   */
  constructor(place, { tickets, mode, scaling = "fit", wanted = null }) {
    super();
    this.ended.catch(() => {});
    Object.assign(this, { place, mode, scaling, wanted });
    // A subclass has its own fields only after this constructor.
    queueMicrotask(() => this.#open(tickets).catch((error) => this.end(error)));
  }

  get alive() {
    return !this.#over;
  }

  focus() {}

  /** Press a key or let it go; `code` as in KeyboardEvent.code, `keysym` X's number of what it types, if known. */
  press(_code, _down, _keysym = 0) {}

  /** Whether Caps Lock is on in the guest; null when the display does not tell. */
  get capsLock() {
    return null;
  }

  /** Send text as such, where there is a line for it. */
  write(_text) {}

  /** Give the guest text for its clipboard. */
  paste(_text) {}

  /** Fit the picture into its place ("fit"), or show each dot of it ("native"). */
  scale(scaling) {
    this.scaling = scaling;
  }

  /** Under fingers: whether dragging moves the picture instead of the machine's pointer. */
  drag(_wanted) {}

  quality(wanted) {
    this.wanted = wanted;
  }

  /** The picture as it is now: a PNG. */
  async picture() {
    return null;
  }

  /** Since it was opened: bytes received and frames drawn. */
  figures() {
    return { bytes: 0, frames: 0 };
  }

  /** Ask who answers (`answersFrom`) for an answer: milliseconds until it was there, or null when there was none within the limit. */
  async roundTrip(_limit) {
    return null;
  }

  /** What the portal allows it from now on; the proxy enforces it by itself. */
  setMode(mode) {
    if (mode === this.mode) return;
    this.mode = mode;
    this.dispatchEvent(new Event("mode"));
  }

  close() {
    this.end(new NoScreen({ code: 1000 }));
  }

  /* For subclasses */

  async connect(_granted) {}

  release() {}

  opened() {
    clearTimeout(this.#giveUp);
    if (this.alive) this.dispatchEvent(new Event("picture"));
  }

  end(error) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#giveUp);
    try {
      this.release();
    } finally {
      this.#ended(error instanceof NoScreen ? error : new NoScreen({ code: 1006, sentence: String(error) }));
    }
  }

  async #open(tickets) {
    const granted = await tickets;
    if (this.#over) return;
    this.#giveUp = setTimeout(() => this.end(new NoScreen({ code: 1006 })), OPENING_MS);
    this.session = granted.session;
    this.recorded = Boolean(granted.recorded);
    this.setMode(granted.mode ?? this.mode);
    await this.connect(granted);
  }
}
