// A SPICE display by spice-html5: picture, pointer, keys, sound, the agent's clipboard and the screen's size.

import { Screen } from "./screen.js";
import { NoScreen } from "./tickets.js";
import { SpiceAgent } from "./spice_agent.js";
import { SpiceHands } from "./spice_hands.js";
import { AREA, SpiceLink } from "./spice_link.js";

const SETTLE_MS = 300; // a window that is being dragged is asked for once

export default class SpiceScreen extends Screen {
  static protocol = "spice";

  can = new Set(["scale", "picture", "figures", "answers"]);
  /** none, playing, blocked (the browser waits for somebody to do something) or muted */
  sound = "none";
  #link = null;
  #agent = null;
  #hands = null;
  #area = null;
  #canvas = null;
  #audio = null;
  #muted = false;
  #hadFocus = false;
  #frames = 0;
  #drawn = false;
  #asked = 0;
  #watcher = new ResizeObserver(() => this.#fit());

  async connect(granted) {
    if (!granted.channels?.main) throw new NoScreen({ code: 1006, sentence: "no tickets for channels" });
    this.#area = document.createElement("div");
    this.#area.id = AREA;
    this.place.append(this.#area);
    this.#watcher.observe(this.place);
    const link = new SpiceLink();
    this.#link = link;
    this.#hands = new SpiceHands(link);
    this.#agent = new SpiceAgent(link);
    this.#agent.onready = () => this.#greeted();
    this.#agent.onclipboard = (text) => this.dispatchEvent(new CustomEvent("clipboard", { detail: { text } }));
    link.onend = (code) => this.end(new NoScreen({ code }));
    link.onsurface = (canvas) => this.#show(canvas);
    link.ondraw = () => this.#count();
    link.onaudio = (audio) => this.#play(audio);
    link.onchannel = (name) => this.#opened(name);
    link.open(granted);
  }

  focus() {
    this.#canvas?.focus({ preventScroll: true });
  }

  press(code, down) {
    if (this.mode === "control") this.#hands?.press(code, down);
  }

  paste(text) {
    this.#agent?.offer(text);
  }

  scale(scaling) {
    super.scale(scaling);
    this.#fit();
  }

  picture() {
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/png"));
  }

  figures() {
    return { bytes: this.#link?.bytes ?? 0, frames: this.#frames };
  }

  async roundTrip(limit) {
    return this.#link?.roundTrip(limit) ?? null;
  }

  setMode(mode) {
    super.setMode(mode);
    this.#hands?.hold(mode === "control" ? this.#canvas : null);
  }

  /** Let the sound be heard, or not. */
  hear(wanted) {
    this.#muted = !wanted;
    this.#play(this.#audio);
  }

  release() {
    this.#watcher.disconnect();
    clearTimeout(this.#asked);
    this.#hands?.hold(null);
    this.#link?.close();
    this.#area?.remove();
  }

  #opened(name) {
    if (name === "inputs") this.can.add("keys");
    if (name === "playback") this.can.add("sound");
  }

  /** A guest that changes its resolution makes a new canvas; whoever typed into the old one goes on. */
  #show(canvas) {
    if (!canvas) {
      this.#hadFocus = document.activeElement === this.#canvas;
      this.#hands.hold(null);
      this.#canvas = null;
      return;
    }
    this.#canvas = canvas;
    canvas.tabIndex = -1;
    if (this.mode === "control") this.#hands.hold(canvas);
    this.#fit();
    if (this.#hadFocus) this.focus();
    this.#hadFocus = false;
    this.opened();
  }

  #count() {
    if (this.#drawn) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      this.#frames += 1;
    });
  }

  #greeted() {
    if (this.#agent.hasClipboard) this.can.add("clipboard");
    this.dispatchEvent(new Event("can"));
    this.#ask();
  }

  /* Its size: where an agent runs, the guest is asked for that of the window; else the picture is made to fit. */

  #fit() {
    const canvas = this.#canvas;
    if (!canvas) return;
    const fits = this.scaling === "fit";
    const { clientWidth: width, clientHeight: height } = this.place;
    const by = fits ? Math.min(width / canvas.width, height / canvas.height) : 1;
    const middle = (room, size) => `${Math.max(0, (room - size * by) / 2)}px`;
    this.place.toggleAttribute("data-scrolls", !fits);
    Object.assign(this.#area.style, {
      width: `${canvas.width}px`,
      height: `${canvas.height}px`,
      left: middle(width, canvas.width),
      top: middle(height, canvas.height),
      transform: by === 1 ? "none" : `scale(${by})`,
    });
    clearTimeout(this.#asked);
    this.#asked = setTimeout(() => this.#ask(), SETTLE_MS);
  }

  #ask() {
    if (this.scaling !== "fit" || this.mode !== "control" || !this.#canvas) return;
    const { clientWidth: width, clientHeight: height } = this.place;
    if (this.#canvas.width !== (width & ~7) || this.#canvas.height !== (height & ~7)) this.#agent.resize(width, height);
  }

  /* Its sound */

  #play(audio) {
    this.#audio = audio;
    if (!audio) return this.#hears(this.#muted ? "muted" : "none");
    audio.muted = this.#muted;
    if (this.#muted) return this.#hears("muted");
    audio.addEventListener("playing", () => this.#audio === audio && !this.#muted && this.#hears("playing"));
    audio.play().catch((error) => error.name === "NotAllowedError" && this.#hears("blocked"));
  }

  #hears(state) {
    this.sound = state;
    this.dispatchEvent(new Event("sound"));
  }
}
