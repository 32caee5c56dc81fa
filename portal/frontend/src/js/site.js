// The portal's script: the plugin of Bootstrap Italia's menu, htmx for lists, the live Conversation.
// Plugins are imported one by one: the library's own bundle breaks a strict policy.
import "bootstrap-italia/dist/plugins/navbar-collapsible.js";
import "./lists.js";
import { Queue } from "./queue.js";
import { start } from "./start.js";

start({ queue: (live) => new Queue(live) });
