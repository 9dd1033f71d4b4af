// What the pages of `face-registry serve` do beyond links and forms, which work without it.
"use strict";
document.documentElement.classList.add("js");

// --- Replacing the page without loading it again -------------------------------------------------

let turn = 0;

async function show(url, options = {}) {
  const mine = ++turn;
  document.body.classList.add("busy");
  try {
    const response = await fetch(url, { credentials: "same-origin", ...options });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const main = page.querySelector("main");
    if (mine !== turn) return;
    if (!main) { location.assign(response.url); return; }
    const fill = reuse(main);
    const fresh = document.adoptNode(main);
    fill();
    document.querySelector("main").replaceWith(fresh);
    document.querySelector("#top nav").replaceWith(page.querySelector("#top nav"));
    document.title = page.title;
    if (options.history !== false) history.pushState({}, "", response.url);
    if (!options.quiet) { scrollTo(0, 0); fresh.focus({ preventScroll: true }); }
    begin();
  } catch (error) {
    say("The server does not answer. Is face-registry serve still running?");
  } finally {
    if (mine === turn) document.body.classList.remove("busy");
  }
}

// Pictures that the last page loaded in advance are moved, not loaded again. They have to stay in
// this document, so they take their place once the new page is in it.
function reuse(main) {
  const loaded = new Map(), places = [];
  for (const picture of document.querySelectorAll("[data-ahead] img, .pictures img"))
    loaded.set(picture.getAttribute("src"), picture);
  for (const picture of main.querySelectorAll(".pictures img, [data-ahead] img")) {
    const known = loaded.get(picture.getAttribute("src"));
    if (!known || places.some((one) => one.known === known)) continue;
    for (const { name, value } of picture.attributes) if (name !== "src") known.setAttribute(name, value);
    const place = main.ownerDocument.createElement("span");
    picture.replaceWith(place);
    places.push({ place, known });
  }
  return () => places.forEach(({ place, known }) => place.replaceWith(known));
}

function say(text) {
  const box = document.createElement("div"), line = document.createElement("p");
  box.className = "notice bad"; line.textContent = text; box.append(line);
  document.querySelector("#notices")?.replaceChildren(box);
}

document.addEventListener("submit", (event) => {
  const form = event.target, button = event.submitter;
  if (form.matches("[data-live]")) { event.preventDefault(); show(address(form)); return; }
  if (!form.matches("[data-swap], [data-select], [data-photo]")) return;
  event.preventDefault();
  const body = new FormData(form, button);
  const plain = form.enctype !== "multipart/form-data";
  const action = button?.getAttribute("formaction") || form.getAttribute("action");
  show(action, { method: "POST", body: plain ? new URLSearchParams(body) : body });
});

function address(form) {
  return `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
}

addEventListener("popstate", () => show(location.href, { history: false, quiet: true }));

// --- Forms that answer while one types or chooses ------------------------------------------------

let typing;
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (event.target.type !== "search" || !form?.matches("[data-live]")) return;
  clearTimeout(typing);
  typing = setTimeout(() => show(address(form), { quiet: true }), 150);
});
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (event.target.tagName === "SELECT" && form?.matches("[data-live]")) show(address(form), { quiet: true });
  if (form?.matches("[data-photo]") && event.target.files.length) form.requestSubmit();
  if (form?.matches("[data-select]")) count(form);
});
document.addEventListener("reset", (event) => setTimeout(() => count(event.target)));

function count(form) {
  const tools = form.querySelector("[data-tools]");
  const chosen = form.querySelectorAll("input[type=checkbox]:checked").length;
  tools?.classList.toggle("on", chosen > 0);
  const words = tools?.querySelector("[data-count]");
  if (words) words.textContent = `${chosen} selected`;
}

// --- Keys ----------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const typingIn = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  if (typingIn) { if (event.key === "Escape") typingIn.blur(); return; }
  const field = event.key === "/" && document.querySelector('[data-key-focus="/"]');
  const help = event.key === "?" && document.querySelector("main details");
  const button = document.querySelector(`[data-keys] [data-key="${CSS.escape(event.key)}"]`);
  if (field) { field.focus(); field.select(); }
  else if (help) help.open = !help.open;
  else if (button && !button.disabled && !document.body.classList.contains("busy")) button.click();
  else return;
  event.preventDefault();
});

// --- Dropping a photo or a table -----------------------------------------------------------------

addEventListener("dragover", (event) => {
  event.preventDefault(); document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const files = event.dataTransfer.files;
  if (!files.length) return;
  const photo = files[0].type.startsWith("image/");
  const form = document.querySelector(photo ? "[data-photo]" : "[data-drop]");
  if (!form) { say("Drop a table on the page Ingest, or a photo here."); return; }
  form.querySelector("input[type=file]").files = files;
  form.requestSubmit(form.querySelector("button.primary"));
});

// --- What a new page begins ----------------------------------------------------------------------

let stream, poll;
function begin() {
  stream?.close(); clearTimeout(poll);
  const box = document.querySelector("[data-events]");
  if (box) {
    stream = new EventSource(box.dataset.events);
    stream.onmessage = (event) => {
      const { html, over } = JSON.parse(event.data);
      box.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
      if (over) { stream.close(); show(location.href, { history: false, quiet: true }); }
    };
  }
  const waiting = document.querySelector("[data-poll]");
  if (waiting) poll = setTimeout(() => show(waiting.dataset.poll, { quiet: true }), 1000);
  for (const form of document.querySelectorAll("[data-select]")) count(form);
  const player = document.querySelector("#player");
  if (player && Number(player.dataset.start)) player.currentTime = Number(player.dataset.start);
}
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("[data-seek]"), player = document.querySelector("#player");
  if (!link || !player) return;
  event.preventDefault();
  player.currentTime = Number(link.dataset.seek);
  player.scrollIntoView({ block: "nearest" });
  player.play().catch(() => {});
});
begin();
