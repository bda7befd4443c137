// spice-html5, held in: one socket for each channel, each with a ticket of its own, and nothing left when it ends.
//
// spice-html5 finds its place by an element's id, opens sockets with one address, and draws with handlers of its own. Here
// its channels are made one by one, so that each takes its ticket and those without one are not opened at all.

import { SpiceCursorConn } from "../../vendor/spice/cursor.js";
import { SpiceDisplayConn } from "../../vendor/spice/display.js";
import { Constants } from "../../vendor/spice/enums.js";
import { SpiceInputsConn } from "../../vendor/spice/inputs.js";
import { SpiceMainConn } from "../../vendor/spice/main.js";
import { SpicePlaybackConn } from "../../vendor/spice/playback.js";
import { SpiceConn } from "../../vendor/spice/spiceconn.js";
import {
  SpiceMiniData,
  SpiceMsgChannels,
  SpiceMsgCursorSet,
  SpiceMsgDisplayStreamCreate,
} from "../../vendor/spice/spicemsg.js";
import { roundTrip } from "./round_trip.js";
import { cursorStyle } from "./spice_cursor.js";

export const AREA = "spice-area";
const FIRST_DRAWING = Constants.SPICE_MSG_DISPLAY_DRAW_FILL;

// What it would write into the browser's console is for its developers.
for (const name of ["log_info", "log_warn", "log_err"]) SpiceConn.prototype[name] = () => {};

/** Call spice-html5's constructor so that the one socket it opens carries this ticket. */
function dial(ticket, make) {
  const Plain = globalThis.WebSocket;
  globalThis.WebSocket = class extends Plain {
    constructor(url) {
      super(url, ["binary", `ticket.${ticket}`]);
    }
  };
  try {
    return make();
  } finally {
    globalThis.WebSocket = Plain;
  }
}

/** A message that it cannot read is one it does not draw; the channel goes on. */
function guarded(read) {
  try {
    return read();
  } catch (error) {
    console.debug("spice-html5:", error);
    return true;
  }
}

class Main extends SpiceMainConn {
  process_channel_message(message) {
    if (message.type === Constants.SPICE_MSG_MAIN_CHANNELS_LIST) {
      this.link.openChannels(new SpiceMsgChannels(message.data).channels);
      return true;
    }
    if (message.type === Constants.SPICE_MSG_MAIN_AGENT_DATA) {
      guarded(() => this.link.onagent(message.data));
      return true;
    }
    if (message.type === Constants.SPICE_MSG_MAIN_AGENT_DISCONNECTED) this.link.onagent(null);
    return guarded(() => super.process_channel_message(message));
  }

  announce_agent_capabilities(request) {
    this.link.announce(request);
  }
}

class Display extends SpiceDisplayConn {
  constructor(options) {
    super(options);
    Object.assign(this, { surfaces: [], streams: [], cache: {} });
  }

  process_channel_message(message) {
    const done = guarded(() => super.process_channel_message(message));
    if (message.type >= FIRST_DRAWING || message.type === Constants.SPICE_MSG_DISPLAY_COPY_BITS) this.link.ondraw();
    if (message.type === Constants.SPICE_MSG_DISPLAY_STREAM_CREATE) guarded(() => this.#place(message.data));
    return done;
  }

  /** It places its videos by an attribute that our policy does not let through. */
  #place(data) {
    const { id, dest } = new SpiceMsgDisplayStreamCreate(data);
    const style = this.streams[id].video?.style;
    if (style) Object.assign(style, { position: "absolute", left: `${dest.left}px`, top: `${dest.top}px` });
  }

  hook_events() {
    this.link.onsurface(this.surfaces[this.primary_surface].canvas);
  }

  unhook_events() {
    this.link.onsurface(null);
  }
}

class Inputs extends SpiceInputsConn {
  /** Send a message of this type; `fields` are [bytes, number] one after the other, little-endian. */
  tell(type, ...fields) {
    if (this.state !== "ready") return;
    const view = new DataView(new ArrayBuffer(fields.reduce((sum, [bytes]) => sum + bytes, 0)));
    let at = 0;
    for (const [bytes, number] of fields) {
      if (bytes === 4) view.setInt32(at, number, true);
      else if (bytes === 2) view.setUint16(at, number, true);
      else view.setUint8(at, number);
      at += bytes;
    }
    const message = new SpiceMiniData();
    Object.assign(message, { type, size: at, data: view.buffer });
    this.send_msg(message);
  }

