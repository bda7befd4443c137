// Says on the screen that it is recorded, for as long as it is.

import { desk } from "./desk.js";

const mark = desk.find("[data-recorded-mark]");

desk.addEventListener("screen", () => {
  const { recorded } = desk.screen;
  if (recorded && mark.hidden) desk.notify(mark.dataset.recordedMark, "warning");
  mark.hidden = !recorded;
});
desk.addEventListener("gone", () => {
  if (desk.connection === "closed") mark.hidden = true;
});
