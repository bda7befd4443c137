// The one socket of a page. It watches machines, drops what is older than what is known, comes back by itself.
//
// Events (with `detail`): machine, operation, host, picture, rights, access (somebody's to a machine changed), ask (for a
// right), listing, missing, consoles (who is at a machine's), console (what happened to one of mine), assist (help
// began or moved), chat (a message of one of mine), notices (look at mine again), requests (for
// machines: look again), maintenance (what is announced), fleet
// (something that administrators see together); and back: open again after a loss.

import { words } from "./words.js";

const RESYNC_MS = 30_000;
const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 20_000;
const QUIET_MS = 1500; // a shorter interruption is nobody's business
const LOGIN_ENDED = 4401;
const CONNECTING_MS = 10_000;

class Updates extends EventTarget {
  #socket = null;
  #attempt = 0;
  #missed = false;
  #watched = [];
  #retry = 0;
  #bar = document.querySelector("[data-connection-bar]");
  #barTimer = 0;
  #pings = 0;
  #pongs = new Map();
  machines = new Map(); // uuid -> version
  operations = new Map(); // id -> {version, open}
  notices = null; // the version of what is announced; null on a page without a banner
  consoles = new Map(); // uuid -> version, of machines at whose consoles somebody is

  /** Watch these machines and no others. */
  watch(uuids) {
    const wanted = [...new Set(uuids)];
    if (this.#socket && wanted.length === this.#watched.length && wanted.every((uuid) => this.#watched.includes(uuid)))
      return;
    this.#watched = wanted;
    if (this.#socket) this.#sendWatch();
    else this.#connect();
  }

  /** Remember what the server drew, so that only news is drawn again. */
  know(uuid, version) {
    this.machines.set(uuid, Math.max(version, this.machines.get(uuid) ?? 0));
  }

  /** Take an operation from elsewhere (an API answer) as if the socket had brought it. */
  take(operation) {
    this.#receive({ type: "operation", operation });
  }

  /** Ask for whatever was missed. */
  resync() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const drawn = [...this.operations].filter(([, { open }]) => open).map(([id, { version }]) => [id, version]);
    const machines = Object.fromEntries(this.#watched.map((uuid) => [uuid, this.machines.get(uuid) ?? 0]));
    const operations = Object.fromEntries(drawn.slice(-500));
    const consoles = Object.fromEntries([...this.consoles].filter(([uuid]) => this.#watched.includes(uuid)));
    this.#socket.send(JSON.stringify({ type: "versions", machines, operations, consoles, notices: this.notices }));
  }

  /** Ask for an answer; resolves with the milliseconds that took, or with null when none came within `limit`. */
  ping(limit) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.resolve(null);
    const number = ++this.#pings;
    const asked = performance.now();
    return new Promise((resolve) => {
      const giveUp = setTimeout(() => resolve(null), limit);
      this.#pongs.set(number, () => {
        clearTimeout(giveUp);
        resolve(performance.now() - asked);
      });
      this.#socket.send(JSON.stringify({ type: "ping", number }));
    });
  }

  /** Come back at once: the network did, or the laptop woke. A socket that slept may be dead without knowing it. */
  wake({ slept = false } = {}) {
    if (this.#socket && !slept) {
      this.resync();
      return;
    }
    const old = this.#socket;
    this.#socket = null;
    this.#missed = true;
    old?.close();
    this.#attempt = 0;
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    if (this.#socket) return;
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws/updates/`);
    const giveUp = setTimeout(() => socket.close(), CONNECTING_MS);
    this.#socket = socket;
    socket.onopen = () => {
      clearTimeout(giveUp);
      this.#attempt = 0;
      this.#showBar(false);
      this.#sendWatch();
      if (this.#missed) this.#tell("back");
      this.#missed = false;
    };
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => {
      clearTimeout(giveUp);
      if (this.#socket === socket) this.#lost(event.code);
    };
  }

  #lost(code) {
    this.#socket = null;
    this.#missed = true;
    if (code === LOGIN_ENDED) {
      location.reload();
      return;
    }
    this.#showBar(true);
    if (this.#attempt > 1) this.#stillSignedIn();
    const most = Math.min(FIRST_RETRY_MS * 2 ** this.#attempt, LAST_RETRY_MS);
    this.#attempt += 1;
    this.#retry = setTimeout(() => this.#connect(), most * (0.5 + Math.random() / 2));
  }

  /** A refused handshake does not say why; a page that leads to the sign-in page does. */
  async #stillSignedIn() {
    const answer = await fetch(location.pathname, { method: "HEAD", redirect: "manual" }).catch(() => null);
    if (answer?.type === "opaqueredirect") location.reload();
  }

  #sendWatch() {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ type: "watch", machines: this.#watched.slice(0, 500) }));
    this.resync();
  }

  #showBar(shown) {
    clearTimeout(this.#barTimer);
    if (!this.#bar) return;
    if (!shown) {
      this.#bar.hidden = true;
      return;
    }
    this.#barTimer = setTimeout(
      () => {
        this.#bar.textContent = words.reconnecting;
        this.#bar.hidden = false;
      },
      this.#bar.hidden ? QUIET_MS : 0,
    );
  }

  #receive(message) {
    switch (message.type) {
      case "machine":
        if (message.machine.version <= (this.machines.get(message.machine.uuid) ?? -1)) return;
        this.machines.set(message.machine.uuid, message.machine.version);
        return this.#tell("machine", message.machine);
      case "operation": {
        const { id, version, status } = message.operation;
        if (version <= (this.operations.get(id)?.version ?? 0)) return;
        this.operations.set(id, { version, open: status === "queued" || status === "running" });
        return this.#tell("operation", message.operation);
      }
      case "consoles":
        if (message.version) this.consoles.set(message.machine, message.version);
        else this.consoles.delete(message.machine);
        return this.#tell("consoles", message);
      case "console":
        return this.#tell("console", message);
      case "assist":
        return this.#tell("assist", message);
      case "chat":
        return this.#tell("chat", message.message);
      case "host":
        return this.#tell("host", message.host);
      case "access":
        return this.#tell("access", message.machine);
      case "ask":
        return this.#tell("ask", message.ask);
      case "picture":
        return this.#tell("picture", message);
      case "rights":
        return this.#tell("rights", message.rights);
      case "listing":
        return this.#tell("listing", message.changed ?? "machines");
      case "notices":
        return this.#tell("notices");
      case "requests":
        return this.#tell("requests");
      case "maintenance":
        return this.#tell("maintenance", message);
      case "fleet":
        return this.#tell("fleet");
      case "pong":
        this.#pongs.get(message.number)?.();
        return this.#pongs.delete(message.number);
      case "error":
        if (message.error.details?.machines) this.#tell("missing", message.error.details.machines);
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const updates = new Updates();

let lastTick = Date.now();
setInterval(() => {
  const slept = Date.now() - lastTick > 3 * RESYNC_MS;
  lastTick = Date.now();
  if (slept) updates.wake({ slept });
  else updates.resync();
}, RESYNC_MS);
window.addEventListener("online", () => updates.wake());
document.addEventListener("visibilitychange", () => document.hidden || updates.wake());