  process_channel_message(message) {
    const done = guarded(() => super.process_channel_message(message));
    if (message.type === Constants.SPICE_MSG_INPUTS_MOUSE_MOTION_ACK) this.link.onack();
    return done;
  }
}

class Cursor extends SpiceCursorConn {
  process_channel_message(message) {
    const { style } = document.getElementById(AREA);
    if (message.type === Constants.SPICE_MSG_CURSOR_SET) {
      style.cursor = "default";
      guarded(() => {
        style.cursor = cursorStyle(new SpiceMsgCursorSet(message.data).cursor);
      });
      return true;
    }
    return guarded(() => super.process_channel_message(message));
  }
}

class Playback extends SpicePlaybackConn {
  process_channel_message(message) {
    const done = guarded(() => super.process_channel_message(message));
    if (message.type === Constants.SPICE_MSG_PLAYBACK_START && this.audio) this.link.onaudio(this.audio);
    if (message.type === Constants.SPICE_MSG_PLAYBACK_STOP) this.link.onaudio(null);
    return done;
  }
}

const KINDS = {
  [Constants.SPICE_CHANNEL_DISPLAY]: ["display", Display],
  [Constants.SPICE_CHANNEL_INPUTS]: ["inputs", Inputs],
  [Constants.SPICE_CHANNEL_CURSOR]: ["cursor", Cursor],
  [Constants.SPICE_CHANNEL_PLAYBACK]: ["playback", Playback],
};

/** All sockets of one SPICE session. Its owner sets the on... functions before anything can arrive. */
export class SpiceLink {
  bytes = 0;
  main = null;
  inputs = null;
  #tickets;
  #connections = [];
  #over = false;

  onend = (_code) => {};
  onsurface = (_canvas) => {};
  ondraw = () => {};
  onagent = (_data) => {};
  announce = (_request) => {};
  onagentstart = () => {};
  onack = () => {};
  onaudio = (_audio) => {};
  onchannel = (_name) => {};

  /** granted: the portal's answer, with a ticket for each channel that may be opened. */
  open({ url, channels }) {
    this.#tickets = { ...channels };
    this.main = this.#connect("main", Main, { uri: url, screen_id: AREA, password: "" });
    return this;
  }

  openChannels(list) {
    for (const { type, id } of list) {
      const [name, Kind] = KINDS[type] ?? [];
      if (!Kind || id !== 0 || !this.#tickets[name]) continue;
      const options = { uri: this.main.ws.url, parent: this.main, connection_id: this.main.connection_id };
      const connection = this.#connect(name, Kind, { ...options, type, chan_id: id });
      this.main[name] = connection; // spice-html5 looks for its brothers there
      if (name === "inputs") {
        this.inputs = connection;
        connection.mouse_mode = this.main.mouse_mode;
      }
      this.onchannel(name);
    }
  }

  /** Ask the display for its list of channels, which it answers at any time and on a channel where little else comes. */
  async roundTrip(limit) {
    const message = new SpiceMiniData();
    Object.assign(message, { type: Constants.SPICE_MSGC_MAIN_ATTACH_CHANNELS, size: 0 });
    return roundTrip(this.main?.ws, limit, () => this.main.send_msg(message));
  }

  close() {
    if (this.#over) return;
    this.#over = true;
    for (const connection of this.#connections) {
      connection.state = "closing";
      guarded(() => connection.cleanup());
    }
    guarded(() => this.main?.display?.destroy_surfaces());
  }

  #connect(name, Kind, options) {
    const ticket = this.#tickets[name];
    delete this.#tickets[name]; // each works once
    const onerror = () => setTimeout(() => this.#end(1006)); // the socket's close code comes first
    const connection = dial(ticket, () => new Kind({ ...options, onerror, onagent: () => this.onagentstart() }));
    connection.link = this;
    connection.ws.addEventListener("close", ({ code }) => this.#end(code));
    connection.ws.addEventListener("message", ({ data }) => {
      this.bytes += data.byteLength;
    });
    this.#connections.push(connection);
    return connection;
  }

  #end(code) {
    if (!this.#over) this.onend(code);
  }
}
