"use strict";
// A clip without a still shows an empty frame instead of a broken picture.
for (const image of document.querySelectorAll(".still img")) {
  image.addEventListener("error", () => image.remove());
  if (image.complete && !image.naturalWidth) image.remove();
}
