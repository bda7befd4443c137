// One connection to a machine's screen: a ticket, a WebSocket, noVNC. It ends once; console.js makes the next one.

import RFB from "../vendor/novnc/core/rfb.js";
import { csrfToken } from "./words.js";

const OPENING_MS = 15_000;

/** Why there is no picture: `code` is the proxy's close code, or 0 with the API's `status` and error `word`. */
export class NoScreen extends Error {
  constructor({ code = 0, status = 0, word = "" }) {
    super(word || `${code || status}`);
    Object.assign(this, { code, status, word });
  }
}

export class Screen {
  #rfb = null;
  #socket = null;
  #over = false;
  #ended;

  /** Settles when it is over: always rejected, with a NoScreen. */
  ended = new Promise((_, reject) => {
    this.#ended = reject;
  });

  constructor(place, { machine, mode, scaled, onPicture }) {
    this.ended.catch(() => {});
    this.mode = mode;
    this.#open(place, machine, scaled, onPicture).catch((error) => this.#end(error));
  }

  get alive() {
    return !this.#over;
  }

  sendCtrlAltDel() {
    this.#rfb?.sendCtrlAltDel();
    this.focus();
  }

  focus() {
    this.#rfb?.focus({ preventScroll: true });
  }

  scale(scaled) {
    if (!this.#rfb) return;
    this.#rfb.scaleViewport = scaled;
    this.#rfb.clipViewport = !scaled;
    this.#rfb.dragViewport = !scaled && this.mode === "view";
  }

  close() {
    this.#end(new NoScreen({ code: 1000 }));
  }

  async #open(place, machine, scaled, onPicture) {
    const { url, tickets } = await ticketsFor(machine, this.mode);
    if (this.#over) return;
    const socket = new WebSocket(url, ["binary", `ticket.${tickets[0]}`]);
    const giveUp = setTimeout(() => this.#end(new NoScreen({ code: 1006 })), OPENING_MS);
    socket.addEventListener("close", ({ code }) => this.#end(new NoScreen({ code })));
    this.#socket = socket;
    this.#rfb = new RFB(place, socket, { shared: true });
    this.#rfb.viewOnly = this.mode === "view";
    this.#rfb.background = "transparent";
    this.#rfb.showDotCursor = this.mode === "control";
    this.scale(scaled);
    this.#rfb.addEventListener("connect", () => {
      clearTimeout(giveUp);
      onPicture(this);
    });
    this.#rfb.addEventListener("disconnect", () => {
      clearTimeout(giveUp);
      setTimeout(() => this.#end(new NoScreen({ code: 1006 }))); // the socket's close code comes first
    });
  }

  #end(error) {
    if (this.#over) return;
    this.#over = true;
    try {
      this.#rfb?.disconnect();
    } catch {
      // noVNC had not begun
    }
    this.#socket?.close();
    this.#ended(error instanceof NoScreen ? error : new NoScreen({ code: 1006 }));
  }
}

async function ticketsFor(machine, mode) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const body = JSON.stringify({ protocol: "vnc", mode });
  const answer = await fetch(`/api/v1/machines/${machine}/console-tickets`, { method: "POST", headers, body });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new NoScreen({ status: answer.status, word: content.error?.code ?? "" });
  return content;
}
