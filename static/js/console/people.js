// Who is at this machine's consoles, who types, and how control goes from one to another.
//
// The portal pushes who is there (updates: "consoles"); what may be done follows from that and the right over the
// machine. The proxy obeys the portal by itself: this only shows it, and asks.

import { rightOf } from "../table.js";
import { updates } from "../updates.js";
import { csrfToken, me, say } from "../words.js";
import { desk } from "./desk.js";
import { dismissWarning, warn } from "./people_warning.js";
import { words } from "./people_words.js";

const { OPERATE } = { OPERATE: 3 };
const SHARED = ["vnc", "serial"]; // elsewhere a second person would throw the first one out

const list = desk.find("[data-people]");
const asking = desk.find("[data-people-asking]");
const opener = desk.find('[data-opens="people"]');
const controls = desk.page.querySelectorAll("[data-people-control]"); // in the bar and in the panel
const said = desk.find("[data-people-said]");
const template = (name) => document.getElementById(name).content.firstElementChild;

let sessions = []; // of every protocol, as pushed
let expected = ""; // what this page asked for itself is no news to its reader

/* Who is who */

const mine = () => sessions.find(({ id }) => id === desk.session);
const here = () => sessions.filter(({ protocol }) => protocol === desk.protocol);
const types = ({ mode }) => mode === "control";
const othersTyping = () => here().filter((one) => types(one) && one.user !== me);
const myRight = () => Number(desk.page.dataset.right);

/** As consoles/control.py decides it. */
function mayTake() {
  const others = othersTyping();
  const handed = others.some(({ lent_by: lender }) => lender === me);
  return myRight() >= OPERATE && (handed || others.every(({ right }) => rightOf(right) < myRight()));
}

/** Whether it is this page's business when somebody asks: nobody else would answer. */
const answers = () => mayTake() && othersTyping().every(({ lent_by: lender }) => lender === me);

function actionOf(own) {
  if (!own || !SHARED.includes(own.protocol)) return "";
  if (types(own)) return own.lent_by && own.lent_by !== me ? "give_back" : "";
  if (mayTake()) return "take";
  return own.asking ? "withdraw" : "ask";
}

/* What is asked of the portal */

async function act(action, to = null) {
  expected = action;
  const body = JSON.stringify(to ? { action, to } : { action });
  const headers = { "Content-Type": "application/json", "X-CSRFToken": csrfToken };
  const sent = fetch(`/api/v1/consoles/${desk.session}/control`, { method: "POST", headers, body });
  const answer = await sent.catch(() => null);
  const content = await answer?.json().catch(() => null);
  if (answer?.ok) receive(content.items);
  else desk.notify(content?.error?.message ?? words.failed, "warning");
  expected = "";
  desk.screen?.focus();
}

/* What is told */

function receive(news) {
  const before = { own: mine(), people: names() };
  sessions = news;
  obey();
  tellComings(before.people);
  if (before.own && mine()) tellControl(before.own, mine());
  draw();
}

/** The screen does what the portal lets it do. */
function obey() {
  const own = mine();
  if (own && desk.screen) desk.screen.setMode(own.mode);
}

const names = () => new Set(sessions.map(({ user }) => user));

function tellComings(before) {
  const now = names();
  const came = [...now].filter((user) => !before.has(user) && user !== me);
  const went = [...before].filter((user) => !now.has(user) && user !== me);
  const sentences = [
    ...came.map((user) => say(words.came, { user })),
    ...went.map((user) => say(words.went, { user })),
  ];
  if (sentences.length) said.textContent = sentences.join(" ");
}

function tellControl(before, own) {
  if (types(before) === types(own)) return;
  if (!types(own)) {
    if (expected === "grant" || expected === "give_back") return;
    const [holder] = othersTyping();
    return desk.notify(holder ? say(words.user_took, { user: holder.user }) : words.lost);
  }
  if (expected) return;
  desk.notify(own.lent_by ? say(words.lent, { user: own.lent_by }) : words.regained, "success");
}

/* Drawing */

function draw() {
  const typing = say(...typingNow());
  opener.querySelector("[data-people-typing]").textContent = typing;
  const count = opener.querySelector("[data-people-count]");
  count.textContent = sessions.length;
  count.hidden = sessions.length < 2;
  opener.setAttribute("aria-label", say(words.who_is_here, { count: sessions.length, typing }));
  drawControls();
  list.replaceChildren(...sessions.map(rowOf));
  drawAsking();
}

function typingNow() {
  const typing = (desk.protocol === "pictures" ? sessions : here()).filter(types); // pictures show the others' screen
  if (!typing.length) return [words.nobody_types, {}];
  return typing[0].user === me ? [words.you_type, {}] : [words.user_types, { user: typing[0].user }];
}

function drawControls() {
  const action = desk.connection === "connected" ? actionOf(mine()) : "";
  const back = action === "take" && othersTyping().some(({ lent_by: lender }) => lender === me);
  const label = words[back ? "take_back" : action] ?? "";
  for (const control of controls) {
    control.hidden = !action;
    control.value = action;
    control.querySelector("span").textContent = label;
    control.title = label;
    control.setAttribute("aria-label", label);
  }
}

function rowOf(one) {
  const row = template("people-row").cloneNode(true);
  const own = one.id === desk.session;
  row.dataset.mode = one.mode;
  row.querySelector("b").textContent = one.user === me ? say(words.you, one) : one.user;
  row.querySelector("small").textContent = notesOf(one).join(" · ");
  const give = row.querySelector("button");
  give.value = one.id;
  give.hidden = own || types(one) || one.protocol !== desk.protocol || one.user === me || !mine() || !mayTake();
  return row;
}

function notesOf(one) {
  return [
    types(one) ? words.types : words.looks,
    one.asking && words.asks,
    types(one) && one.lent_by && say(words.lent_by, { user: one.lent_by }),
    one.protocol !== desk.protocol && say(words.by, { protocol: one.protocol.toUpperCase() }),
    one.client === "viewer" && "virt-viewer",
    one.recorded && words.recorded,
  ].filter(Boolean);
}

/** A line for each who asks; lines that stay are not drawn anew, so that nobody presses a button that moves. */
function drawAsking() {
  const wanted = mine() && answers() ? here().filter((one) => one.asking && one.user !== me) : [];
  for (const line of [...asking.children]) if (!wanted.some(({ id }) => id === line.dataset.session)) line.remove();
  for (const one of wanted) {
    if (asking.querySelector(`[data-session="${one.id}"]`)) continue;
    const line = template("people-ask").cloneNode(true);
    const sentence = say(words.user_asks, { user: one.user });
    line.dataset.session = one.id;
    line.setAttribute("aria-label", sentence);
    line.querySelector("span").textContent = sentence;
    for (const button of line.querySelectorAll("button")) button.value = one.id;
    asking.append(line);
    said.textContent = sentence;
  }
}

/* News, and clicks */

updates.addEventListener("consoles", ({ detail }) => detail.machine === desk.machine && receive(detail.sessions));
updates.addEventListener("console", ({ detail }) => {
  if (detail.session !== desk.session) return;
  if (detail.event === "warning") warn(detail);
  if (detail.event === "refused") desk.notify(say(words.refused, { user: detail.by }));
});
for (const name of ["screen", "gone", "state"]) {
  desk.addEventListener(name, () => {
    if (name === "screen") obey();
    if (name === "gone") dismissWarning();
    draw();
  });
}
for (const control of controls) control.addEventListener("click", () => act(control.value));
desk.page.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-people-do]");
  if (button) act(button.dataset.peopleDo, button.value);
});
