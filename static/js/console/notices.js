// What stands in the middle of the page when there is no picture, and the lines over the picture when it says little.

import { say } from "../words.js";
import { desk } from "./desk.js";

export const words = JSON.parse(document.getElementById("console-words").textContent);

const notice = desk.find("[data-notice]");
const again = desk.find('[data-do="connect"]');

export const filled = (sentence) =>
  say(sentence ?? "", { machine: desk.find('[data-fact="name"]').textContent, protocol: desk.protocol.toUpperCase() });

/** Draw the notice {title, text, connect}; `text` may be overruled by what the portal said. */
export function drawNotice({ title, text, connect }, said = "") {
  notice.querySelector("[data-notice-title]").textContent = filled(title);
  notice.querySelector("[data-notice-text]").textContent = said || filled(text);
  again.hidden = !connect;
  again.textContent = connect ?? "";
}

/** Show or hide a line over the picture: [data-hint=name], with a sentence of words.hints where it has several. */
export function hint(name, sentence = "") {
  const line = desk.find(`[data-hint="${name}"]`);
  if (sentence) line.querySelector("[data-hint-text]").textContent = filled(sentence);
  line.hidden = !sentence;
}
