// Sends the composer's form without leaving the page: the same POST to the same address, with a
// UUID of ours so that a repeat is harmless. What could not be sent waits in sessionStorage, survives
// a reload and goes out, in order, when the connection is back.
import { Attachments } from "./attachments.js";

const RETRY_AFTER = 5_000;

// crypto.randomUUID exists only on https and localhost; this works everywhere.
const uuid = () =>
  "10000000-1000-4000-8000-100000000000".replace(/[018]/g, (c) =>
    (+c ^ (crypto.getRandomValues(new Uint8Array(1))[0] & (15 >> (+c / 4)))).toString(16),
  );

// XMLHttpRequest, because fetch cannot tell how far an upload has come.
function post(url, body, onProgress) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.responseType = "json";
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRF-Token", document.querySelector('meta[name="csrf"]').content);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onloadend = () => done({ status: request.status, body: request.response });
    request.send(body);
  });
}

// 0 is no connection; a proxy says 502 to 504 while the server restarts.
const worthRepeating = (status) => status === 0 || (status >= 502 && status <= 504);

export class Composer {
  #form;
  #text;
  #files;
  #conversation;
  #live;
  #key;
  #waiting = [];
  #busy = false;
  #retryTimer = 0;

  constructor(form, conversation, live) {
    this.#form = form;
    this.#text = form.elements.text;
    this.#files = new Attachments(form);
    this.#conversation = conversation;
    this.#live = live;
    this.#key = `sportello.unsent:${form.getAttribute("action")}`;
    form.addEventListener("submit", (event) => this.#submit(event));
    this.#text.addEventListener("keydown", (event) => this.#keydown(event));
    this.#text.addEventListener("input", () => this.#say(""));
    document.querySelector("[data-quick]")?.addEventListener("submit", (event) => this.#quick(event));
    addEventListener("online", () => this.#drain());
    live.addEventListener("state", ({ detail }) => detail === "open" && this.#drain());
    this.#restore();
  }

  #keydown(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    const rule = this.#form.dataset.enter;
    const sends = rule === "send" ? !event.shiftKey : event.ctrlKey || event.metaKey;
    if (!sends) return;
    event.preventDefault();
    this.#form.requestSubmit();
  }

  #submit(event) {
    event.preventDefault();
    const data = new FormData(this.#form);
    const files = this.#files.files;
    if (!this.#text.value.trim() && !files.length && !data.has("reuse")) return this.#text.focus();
    if (this.#files.tooBig) return this.#say(this.#form.dataset.tooBig);
    if (!files.length) data.delete("files");
    this.#queue(data);
    this.#text.value = "";
    this.#files.clear();
    this.#text.focus();
  }

  #quick(event) {
    event.preventDefault();
    const data = new FormData(this.#form);
    data.set("text", event.submitter.value);
    data.delete("files");
    this.#queue(data);
    event.target.remove();
    this.#text.focus();
  }

  #queue(data) {
    data.set("client_id", uuid());
    this.#enter(data, [...data.getAll("files")].map((file) => file.name));
    this.#keep();
    this.#drain();
  }

  #enter(data, names) {
    const clientId = data.get("client_id");
    const bubble = this.#conversation.pending({
      clientId,
      text: data.get("text"),
      files: names,
      internal: data.get("visibility") === "internal",
    });
    const entry = { data, clientId, bubble };
    bubble.querySelector("[data-pending-retry]").addEventListener("click", () => this.#drain());
    bubble.querySelector("[data-pending-drop]").addEventListener("click", () => this.#drop(entry));
    this.#waiting.push(entry);
  }

  #drop(entry) {
    this.#waiting = this.#waiting.filter((other) => other !== entry);
    entry.bubble.remove();
    this.#keep();
  }

  // One at a time, so that messages arrive in the order in which they were written.
  async #drain() {
    if (this.#busy) return;
    this.#busy = true;
    clearTimeout(this.#retryTimer);
    while (this.#waiting.length && (await this.#send(this.#waiting[0])));
    this.#busy = false;
    if (this.#waiting.length) this.#retryTimer = setTimeout(() => this.#drain(), RETRY_AFTER);
  }

  // True when the entry is done with, sent or refused.
  async #send(entry) {
    this.#mark(entry, false);
    const bar = this.#form.querySelector(".upload");
    bar.hidden = !entry.data.has("files");
    const { status, body } = await post(this.#form.action, entry.data, (share) => (bar.value = share * 100));
    bar.hidden = true;
    if (worthRepeating(status)) {
      this.#mark(entry, true);
      return false;
    }
    if (status >= 200 && status < 300 && body) this.#sent(entry, body);
    else this.#refused(entry, body?.error);
    return true;
  }

  #sent(entry, body) {
    this.#waiting.shift();
    this.#keep();
    if (!this.#live.knows(body.conversation)) this.#conversation.begin(body);
    this.#live.accept(body);
    // The socket may have been quicker: then the Message stands there already.
    if (this.#conversation.has(entry.clientId)) entry.bubble.remove();
    if (body.location) history.replaceState(null, "", body.location);
  }

  #refused(entry, error) {
    this.#drop(entry);
    if (!this.#text.value) this.#text.value = entry.data.get("text");
    this.#say(error ?? this.#form.dataset.failed);
  }

  #mark(entry, unsent) {
    entry.bubble.classList.toggle("msg-unsent", unsent);
    entry.bubble.querySelector(".msg-foot").hidden = !unsent;
    const state = entry.bubble.querySelector("[data-pending-state]");
    entry.sending ??= state.textContent;
    state.textContent = unsent ? this.#form.dataset.offline : entry.sending;
    this.#form.querySelector("[data-said]").textContent = unsent ? this.#form.dataset.offline : "";
  }

  #say(error) {
    this.#form.querySelector("[data-error]").textContent = error;
    this.#text.toggleAttribute("aria-invalid", Boolean(error));
  }

  // Files cannot be kept over a reload: their names are, so that the person is told.
  #keep() {
    const plain = this.#waiting.map(({ data }) => ({
      fields: [...data].filter(([name, value]) => name !== "csrf" && typeof value === "string"),
      files: data.getAll("files").map((file) => file.name),
    }));
    if (plain.length) sessionStorage.setItem(this.#key, JSON.stringify(plain));
    else sessionStorage.removeItem(this.#key);
  }

  #restore() {
    for (const { fields, files } of JSON.parse(sessionStorage.getItem(this.#key) ?? "[]")) {
      const data = new FormData();
      fields.forEach(([name, value]) => data.append(name, value));
      data.set("csrf", this.#form.elements.csrf.value);
      if (this.#conversation.has(data.get("client_id"))) continue;
      if (files.length) this.#refused({ data, bubble: document.createElement("i") });
      else this.#enter(data, []);
    }
    this.#keep();
    this.#drain();
  }
}
