// The stream of pictures: about one a second, for who looks on where a second client would throw the first one out.
//
// Asking for pictures is the session's sign of life. A page that nobody sees leaves it, and opens another one when it is
// seen again.

import { csrfToken } from "../words.js";
import { Screen } from "./screen.js";
import { NoScreen } from "./tickets.js";

const EVERY_MS = 1000;
const FIRST_MS = 300; // until there is one
const STILL_MS = 3000; // for a screen that has not changed for a while
const STILL_AFTER = 30; // answers
const HIDDEN_MS = 5000;
const FAILURES = 3;

export default class PicturesScreen extends Screen {
  static protocol = "pictures";

  can = new Set(["scale", "picture", "figures"]);
  #canvas = document.createElement("canvas");
  #url = "";
  #etag = "";
  #timer = 0;
  #hiding = 0;
  #left = false;
  #failures = 0;
  #still = 0;
  #counted = { bytes: 0, frames: 0, roundTrip: null };
  #onVisibility = () => this.#watchPage();

  async connect({ url }) {
    this.#url = new URL(url).pathname; // of this origin, whatever name it is reached by
    this.#canvas.className = "console-pictures";
    this.place.append(this.#canvas);
    this.scale(this.scaling);
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#watchPage();
    this.#ask();
  }

  scale(scaling) {
    super.scale(scaling);
    this.#canvas.dataset.scaling = scaling;
    this.place.toggleAttribute("data-scrolls", scaling === "native" && this.#canvas.isConnected);
  }

  picture() {
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/png"));
  }

  figures() {
    return { ...this.#counted };
  }

  release() {
    clearTimeout(this.#timer);
    clearTimeout(this.#hiding);
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.place.removeAttribute("data-scrolls");
    this.#canvas.remove();
    this.#leave();
  }

  async #ask() {
    const began = performance.now();
    try {
      const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
      const answer = await fetch(this.#url, { cache: "no-store", headers });
      if (answer.status >= 400) throw await refusalIn(answer);
      await this.#take(answer);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      if (error instanceof NoScreen || this.#failures >= FAILURES) return this.end(error);
    }
    const took = performance.now() - began;
    this.#counted.roundTrip = took;
    if (this.alive && !this.#left) this.#timer = setTimeout(() => this.#ask(), this.#pause(took));
  }

  async #take(answer) {
    this.#still = answer.status === 200 ? 0 : this.#still + 1;
    if (answer.status !== 200) return;
    const blob = await answer.blob();
    const image = await createImageBitmap(blob);
    if (!this.alive) return;
    const first = !this.#etag;
    this.#etag = answer.headers.get("ETag");
    this.#canvas.width = image.width;
    this.#canvas.height = image.height;
    this.#canvas.getContext("2d").drawImage(image, 0, 0);
    image.close();
    this.#counted.bytes += blob.size;
    this.#counted.frames += 1;
    if (first) this.opened();
  }

  /** A slow line or portal is asked less often. */
  #pause(took) {
    if (!this.#etag) return FIRST_MS;
    return Math.max(this.#still > STILL_AFTER ? STILL_MS : EVERY_MS, 2 * took) - Math.min(took, EVERY_MS / 2);
  }

  #watchPage() {
    clearTimeout(this.#hiding);
    if (document.hidden) this.#hiding = setTimeout(() => this.#leave(), HIDDEN_MS);
    else if (this.#left) this.end(new NoScreen({ code: 1006 })); // the page comes back with a new session
  }

  #leave() {
    if (this.#left || !this.#url) return;
    this.#left = true;
    clearTimeout(this.#timer);
    const headers = { "X-CSRFToken": csrfToken };
    fetch(`${this.#url}/leave`, { method: "POST", headers, keepalive: true }).catch(() => {}); // it ends by itself, too
  }
}

async function refusalIn(answer) {
  const { error } = await answer.json().catch(() => ({}));
  if (answer.status >= 500) return new Error(`${answer.status}`);
  if (error?.code === "console_ended") return new NoScreen({ code: error.details.code });
  return new NoScreen({ status: answer.status, word: error?.code ?? "", sentence: error?.message ?? "" });
}
