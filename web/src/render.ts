// From a figure's kind to the function that draws it.

import { bars } from "./bars";
import { h } from "./dom";
import { grid, isWide } from "./grid";
import { images } from "./images";
import { lines } from "./lines";
import { logo } from "./logo";
import { sounds } from "./sounds";
import { steps } from "./steps";
import { table } from "./table";
import { tokens } from "./tokens";
import type { Figure } from "./types";

type Draw<F> = (figure: F) => HTMLElement;

const KINDS: { [K in Figure["kind"]]: Draw<Extract<Figure, { kind: K }>> } = {
  lines, grid, images, table, bars, steps, tokens, logo, sounds,
};

const BROAD = ["images", "steps", "tokens", "logo", "sounds"];

export function render(figure: Figure): HTMLElement {
  const draw = KINDS[figure.kind] as Draw<Figure>;
  const drawn = draw(figure);
  const note = figure.note ? h("p", { class: "note" }, figure.note) : null;
  const numbers = drawn.querySelector(".numbers");
  return h("figure", { class: `${figure.kind}${spans(figure) ? " wide" : ""}` },
    h("figcaption", {}, figure.title), drawn, note, numbers);
}

/** Figures stand in two columns where the page is broad enough, except those that need the breadth. */
function spans(figure: Figure): boolean {
  return BROAD.includes(figure.kind) || (figure.kind === "table" && figure.columns.length > 4)
    || (figure.kind === "grid" && isWide(figure));
}
