// The line over a stream of pictures: what it is, and who is at the SPICE screen that it shows.

import { updates } from "../updates.js";
import { say } from "../words.js";
import { desk } from "./desk.js";
import { hint, words } from "./notices.js";

let users = [];

function draw() {
  const shown = desk.protocol === "pictures" && desk.connection === "connected";
  const { pictures, pictures_of: of } = words.hints;
  hint("pictures", shown ? say(users.length ? of : pictures, { user: users.join(", ") }) : "");
}

updates.addEventListener("consoles", ({ detail }) => {
  if (detail.machine !== desk.machine) return;
  users = [...new Set(detail.sessions.filter(({ protocol }) => protocol === "spice").map(({ user }) => user))];
  draw();
});
desk.addEventListener("state", draw);
desk.addEventListener("screen", draw);
draw();
