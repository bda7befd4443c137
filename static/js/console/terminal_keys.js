// What keys mean to a terminal: the bytes that xterm sends for them.

const CURSOR = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };
const TILDE = {
  Insert: 2, Delete: 3, PageUp: 5, PageDown: 6, F5: 15, F6: 17, F7: 18, F8: 19, F9: 20, F10: 21, F11: 23, F12: 24,
}; // biome-ignore format: a table
const FUNCTION = { F1: "P", F2: "Q", F3: "R", F4: "S" };
const PLAIN = { Enter: "\r", NumpadEnter: "\r", Tab: "\t", Escape: "\x1b", Backspace: "\x7f", Space: " " };
const MARKS = {
  Minus: "-_", Equal: "=+", BracketLeft: "[{", BracketRight: "]}", Backslash: "\\|", Semicolon: ";:", Quote: "'\"",
  Backquote: "`~", Comma: ",<", Period: ".>", Slash: "/?",
}; // biome-ignore format: a table
const DIGITS = ")!@#$%^&*(";

/** The character of a key on a US keyboard, or "". */
function character(code, shift) {
  if (/^Key[A-Z]$/.test(code)) return shift ? code[3] : code[3].toLowerCase();
  if (/^Digit\d$/.test(code)) return shift ? DIGITS[code[5]] : code[5];
  return MARKS[code]?.[shift ? 1 : 0] ?? PLAIN[code] ?? "";
}

/** A character with Ctrl and Alt held: ^C is \x03, Alt puts an Escape before it. */
export function withModifiers(text, { control = false, alt = false }) {
  let sent = text;
  if (control && /^[@-_a-z ?]$/.test(text))
    sent = text === "?" ? "\x7f" : String.fromCharCode(text.toUpperCase().charCodeAt(0) & 0x1f);
  return alt ? `\x1b${sent}` : sent;
}

/** The bytes for a key pressed with modifiers held: {control, alt, shift}; "" for one that says nothing. */
export function bytesOf(code, { control = false, alt = false, shift = false } = {}) {
  const held = 1 + (shift ? 1 : 0) + (alt ? 2 : 0) + (control ? 4 : 0);
  const parameter = held > 1 ? `1;${held}` : "";
  if (CURSOR[code]) return `\x1b[${parameter}${CURSOR[code]}`;
  if (FUNCTION[code]) return parameter ? `\x1b[${parameter}${FUNCTION[code]}` : `\x1bO${FUNCTION[code]}`;
  if (TILDE[code]) return `\x1b[${TILDE[code]}${held > 1 ? `;${held}` : ""}~`;
  if (code === "Tab" && shift) return "\x1b[Z";
  const text = character(code, shift);
  return text && withModifiers(text, { control, alt });
}
