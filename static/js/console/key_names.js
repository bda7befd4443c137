// Keys by their place on the keyboard (KeyboardEvent.code): what they are called, and which types a character on a US one.

export const MODIFIERS = ["ControlLeft", "AltLeft", "ShiftLeft", "MetaLeft", "AltRight"];

const NAMES = {
  ControlLeft: "Ctrl",
  ControlRight: "Ctrl",
  AltLeft: "Alt",
  AltRight: "AltGr",
  ShiftLeft: "Shift",
  ShiftRight: "Shift",
  MetaLeft: "Super",
  MetaRight: "Super",
  Escape: "Esc",
  Delete: "Del",
  Insert: "Ins",
  PrintScreen: "Print",
  PageUp: "Page up",
  PageDown: "Page down",
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  ContextMenu: "Menu",
};

/** Write a key's name: that of its place on a US keyboard. */
export const nameOf = (code) => NAMES[code] ?? code.replace(/^(Key|Digit)(?=.$)/, "");

export const nameOfChord = (codes) => codes.map(nameOf).join("-");

const PLAIN = {
  " ": "Space",
  "\n": "Enter",
  "\t": "Tab",
  "-": "Minus",
  "=": "Equal",
  "[": "BracketLeft",
  "]": "BracketRight",
  "\\": "Backslash",
  ";": "Semicolon",
  "'": "Quote",
  "`": "Backquote",
  ",": "Comma",
  ".": "Period",
  "/": "Slash",
};
const SHIFTED = {
  _: "Minus",
  "+": "Equal",
  "{": "BracketLeft",
  "}": "BracketRight",
  "|": "Backslash",
  ":": "Semicolon",
  '"': "Quote",
  "~": "Backquote",
  "<": "Comma",
  ">": "Period",
  "?": "Slash",
};
const ABOVE_DIGITS = ")!@#$%^&*(";

/** The keys that type a character where the guest has a US keyboard: modifiers first. Null where none does. */
export function strokeOf(character) {
  if (/^[a-z]$/.test(character)) return [`Key${character.toUpperCase()}`];
  if (/^[A-Z]$/.test(character)) return ["ShiftLeft", `Key${character}`];
  if (/^[0-9]$/.test(character)) return [`Digit${character}`];
  const digit = ABOVE_DIGITS.indexOf(character);
  if (digit >= 0) return ["ShiftLeft", `Digit${digit}`];
  if (character in PLAIN) return [PLAIN[character]];
  return character in SHIFTED ? ["ShiftLeft", SHIFTED[character]] : null;
}
