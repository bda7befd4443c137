// The console's page: keeps a picture on the screen for as long as there is one to see, and says why when there is none.
//
// connecting -> connected -> waiting (for the machine, its host or the next try) -> connecting ...
// any -> closed, when coming back by itself would be wrong; a button, or a right given again, brings it back.
// portal.js keeps state, rights and operations of [data-machine] current; this module looks at them when they change.

import { closedNow } from "../maintenance.js";
import { isActive, rightOf } from "../table.js";
import { updates } from "../updates.js";
import { desk } from "./desk.js";
import "./frame.js";
import { recall } from "./memory.js";
import { drawNotice, hint, words } from "./notices.js";
import { SCREENS } from "./protocols.js";
import { NoScreen, ticketsFor } from "./tickets.js";

const FIRST_RETRY_MS = 400;
const LAST_RETRY_MS = 10_000;
const STEADY_MS = 5000;
const TICK_MS = 5000;
const NAPPED_MS = 10_000; // longer between two ticks: the computer slept
const SLEPT_MS = 60_000; // the proxy drops who was silent for so long
const SILENT_MS = 15_000; // after which the display is asked whether it is still there
const ANSWER_MS = 8000;
const { VIEW, OPERATE } = { VIEW: 2, OPERATE: 3 };

// What the proxy closes with when it would be wrong to come back by oneself; `closed` names a notice.
const CLOSED = { 4403: "revoked", 4410: "ended", 4411: "idle", 4412: "limit", 4413: "replaced", 4414: "unreplayable" };
const HOST_AWAY = 4503;
const HELD = 4423; // another program has the serial console, which only one can have

const { machine, page } = desk;
const place = desk.find("[data-screen]");

let current = null; // the connection that is being made or is there: {mode, screen}
let attempt = 0;
let retry = 0;
let steady = 0;
let consoles = null; // as pushed; the page itself is only served, not told
let problem = "connecting"; // which notice of words.connection, when the machine's state explains nothing
let said = ""; // the portal's own sentence for it

const hasPicture = () =>
  isActive(page.dataset.state) || (page.dataset.state === "crashed" && page.dataset.reason === "panicked");
const reachable = () => page.dataset.reachable !== "0";
const mode = () => (Number(page.dataset.right) >= OPERATE ? page.dataset.wantedMode : "view");

/* Connecting */

function connect({ takeOver = false } = {}) {
  clearTimeout(retry);
  leave();
  page.dataset.mode = mode();
  show("connecting", "connecting");
  const mine = { mode: mode(), takeOver, screen: null };
  current = mine;
  open(mine).catch((error) => current === mine && onEnd(error));
}

/** Tickets are asked for while the protocol's module loads. Rejects when it is over. */
async function open(mine) {
  const tickets = ticketsFor(machine, desk.protocol, mine.mode, mine.takeOver);
  tickets.catch(() => {}); // whoever waits for it is told
  const { default: Kind } = await SCREENS[desk.protocol]();
  if (current !== mine) return;
  const screen = new Kind(place, {
    tickets,
    mode: mine.mode,
    scaling: recall("scaling", "fit"),
    wanted: desk.wanted,
  });
  mine.screen = screen;
  screen.addEventListener("picture", () => current === mine && onPicture(screen));
  screen.addEventListener("mode", () => current === mine && showMode(screen));
  await screen.ended;
}

/** Let go of the connection, if there is one. */
function leave() {
  const left = current;
  current = null;
  clearTimeout(steady);
  left?.screen?.close();
  if (!desk.screen) return;
  desk.screen = null;
  page.dataset.session = "";
  desk.tell("gone");
}

function onPicture(screen) {
  desk.screen = screen;
  page.dataset.session = screen.session ?? "";
  show("connected");
  showMode(screen);
  if (!document.activeElement || document.activeElement === document.body || document.activeElement === page)
    screen.focus();
  desk.tell("screen");
  steady = setTimeout(() => {
    attempt = 0;
  }, STEADY_MS);
}

function showMode(screen) {
  page.dataset.mode = screen.mode;
  desk.tell("mode");
}

function onEnd(error) {
  const { code = 0, status = 0, word = "", sentence = "" } = error instanceof NoScreen ? error : {};
  const hadPicture = desk.connection === "connected";
  leave();
  if (status === 401 || word === "csrf_failed") return location.reload();
  if (CLOSED[code]) return show("closed", CLOSED[code]);
  if (code === HELD) return show("closed", mode() === "control" ? "held" : "held_view");
  if (status === 403 && mode() === "control") return lower();
  if (status === 403 || status === 404) return show("closed", "revoked");
  if (word === "no_display") return show("closed", desk.protocol === "serial" ? "no_serial" : "no_display");
  if (word === "screen_taken" || word === "too_many_consoles") return show("closed", word, sentence);
  if (word === "maintenance") return wait(word, sentence);
  const hostIsAway = code === HOST_AWAY || word === "host_unreachable";
  wait(hostIsAway ? "host" : hadPicture || attempt ? "lost" : "connecting");
}

