// Keys, switches and small comforts of every page. Everything here presses what a hand could press: no page needs it.

import { letter } from "./keys.js";

const root = document.documentElement;
root.classList.add("js");

const ONE_YEAR = 365 * 24 * 3600;
const typing = "input, textarea, select, [contenteditable]";

function remember(name, on) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `unmask_${name}=${on ? "on" : "off"}; path=/; max-age=${ONE_YEAR}; samesite=lax${secure}`;
}

function turn(button) {
  const on = root.classList.toggle(button.value);
  button.setAttribute("aria-pressed", String(on));
  remember(button.value, on);
}

function visible(element) {
  return element.checkVisibility ? element.checkVisibility() : element.offsetParent !== null;
}

function press(key) {
  const targets = document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`);
  const target = [...targets].find((found) => visible(found) && !found.matches(":disabled"));
  target?.click();
  return Boolean(target);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches(typing)) event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (document.querySelector("dialog[open]") || (event.target.closest(typing) && event.target.type !== "checkbox")) return;
  if (press(letter(event))) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.name === "switch") {
    event.preventDefault();
    turn(button);
  } else if (button?.dataset.opens) {
    document.getElementById(button.dataset.opens).showModal();
  } else if (button?.dataset.focuses) {
    document.querySelector(button.dataset.focuses).focus();
  }
});

// A second press of a key while the first is on its way must not answer anything.
let leaving = false;
document.addEventListener("submit", (event) => {
  if (event.target.method === "dialog" || event.defaultPrevented) return;
  if (leaving) event.preventDefault();
  leaving = true;
});
addEventListener("pageshow", () => { leaving = false; });

for (const form of document.querySelectorAll("[data-submit-on-change]")) {
  form.addEventListener("change", () => form.requestSubmit());
}

// Screen readers announce what is added to a live region, not what a page came with.
const toasts = document.querySelector(".toasts");
setTimeout(() => toasts.replaceChildren(...toasts.children), 100);

for (const toast of toasts.querySelectorAll(".toast")) {
  if (toast.dataset.decided) sessionStorage.removeItem(`note ${toast.dataset.decided}`);
  if (!toast.querySelector("button")) setTimeout(() => toast.remove(), 6000); // what can be pressed stays
}

// The list of the queue: j and k walk it, and the flag's page walks on in the same order.
const rows = [...document.querySelectorAll("[data-list] [data-row]")];
if (document.querySelector("[data-list]")) {
  sessionStorage.setItem("list", JSON.stringify(rows.map((row) => row.getAttribute("href"))));
  document.addEventListener("keydown", (event) => {
    const step = { j: 1, k: -1 }[letter(event)];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(typing)) return;
    const at = rows.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
    rows[next]?.focus();
  });
}
