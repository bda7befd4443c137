// Pointer, wheel, fingers and keys for a SPICE screen: what browsers say, as the inputs channel wants it.

import GestureHandler from "../../vendor/novnc/core/input/gesturehandler.js";
import Keyboard from "../../vendor/novnc/core/input/keyboard.js";
import SCANCODES from "../../vendor/novnc/core/input/xtscancodes.js";
import { Constants } from "../../vendor/spice/enums.js";

const MOST_UNDERWAY = 2 * Constants.SPICE_INPUT_MOTION_ACK_BUNCH;
const WHEEL_STEP = 50; // CSS pixels
const [LEFT, MIDDLE, RIGHT, UP, DOWN] = [1, 2, 3, 4, 5];
const BUTTON_OF_TAP = { onetap: LEFT, twotap: RIGHT, threetap: MIDDLE, drag: LEFT, longpress: RIGHT };

/** Buttons as SPICE counts them: left, middle, right; browsers count left, right, middle. */
const maskOf = (buttons) => (buttons & 1) | ((buttons & 4) >> 1) | ((buttons & 2) << 1);

export class SpiceHands {
  #link;
  #canvas = null;
  #keyboard = null;
  #gestures = new GestureHandler();
  #mask = 0;
  #last = null; // where the pointer was told to be
  #waiting = null; // where it should be once the display keeps up
  #underway = 0;
  #wheel = 0;
  #finger = 0;
  #down = new Set();

  constructor(link) {
    this.#link = link;
    link.onack = () => this.#acknowledged();
  }

  /** Take over a canvas, whose picture may be shown in another size; null lets go. */
  hold(canvas) {
    this.#keyboard?.ungrab();
    this.#gestures.detach();
    this.#canvas = canvas;
    if (!canvas) return;
    this.#keyboard = new Keyboard(canvas);
    this.#keyboard.onkeyevent = (_keysym, code, down) => this.press(code, down);
    this.#keyboard.grab();
    this.#gestures.attach(canvas);
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.#pointer(event));
    for (const name of ["gesturestart", "gesturemove", "gestureend"])
      canvas.addEventListener(name, (event) => this.#gesture(event));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
  }

  /**
   * Press a key or let it go. One that is not down is not let go: Linux takes a Shift that comes up by itself for a
   * keyboard that was plugged in anew, and loses the key after it.
   */
  press(code, down) {
    const scancode = SCANCODES[code];
    if (!scancode || !(down || this.#down.has(code))) return;
    if (down) this.#down.add(code);
    else this.#down.delete(code);
    const long = scancode > 0xff; // 0xe0 and the key: the first byte comes first
    const bytes = long ? 0xe0 | ((scancode & 0xff) << 8) : scancode;
    const type = down ? Constants.SPICE_MSGC_INPUTS_KEY_DOWN : Constants.SPICE_MSGC_INPUTS_KEY_UP;
    this.#link.inputs?.tell(type, [4, down ? bytes : bytes | (long ? 0x8000 : 0x80)]);
  }

  get #relative() {
    return this.#link.main?.mouse_mode === Constants.SPICE_MOUSE_MODE_SERVER;
  }

  #at({ clientX, clientY }) {
    const box = this.#canvas.getBoundingClientRect();
    const place = (offset, length, dots) => Math.max(0, Math.min(dots - 1, Math.floor((offset * dots) / length)));
    return {
      x: place(clientX - box.left, box.width, this.#canvas.width),
      y: place(clientY - box.top, box.height, this.#canvas.height),
    };
  }

  #pointer(event) {
    if (event.pointerType === "touch") return; // gestures are made of these
    if (event.type === "pointerdown") {
      this.#canvas.focus({ preventScroll: true });
      if (this.#relative) this.#capture();
      else this.#canvas.setPointerCapture(event.pointerId);
    }
    event.preventDefault();
    const locked = document.pointerLockElement === this.#canvas;
    if (locked) this.#nudge(event.movementX, event.movementY);
    else this.#move(this.#at(event));
    this.#buttons(maskOf(event.buttons));
  }

  /** A guest that only knows how far a mouse moved needs the pointer for itself; Escape gives it back. */
  #capture() {
    this.#canvas.requestPointerLock?.()?.catch?.(() => {});
  }

  #move(to) {
    if (!this.#relative) {
      this.#waiting = to;
      this.#flush();
      return;
    }
    if (this.#last) this.#nudge(to.x - this.#last.x, to.y - this.#last.y);
    this.#last = to;
  }

  #nudge(x, y) {
    if (!x && !y) return;
    this.#sent(Constants.SPICE_MSGC_INPUTS_MOUSE_MOTION, [4, x], [4, y], [2, this.#mask]);
  }

  /** Only so many moves are underway; of those that wait, the last one counts. */
  #flush() {
    if (!this.#waiting || this.#underway >= MOST_UNDERWAY) return;
    const { x, y } = this.#waiting;
    this.#waiting = null;
    this.#sent(Constants.SPICE_MSGC_INPUTS_MOUSE_POSITION, [4, x], [4, y], [2, this.#mask], [1, 0]);
  }

  #sent(type, ...fields) {
    this.#link.inputs?.tell(type, ...fields);
    this.#underway += 1;
  }

  #acknowledged() {
    this.#underway = Math.max(0, this.#underway - Constants.SPICE_INPUT_MOTION_ACK_BUNCH);
    this.#flush();
  }

  #buttons(mask) {
    for (const button of [LEFT, MIDDLE, RIGHT]) {
      const bit = 1 << (button - 1);
      if ((mask & bit) !== (this.#mask & bit)) this.#button(button, Boolean(mask & bit));
    }
  }

  #button(button, down) {
    const bit = button > RIGHT ? 0 : 1 << (button - 1);
    this.#mask = down ? this.#mask | bit : this.#mask & ~bit;
    const type = down ? Constants.SPICE_MSGC_INPUTS_MOUSE_PRESS : Constants.SPICE_MSGC_INPUTS_MOUSE_RELEASE;
    this.#link.inputs?.tell(type, [1, button], [2, this.#mask]);
  }

  #click(button) {
    this.#button(button, true);
    this.#button(button, false);
  }

  #turn(event) {
    event.preventDefault();
    this.#scroll(event.deltaMode ? event.deltaY * WHEEL_STEP : event.deltaY);
  }

  #scroll(by) {
    this.#wheel += by;
    for (; Math.abs(this.#wheel) >= WHEEL_STEP; this.#wheel -= Math.sign(this.#wheel) * WHEEL_STEP)
      this.#click(this.#wheel < 0 ? UP : DOWN);
  }

  /** One finger is the left button, two the right one or the wheel, a long touch the right one. */
  #gesture({ type, detail }) {
    const button = BUTTON_OF_TAP[detail.type];
    const start = type === "gesturestart";
    if (!["twodrag", "pinch"].includes(detail.type) || start) this.#move(this.#at(detail));
    if (start) this.#canvas.focus({ preventScroll: true });
    if (detail.type.endsWith("tap")) {
      if (start) this.#click(button);
    } else if (button && type !== "gesturemove") {
      this.#button(button, start);
    } else if (detail.type === "twodrag") {
      if (!start) this.#scroll(this.#finger - detail.magnitudeY);
      this.#finger = detail.magnitudeY;
    }
  }
}