/** Close it; only a click, or a right that is given back, opens it again. */
function end(why) {
  leave();
  clearTimeout(retry);
  show("closed", why);
}

/** The right to control is gone: look on, if that is still allowed. */
function lower() {
  page.dataset.right = VIEW;
  connect();
}

/** Come back by itself: with the machine when it is off, else soon, then ever more slowly. */
function wait(why, sentence = "") {
  show("waiting", why, sentence);
  clearTimeout(retry);
  if (!hasPicture() || !reachable()) return;
  const most = Math.min(FIRST_RETRY_MS * 2 ** attempt, LAST_RETRY_MS);
  attempt += 1;
  retry = setTimeout(connect, most * (0.5 + Math.random() / 2));
}

function connectNow() {
  attempt = 0;
  connect({ takeOver: problem === "held" && desk.connection === "closed" });
}

/** Something about the machine or the right changed. */
function look() {
  desk.tell("state");
  drawStanding();
  if (desk.connection === "closed") {
    const mayAgain = problem === "revoked" && Number(page.dataset.right) >= VIEW;
    if (mayAgain || ((problem === "no_display" || problem === "no_serial") && consoles?.includes(desk.protocol)))
      connect();
    return;
  }
  if (current) return current.mode === mode() ? undefined : connect();
  if (hasPicture() && reachable()) return connectNow();
  clearTimeout(retry);
  show("waiting", problem);
}

/* Showing */

function show(connection, why = problem, sentence = "") {
  problem = why;
  page.dataset.problem = why;
  said = sentence;
  page.dataset.connection = connection;
  drawNotice(noticeFor(connection, why), said);
  drawStanding();
  desk.tell("state");
}

function noticeFor(connection, why) {
  if (connection === "waiting" && !reachable()) return words.connection.host;
  if (connection === "waiting" && !hasPicture()) return words.states[page.dataset.state] ?? words.connection.connecting;
  if (connection === "waiting" && !navigator.onLine) return words.connection.offline;
  return words.connection[why] ?? words.connection.connecting;
}

/** A picture that stands still, or is black because the machine sleeps, says so. */
function drawStanding() {
  hint("standing", desk.connection === "connected" ? words.standing[page.dataset.state] : "");
}

/* News; portal.js, loaded before, has drawn them by then */

updates.addEventListener("machine", ({ detail }) => {
  if (detail.uuid !== machine) return;
  page.dataset.reason = detail.state_reason;
  consoles = detail.consoles;
  look();
});
updates.addEventListener("host", ({ detail }) => String(detail.id) === page.dataset.host && look());
updates.addEventListener("rights", ({ detail }) => {
  if (!(machine in detail)) return;
  page.dataset.right = rightOf(detail[machine]);
  if (Number(page.dataset.right) >= VIEW) look();
  else end("revoked");
});

desk.find('[data-do="connect"]').addEventListener("click", connectNow);
desk.addEventListener("reconnect", connectNow);
desk.addEventListener("leave", ({ detail }) => end(detail));

document.addEventListener("portal:maintenance", () => problem === "maintenance" && !closedNow() && connectNow());

/* Leaving, coming back, waking up, and networks that are gone without a word */

window.addEventListener("pagehide", leave);
window.addEventListener("pageshow", ({ persisted }) => persisted && connect());
window.addEventListener("online", () => (desk.connection === "waiting" ? look() : checkAlive()));
window.addEventListener("offline", () => checkAlive());

/** A connection that no longer answers is replaced; one that cannot be asked is believed. */
async function checkAlive() {
  const mine = current;
  if (!desk.screen?.can.has("answers") || mine.asked) return;
  mine.asked = true;
  const took = await mine.screen.roundTrip(ANSWER_MS);
  mine.asked = false;
  if (took !== null) heard.at = Date.now();
  else if (current === mine && mine.screen.alive) onEnd(new NoScreen({ code: 1006 }));
}

let lastTick = Date.now();
let heard = { bytes: 0, at: Date.now() };
setInterval(() => {
  const away = Date.now() - lastTick;
  lastTick = Date.now();
  if (desk.connection !== "connected") return;
  const { bytes } = desk.screen.figures();
  if (bytes !== heard.bytes) heard = { bytes, at: Date.now() };
  if (away > SLEPT_MS) connectNow();
  else if (away > NAPPED_MS || Date.now() - heard.at > SILENT_MS) checkAlive();
}, TICK_MS);

if (hasPicture() && reachable()) connect();
else show("waiting", "connecting");
