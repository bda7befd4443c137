// The panel "Clipboard": what the machine copied, what it is given, and both by themselves where the browser allows it.

import { say } from "../words.js";
import { desk } from "./desk.js";
import { recall, remember } from "./memory.js";

const KEPT = `clipboard:${desk.machine}`; // for each machine: what is copied goes to it unasked

const panel = desk.find('[data-panel="clipboard"]');
const part = (name) => panel.querySelector(`[data-clipboard-${name}]`);
const outgoing = panel.querySelector("#clipboard-out");
const incoming = panel.querySelector("#clipboard-in");
const automatic = part("automatic");
const words = JSON.parse(document.getElementById("console-words").textContent).clipboard;
const machineName = desk.find('[data-fact="name"]').textContent;

let known = null; // the text that both sides have already
let mayRead = false;

/* Showing */

function hindrance() {
  if (!desk.screen) return "why_gone";
  if (!desk.screen.can.has("clipboard")) return "none";
  return desk.mode === "view" ? "why_view" : "";
}

function show() {
  const why = hindrance();
  part("send").disabled = Boolean(why) || !outgoing.value;
  part("copy").disabled = !incoming.value;
  const about = words[desk.protocol] ?? words.none;
  part("note").textContent = !why || why === "none" ? about : words[why];
}

/** Learn what this browser allows; Firefox and Safari do not know the permission and never let pages read. */
async function askBrowser() {
  const note = part("automatic-note");
  const explain = (word) => {
    note.textContent = words[word] ?? "";
    note.hidden = !word;
  };
  if (!window.isSecureContext || !navigator.clipboard) {
    automatic.disabled = true;
    return explain("insecure");
  }
  const permission = await navigator.permissions.query({ name: "clipboard-read" }).catch(() => null);
  const look = () => {
    mayRead = Boolean(permission) && permission.state !== "denied";
    explain(permission ? (mayRead ? "" : "denied") : "no_reading");
  };
  permission?.addEventListener("change", look);
  look();
  automatic.checked = recall(KEPT, false);
}

/* From the machine */

async function onText({ detail }) {
  incoming.value = detail.text;
  known = detail.text;
  show();
  if (automatic.checked && (await write(detail.text))) return;
  if (panel.hidden && document.hasFocus()) desk.notify(say(words.received, { machine: machineName }));
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // the page has not the focus, or may not
  }
}

async function copy() {
  if (!(await write(incoming.value))) {
    incoming.select();
    if (!document.execCommand("copy")) return desk.notify(words.not_copied, "warning");
  }
  desk.notify(words.copied, "success");
}

/* To the machine */

function send(text) {
  if (hindrance() || !text) return false;
  known = text;
  desk.screen.paste(withLineEnds(text));
  return true;
}

/** Lines as the machine's system ends them, which the panel "Type text" was told. */
function withLineEnds(text) {
  const end = recall(`system:${desk.machine}`) === "windows" ? "\r\n" : "\n";
  return text.replaceAll(/\r\n?|\n/g, end);
}

/** Someone comes (back) to the screen: what was copied elsewhere meanwhile goes along. */
async function bring() {
  if (!automatic.checked || !mayRead || hindrance()) return;
  const text = await navigator.clipboard.readText().catch(() => "");
  if (text && text !== known) send(text);
}

function arrive() {
  show();
  bring();
}

/* Events */

outgoing.addEventListener("input", show);
part("send").addEventListener("click", () => {
  if (!send(outgoing.value)) return;
  desk.notify(words.sent, "success");
  desk.screen.focus();
});
part("copy").addEventListener("click", copy);
automatic.addEventListener("change", () => {
  remember(KEPT, automatic.checked);
  bring();
});
desk.addEventListener("screen", () => {
  desk.screen.addEventListener("clipboard", onText);
  desk.screen.addEventListener("can", arrive);
  known = null;
  arrive();
});
for (const news of ["gone", "mode"]) desk.addEventListener(news, show);
window.addEventListener("focus", bring);
desk.find("[data-screen]").addEventListener("focusin", bring);

askBrowser();
show();
