// A tape of a console (consoles/proxy/recorder.py): what a display sent, with times, and how it is fed to noVNC again.

const HEAD = 8; // bytes: milliseconds, count

/**
 * Fetch a tape and cut it into records [{at, bytes}], at in milliseconds. A tape that breaks off gives what it has.
 * Returns {records, duration, cut}. Rejects when it cannot be had at all.
 */
export async function fetchTape(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${answer.status}`);
  const reader = answer.body.pipeThrough(new DecompressionStream("gzip")).getReader();
  const records = [];
  let rest = new Uint8Array(0);
  let cut = false;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      rest = takeRecords(joined(rest, value), records);
    }
  } catch {
    cut = true; // gzip's end is missing
  }
  return { records, duration: records.at(-1)?.at ?? 0, cut };
}

function joined(one, other) {
  if (!one.length) return other;
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

/** Take whole records off the front; return what is left. */
function takeRecords(bytes, records) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let position = 0;
  while (bytes.length - position >= HEAD) {
    const count = view.getUint32(position + 4);
    if (bytes.length - position - HEAD < count) break;
    const start = position + HEAD;
    records.push({ at: view.getUint32(position), bytes: bytes.slice(start, start + count) });
    position = start + count;
  }
  return bytes.slice(position);
}

/** What noVNC takes for a data channel: it hears the tape, and what it says goes nowhere. */
export class TapeChannel {
  binaryType = "arraybuffer";
  protocol = "";
  readyState = "open";
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;

  send() {}

  close() {
    this.readyState = "closed";
    queueMicrotask(() => this.onclose?.({ code: 1000, reason: "", wasClean: true }));
  }

  feed(bytes) {
    this.onmessage?.({ data: bytes.buffer });
  }
}
