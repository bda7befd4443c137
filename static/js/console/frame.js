// The parts around the screen. They know the desk and the screen; page.js knows none of them.

import "./bar.js";
import "./blank.js";
import "./figures.js";
import "./hatch.js";
import "./keys.js";
import "./pictures_line.js";
import "./quality.js";
import "./sound.js";
import "./sticky.js";
import "./touch.js";
