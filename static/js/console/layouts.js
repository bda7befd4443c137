// Keyboard layouts of guests: which keys a person presses there for a character. Tables only; nothing here sees a page.
//
// A layout has what stands on its keys at four levels: plain, shift, altGr and shiftAltGr, each as four rows (ROWS; a space
// is a key without a character), and its dead keys (accent -> key). What Linux or Windows have beside it stands under
// `linux` and `windows`; where they differ, the differing key is there only. tests/consoles/test_layouts.py holds the
// Linux side against libxkbcommon.

const digits = [..."1234567890"].map((digit) => `Digit${digit}`);
const letters = (row) => [...row].map((letter) => `Key${letter}`);

const ROWS = [
  ["Backquote", ...digits, "Minus", "Equal", "IntlYen"],
  [...letters("QWERTYUIOP"), "BracketLeft", "BracketRight"],
  [...letters("ASDFGHJKL"), "Semicolon", "Quote", "Backslash"],
  ["IntlBackslash", ...letters("ZXCVBNM"), "Comma", "Period", "Slash", "IntlRo"],
];
const LEVELS = { plain: [], shift: ["ShiftLeft"], altGr: ["AltRight"], shiftAltGr: ["ShiftLeft", "AltRight"] };

/** The accents of dead keys, as the mark that Unicode puts behind a letter. */
const MARKS = { "`": "\u0300", "´": "\u0301", "^": "\u0302", "~": "\u0303", "¨": "\u0308", "¸": "\u0327" };
/** Those that a space after the dead key types by themselves, everywhere. The others differ between systems. */
const ALONE = ["`", "^", "~"];
const LAST_COMPOSED = 0xff; // the text console of Linux composes Latin-1 only

/** What X's Latin layouts have with AltGr in the lower three rows. */
const LATIN = ["@ſ€¶ŧ←↓→øþ", "æßðđŋħ ĸł", "|«»¢„“”µ•·"];
const SHIFTED_LATIN = ["¬¡⅛£$⅜⅝⅞™±°¿", "Ω§€®Ŧ¥↑ıØÞ", "ÆẞÐªŊĦ &Ł", "¦<>©‚‘’º×÷"];
const latin = (digitRow, dead = {}) => ({ altGr: [digitRow, ...LATIN], shiftAltGr: SHIFTED_LATIN, dead });

