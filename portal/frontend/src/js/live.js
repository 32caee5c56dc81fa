// The live connection of a page: one WebSocket per tab, resumed by a cursor per Conversation.
// It knows frames and cursors, nothing of the page: conversation.js and queue.js draw what it emits.
// The protocol is written down in portal/frontend/README.md.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const PING_EVERY = 25_000;
const PONG_WITHIN = 10_000;
// A proxy that blocks sockets refuses at once, every time: after these many the page asks by GET.
const REFUSALS_BEFORE_POLLING = 3;
const POLL_PAUSE = 3_000;
// Seconds that the server may hold such a request while there is nothing new.
const POLL_WAIT = 25;
const GAP_PAUSE = 2_000;

export class Live extends EventTarget {
  #url;
  #socket = null;
  #streams = new Map();
  #token = null;
  #view = null;
  #tries = 0;
  #everOpen = false;
  #ended = false;
  #retryTimer = 0;
  #pingTimer = 0;
  #pongTimer = 0;
  #polling = false;

  constructor(url) {
    super();
    this.#url = new URL(url, location.href);
    this.#url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  }

  start() {
    const now = () => this.#tryNow();
    addEventListener("online", now);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && now());
    // A page that leaves must not report the loss of its socket.
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => event.persisted && now());
    this.#open();
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  // Follow a Conversation from the Message after `after`; messagesUrl is the way without sockets.
  watch(conversation, after, messagesUrl, token) {
    this.#streams.set(String(conversation), { after: Number(after), messagesUrl });
    if (token) this.#token = token;
    this.#hello();
  }

  // Follow the queue; `view` is the query string of the list on the page.
  watchQueue(view) {
    this.#view = view;
    this.#hello();
  }

  knows(conversation) {
    return this.#streams.has(String(conversation));
  }

  // What this reader has seen; the server keeps it as a ReadMark.
  markRead(conversation) {
    const stream = this.#streams.get(String(conversation));
    if (stream?.after) this.#send({ type: "read", conversation, seq: stream.after });
  }

  // Take a Message from the socket, from a poll or from the answer to a POST: each once, in order.
  accept(frame) {
    const stream = this.#streams.get(String(frame.conversation));
    if (!stream || frame.seq <= stream.after) return;
    // `prev` is the seq of the Message before it that this reader may see (notes leave holes).
    if (frame.prev > stream.after) return this.#gap(frame, stream);
    stream.after = frame.seq;
    this.#emit("message", frame);
  }

  // The answer to a POST may have been quicker, but what the socket brings was drawn later: it may
  // already say that the mail is sent.
  #fromSocket(frame) {
    const stream = this.#streams.get(String(frame.conversation));
    if (stream && frame.seq <= stream.after) this.#emit("update", frame);
    else this.accept(frame);
  }

  // The frame is put aside: the answer to a new hello brings it again, in order. Asked at once, then
  // at most once in GAP_PAUSE until nothing seen is missing.
  #gap(frame, stream) {
    stream.seen = Math.max(stream.seen ?? 0, frame.seq);
    if (stream.gapTimer) return;
    const ask = () => {
      stream.gapTimer = 0;
      if (stream.after >= stream.seen) return;
      stream.gapTimer = setTimeout(ask, GAP_PAUSE);
      if (this.connected) this.#hello();
      else this.#fetchMessages(frame.conversation, stream).catch(() => {});
    };
    ask();
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #open() {
    if (this.#ended || this.#socket) return;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#receive(JSON.parse(event.data)));
    socket.addEventListener("close", () => socket === this.#socket && this.#lost());
  }

  #opened() {
    this.#tries = 0;
    this.#everOpen = true;
    this.#polling = false;
    this.#hello();
    this.#pingTimer = setInterval(() => this.#ping(), PING_EVERY);
    this.#emit("state", "open");
  }

  #hello() {
    this.#send({
      type: "hello",
      streams: [...this.#streams].map(([conversation, { after }]) => ({ conversation, after })),
      queue: this.#view !== null,
      view: this.#view,
      token: this.#token,
    });
  }

  #send(frame) {
    if (this.connected) this.#socket.send(JSON.stringify(frame));
  }

  #ping() {
    this.#send({ type: "ping" });
    this.#pongTimer ||= setTimeout(() => this.#drop(), PONG_WITHIN);
  }

  #receive(frame) {
    clearTimeout(this.#pongTimer);
    this.#pongTimer = 0;
    if (frame.type === "message") this.#fromSocket(frame);
    else if (frame.type === "bye") this.#bye();
    else if (frame.type !== "pong") this.#emit(frame.type, frame);
  }

  // This session may not listen any more. A server that restarts only closes: see #lost.
  #bye() {
    this.#ended = true;
    this.#emit("state", "ended");
    this.#close();
  }

  #close() {
    const socket = this.#socket;
    this.#forget();
    socket?.close();
  }

  #drop() {
    const socket = this.#socket;
    this.#lost();
    socket?.close();
  }

  #forget() {
    this.#socket = null;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    this.#pongTimer = 0;
  }

  #lost() {
    this.#forget();
    if (this.#ended) return;
    this.#tries += 1;
    if (!this.#everOpen && this.#tries >= REFUSALS_BEFORE_POLLING) this.#startPolling();
    if (!this.#polling) this.#emit("state", "lost");
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (this.#tries - 1));
    // Jitter: after a restart not all tabs come back in the same instant.
    this.#retryTimer = setTimeout(() => this.#open(), wait * (0.5 + Math.random() / 2));
  }

  #tryNow() {
    if (this.connected) return this.#ping();
    clearTimeout(this.#retryTimer);
    this.#open();
  }

  async #startPolling() {
    if (this.#polling) return;
    this.#polling = true;
    while (this.#polling) {
      const asked = [...this.#streams].map(([id, stream]) => this.#fetchMessages(id, stream, POLL_WAIT));
      const failed = (await Promise.allSettled(asked)).some((answer) => answer.status === "rejected");
      if (this.#polling) this.#emit("state", failed ? "lost" : "open");
      await new Promise((done) => setTimeout(done, POLL_PAUSE));
    }
  }

  async #fetchMessages(conversation, stream, wait = 0) {
    if (!stream.messagesUrl) return;
    const url = new URL(stream.messagesUrl, location.href);
    url.searchParams.set("after", stream.after);
    if (wait) url.searchParams.set("wait", wait);
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`messages: ${answer.status}`);
    // The answer is complete after the cursor, so no gap is possible: `prev` is not looked at.
    for (const { seq, html, own } of (await answer.json()).messages) this.accept({ conversation, seq, html, own });
  }
}
