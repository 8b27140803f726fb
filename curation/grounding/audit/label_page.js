"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const LABELS = [["supported", "1", "Supported"], ["contradicted", "2", "Contradicted"], ["cant_tell", "3", "Can't tell"]];
const place = "curate-audit:" + data.id;
const state = { labeller: "", clip: 0, labels: {}, seenHelp: false };
let claim = 0, frame = 0, player = null;

function load() {
  try {
    Object.assign(state, JSON.parse(localStorage.getItem(place) || "{}"));
  } catch (error) {
    warn("What this browser had stored can't be read (" + error.message + "); it begins anew.");
  }
  state.clip = Math.min(Math.max(state.clip | 0, 0), Math.max(data.clips.length - 1, 0));
}

function save() {
  try {
    localStorage.setItem(place, JSON.stringify(state));
  } catch (error) {
    warn("This browser stores nothing for this page: download labels.csv before you close it.");
  }
}

function warn(text) {
  at("warning").textContent = text;
  at("warning").hidden = false;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) { element.textContent = text; element.dir = "auto"; }
  return element;
}

const clock = (seconds) => {
  const whole = Math.floor(seconds), pad = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  return (hours ? hours + ":" + pad(minutes) : minutes) + ":" + pad(whole % 60);
};
const clip = () => data.clips[state.clip];
const name = (one, number) => one.key + "#" + number;
const entry = (one, number) => state.labels[name(one, number)] || { label: "", note: "" };
const isSaid = (one, number) => Boolean(entry(one, number).label || entry(one, number).note.trim());

function put(number, change) {
  state.labels[name(clip(), number)] = { ...entry(clip(), number), ...change };
  save();
}

function saidOf(one) {
  let said = 0;
  for (let number = 0; number <= one.claims.length; number += 1) said += isSaid(one, number);
  return said;
}

function progress(one) {
  const said = saidOf(one);
  return said > one.claims.length ? "done" : said ? "part" : "";
}

function showProgress() {
  const states = data.clips.map(progress), done = states.filter((each) => each === "done").length;
  const said = data.clips.reduce((sum, each) => sum + saidOf(each), 0);
  const parts = data.clips.reduce((sum, each) => sum + each.claims.length + 1, 0);
  at("bar").style.width = (100 * said) / Math.max(parts, 1) + "%";
  at("count").textContent = done + " of " + data.clips.length + " clips done";
  [...at("map").children].forEach((dot, number) => {
    dot.className = states[number] + (number === state.clip ? " here" : "");
  });
}

function showFrame(number) {
  const pictures = clip().pictures;
  if (!pictures.length) return;
  frame = (number + pictures.length) % pictures.length;
  at("large").src = pictures[frame].url;
  at("time").textContent = clock(pictures[frame].time) + " · " + (frame + 1) + " / " + pictures.length;
  [...at("strip").children].forEach((each, index) => each.classList.toggle("here", index === frame));
}

function play(on) {
  clearInterval(player);
  player = on ? setInterval(() => showFrame(frame + 1), 500) : null;
}

function showClip() {
  play(false);
  const one = clip();
  if (!one) { warn("The sample has no clips."); return; }
  claim = Math.max(one.claims.findIndex((_, number) => !isSaid(one, number + 1)), 0);
  at("facts").replaceChildren(
    make("b", "", one.level), make("span", "", clock(one.start) + "–" + clock(one.end)),
    make("span", "", one.language), make("bdi", "source", one.source));
  at("strip").replaceChildren(...one.pictures.map((picture, number) => {
    const button = make("button"), image = make("img");
    image.src = picture.url; image.alt = "frame at " + clock(picture.time);
    button.type = "button"; button.append(image);
    button.addEventListener("click", () => { play(false); showFrame(number); });
    return button;
  }));
  at("large").hidden = at("time").hidden = !one.pictures.length;
  at("no-pictures").hidden = Boolean(one.pictures.length);
  showFrame(0);
  showEvidence(one);
  showClaims();
  at("note").value = entry(one, 0).note;
  showProgress();
}

function showEvidence(one) {
  const items = one.evidence.map((item) => {
    const line = make("li");
    line.dataset.id = item.id;
    line.append(make("span", "id", item.id.replace("@", " ")), make("span", "text", item.text));
    return line;
  });
  if (!one.evidence.some((item) => item.id.startsWith("words")) && one.subtitle) {
    const line = make("li");
    line.append(make("span", "id", "speech"), make("span", "text", one.subtitle));
    items.push(line);
  }
  if (one.more_evidence) items.push(make("li", "soft", "and " + one.more_evidence + " more"));
  if (!items.length) items.push(make("li", "soft", "Nothing."));
  at("items").replaceChildren(...items);
}