export const LAYOUTS = {
  us: {
    plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", " zxcvbnm,./"],
    shift: ["~!@#$%^&*()_+", "QWERTYUIOP{}", 'ASDFGHJKL:"|', " ZXCVBNM<>?"],
  },
  uk: {
    plain: ["`1234567890-=", "qwertyuiop[]", "asdfghjkl;'#", "\\zxcvbnm,./"],
    shift: ['¬!"£$%^&*()_+', "QWERTYUIOP{}", "ASDFGHJKL:@~", "|ZXCVBNM<>?"],
    altGr: ["    €"],
    linux: {
      altGr: [" ¹²³ ½¾", "  e¶ŧ←↓→øþ", "æßðđŋħ ĸł", " «»¢„“”µ•·"],
      shiftAltGr: [" ¡⅛ ¼⅜⅝⅞™±°¿", "Ω§E®Ŧ¥↑ıØÞ", "ÆẞÐªŊĦ  Ł", "¦<>©‚‘’º×÷"],
      dead: {
        "¨": "AltGr BracketLeft",
        "~": "AltGr BracketRight",
        "´": "AltGr Semicolon",
        "^": "AltGr Quote",
        "`": "AltGr Backslash",
        "¸": "AltGr Equal",
      },
    },
    windows: { altGr: ["¦", "  é   úíó", "á"], shiftAltGr: ["", "  É   ÚÍÓ", "Á"] },
  },
  de: {
    plain: [" 1234567890ß", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"],
    shift: ['°!"§$%&/()=?', "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"],
    altGr: ["  ²³   {[]}\\", "@ €        ~", "", "|      µ"],
    dead: { "^": "Backquote", "´": "Equal", "`": "Shift Equal" },
    linux: {
      altGr: ["′¹  ¼½¬", " ſ ¶ŧ←↓→øþ", "æſðđŋħ ĸł  ’", " »«¢„“” ·…–"],
      shiftAltGr: ["″¡⅛£¤⅜⅝⅞™±°¿", "Ω  ®Ŧ¥↑ıØÞ ¯", "ÆẞÐªŊĦ  Ł", " ›‹©‚‘’º×÷—"],
      dead: { "¨": "AltGr BracketLeft", "¸": "AltGr Equal" },
    },
  },
  fr: {
    plain: ["²&é\"'(-è_çà)=", "azertyuiop $", "qsdfghjklmù*", "<wxcvbn,;:!"],
    shift: [" 1234567890°+", "AZERTYUIOP £", "QSDFGHJKLM%µ", ">WXCVBN?./§"],
    altGr: ["   #{[| \\^@]}", "  €        ¤"],
    dead: { "^": "BracketLeft", "¨": "Shift BracketLeft" },
    linux: {
      shift: ["~"],
      altGr: ["¬¹     `", "æ« ¶ŧ←↓→øþ", " ßðđŋħ ĸł", " ł»¢„“” •·"],
      shiftAltGr: [" ¡⅛£ ⅜⅝⅞™±°¿", "Æ ¢®Ŧ¥↑ıØÞ", "ΩẞÐªŊĦ  Łº", "¦Ł ©‚‘’ ×÷"],
      dead: { "`": "AltGr Backslash", "´": "AltGr KeyM" },
    },
    windows: { dead: { "~": "AltGr Digit2", "`": "AltGr Digit7" } },
  },
  es: {
    plain: ["º1234567890'¡", "qwertyuiop +", "asdfghjklñ ç", "<zxcvbnm,.-"],
    shift: ['ª!"·$%&/()=?¿', "QWERTYUIOP *", "ASDFGHJKLÑ Ç", ">ZXCVBNM;:_"],
    altGr: ["\\|@#  ¬", "  €       []", "          {}"],
    dead: { "`": "BracketLeft", "^": "Shift BracketLeft", "´": "Quote", "¨": "Shift Quote" },
    linux: latin("    ~½", { "~": "AltGr Semicolon", "¸": "AltGr Equal" }),
    windows: { dead: { "~": "AltGr Digit4" } },
  },
  jp: {
    plain: [" 1234567890-^", "qwertyuiop@[", "asdfghjkl;:]", " zxcvbnm,./\\"],
    shift: [" !\"#$%&'() =~|", "QWERTYUIOP`{", "ASDFGHJKL+*}", " ZXCVBNM<>?_"],
  },
  it: {
    plain: ["\\1234567890'ì", "qwertyuiopè+", "asdfghjklòàù", "<zxcvbnm,.-"],
    shift: ['|!"£$%&/()=?^', "QWERTYUIOPé*", "ASDFGHJKLç°§", ">ZXCVBNM;:_"],
    altGr: ["", "  €       []", "         @#"],
    shiftAltGr: ["", "          {}"],
    linux: {
      altGr: ["¬¹²³¼½     `~", " ſ ¶ŧ←↓→øþ", "æßðđŋħ ĸł", " «»¢“”ñµ ·"],
      shiftAltGr: ["¦¡  ⅛⅜⅝⅞™± ¿", "Ω ¢®Ŧ¥↑ıØÞ", "ÆẞÐªŊĦ  Ł", "   ©‘’Ñº× ÷"],
      dead: {
        "`": "AltGr Backslash",
        "´": "AltGr Comma",
        "~": "ShiftAltGr Digit3",
        "^": "ShiftAltGr Equal",
        "¨": "ShiftAltGr Period",
        "¸": "ShiftAltGr Semicolon",
      },
    },
  },
  pt: {
    plain: ["\\1234567890'«", "qwertyuiop+", "asdfghjklçº", "<zxcvbnm,.-"],
    shift: ['|!"#$%&/()=?»', "QWERTYUIOP*", "ASDFGHJKLÇª", ">ZXCVBNM;:_"],
    altGr: ["  @£§  {[]}", "  €"],
    dead: {
      "´": "BracketRight",
      "`": "Shift BracketRight",
      "~": "Backslash",
      "^": "Shift Backslash",
      "¨": "AltGr BracketLeft",
    },
    linux: {
      ...latin("¬¹   ½", { "¸": "AltGr Equal" }),
      shiftAltGr: [...SHIFTED_LATIN.slice(0, 3), " <>©‚‘’º×÷"],
    },
  },
  ch: {
    plain: ["§1234567890'", "qwertzuiopü", "asdfghjklöä$", "<yxcvbnm,.-"],
    shift: ['°+"*ç%&/()=?', "QWERTZUIOPè!", "ASDFGHJKLéà£", ">YXCVBNM;:_"],
    altGr: ["  @#  ¬|¢", "  €       []", "          {}", "\\"],
    dead: { "^": "Equal", "`": "Shift Equal", "¨": "BracketRight", "´": "AltGr Minus", "~": "AltGr Equal" },
    linux: {
      altGr: ["    ¼½", " ſ ¶ŧ←↓→œþ", ...LATIN.slice(1)],
      shiftAltGr: [SHIFTED_LATIN[0], "Ω E®Ŧ¥↑ıŒÞ", ...SHIFTED_LATIN.slice(2)],
    },
  },
  dvorak: {
    plain: ["`1234567890[]", "',.pyfgcrl/=", "aoeuidhtns-\\", " ;qjkxbmwvz"],
    shift: ["~!@#$%^&*(){}", '"<>PYFGCRL?+', "AOEUIDHTNS_|", " :QJKXBMWVZ"],
  },
};

/** The modifiers that typing presses; all others have to be up. */
export const MODIFIERS = ["ShiftLeft", "AltRight"];

/**
 * Return how each character is typed with a layout in a guest whose system is "linux" (and the like) or "windows":
 * a Map of character -> [{code: KeyboardEvent.code, modifiers: [...], keysym: X's number}, ...].
 */
export function strokesOf(layout, system = "linux") {
  const table = LAYOUTS[layout];
  const strokes = new Map([
    ["\n", [stroke("Enter", [], 0xff0d)]],
    ["\t", [stroke("Tab", [], 0xff09)]],
    [" ", [stroke("Space", [], 0x20)]],
  ]);
  for (const part of [table, table[system] ?? {}]) addKeys(strokes, part);
  for (const part of [table, table[system] ?? {}]) addAccents(strokes, part.dead ?? {});
  return strokes;
}

/** Return the characters of a text that cannot be typed: [{character, at}], counted in characters from 0. */
export function untypable(text, strokes) {
  const missing = [];
  for (const [at, character] of [...text].entries()) if (!strokes.has(character)) missing.push({ character, at });
  return missing;
}

function addKeys(strokes, part) {
  for (const [level, modifiers] of Object.entries(LEVELS))
    for (const [row, characters] of (part[level] ?? []).entries())
      for (const [place, character] of [...characters].entries())
        if (character !== " ") add(strokes, character, [stroke(ROWS[row][place], modifiers, keysymOf(character))]);
}

function addAccents(strokes, dead) {
  for (const [accent, key] of Object.entries(dead)) {
    const [level, code] = key.includes(" ") ? key.split(" ") : ["", key];
    const modifiers = LEVELS[`${level.charAt(0).toLowerCase()}${level.slice(1)}` || "plain"];
    const first = stroke(code, modifiers, keysymOf(accent));
    if (ALONE.includes(accent)) add(strokes, accent, [first, ...strokes.get(" ")]);
    for (const [letter, then] of [...strokes]) {
      const composed = (letter + MARKS[accent]).normalize("NFC");
      const fits = composed.length === 1 && composed.charCodeAt(0) <= LAST_COMPOSED;
      if (/^[A-Za-z]$/.test(letter) && fits) add(strokes, composed, [first, ...then]);
    }
  }
}

function add(strokes, character, how) {
  if (!strokes.has(character)) strokes.set(character, how);
}

function stroke(code, modifiers, keysym) {
  return { code, modifiers, keysym };
}

/** X's number of a character; QEMU sets Caps Lock right by it. */
function keysymOf(character) {
  const point = character.codePointAt(0);
  return point <= 0xff ? point : 0x01000000 + point;
}
