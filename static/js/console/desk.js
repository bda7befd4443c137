// What the parts of the console's page share. A part knows this and Screen (screen.js), never another part.
//
// Events: "screen" (a picture is there: desk.screen), "gone" (there is none any more), "mode" (control or view),
// "state" (the machine's state, the right over it or the connection changed), "panel" (detail: {name, open}).
// What page.js is asked by: "reconnect", and "leave" (detail: the notice of words.connection that stays).

import { toast } from "../toasts.js";

class Desk extends EventTarget {
  page = document.querySelector("[data-console]");
  machine = this.page.dataset.machine;

  /** The Screen that shows a picture now, or null. */
  screen = null;

  /** What quality is asked of displays that have a choice: {quality, compression} from 0 to 9, or null for their own. */
  wanted = null;

  /** Which of the machine's displays is shown: vnc, spice, serial or pictures. */
  get protocol() {
    return this.page.dataset.console;
  }

  /** What this page may do now: control or view. */
  get mode() {
    return this.page.dataset.mode;
  }

  /** The console session's id in the portal, or null. */
  get session() {
    return this.page.dataset.session || null;
  }

  /** connecting, connected, waiting or closed. */
  get connection() {
    return this.page.dataset.connection;
  }

  /** Find an element of this page. */
  find(selector) {
    return this.page.querySelector(selector);
  }

  tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Show a notice in the corner; level: info, success, warning or error. */
  notify(sentence, level = "info") {
    toast(sentence, { level });
  }

  /** Open the side panel [data-panel=name], or close it; without `open`, whichever it is not. One is open at a time. */
  panel(name, open = this.find(`[data-panel="${name}"]`)?.hidden) {
    for (const panel of this.page.querySelectorAll("[data-panel]")) {
      const wanted = Boolean(open) && panel.dataset.panel === name;
      if (panel.hidden === wanted) this.#set(panel, wanted);
    }
    if (open) this.find(`[data-panel="${name}"] :is(textarea, input, select, button:not([data-close-panel]))`)?.focus();
  }

  #set(panel, open) {
    const { panel: name } = panel.dataset;
    const hadFocus = panel.contains(document.activeElement);
    panel.hidden = !open;
    for (const opener of this.page.querySelectorAll(`[data-opens="${name}"]`)) {
      opener.setAttribute("aria-expanded", String(open));
      if (!open && hadFocus) opener.focus();
    }
    this.tell("panel", { name, open });
  }
}

export const desk = new Desk();

desk.page.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) desk.panel(opener.dataset.opens);
  const closer = event.target.closest("[data-close-panel]");
  if (closer) desk.panel(closer.closest("[data-panel]").dataset.panel, false);
});
desk.page.addEventListener("keydown", (event) => {
  const panel = event.target.closest?.("[data-panel]");
  if (event.key === "Escape" && panel) desk.panel(panel.dataset.panel, false);
});
