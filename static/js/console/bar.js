// The bar: which display, how large, its picture as a file, the whole screen, a window of its own.

import { desk } from "./desk.js";
import { recall, remember } from "./memory.js";
import { chosenLast } from "./tickets.js";

const button = (name) => desk.find(`[data-do="${name}"]`);

/* Which display: remembered for each machine */

const chooser = desk.find("[data-protocols]");

function drawProtocol() {
  if (!chooser) return;
  for (const link of chooser.querySelectorAll("[data-protocol]")) {
    if (link.dataset.protocol === desk.protocol) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  chooser.querySelector("[data-protocol-shown]").textContent = chooser.querySelector("[aria-current]").textContent;
}

/** An address that names no display shows the one that was chosen last. */
function takeRemembered() {
  if ("wantedProtocol" in desk.page.dataset || !chooser) return;
  const displays = [...chooser.querySelectorAll("[data-protocol]")].map((link) => link.dataset.protocol);
  desk.page.dataset.console = chosenLast(desk.machine, displays) ?? desk.protocol;
}

chooser?.addEventListener("click", (event) => {
  const link = event.target.closest("[data-protocol]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  chooser.open = false;
  remember(`protocol:${desk.machine}`, link.dataset.protocol);
  if (link.dataset.protocol === desk.protocol) return;
  history.replaceState(history.state, "", link.href);
  desk.page.dataset.console = link.dataset.protocol;
  drawProtocol();
  desk.tell("reconnect");
});

/* How large */

function drawScaling() {
  button("scale").setAttribute("aria-pressed", String(recall("scaling", "fit") === "fit"));
}

button("scale").addEventListener("click", () => {
  remember("scaling", recall("scaling", "fit") === "fit" ? "native" : "fit");
  desk.screen?.scale(recall("scaling"));
  drawScaling();
  desk.screen?.focus();
});

/* The whole screen. Escape belongs to the machine then; held, it leaves, as the browser says. */

button("fullscreen").addEventListener("click", async () => {
  if (document.fullscreenElement) return document.exitFullscreen();
  await document.documentElement.requestFullscreen();
  navigator.keyboard?.lock?.(["Escape"]).catch(() => {});
  desk.screen?.focus();
});
document.addEventListener("fullscreenchange", () => {
  button("fullscreen").setAttribute("aria-pressed", String(Boolean(document.fullscreenElement)));
  if (!document.fullscreenElement) navigator.keyboard?.unlock?.();
});

/* Its picture as a file */

const two = (number) => String(number).padStart(2, "0");

function fileName(now) {
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("-");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("-");
  const machine = desk.find('[data-fact="name"]').textContent.replace(/[^\w.-]+/g, "_");
  return `${machine} ${day} ${time}.png`;
}

button("screenshot").addEventListener("click", async () => {
  const now = new Date();
  const picture = await desk.screen?.picture();
  if (!picture) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(picture);
  link.download = fileName(now);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});

button("tell-size").addEventListener("click", () => desk.screen?.tellSize());

/* A window of its own, without the browser's bars */

button("window").addEventListener("click", () => {
  const { width, height } = desk.find("[data-screen] canvas")?.getBoundingClientRect() ?? { width: 1024, height: 768 };
  const address = new URL(location.href);
  address.searchParams.set("protocol", desk.protocol);
  address.searchParams.set("window", "1");
  const features = `popup,width=${Math.round(width)},height=${Math.round(height) + desk.find(".console-bar").offsetHeight}`;
  if (window.open(address, `console-${desk.machine}`, features)) desk.tell("leave", "window");
});

/* What can be done now */

function draw() {
  const can = (word) => desk.connection === "connected" && Boolean(desk.screen?.can.has(word));
  button("screenshot").disabled = !can("picture");
  button("tell-size").disabled = !can("size");
  button("scale").disabled = desk.connection === "connected" && !can("scale");
}

desk.addEventListener("state", draw);
desk.addEventListener("screen", draw);
takeRemembered();
drawProtocol();
drawScaling();
draw();
