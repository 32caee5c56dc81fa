// What every page needs: menus that close, passwords that can be shown, times that stay true,
// the banner of the live connection.

function closeMenus(except) {
  for (const menu of document.querySelectorAll("details.menu[open], details.chat-menu[open]"))
    if (!menu.contains(except)) menu.open = false;
}

function setUpMenus() {
  document.addEventListener("click", (event) => closeMenus(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details.menu[open], details.chat-menu[open]");
    closeMenus(null);
    menu?.querySelector("summary").focus();
  });
}

function setUpReveal() {
  for (const button of document.querySelectorAll("[data-reveal]")) {
    const input = document.getElementById(button.dataset.reveal);
    button.hidden = false;
    button.addEventListener("click", () => {
      const show = input.type === "password";
      input.type = show ? "text" : "password";
      button.setAttribute("aria-pressed", String(show));
    });
  }
}

// The same words and thresholds as the server's filter `moment`.
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "it", { numeric: "always" });

function ageOf(time) {
  const seconds = (Date.now() - new Date(time.dateTime)) / 1000;
  if (seconds < 45) return "adesso";
  if (seconds < 3570) return relative.format(-Math.max(1, Math.round(seconds / 60)), "minute");
  if (seconds < 84_600) return relative.format(-Math.max(1, Math.round(seconds / 3600)), "hour");
  if (seconds < 29.5 * 86_400) return relative.format(-Math.max(1, Math.round(seconds / 86_400)), "day");
  return null;
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const text = ageOf(time);
    if (text && time.textContent !== text) time.textContent = text;
  }
}

// A blip shorter than this is nobody's business.
const PATIENCE = 1_500;

export function showConnection(live) {
  const banner = document.querySelector("[data-connection]");
  if (!banner) return;
  let timer = 0;
  const show = (state) => {
    banner.className = `connection connection-${state}`;
    banner.textContent = banner.dataset[state] ?? "";
  };
  live.addEventListener("state", ({ detail }) => {
    if (detail === "lost") return void (timer ||= setTimeout(() => show("lost"), PATIENCE));
    clearTimeout(timer);
    timer = 0;
    if (detail === "ended") return show("ended");
    if (!banner.classList.contains("connection-lost")) return;
    show("back");
    setTimeout(() => banner.classList.contains("connection-back") && show("none"), 4_000);
  });
}

export function setUpPage() {
  setUpMenus();
  setUpReveal();
  document.querySelector("[data-focus]")?.focus();
  setInterval(refreshTimes, 30_000);
}
