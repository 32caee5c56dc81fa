// Draws a Conversation as it grows: appends each Message once, keeps the day separators, puts the
// final Message in the place of the one still being sent, follows the end while the reader is there.
import { onSeen, tell } from "./notify.js";

// How near to the end counts as reading the end.
const NEAR = 120;

const parse = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content.firstElementChild;
};

export class Conversation {
  #log;
  #list;
  #live;

  constructor(log, live) {
    this.#log = log;
    this.#list = log.querySelector(".msgs");
    this.#live = live;
    live.addEventListener("message", ({ detail }) => this.#isMine(detail) && this.#add(detail));
    live.addEventListener("update", ({ detail }) => this.#isMine(detail) && this.#replace(detail.html));
    onSeen(() => this.#read());
    if (this.id) live.watch(this.id, log.dataset.after, log.dataset.messagesUrl, log.dataset.token);
    this.#toEnd();
  }

  get id() {
    return this.#log.dataset.conversation;
  }

  #isMine(frame) {
    return String(frame.conversation) === this.id;
  }

  // A first chat message has just made the Conversation.
  begin({ conversation, messages_url: messagesUrl, token }) {
    this.#log.dataset.conversation = conversation;
    document.querySelectorAll("[data-who], [data-quick]").forEach((part) => part.remove());
    this.#live.watch(conversation, 0, messagesUrl, token);
  }

  // The bubble of a message on its way; the real Message takes its place by client id.
  pending({ clientId, text, files, internal }) {
    const item = document.querySelector("[data-pending]").content.cloneNode(true).firstElementChild;
    item.dataset.clientId = clientId;
    item.classList.toggle("msg-internal", internal);
    item.querySelector(".msg-text").textContent = [text, ...files.map((name) => `[${name}]`)].join("\n").trim();
    this.#quietly(() => this.#list.append(item));
    this.#toEnd();
    return item;
  }

  has(clientId) {
    return Boolean(this.#list.querySelector(`[data-client-id="${clientId}"]:not(.msg-pending)`));
  }

  #add({ html, own }) {
    const item = parse(html);
    const near = this.#nearEnd();
    const place = this.#list.querySelector(`.msg-pending[data-client-id="${item.dataset.clientId}"]`);
    const put = () => {
      if (document.getElementById(item.id)) return this.#replace(html);
      place?.remove();
      this.#daySeparator(item);
      // What is still on its way stays below what has arrived.
      this.#list.insertBefore(item, this.#list.querySelector(".msg-pending"));
    };
    // A log announces what is added: the reader's own words need not be read back.
    if (own) this.#quietly(put);
    else put();
    if (near || own) this.#toEnd();
    if (own) return;
    tell(item.dataset.author, item.querySelector(".msg-text")?.textContent ?? "", `conversation-${this.id}`);
    this.#read();
  }

  #replace(html) {
    const item = parse(html);
    const old = document.getElementById(item.id);
    const open = old?.querySelector("details")?.open;
    this.#quietly(() => old?.replaceWith(item));
    if (open) item.querySelector("details").open = true;
  }

  #daySeparator(item) {
    const days = this.#list.querySelectorAll(".day");
    if (days[days.length - 1]?.dataset.day === item.dataset.day) return;
    const day = document.querySelector("[data-new-day]").content.cloneNode(true).firstElementChild;
    day.dataset.day = item.dataset.day;
    day.firstElementChild.textContent = item.dataset.dayLabel;
    this.#list.insertBefore(day, this.#list.querySelector(".msg-pending"));
  }

  #quietly(change) {
    this.#log.setAttribute("aria-live", "off");
    change();
    setTimeout(() => this.#log.removeAttribute("aria-live"), 500);
  }

  #read() {
    if (this.id && document.visibilityState === "visible" && document.hasFocus()) this.#live.markRead(this.id);
  }

  // The log scrolls by itself in chat and console, with the page in the portal.
  #scroller() {
    const own = getComputedStyle(this.#log).overflowY !== "visible";
    return own ? this.#log : document.scrollingElement;
  }

  #nearEnd() {
    const box = this.#scroller();
    return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR;
  }

  #toEnd() {
    const box = this.#scroller();
    if (box === this.#log) box.scrollTop = box.scrollHeight;
  }
}
