// The guest's SPICE agent: its clipboard, and the size that the screen should have.
//
// Messages to and from it travel in pieces over the main channel: protocol, type, 8 bytes unused, length, then the body.

import { Constants } from "../../vendor/spice/enums.js";

const HEAD = 20; // bytes
const UTF8 = 1;
const CLIPBOARD = 0; // of the selections; the others are X11's
const MOST_TEXT = 16 * 1024 * 1024; // bytes

const CAP = {
  MOUSE: Constants.VD_AGENT_CAP_MOUSE_STATE,
  MONITORS: Constants.VD_AGENT_CAP_MONITORS_CONFIG,
  REPLY: Constants.VD_AGENT_CAP_REPLY,
  CLIPBOARD: Constants.VD_AGENT_CAP_CLIPBOARD_BY_DEMAND,
  SELECTION: Constants.VD_AGENT_CAP_CLIPBOARD_SELECTION,
};
const OURS = Object.values(CAP).reduce((bits, bit) => bits | (1 << bit), 0);

/** A body of 32-bit numbers, and then bytes, as spice-html5 wants its messages. */
class Body {
  constructor(numbers, bytes = new Uint8Array()) {
    Object.assign(this, { numbers, bytes });
  }

  buffer_size() {
    return this.numbers.length * 4 + this.bytes.length;
  }

  to_buffer(buffer, at = 0) {
    const view = new DataView(buffer);
    for (const [index, number] of this.numbers.entries()) view.setUint32(at + index * 4, number, true);
    new Uint8Array(buffer).set(this.bytes, at + this.numbers.length * 4);
  }
}

export class SpiceAgent {
  #link;
  #pieces = new Uint8Array();
  #theirs = 0;
  #offered = null; // our text, until the guest asks for it
  onclipboard = (_text) => {};
  onready = () => {};

  constructor(link) {
    this.#link = link;
    link.announce = (request) => this.#send(Constants.VD_AGENT_ANNOUNCE_CAPABILITIES, new Body([request, OURS]));
    link.onagent = (data) => this.#receive(data);
  }

  get hasClipboard() {
    return this.#can(CAP.CLIPBOARD);
  }

  /** Ask for a screen of this size; width and height are in the guest's dots. */
  resize(width, height) {
    if (this.#can(CAP.MONITORS)) this.#link.main.resize_window(0, width & ~7, height & ~7, 32, 0, 0);
  }

  /** Offer the guest text for its clipboard. */
  offer(text) {
    this.#offered = text;
    this.#send(Constants.VD_AGENT_CLIPBOARD_GRAB, new Body([...this.#selection(), UTF8]));
  }

  #can(bit) {
    return Boolean(this.#theirs & (1 << bit));
  }

  /** Which selection a message is about leads it, when both sides know of selections. */
  #selection() {
    return this.#can(CAP.SELECTION) ? [CLIPBOARD] : [];
  }

  #send(type, body) {
    if (this.#link.main.agent_connected) this.#link.main.send_agent_message(type, body);
  }

  /** Put pieces together; null when the agent is gone. */
  #receive(data) {
    if (data === null) {
      this.#pieces = new Uint8Array();
      this.#theirs = 0;
      return;
    }
    const all = new Uint8Array(this.#pieces.length + data.byteLength);
    all.set(this.#pieces);
    all.set(new Uint8Array(data), this.#pieces.length);
    this.#pieces = all;
    while (this.#pieces.length >= HEAD) {
      const view = new DataView(this.#pieces.buffer, this.#pieces.byteOffset);
      const end = HEAD + view.getUint32(16, true);
      if (this.#pieces.length < end) return;
      const body = this.#pieces.subarray(HEAD, end);
      this.#pieces = this.#pieces.subarray(end);
      this.#take(view.getUint32(4, true), body);
    }
  }

  #take(type, body) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    if (type === Constants.VD_AGENT_ANNOUNCE_CAPABILITIES) {
      this.#theirs = view.getUint32(4, true);
      if (view.getUint32(0, true)) this.#link.announce(0);
      this.onready();
      return;
    }
    const start = this.#can(CAP.SELECTION) ? 4 : 0;
    if (start && body[0] !== CLIPBOARD) return;
    if (type === Constants.VD_AGENT_CLIPBOARD_GRAB) {
      for (let at = start; at + 4 <= body.length; at += 4) if (view.getUint32(at, true) === UTF8) this.#askForText();
    } else if (type === Constants.VD_AGENT_CLIPBOARD_REQUEST && view.getUint32(start, true) === UTF8) {
      this.#giveText();
    } else if (type === Constants.VD_AGENT_CLIPBOARD && view.getUint32(start, true) === UTF8) {
      this.onclipboard(new TextDecoder().decode(body.subarray(start + 4)));
    }
  }

  #askForText() {
    this.#offered = null; // the guest's own is newer
    this.#send(Constants.VD_AGENT_CLIPBOARD_REQUEST, new Body([...this.#selection(), UTF8]));
  }

  #giveText() {
    const text = new TextEncoder().encode(this.#offered ?? "").subarray(0, MOST_TEXT);
    this.#send(Constants.VD_AGENT_CLIPBOARD, new Body([...this.#selection(), UTF8], text));
  }
}