function showClaims() {
  const one = clip();
  at("heading").textContent = one.claims.length ? "Do the pictures show it?" : "The pipeline claims nothing of this clip.";
  at("claims").replaceChildren(...one.claims.map((each, index) => {
    const card = make("li", "claim " + entry(one, index + 1).label + (index === claim ? " here" : ""));
    const choices = make("div", "choices");
    for (const [label, key, text] of LABELS) {
      const button = make("button", label);
      button.type = "button";
      button.append(make("kbd", "", key), " " + text);
      button.addEventListener("click", () => { claim = index; setLabel(label); });
      choices.append(button);
    }
    card.append(make("p", "text", each.text));
    if (each.cites.length) card.append(make("p", "cites", "cites " + each.cites.join(", ").replaceAll("@", " ")));
    card.append(choices);
    card.addEventListener("click", (event) => { if (event.target.tagName !== "BUTTON") move(index); });
    return card;
  }));
  const cited = new Set(one.claims[claim] ? one.claims[claim].cites : []);
  for (const line of at("items").children) line.classList.toggle("cited", cited.has(line.dataset.id));
  at("complete").classList.toggle("on", entry(one, 0).label === "complete");
}

function move(to) {
  claim = Math.min(Math.max(to, 0), Math.max(clip().claims.length - 1, 0));
  showClaims();
  at("claims").children[claim]?.scrollIntoView({ block: "nearest" });
}

function setLabel(label) {
  if (!clip().claims.length) return;
  put(claim + 1, { label });
  if (label && claim + 1 < clip().claims.length) move(claim + 1); else showClaims();
  showProgress();
}

function setComplete() {
  const on = entry(clip(), 0).label !== "complete";
  put(0, on ? { label: "complete", note: "" } : { label: "" });
  if (on) at("note").value = "";
  showClaims();
  showProgress();
}

function go(to) {
  if (to < 0 || to >= data.clips.length) return;
  state.clip = to;
  save();
  showClip();
  scrollTo(0, 0);
}

function goToUnlabelled() {
  for (let step = 1; step <= data.clips.length; step += 1) {
    const to = (state.clip + step) % data.clips.length;
    if (progress(data.clips[to]) !== "done") { go(to); return; }
  }
}

const guarded = (text) => (/^[=+\-@\t\r]/.test(text) ? "'" + text : text);
const quoted = (text) => (/[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);

function csv() {
  const rows = [data.columns];
  for (const one of data.clips) {
    ["", ...one.claims.map((each) => each.cell)].forEach((text, number) => {
      const { label, note } = entry(one, number);
      rows.push([guarded(state.labeller.trim()), one.key, String(number), text, label, guarded(note.trim())]);
    });
  }
  return rows.map((row) => row.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function download() {
  if (!state.labeller.trim()) { at("labeller").focus(); warn("Please write your name first: it tells your labels from those of others."); return; }
  at("warning").hidden = true;
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const KEYS = {
  1: () => setLabel("supported"), s: () => setLabel("supported"),
  2: () => setLabel("contradicted"), c: () => setLabel("contradicted"),
  3: () => setLabel("cant_tell"), t: () => setLabel("cant_tell"), x: () => setLabel(""),
  0: setComplete, o: () => at("note").focus(), e: () => { at("evidence").open = !at("evidence").open; },
  arrowup: () => move(claim - 1), arrowdown: () => move(claim + 1),
  arrowleft: () => { play(false); showFrame(frame - 1); }, arrowright: () => { play(false); showFrame(frame + 1); },
  " ": () => play(!player), n: () => go(state.clip + 1), p: () => go(state.clip - 1), u: goToUnlabelled,
  "?": () => at("help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (event.target.matches("input, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const action = KEYS[event.key.toLowerCase()];
  if (action) { event.preventDefault(); action(); }
});
at("note").addEventListener("input", (event) => {
  put(0, { note: event.target.value, label: event.target.value.trim() ? "incomplete" : "" });
  showClaims();
  showProgress();
});
at("labeller").addEventListener("input", (event) => { state.labeller = event.target.value; save(); });
at("complete").addEventListener("click", setComplete);
at("next").addEventListener("click", () => go(state.clip + 1));
at("previous").addEventListener("click", () => go(state.clip - 1));
at("download").addEventListener("click", download);
at("open-help").addEventListener("click", () => at("help").showModal());
at("help").addEventListener("close", () => { state.seenHelp = true; save(); });

load();
at("labeller").value = state.labeller;
at("map").replaceChildren(...data.clips.map((one, number) => {
  const dot = make("button");
  dot.type = "button"; dot.title = "clip " + (number + 1);
  dot.addEventListener("click", () => go(number));
  return dot;
}));
showClip();
if (!state.seenHelp && data.clips.length) at("help").showModal();
