// A gallery of pictures.

import { h } from "./dom";
import type { Images, Picture } from "./types";

const SIDE = 112;
const WIDE = 560;

export function images(figure: Images): HTMLElement {
  const items = figure.items.map((item) => tile(item, figure.pixelated, figure.wide ? WIDE : SIDE));
  return h("ul", { class: figure.wide ? "gallery wide" : "gallery" }, ...items);
}

function tile(item: Picture, pixelated: boolean, side: number): HTMLElement {
  const alt = [item.caption, item.note].filter(Boolean).join(", ") || "picture";
  const image = h("img", { src: item.source, alt, class: pixelated ? "crisp" : null });
  if (pixelated) image.addEventListener("load", () => enlarge(image, side));
  return h("li", {}, h("div", { class: "picture" }, image), h("b", {}, item.caption), h("small", {}, item.note));
}

/** By a whole factor, for otherwise some pixels would be wider than others. */
function enlarge(image: HTMLImageElement, side: number): void {
  const factor = Math.max(1, Math.floor(side / Math.max(image.naturalWidth, image.naturalHeight)));
  image.style.width = `${image.naturalWidth * factor}px`;
}
