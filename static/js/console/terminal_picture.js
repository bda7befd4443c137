// A terminal's visible text as a picture: it has no canvas of its own.

const ANSI = (
  "#2e3436 #cc0000 #4e9a06 #c4a000 #3465a4 #75507b #06989a #d3d7cf " +
  "#555753 #ef2929 #8ae234 #fce94f #729fcf #ad7fa8 #34e2e2 #eeeeec"
).split(" ");
const CUBE = [0, 95, 135, 175, 215, 255];

export const COLOURS = { foreground: "#e6e8eb", background: "#0d1117" };

/** The theme for xterm.js: the same colours as in pictures. */
export const THEME = {
  ...COLOURS,
  cursor: "#e6e8eb",
  selectionBackground: "#3a5f95",
  ...Object.fromEntries(
    ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"].flatMap((name, at) => [
      [name, ANSI[at]],
      [`bright${name[0].toUpperCase()}${name.slice(1)}`, ANSI[at + 8]],
    ]),
  ),
};

function ofPalette(number) {
  if (number < 16) return ANSI[number];
  if (number > 231) return `rgb(${Array(3).fill(8 + (number - 232) * 10)})`;
  const at = number - 16;
  return `rgb(${[CUBE[Math.floor(at / 36)], CUBE[Math.floor(at / 6) % 6], CUBE[at % 6]]})`;
}

function colour(isDefault, isRgb, number, otherwise) {
  if (isDefault) return otherwise;
  return isRgb ? `#${number.toString(16).padStart(6, "0")}` : ofPalette(number);
}

function coloursOf(cell) {
  const front = colour(cell.isFgDefault(), cell.isFgRGB(), cell.getFgColor(), COLOURS.foreground);
  const back = colour(cell.isBgDefault(), cell.isBgRGB(), cell.getBgColor(), COLOURS.background);
  return cell.isInverse() ? [back, front] : [front, back];
}

/** Draw what `terminal` shows now; resolves to a PNG. */
export function pictureOf(terminal) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const size = 16;
  const font = `${size}px ${terminal.options.fontFamily}`;
  pen.font = font;
  const width = Math.ceil(pen.measureText("W").width);
  const height = Math.round(size * 1.25);
  canvas.width = width * terminal.cols;
  canvas.height = height * terminal.rows;
  pen.fillStyle = COLOURS.background;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textBaseline = "middle";
  const buffer = terminal.buffer.active;
  for (let row = 0; row < terminal.rows; row += 1) {
    const line = buffer.getLine(buffer.viewportY + row);
    for (let column = 0; line && column < terminal.cols; column += 1) {
      const cell = line.getCell(column);
      const [front, back] = coloursOf(cell);
      if (back !== COLOURS.background) {
        pen.fillStyle = back;
        pen.fillRect(column * width, row * height, width * cell.getWidth(), height);
      }
      pen.font = cell.isBold() ? `bold ${font}` : font;
      pen.fillStyle = front;
      pen.fillText(cell.getChars(), column * width, (row + 0.5) * height);
    }
  }
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
