// Joins the live connection to what stands on the page.
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Live } from "./live.js";
import { setUpNotifyButtons } from "./notify.js";
import { setUpPage, showConnection } from "./page.js";

export function start({ queue } = {}) {
  setUpPage();
  setUpNotifyButtons();
  const place = document.querySelector("[data-live]");
  if (!place) return;
  const live = new Live(place.dataset.live);
  showConnection(live);
  const log = document.querySelector("[data-log]");
  const form = document.querySelector("[data-composer]");
  const conversation = log && new Conversation(log, live);
  if (form && conversation) new Composer(form, conversation, live);
  if (queue) queue(live);
  live.start();
}
