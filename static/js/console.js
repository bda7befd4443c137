// The console's page: keeps a picture on the screen for as long as there is one to see, and says why when there is none.
//
// connecting -> connected -> waiting (for the machine, its host or the next try) -> connecting ...
// any -> closed, when coming back by itself would be wrong; a button, or a right given again, brings it back.
// portal.js keeps state, rights and operations of [data-machine] current; this module looks at them when they change.

import { Screen } from "./console-screen.js";
import { isActive, rightOf } from "./table.js";
import { updates } from "./updates.js";
import { say } from "./words.js";

const CLOSE = { LOGIN_ENDED: 4401, REVOKED: 4403, ENDED_BY_ADMIN: 4410, HOST: 4503 };
const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 10_000;
const STEADY_MS = 5000;
const SLEPT_MS = 60_000; // the proxy drops who was silent for so long
const { VIEW, OPERATE } = { VIEW: 2, OPERATE: 3 };

const page = document.querySelector("[data-console]");
const place = page.querySelector("[data-screen]");
const words = JSON.parse(document.getElementById("console-words").textContent);
const machine = page.dataset.machine;

let screen = null;
let attempt = 0;
let retry = 0;
let steady = 0;
let scaled = true;
let graphics = null; // as pushed; the page itself is only served, not told
let problem = "connecting"; // which notice of words.connection, when the machine's state explains nothing

const button = (name) => page.querySelector(`[data-do="${name}"]`);
const hasPicture = () =>
  isActive(page.dataset.state) || (page.dataset.state === "crashed" && page.dataset.reason === "panicked");
const reachable = () => page.dataset.reachable !== "0";
const mode = () => (Number(page.dataset.right) >= OPERATE ? page.dataset.wantedMode : "view");

/* Connecting */

function connect() {
  clearTimeout(retry);
  screen?.close();
  page.dataset.mode = mode();
  show("connecting", "connecting");
  screen = new Screen(place, { machine, mode: mode(), scaled, onPicture });
  const mine = screen;
  mine.ended.catch((error) => screen === mine && onEnd(error));
}

function onPicture(from) {
  if (screen !== from) return;
  show("connected");
  if (!document.activeElement || document.activeElement === document.body || document.activeElement === page)
    screen.focus();
  steady = setTimeout(() => {
    attempt = 0;
  }, STEADY_MS);
}

function onEnd({ code, status, word }) {
  clearTimeout(steady);
  screen = null;
  if (status === 401 || word === "csrf_failed") return location.reload();
  if (code === CLOSE.ENDED_BY_ADMIN) return show("closed", "ended");
  if (status === 403 && mode() === "control") return lower();
  if (status === 403 || status === 404) return show("closed", "revoked");
  if (word === "no_display") return show("closed", "no_display");
  const hostIsAway = code === CLOSE.HOST || word === "host_unreachable";
  wait(hostIsAway ? "host" : page.dataset.connection === "connected" || attempt ? "lost" : "connecting");
}

/** The right to control is gone: look on, if that is still allowed. */
function lower() {
  page.dataset.right = VIEW;
  connect();
}

/** Come back by itself: with the machine when it is off, else soon, then ever more slowly. */
function wait(why) {
  show("waiting", why);
  clearTimeout(retry);
  if (!hasPicture() || !reachable()) return;
  const most = Math.min(FIRST_RETRY_MS * 2 ** attempt, LAST_RETRY_MS);
  attempt += 1;
  retry = setTimeout(connect, most * (0.5 + Math.random() / 2));
}

/** Something about the machine or the right changed. */
function look() {
  if (page.dataset.connection === "closed") {
    const mayAgain = problem === "revoked" && Number(page.dataset.right) >= VIEW;
    if (mayAgain || (problem === "no_display" && graphics?.includes("vnc"))) connect();
    return;
  }
  if (screen?.alive && screen.mode !== mode()) return connect();
  if (!screen && hasPicture() && reachable()) {
    attempt = 0;
    return connect();
  }
  if (screen) return;
  clearTimeout(retry);
  show("waiting", problem);
}

/* Showing */

function show(connection, why = problem) {
  problem = why;
  page.dataset.connection = connection;
  button("ctrl-alt-del").disabled = connection !== "connected" || mode() === "view";
  const notice = noticeFor(connection, why);
  page.querySelector("[data-notice-title]").textContent = filled(notice.title);
  page.querySelector("[data-notice-text]").textContent = filled(notice.text);
  button("connect").hidden = !notice.connect;
  button("connect").textContent = notice.connect ?? "";
}

function noticeFor(connection, why) {
  if (connection === "waiting" && !reachable()) return words.connection.host;
  if (connection === "waiting" && !hasPicture()) return words.states[page.dataset.state] ?? words.connection.connecting;
  return words.connection[why] ?? words.connection.connecting;
}

const filled = (sentence) => say(sentence ?? "", { machine: page.querySelector('[data-fact="name"]').textContent });

/* News; portal.js, loaded before, has drawn them by then */

updates.addEventListener("machine", ({ detail }) => {
  if (detail.uuid !== machine) return;
  page.dataset.reason = detail.state_reason;
  graphics = detail.graphics;
  look();
});
updates.addEventListener("host", ({ detail }) => String(detail.id) === page.dataset.host && look());
updates.addEventListener("rights", ({ detail }) => {
  if (!(machine in detail)) return;
  page.dataset.right = rightOf(detail[machine]);
  look();
});

/* The bar */

button("connect").addEventListener("click", () => {
  attempt = 0;
  connect();
});
button("ctrl-alt-del").addEventListener("click", () => screen?.sendCtrlAltDel());
button("scale").addEventListener("click", () => {
  scaled = !scaled;
  button("scale").setAttribute("aria-pressed", String(scaled));
  screen?.scale(scaled);
  screen?.focus();
});
button("fullscreen").addEventListener("click", async () => {
  if (document.fullscreenElement) return document.exitFullscreen();
  await page.requestFullscreen();
  navigator.keyboard?.lock?.(["Escape"]).catch(() => {}); // Escape belongs to the machine; held, it leaves
  screen?.focus();
});
document.addEventListener("fullscreenchange", () => document.fullscreenElement || navigator.keyboard?.unlock?.());

/* Leaving, coming back, waking up */

window.addEventListener("pagehide", () => screen?.close());
window.addEventListener("pageshow", ({ persisted }) => persisted && connect());
window.addEventListener("online", () => page.dataset.connection === "waiting" && look());

let lastTick = Date.now();
setInterval(() => {
  const slept = Date.now() - lastTick > SLEPT_MS;
  lastTick = Date.now();
  if (slept && page.dataset.connection === "connected") connect();
}, 5000);

if (hasPicture() && reachable()) connect();
else show("waiting", "connecting");
