// A VNC display by noVNC, over one WebSocket.

import RFB from "../../vendor/novnc/core/rfb.js";
import { keysymOf } from "./keysyms.js";
import { roundTrip } from "./round_trip.js";
import { Screen } from "./screen.js";
import { NoScreen } from "./tickets.js";
import "./vnc_clipboard.js";

// FramebufferUpdateRequest for one pixel, not incremental. QEMU answers it at once with the size of the screen.
const ASK = new Uint8Array([3, 0, 0, 0, 0, 0, 0, 1, 0, 1]);

export default class VncScreen extends Screen {
  static protocol = "vnc";

  can = new Set(["keys", "scale", "quality", "clipboard", "picture", "figures", "answers"]);
  #rfb = null;
  #socket = null;
  #bytes = 0;
  #frames = 0;
  #dragging = false;

  async connect({ url, tickets }) {
    const socket = new WebSocket(url, ["binary", `ticket.${tickets[0]}`]);
    this.#socket = socket;
    this.#count(socket);
    socket.addEventListener("close", ({ code }) => this.end(new NoScreen({ code })));
    const rfb = new RFB(this.place, socket, { shared: true });
    this.#rfb = rfb;
    rfb.background = "transparent";
    this.#obeyMode();
    if (this.wanted) this.quality(this.wanted);
    rfb.addEventListener("connect", () => this.opened());
    rfb.addEventListener("clipboard", ({ detail }) => {
      this.dispatchEvent(new CustomEvent("clipboard", { detail: { text: detail.text } }));
    });
    rfb.addEventListener("disconnect", () => {
      setTimeout(() => this.end(new NoScreen({ code: 1006 }))); // the socket's close code comes first
    });
  }

  focus() {
    this.#rfb?.focus({ preventScroll: true });
  }

  press(code, down, keysym = 0) {
    this.#rfb?.sendKey(keysym || keysymOf(code), code, down);
  }

  /** noVNC keeps the guest's lamp to itself. */
  get capsLock() {
    return this.#rfb?._remoteCapsLock ?? null;
  }

  paste(text) {
    this.#rfb?.clipboardPasteFrom(text);
  }

  /** In its native size it scrolls; under fingers, which belong to the machine, it is dragged (`drag`, or looking on). */
  scale(scaling) {
    super.scale(scaling);
    if (!this.#rfb) return;
    const clips = scaling !== "fit" && matchMedia("(pointer: coarse)").matches;
    this.#rfb.scaleViewport = scaling === "fit";
    this.#rfb.clipViewport = clips;
    this.#rfb.dragViewport = clips && (this.#dragging || this.mode === "view");
  }

  drag(wanted) {
    this.#dragging = wanted;
    this.scale(this.scaling);
  }

  quality(wanted) {
    super.quality(wanted);
    if (!this.#rfb) return;
    this.#rfb.qualityLevel = wanted.quality;
    this.#rfb.compressionLevel = wanted.compression;
  }

  picture() {
    return new Promise((resolve) => this.#rfb.toBlob(resolve, "image/png"));
  }

  figures() {
    return { bytes: this.#bytes, frames: this.#frames };
  }

  async roundTrip(limit) {
    return roundTrip(this.#socket, limit, () => {
      this.#frames -= 1; // the answer is not a frame
      this.#socket.send(ASK);
    });
  }

  setMode(mode) {
    super.setMode(mode);
    this.#obeyMode();
  }

  release() {
    try {
      this.#rfb?.disconnect();
    } catch {
      // noVNC had not begun
    }
    this.#socket?.close();
  }

  #obeyMode() {
    if (!this.#rfb) return;
    this.#rfb.viewOnly = this.mode === "view";
    this.#rfb.showDotCursor = this.mode === "control";
    this.scale(this.scaling);
  }

  /** noVNC asks for the next frame when it has drawn one. */
  #count(socket) {
    socket.addEventListener("message", ({ data }) => {
      this.#bytes += data.byteLength;
    });
    const send = socket.send.bind(socket);
    socket.send = (data) => {
      if (data[0] === ASK[0] && data !== ASK) this.#frames += 1;
      send(data);
    };
  }
}
