"use strict";
// Brushing of histograms, keys, and addresses without empty fields.
const form = document.getElementById("filters");

form.addEventListener("submit", () => {
  for (const field of form.elements) if (field.name && field.value === "") field.disabled = true;
});
for (const field of form.elements) {
  if (field.matches("select, input[type=checkbox]")) field.addEventListener("change", () => form.requestSubmit());
}
if (matchMedia("(max-width: 700px)").matches) document.getElementById("filter-box").open = false;

for (const box of document.querySelectorAll(".histogram")) {
  const low = Number(box.dataset.low), high = Number(box.dataset.high), picture = box.querySelector("svg");
  const [least, most] = box.querySelectorAll("input"), brush = box.querySelector(".brush");
  const show = () => {
    const part = (field, otherwise) => field.value === "" ? otherwise : Math.min(Math.max((Number(field.value) - low) / (high - low), 0), 1);
    const from = part(least, 0), to = part(most, 1);
    brush.setAttribute("x", 240 * from);
    brush.setAttribute("width", least.value === "" && most.value === "" ? 0 : Math.max(240 * (to - from), 1));
  };
  const valueAt = (event) => {
    const frame = picture.getBoundingClientRect();
    return low + (high - low) * Math.min(Math.max((event.clientX - frame.left) / frame.width, 0), 1);
  };
  let begin = null;
  picture.addEventListener("pointerdown", (event) => { begin = valueAt(event); picture.setPointerCapture(event.pointerId); });
  picture.addEventListener("pointermove", (event) => {
    if (begin === null) return;
    const end = valueAt(event), edge = (high - low) / 100, digits = (value) => String(Number(value.toPrecision(4)));
    const from = Math.min(begin, end), to = Math.max(begin, end);
    least.value = from < low + edge ? "" : digits(from);  // an edge is no bound
    most.value = to > high - edge ? "" : digits(to);
    show();
  });
  picture.addEventListener("pointercancel", () => { begin = null; });
  picture.addEventListener("pointerup", () => { if (begin !== null) form.requestSubmit(); begin = null; });
  for (const field of [least, most]) field.addEventListener("input", show);
  show();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const link = { n: "a[rel=next]", p: "a[rel=prev]" }[event.key.toLowerCase()];
  if (link) document.querySelector(link)?.click();
  if (event.key === "/") { event.preventDefault(); document.getElementById("filter-box").open = true; form.elements.text.focus(); }
});
