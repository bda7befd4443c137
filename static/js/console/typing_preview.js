// How a text that will be typed is drawn before: with its invisible keys, and what cannot be typed marked.

const MOST = 2000; // characters drawn
const MOST_LISTED = 12;
const SIGNS = { "\n": "⏎\n", "\t": "⇥\t" };

/** Draw `characters` into an element; those in `missing` ({character, at}) are marked. */
export function draw(element, characters, missing) {
  const places = new Set(missing.map(({ at }) => at));
  const drawn = document.createDocumentFragment();
  let plain = "";
  const flush = () => {
    drawn.append(plain);
    plain = "";
  };
  for (const [at, character] of characters.slice(0, MOST).entries()) {
    if (places.has(at)) {
      flush();
      const mark = document.createElement("mark");
      mark.textContent = visible(character);
      drawn.append(mark);
    } else plain += SIGNS[character] ?? character;
  }
  if (characters.length > MOST) plain += "…";
  flush();
  element.replaceChildren(drawn);
}

/** The different characters of `missing`, apart from each other. */
export function listed(missing) {
  const characters = [...new Set(missing.map(({ character }) => character))];
  const shown = characters.slice(0, MOST_LISTED).map(visible);
  return shown.join("  ") + (characters.length > MOST_LISTED ? "  …" : "");
}

/** What has no picture of its own is written by its number. */
function visible(character) {
  if (!/[\p{C}\p{Z}\p{M}]/u.test(character)) return character;
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}
