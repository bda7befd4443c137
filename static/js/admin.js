// What Django's admin has of the portal's live pages: the banner of maintenance.

import "./maintenance.js";
import { updates } from "./updates.js";

updates.watch([]);
