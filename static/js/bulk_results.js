// Keeps the tally of a bulk operation's results true while its operations go on (operations.js draws the rows).

import { updates } from "./updates.js";

function count() {
  for (const part of document.querySelectorAll("[data-tally]")) {
    const rows = document.querySelectorAll(`[data-operation-row][data-status="${part.dataset.tally}"]`);
    part.hidden = !rows.length;
    const number = part.querySelector("[data-count]");
    if (number.textContent !== String(rows.length)) number.textContent = rows.length;
  }
}

updates.addEventListener("operation", count);
count();
