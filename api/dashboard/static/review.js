// The flag's page: keeps the claim alive, shows how long it lasts, and never loses the note.

const page = document.querySelector("[data-flag]");
const token = document.querySelector("meta[name=csrf-token]").content;

function steps() {
  const list = JSON.parse(sessionStorage.getItem("list") || "[]");
  const at = list.indexOf(location.pathname);
  const neighbours = { previous: at > 0 ? list[at - 1] : null, next: at < 0 ? list[0] : list[at + 1] };
  for (const link of document.querySelectorAll("[data-step]")) {
    const target = neighbours[link.dataset.step];
    if (target && target !== location.pathname) {
      link.href = target;
      link.hidden = false;
    }
  }
}

function draft() {
  const note = document.querySelector("[data-draft]");
  if (!note) return;
  const key = `note ${page.dataset.flag}`;
  note.value ||= sessionStorage.getItem(key) || "";
  const keep = () => (note.value ? sessionStorage.setItem(key, note.value) : sessionStorage.removeItem(key));
  note.addEventListener("input", keep);
  keep();
}

function lost(why) {
  const banner = document.querySelector("#lost");
  banner.textContent = `${why} Your note is kept.`;
  banner.hidden = false;
  document.querySelector("#decision fieldset").disabled = true;
  document.querySelector("#claim").hidden = false;
  document.querySelector(".claim").hidden = true;
  document.querySelector(".aside").hidden = true;
}

function keepClaim() {
  const clock = document.querySelector("[data-clock]");
  const length = Number(page.dataset.claimSeconds);
  let ends = Date.now() + 1000 * Number(page.dataset.seconds);
  let beating = 0;

  const left = () => Math.max(0, Math.round((ends - Date.now()) / 1000));
  const words = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

  const ticking = setInterval(() => {
    clock.textContent = words(left());
    clock.classList.toggle("short", left() < length / 4);
    if (left() === 0) stop("Your claim on this flag has ended.");
  }, 1000);

  function stop(why) {
    clearInterval(ticking);
    clearInterval(beating);
    document.removeEventListener("visibilitychange", beat);
    lost(why);
  }

  // A tab that nobody looks at lets its claim go, so that a forgotten one does not keep a flag from others.
  async function beat() {
    if (document.hidden) return;
    try {
      const headers = { Accept: "application/json", "X-CSRFToken": token };
      const answer = await fetch(page.dataset.heartbeat, { method: "POST", headers });
      const body = await answer.json();
      if (answer.ok) ends = Date.now() + 1000 * body.seconds;
      else if (answer.status < 500) stop(body.detail);
    } catch {
      // The network is away: the clock goes on, and the next beat tries again.
    }
  }

  beating = setInterval(beat, (1000 * length) / 3);
  document.addEventListener("visibilitychange", beat);
}

steps();
draft();
if (page.dataset.heartbeat) keepClaim();
