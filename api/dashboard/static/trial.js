// Try an image without leaving the page: the picture under the boxes is the browser's own copy of the file.

const form = document.querySelector("#drop");
const input = form.querySelector("input[type=file]");
const progress = document.querySelector("#progress");
const trouble = document.querySelector("#trouble");
const answer = document.querySelector("#answer");
const POLL = 700;
let local = null;
let turn = 0;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function say(text, isTrouble = false) {
  progress.hidden = isTrouble || !text;
  trouble.hidden = !isTrouble;
  (isTrouble ? trouble : progress).textContent = text;
}

async function problem(response) {
  if (!response.headers.get("Content-Type")?.includes("json")) return `The server answered ${response.status}.`;
  const body = await response.json();
  const slug = body.type?.split("/").pop();
  return `${body.title}: ${body.detail}${slug?.includes(":") ? "" : ` (${slug})`}`;
}

async function send(file) {
  const body = new FormData(form);
  body.set("file", file);
  const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(await problem(response));
  return (await response.json()).url;
}

async function verdict(url, mine) {
  const began = Date.now();
  while (mine === turn) {
    const response = await fetch(`${url}?fragment`, { headers: { Accept: "text/html" } });
    if (response.status === 200) return response.text();
    if (response.status !== 202) throw new Error(`The answer could not be had (${response.status}).`);
    say(`In the line, ahead of the others … ${Math.round((Date.now() - began) / 1000)} s`);
    await pause(POLL);
  }
  return "";
}

function show(html, file) {
  answer.innerHTML = html; // our own template's, with everything in it escaped
  const picture = answer.querySelector("[data-local] .picture");
  if (!picture) return;
  if (local) URL.revokeObjectURL(local);
  local = URL.createObjectURL(file);
  const isVideo = file.type.startsWith("video/");
  const shown = document.createElement(isVideo ? "video" : "img");
  if (isVideo) shown.controls = shown.muted = true;
  else shown.alt = `Your image, ${file.name}`;
  shown.src = local;
  shown.addEventListener("error", () => { picture.parentElement.hidden = true; });
  picture.prepend(shown);
  answer.scrollIntoView({ behavior: "smooth", block: "start" });
}

async function judge(file) {
  const mine = ++turn;
  answer.replaceChildren();
  const most = Number(form.dataset.maxBytes);
  if (file.size > most) return say(`${file.name} is larger than ${Math.floor(most / 1e6)} MB.`, true);
  say(`Sending ${file.name} …`);
  try {
    const html = await verdict(await send(file), mine);
    if (mine !== turn) return;
    show(html, file);
    say("");
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

input.addEventListener("change", () => { if (input.files[0]) judge(input.files[0]); });
form.addEventListener("submit", (event) => { event.preventDefault(); if (input.files[0]) judge(input.files[0]); });
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, (event) => { event.preventDefault(); form.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) {
  addEventListener(kind, (event) => { event.preventDefault(); form.classList.remove("over"); });
}
addEventListener("drop", (event) => { if (event.dataTransfer.files[0]) judge(event.dataTransfer.files[0]); });
addEventListener("paste", (event) => { if (event.clipboardData.files[0]) judge(event.clipboardData.files[0]); });

// a file may be chosen before this script has come; one that the browser remembers from an earlier visit is not meant
if (input.files[0] && performance.getEntriesByType("navigation")[0].type === "navigate") judge(input.files[0]);
