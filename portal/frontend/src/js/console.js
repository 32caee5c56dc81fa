// The Operators' script: live Conversation and queue; htmx changes filters without a reload.
import "./lists.js";
import { Queue } from "./queue.js";
import { start } from "./start.js";

start({ queue: (live) => new Queue(live) });

// On a phone the filters begin closed: the list is what one came for.
const filters = document.querySelector("[data-filters]");
if (filters && matchMedia("(max-width: 52rem)").matches) filters.open = false;
