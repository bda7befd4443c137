// X11 names of keys by their place on a US keyboard, for displays that do not take places (QEMU's do, after one picture).

const NAMED = {
  Backspace: 0xff08,
  Tab: 0xff09,
  Enter: 0xff0d,
  Pause: 0xff13,
  ScrollLock: 0xff14,
  Escape: 0xff1b,
  Home: 0xff50,
  ArrowLeft: 0xff51,
  ArrowUp: 0xff52,
  ArrowRight: 0xff53,
  ArrowDown: 0xff54,
  PageUp: 0xff55,
  PageDown: 0xff56,
  End: 0xff57,
  PrintScreen: 0xff61,
  Insert: 0xff63,
  ContextMenu: 0xff67,
  NumLock: 0xff7f,
  ShiftLeft: 0xffe1,
  ShiftRight: 0xffe2,
  ControlLeft: 0xffe3,
  ControlRight: 0xffe4,
  CapsLock: 0xffe5,
  AltLeft: 0xffe9,
  AltRight: 0xfe03,
  MetaLeft: 0xffeb,
  MetaRight: 0xffec,
  Delete: 0xffff,
};
const SIGNS = {
  Space: " ",
  Minus: "-",
  Equal: "=",
  BracketLeft: "[",
  BracketRight: "]",
  Backslash: "\\",
  IntlBackslash: "<",
  Semicolon: ";",
  Quote: "'",
  Backquote: "`",
  Comma: ",",
  Period: ".",
  Slash: "/",
};
const F1 = 0xffbe;

/** Return a key's keysym, 0 where it has none here. */
export function keysymOf(code) {
  const [, letter, digit, f] = code.match(/^(?:Key([A-Z])|Digit([0-9])|F([0-9]{1,2}))$/) ?? [];
  if (f) return F1 + Number(f) - 1;
  const sign = letter?.toLowerCase() ?? digit ?? SIGNS[code];
  return sign ? sign.charCodeAt(0) : (NAMED[code] ?? 0);
}
