"use strict";
// The player of one clip inside the file of its root: bounds, timeline, words, keys. Times are seconds of the video.
const times = JSON.parse(document.getElementById("player-data").textContent);
const video = document.getElementById("video"), whole = document.getElementById("whole");
const playhead = document.getElementById("playhead"), timeline = document.getElementById("timeline");
const length = Math.max(times.rootEnd - times.rootStart, 0.001);
const now = () => video.currentTime + times.zero;
const share = (time) => Math.min(Math.max((time - times.rootStart) / length, 0), 1);
const begin = () => (whole.checked ? times.rootStart : times.start);
const end = () => (whole.checked ? times.rootEnd : times.end);
const clock = (seconds) => {
  const tenths = Math.round(seconds * 10), rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  const minutes = Math.floor(tenths / 600), hours = Math.floor(minutes / 60);
  return (hours ? hours + ":" + String(minutes % 60).padStart(2, "0") : minutes) + ":" + rest;
};
let stopAt = null;

for (const item of timeline.querySelectorAll(".item")) {
  const from = share(Number(item.dataset.start)), to = share(Number(item.dataset.end));
  item.style.left = 100 * from + "%";
  item.style.width = to > from ? 100 * (to - from) + "%" : "";
  item.classList.toggle("point", to <= from);
}

const transcript = document.getElementById("transcript"), track = document.getElementById("word-track");
const words = times.words.map(([from, to, text]) => {
  const said = document.createElement("button"), mark = document.createElement("span");
  said.type = "button";
  said.textContent = text;
  said.className = from >= times.start && to <= times.end + 0.01 ? "word" : "word outside";
  said.addEventListener("click", () => jump(from, end()));
  transcript?.append(said, " ");
  mark.className = "item";
  mark.style.left = 100 * share(from) + "%";
  mark.style.width = 100 * (share(to) - share(from)) + "%";
  track?.append(mark);
  return [from, to, said];
});
if (transcript && !words.length) transcript.textContent = "Nothing is said.";

function jump(from, to) {
  video.currentTime = Math.max(from - times.zero, 0);
  stopAt = to;
  follow();
}

function play() {
  if (!video.paused) { video.pause(); return; }
  if (now() < begin() - 0.05 || now() >= end() - 0.05) video.currentTime = Math.max(begin() - times.zero, 0);
  stopAt = end();
  video.play().catch((error) => { if (error.name !== "AbortError") cannotPlay(); });
}

function follow() {
  const time = now();
  playhead.style.setProperty("--at", share(time));
  document.getElementById("now").textContent = clock(time) + " of " + clock(times.rootStart) + "–" + clock(times.rootEnd);
  if (stopAt !== null && time >= stopAt && !video.paused) { video.pause(); stopAt = null; }
  for (const [from, to, said] of words) said.classList.toggle("now", time >= from && time < to);
  if (!video.paused) requestAnimationFrame(follow);
}

function cannotPlay() { document.getElementById("no-video").hidden = false; }

function toBegin() {
  const from = Math.max(begin() - times.zero, 0);
  if (Math.abs(video.currentTime - from) > 0.01) video.currentTime = from;
  follow();
}

video.addEventListener("loadedmetadata", toBegin, { once: true });
video.addEventListener("play", () => { if (stopAt === null) stopAt = end(); follow(); });
video.addEventListener("seeked", follow);
video.addEventListener("error", cannotPlay);
document.getElementById("play").addEventListener("click", play);
whole.addEventListener("change", () => { stopAt = end(); });
for (const button of document.querySelectorAll(".jump")) {
  button.addEventListener("click", () => {
    const from = Number(button.dataset.start), to = Number(button.dataset.end);
    jump(from, to > from ? to : from + 2);
    document.querySelectorAll(".jump.here").forEach((each) => each.classList.remove("here"));
    button.classList.add("here");
  });
}
if (video.readyState >= 1) toBegin(); else follow();

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input:not([type=checkbox]), select, textarea")) return;
  if (event.key === " " && !event.target.matches("button, a, summary, input")) { event.preventDefault(); play(); return; }
  const link = { n: "a[rel=next]", p: "a[rel=prev]", b: ".steps a", l: "a[rel=label]", s: "a[rel=similar]" }[event.key.toLowerCase()];
  if (link) document.querySelector(link)?.click();
});
