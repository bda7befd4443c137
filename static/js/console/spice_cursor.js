// The guest's pointer as CSS wants it.

const [ALPHA, MONO] = [0, 1];
const LARGEST = 128; // browsers refuse larger ones

/** Return the CSS for a cursor as SPICE describes it, "none" where the guest hides it, "default" for kinds unknown. */
export function cursorStyle({ header, data }) {
  if (!header) return "none";
  const { type, width, height, hot_spot_x: x, hot_spot_y: y } = header;
  const draw = { [ALPHA]: colours, [MONO]: blackAndWhite }[type];
  if (!draw || width > LARGEST || height > LARGEST) return "default";
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  draw(image, new Uint8Array(data));
  context.putImageData(image, 0, 0);
  return `url(${canvas.toDataURL()}) ${Math.min(x, width - 1)} ${Math.min(y, height - 1)}, default`;
}

/** Blue, green, red, alpha; the colours are multiplied by alpha already. */
function colours({ data: to }, from) {
  for (let at = 0; at < to.length; at += 4) {
    const alpha = from[at + 3];
    for (let channel = 0; channel < 3; channel += 1)
      to[at + channel] = alpha ? Math.min(255, (from[at + 2 - channel] * 255) / alpha) : 0;
    to[at + 3] = alpha;
  }
}

/** A mask of what shows through, then one of what is white. What would invert the picture is drawn black. */
function blackAndWhite({ width, height, data: to }, from) {
  const stride = (width + 7) >> 3;
  const bit = (start, x, y) => (from[start + y * stride + (x >> 3)] >> (7 - (x & 7))) & 1;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [through, white] = [bit(0, x, y), bit(stride * height, x, y)];
      const at = (y * width + x) * 4;
      to.fill(white && !through ? 255 : 0, at, at + 3);
      to[at + 3] = through && !white ? 0 : 255;
    }
  }
}
