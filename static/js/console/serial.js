// A serial console by xterm.js, over one WebSocket of raw bytes.
//
// The proxy sends what was said before first, and a mark behind it. The terminal answers questions of the machine (where
// is the cursor?) by itself; those from before the mark were answered long ago, and get none.

import { FitAddon } from "../../vendor/xterm/fit/addon-fit.mjs";
import { Terminal } from "../../vendor/xterm/lib/xterm.mjs";
import { adoptStyles } from "./adopted_styles.js";
import { probeProxy } from "./round_trip.js";
import { Screen } from "./screen.js";
import { bytesOf, withModifiers } from "./terminal_keys.js";
import { pictureOf, THEME } from "./terminal_picture.js";
import { NoScreen } from "./tickets.js";

const MARK = 5379; // consoles/proxy/shared_console.py: LIVE
const CLIPBOARD = 52;
const LINES_KEPT = 10_000;
const FONT = 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace';
const FONT_SIZE = 14;
const SMALLEST = 6;
const LEAST_COLUMNS = 80; // what a machine takes its terminal for until it is told otherwise
const USUAL = { cols: 80, rows: 25 };
const MODIFIERS = { Control: "control", Alt: "alt", Shift: "shift" };

adoptStyles();

export default class SerialScreen extends Screen {
  static protocol = "serial";

  can = new Set(["text", "scale", "clipboard", "picture", "figures", "size", "answers"]);
  answersFrom = "proxy"; // a serial line has nothing that answers
  #terminal = null;
  #fit = new FitAddon();
  #socket = null;
  #resized = null;
  #replaying = true;
  #held = { control: false, alt: false, shift: false };
  #figures = { bytes: 0, frames: 0 };

  async connect({ url, tickets }) {
    this.#draw();
    const socket = new WebSocket(url, ["binary", `ticket.${tickets[0]}`]);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("close", ({ code }) => this.end(new NoScreen({ code })));
    socket.addEventListener("message", ({ data }) => {
      if (typeof data !== "string") this.#show(new Uint8Array(data));
    });
    this.#socket = socket;
  }

  focus() {
    this.#terminal?.focus();
  }

  press(code, down) {
    const modifier = MODIFIERS[code.replace(/(Left|Right)$/, "")];
    if (modifier) this.#held[modifier] = down;
    else if (down) this.#send(bytesOf(code, this.#held));
  }

  write(text) {
    this.#send(this.#modified(text));
  }

  paste(text) {
    if (this.mode === "control") this.#terminal?.paste(text);
  }

  /** Type the command that tells a shell how large its terminal is: a serial line has no other way. */
  tellSize() {
    const { rows, cols } = this.#terminal;
    this.#send(`stty rows ${rows} cols ${cols}\r`);
    this.focus();
  }

  scale(scaling) {
    super.scale(scaling);
    this.#resize();
  }

  async picture() {
    return this.#terminal && pictureOf(this.#terminal);
  }

  figures() {
    return this.#figures;
  }

  async roundTrip(limit) {
    return probeProxy(this.#socket, limit);
  }

  setMode(mode) {
    super.setMode(mode);
    this.#obeyMode();
  }

  release() {
    this.#resized?.disconnect();
    this.#socket?.close();
    this.#terminal?.dispose();
    delete this.place.dataset.scrolls;
  }

  #draw() {
    const terminal = new Terminal({
      theme: THEME,
      fontFamily: FONT,
      fontSize: FONT_SIZE,
      scrollback: LINES_KEPT,
      minimumContrastRatio: 4.5,
      ...USUAL,
    });
    this.#terminal = terminal;
    terminal.loadAddon(this.#fit);
    terminal.open(this.place);
    terminal.attachCustomKeyEventHandler((event) => this.#isTheTerminals(event));
    terminal.onData((data) => this.#typed(data));
    terminal.onBinary((data) => this.#sendBytes(Uint8Array.from(data, (letter) => letter.charCodeAt(0))));
    terminal.onRender(() => {
      this.#figures.frames += 1;
    });
    terminal.parser.registerOscHandler(MARK, () => {
      this.#replaying = false;
      return true;
    });
    terminal.parser.registerOscHandler(CLIPBOARD, (data) => this.#copied(data));
    this.#obeyMode();
    this.#resize();
    this.#resized = new ResizeObserver(() => this.#resize());
    this.#resized.observe(this.place);
  }

  #show(bytes) {
    this.#figures.bytes += bytes.length;
    this.#terminal.write(bytes);
    this.opened();
  }

  #typed(data) {
    if (!this.#replaying) this.#send(this.#modified(data));
  }

  /** Modifiers of the key row go with the next character, whichever keyboard it comes from. */
  #modified(text) {
    return text.length === 1 ? withModifiers(text, this.#held) : text;
  }

  #send(text) {
    this.#sendBytes(new TextEncoder().encode(text));
  }

  #sendBytes(bytes) {
    if (bytes.length && this.mode === "control" && this.#socket?.readyState === WebSocket.OPEN)
      this.#socket.send(bytes);
  }

  /** Ctrl-C copies what is selected, and interrupts when nothing is; Ctrl-Shift-C copies, Ctrl-Shift-V pastes. */
  #isTheTerminals(event) {
    if (event.type !== "keydown" || !event.ctrlKey || event.altKey || event.metaKey) return true;
    if (event.code === "KeyV" && event.shiftKey) return false; // the browser pastes
    if (event.code !== "KeyC" || !(event.shiftKey || this.#terminal.hasSelection())) return true;
    event.preventDefault();
    this.#copySelection();
    return false;
  }

  async #copySelection() {
    const text = this.#terminal.getSelection();
    if (!text) return;
    if (navigator.clipboard) await navigator.clipboard.writeText(text).catch(() => {});
    else document.execCommand("copy");
    this.#terminal.clearSelection();
  }

  /** A program in the machine copies text (OSC 52); it never gets to read what is on this side. */
  #copied(data) {
    const encoded = data.slice(data.indexOf(";") + 1);
    if (this.#replaying || encoded === "?") return true;
    try {
      const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
      const text = new TextDecoder().decode(bytes);
      this.dispatchEvent(new CustomEvent("clipboard", { detail: { text } }));
    } catch {
      // no base64: nothing was copied
    }
    return true;
  }

  #obeyMode() {
    if (!this.#terminal) return;
    const looksOn = this.mode === "view";
    Object.assign(this.#terminal.options, {
      disableStdin: looksOn,
      cursorBlink: !looksOn,
      cursorStyle: looksOn ? "underline" : "block",
      cursorInactiveStyle: looksOn ? "none" : "outline",
    });
  }

  /** Fill the place with text that is as large as can be with 80 columns in a line; or 80 by 25 as they are. */
  #resize() {
    const terminal = this.#terminal;
    if (!terminal || !this.place.clientWidth) return;
    const fits = this.scaling === "fit";
    this.place.toggleAttribute("data-scrolls", !fits);
    terminal.options.fontSize = FONT_SIZE;
    if (!fits) return terminal.resize(USUAL.cols, USUAL.rows);
    let size = this.#fit.proposeDimensions();
    for (let font = FONT_SIZE - 1; size && size.cols < LEAST_COLUMNS && font >= SMALLEST; font -= 1) {
      terminal.options.fontSize = font;
      size = this.#fit.proposeDimensions();
    }
    if (size) terminal.resize(Math.max(size.cols, LEAST_COLUMNS), size.rows);
  }
}
