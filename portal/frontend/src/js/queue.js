// Keeps the Operators' list and the panes beside a Conversation true without a reload.
import { tell } from "./notify.js";

const elements = (html) => {
  const template = document.createElement("template");
  template.innerHTML = html;
  return [...template.content.children];
};

export class Queue {
  #live;

  constructor(live) {
    this.#live = live;
    live.addEventListener("row", ({ detail }) => this.#row(detail));
    live.addEventListener("queue", ({ detail }) => this.#whole(detail.html));
    live.addEventListener("counts", ({ detail }) => this.#counts(detail.counts));
    live.addEventListener("ticket", ({ detail }) => this.#ticket(detail));
    // htmx has put another list on the page (a filter, a search).
    document.addEventListener("htmx:afterSettle", () => this.watch());
    this.watch();
  }

  get #rows() {
    return document.querySelector("[data-rows]");
  }

  get #openTicket() {
    return document.querySelector("[data-part][data-ticket]")?.dataset.ticket;
  }

  watch() {
    if (this.#rows) this.#live.watchQueue(this.#rows.dataset.view);
    this.#markOpen();
  }

  #markOpen() {
    const link = this.#openTicket && document.querySelector(`#t-${this.#openTicket} .row-link`);
    link?.setAttribute("aria-current", "page");
  }

  // html null: the Ticket no longer belongs to this list.
  #row({ ticket, html }) {
    const old = document.getElementById(`t-${ticket}`);
    if (!this.#rows) return;
    if (!html) return void old?.remove();
    const [row] = elements(html);
    const focused = old?.contains(document.activeElement);
    const moved = !old || old.dataset.sort !== row.dataset.sort;
    if (moved) this.#insert(row, old);
    else old.replaceWith(row);
    if (focused) row.querySelector("a").focus();
    this.#markOpen();
    if (moved && this.#isNews(row)) this.#announce(row);
  }

  #insert(row, old) {
    old?.remove();
    const sort = Number(row.dataset.sort);
    const after = [...this.#rows.children].find((other) => !(Number(other.dataset.sort) < sort));
    this.#rows.insertBefore(row, after ?? null);
    row.classList.add("row-new");
  }

  #announce(row) {
    const subject = row.querySelector(".row-subject").textContent;
    tell(row.querySelector(".row-who").textContent, subject, `ticket-${row.dataset.row}`);
    const said = document.querySelector("[data-queue-said]");
    if (said) said.textContent = `${said.dataset.new} ${subject}`;
  }

  #whole(html) {
    const focused = document.activeElement?.closest("[data-row]")?.id;
    const known = new Map(this.#entries().map((row) => [row.id, row.dataset.sort]));
    this.#rows?.replaceWith(...elements(html));
    if (focused) document.querySelector(`#${focused} a`)?.focus();
    this.#markOpen();
    this.#announceMissed(known);
  }

  #entries() {
    return [...(this.#rows?.querySelectorAll("[data-row]") ?? [])];
  }

  // The whole list comes after a time without connection: what came meanwhile is new as well. A row
  // below the known ones only moved up from the next page.
  #announceMissed(known) {
    let above = true;
    for (const row of this.#entries()) {
      above &&= !known.has(row.id);
      const came = known.has(row.id) ? known.get(row.id) !== row.dataset.sort : above;
      if (came && this.#isNews(row)) this.#announce(row);
    }
  }

  #isNews(row) {
    return row.classList.contains("row-unread") && row.dataset.row !== this.#openTicket;
  }

  #counts(counts) {
    for (const [key, count] of Object.entries(counts))
      for (const place of document.querySelectorAll(`[data-count="${key}"]`)) {
        place.textContent = count || "";
        place.hidden = !count;
      }
  }

  // Each element of the frame renews the part of the same name: request head, properties, actions.
  #ticket({ html }) {
    for (const part of elements(html)) {
      const { ticket, part: name } = part.dataset;
      const old = document.querySelector(`[data-ticket="${ticket}"]${name ? `[data-part="${name}"]` : ""}`);
      if (!old) continue;
      if (isBeingUsed(old)) old.addEventListener("focusout", () => renew(old, part), { once: true });
      else renew(old, part);
    }
  }
}

// Nobody's half-written text is thrown away because a colleague did something.
const isBeingUsed = (part) =>
  part.contains(document.activeElement) && [...part.querySelectorAll("textarea")].some((area) => area.value);

function renew(old, part) {
  const open = [...old.querySelectorAll("details")].map((details) => details.open);
  [...part.querySelectorAll("details")].forEach((details, index) => (details.open = open[index] ?? details.open));
  old.replaceWith(part);
}
