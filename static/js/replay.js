// The player of recordings: play and pause, speed, any point of time, and pauses of the screen left out.
//
// There are no key frames in a tape: going back begins it anew and feeds everything up to there at once.

import RFB from "../vendor/novnc/core/rfb.js";
import { fetchTape, TapeChannel } from "./console/tape.js";

const player = document.querySelector("[data-player]");
const words = JSON.parse(document.getElementById("replay-words").textContent);
const part = (name) => player.querySelector(`[data-part="${name}"]`);
const AT_ONCE = 1024 * 1024; // bytes fed before noVNC gets time to draw
const LONGEST_PAUSE = 1000; // milliseconds that a pause of the screen lasts when pauses are left out

let tape = null;
let rfb = null;
let channel = null;
let next = 0; // the record that comes next
let now = 0; // where the tape stands, in milliseconds
let playing = false;
let ticked = 0;
let seeking = null;

const speed = () => Number(part("speed").value);

function begin() {
  try {
    rfb?.disconnect();
  } catch {
    // it had not begun
  }
  part("screen").replaceChildren();
  channel = new TapeChannel();
  rfb = new RFB(part("screen"), channel, { shared: true });
  rfb.viewOnly = true;
  rfb.scaleViewport = true;
  rfb.background = "transparent";
  next = 0;
}

/** Feed what the tape holds up to a time. A later call makes an earlier one stop. */
async function feedUntil(time) {
  const mine = {};
  seeking = mine;
  let fed = 0;
  while (seeking === mine && next < tape.records.length && tape.records[next].at <= time) {
    const { bytes } = tape.records[next];
    channel.feed(bytes.slice());
    next += 1;
    fed += bytes.length;
    if (fed > AT_ONCE) {
      fed = 0;
      await new Promise((resolve) => setTimeout(resolve));
    }
  }
}

async function seek(time) {
  now = Math.max(0, Math.min(time, tape.duration));
  if (next > 0 && tape.records[next - 1].at > now) begin();
  draw();
  await feedUntil(now);
}

function tick(time) {
  if (!playing) return;
  now += (time - ticked) * speed();
  ticked = time;
  const coming = tape.records[next]?.at;
  if (part("pauses").checked && coming - now > LONGEST_PAUSE * speed()) now = coming - LONGEST_PAUSE * speed();
  feedUntil(now);
  if (now >= tape.duration) {
    now = tape.duration;
    play(false);
  }
  draw();
  requestAnimationFrame(tick);
}

function play(on) {
  playing = on;
  part("play").setAttribute("aria-pressed", String(on));
  part("play-word").textContent = on ? words.pause : words.play;
  if (!on) return;
  if (now >= tape.duration) seek(0);
  ticked = performance.now();
  requestAnimationFrame(tick);
}

function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function draw() {
  part("time").textContent = `${clock(now)} / ${clock(tape.duration)}`;
  if (document.activeElement !== part("seek") || playing) part("seek").value = String(Math.round(now));
  part("seek").setAttribute("aria-valuetext", clock(now));
  player.dataset.at = String(Math.round(now));
}

function say(sentence) {
  part("notice").textContent = sentence;
  part("notice").hidden = !sentence;
}

async function load() {
  say(words.loading);
  try {
    tape = await fetchTape(player.dataset.tape);
  } catch {
    return say(words.gone);
  }
  if (!tape.records.length) return say(words.empty);
  say(tape.cut ? words.cut : "");
  part("seek").max = String(tape.duration);
  for (const control of player.querySelectorAll("[data-part]:disabled")) control.disabled = false;
  begin();
  await seek(0);
  player.dataset.player = "ready";
  play(true);
}

part("play").addEventListener("click", () => play(!playing));
part("seek").addEventListener("input", () => seek(Number(part("seek").value)));
part("back").addEventListener("click", () => seek(now - 10_000));
part("forward").addEventListener("click", () => seek(now + 10_000));
player.addEventListener("keydown", (event) => {
  if (event.key !== " " || event.target.closest("button, select, input")) return;
  event.preventDefault();
  play(!playing);
});

load();
