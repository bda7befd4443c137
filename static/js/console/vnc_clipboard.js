// Text for the guest's clipboard as QEMU needs it. QEMU hands on every byte that it is told of: of RFB's line ends (CR LF)
// Linux would make two, and the zero at the end would become a character. So lines end as they do, and it is not counted.

import Deflator from "../../vendor/novnc/core/deflator.js";
import RFB from "../../vendor/novnc/core/rfb.js";

const PROVIDE = 1 << 28;
const TEXT = 1;

RFB.messages.extendedClipboardProvide = (socket, _formats, [text]) => {
  const bytes = new TextEncoder().encode(text);
  const counted = new Uint8Array(4 + bytes.length + 1);
  new DataView(counted.buffer).setUint32(0, bytes.length);
  counted.set(bytes, 4);
  const packed = new Deflator().deflate(counted);
  const message = new Uint8Array(4 + packed.length);
  new DataView(message.buffer).setUint32(0, PROVIDE | TEXT);
  message.set(packed, 4);
  RFB.messages.clientCutText(socket, message, true);
};
