// Tells somebody who looks elsewhere that something came: a number in the title, and a browser
// notification where the person has asked for it on this device.

const CHOICE = "sportello.notify";
const title = document.title;
let unseen = 0;

const supported = () => "Notification" in window && window.isSecureContext;
const wanted = () => supported() && Notification.permission === "granted" && localStorage.getItem(CHOICE) === "on";

function showBadge() {
  const plain = document.title.replace(/^\(\d+\) /, "") || title;
  document.title = unseen ? `(${unseen}) ${plain}` : plain;
}

export function tell(who, text, tag) {
  if (document.visibilityState === "visible" && document.hasFocus()) return;
  unseen += 1;
  showBadge();
  if (!wanted()) return;
  const notification = new Notification(who, { body: text.trim().slice(0, 140), tag });
  notification.onclick = () => {
    window.focus();
    notification.close();
  };
}

export function onSeen(callback) {
  const seen = () => {
    if (document.visibilityState !== "visible") return;
    unseen = 0;
    showBadge();
    callback();
  };
  addEventListener("focus", seen);
  document.addEventListener("visibilitychange", seen);
}

function draw(button) {
  const denied = Notification.permission === "denied";
  button.hidden = false;
  button.disabled = denied;
  button.dataset.off ??= button.textContent;
  button.textContent = denied ? button.dataset.denied : wanted() ? button.dataset.on : button.dataset.off;
  button.setAttribute("aria-pressed", String(wanted()));
}

export function setUpNotifyButtons() {
  const buttons = supported() ? document.querySelectorAll("[data-notify]") : [];
  for (const button of buttons) {
    draw(button);
    button.addEventListener("click", async () => {
      const on = wanted();
      if (!on) await Notification.requestPermission();
      localStorage.setItem(CHOICE, on ? "off" : "on");
      buttons.forEach(draw);
    });
  }
}
