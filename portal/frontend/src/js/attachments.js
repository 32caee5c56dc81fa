// Files for a message: by button, by drag, by paste. The file input stays the one place that holds
// them, so that the form is the same with and without this script.

const size = (bytes) =>
  bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1).replace(".", ",")} MB` : `${Math.max(1, Math.round(bytes / 1e3))} kB`;

function named(file, index) {
  // Browsers call every pasted picture image.png; the reader deserves to tell them apart.
  if (file.name !== "image.png") return file;
  return new File([file], `schermata-${index}.png`, { type: file.type });
}

export class Attachments {
  #form;
  #input;
  #list;
  #pasted = 0;

  constructor(form) {
    this.#form = form;
    this.#input = form.querySelector('input[type="file"]');
    this.#list = form.querySelector("[data-chosen]");
    form.classList.add("attach-live");
    // Not on the text's own change: that would redraw a row between the press and the click on it.
    form.addEventListener("change", ({ target }) => ["files", "reuse"].includes(target.name) && this.#draw());
    form.addEventListener("paste", (event) => this.#paste(event));
    for (const type of ["dragenter", "dragover", "dragleave", "drop"])
      form.addEventListener(type, (event) => this.#drag(event));
  }

  get files() {
    return [...this.#input.files];
  }

  get tooBig() {
    return this.files.reduce((sum, file) => sum + file.size, 0) > Number(this.#form.dataset.maxBytes);
  }

  clear() {
    this.#reused.forEach((box) => (box.checked = false));
    this.#set([]);
  }

  // Files already in the Conversation that go out again: checkboxes of the form.
  get #reused() {
    return [...this.#form.querySelectorAll('[name="reuse"]:checked')];
  }

  #set(files) {
    const transfer = new DataTransfer();
    files.forEach((file) => transfer.items.add(file));
    this.#input.files = transfer.files;
    this.#draw();
  }

  #paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length) return;
    event.preventDefault();
    this.#set([...this.files, ...files.map((file) => named(file, ++this.#pasted))]);
  }

  #drag(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    this.#form.classList.toggle("attach-over", event.type === "dragenter" || event.type === "dragover");
    if (event.type === "drop") this.#set([...this.files, ...event.dataTransfer.files]);
  }

  #draw() {
    const rows = [
      ...this.#reused.map((box) =>
        this.#row(box.parentElement.querySelector(".file-name").textContent, "", () => {
          box.checked = false;
          this.#draw();
        }),
      ),
      ...this.files.map((file, index) =>
        this.#row(file.name, size(file.size), () => this.#set(this.files.filter((_, other) => other !== index))),
      ),
    ];
    this.#list.replaceChildren(...rows);
    this.#list.hidden = !rows.length;
  }

  #row(name, detail, remove) {
    const item = this.#form.querySelector("[data-chosen-row]").content.cloneNode(true).firstElementChild;
    item.querySelector(".file-name").textContent = name;
    item.querySelector(".file-size").textContent = detail;
    const button = item.querySelector("[data-remove]");
    button.querySelector(".visually-hidden").textContent = ` ${name}`;
    button.addEventListener("click", () => {
      remove();
      this.#input.focus();
    });
    return item;
  }
}
