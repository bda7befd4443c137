// Which module shows which display: the default export is its Screen. Each is loaded when it is needed.

export const SCREENS = {
  pictures: () => import("./pictures.js"),
  serial: () => import("./serial.js"),
  spice: () => import("./spice.js"),
  vnc: () => import("./vnc.js"),
};
