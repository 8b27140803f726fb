"use strict";
// Labels of one clip by one person; each is saved when it is given.
const audit = JSON.parse(document.getElementById("audit-data").textContent);
const at = (id) => document.getElementById(id), cards = [...document.querySelectorAll("#claims > .claim")];
const remembered = "curate-view-labeller";
let current = 0, labels = new Map(), writing = Promise.resolve();

const name = () => at("labeller").value.trim();
const said = (claim) => labels.get(claim) || { label: "", note: "" };

function warn(text) {
  at("warning").textContent = text;
  at("warning").hidden = !text;
}

function show() {
  cards.forEach((card, index) => {
    card.classList.toggle("here", index === current);
    if (index === current) card.setAttribute("aria-current", "true"); else card.removeAttribute("aria-current");
    for (const button of card.querySelectorAll("[data-label]")) {
      button.setAttribute("aria-pressed", String(said(index + 1).label === button.dataset.label));
    }
  });
  at("complete").setAttribute("aria-pressed", String(said(0).label === "complete"));
}

function take(answer) {
  labels = new Map(answer.labels.map((label) => [label.claim, label]));
  at("progress").textContent = answer.done + " of " + answer.clips + " clips done, saved";
  if (answer.next !== null) at("unlabelled").href = "/audit?at=" + answer.next;
  show();
}

async function load() {
  if (!name()) { labels = new Map(); show(); return; }
  const asked = await fetch("/audit/labels?" + new URLSearchParams({ labeller: name(), key: audit.key }));
  if (!asked.ok) { warn("The labels can't be read (" + asked.status + ")."); return; }
  take(await asked.json());
  at("note").value = said(0).note;
  const first = cards.findIndex((_, index) => !said(index + 1).label);
  current = Math.max(first, 0);
  show();
}

async function write(claim, label, note) {
  const body = JSON.stringify({ labeller: name(), key: audit.key, claim, label, note });
  try {
    const answer = await fetch("/audit/labels", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (!answer.ok) { warn("This label is not saved: " + (await answer.text()).slice(0, 300)); return; }
    warn("");
    take(await answer.json());
  } catch (error) {
    warn("This label is not saved (" + error.message + "); is the viewer still running?");
  }
}

function save(claim, label, note = "") {
  if (!name()) { warn("Please write your name first: it tells your labels from those of others."); at("labeller").focus(); return false; }
  writing = writing.then(() => write(claim, label, note));
  return true;
}

function move(to) {
  current = Math.min(Math.max(to, 0), Math.max(cards.length - 1, 0));
  show();
  cards[current]?.scrollIntoView({ block: "nearest" });
}

function label(index, given) {
  if (cards.length && save(index + 1, given) && given) move(index + 1);
}

function complete() { if (save(0, said(0).label === "complete" ? "" : "complete")) at("note").value = ""; }

cards.forEach((card, index) => {
  card.addEventListener("click", () => { current = index; show(); });
  for (const button of card.querySelectorAll("[data-label]")) {
    button.addEventListener("click", (event) => { event.stopPropagation(); label(index, button.dataset.label); });
  }
});
at("complete").addEventListener("click", complete);
at("note").addEventListener("change", () => save(0, at("note").value.trim() ? "incomplete" : "", at("note").value.trim()));
at("labeller").addEventListener("change", () => {
  try { localStorage.setItem(remembered, name()); } catch (error) { warn("This browser does not keep your name: " + error.message); }
  load();
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), textarea")) { if (event.key === "Escape") event.target.blur(); return; }
  const action = {
    1: () => label(current, "supported"), 2: () => label(current, "contradicted"), 3: () => label(current, "cant_tell"),
    x: () => label(current, ""), 0: complete, o: () => at("note").focus(), u: () => at("unlabelled").click(),
    arrowup: () => move(current - 1), arrowdown: () => move(current + 1),
  }[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});
try { at("labeller").value = localStorage.getItem(remembered) || ""; } catch (error) { warn("This browser keeps nothing: " + error.message); }
load();
