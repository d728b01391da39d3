// A sequence logo: stacks of letters, as high as they count.

import { Readout, finite, h, number, responsive, s, steer, widest } from "./dom";
import { type Scale, scale } from "./scale";
import { numbers } from "./table";
import type { Logo } from "./types";

const NARROW = 11; // pixels of a letter, at least; what does not fit goes into the next line
const BROAD = 46;
const HEIGHT = 120;
const AXIS = 22;
const GAP = 14;
const COLOURS: Record<string, string> = { A: "c2", C: "c0", G: "c4", T: "c1", U: "c1" };

export function logo(figure: Logo): HTMLElement {
  const readout = new Readout();
  const plot = responsive((width) => chart(figure, width, readout));
  const rows = figure.heights.map((at, i) => [figure.first + i, ...at]);
  return h("div", {}, h("div", { class: "stage" }, plot, readout.element),
    numbers([figure.x_label || "position", ...figure.alphabet], rows));
}

interface Layout {
  left: number;
  step: number;
  inLine: number;
  y: Scale;
}

function layout(figure: Logo, width: number): Layout {
  const ends = figure.heights.map((at) => [sum(at, 1), -sum(at, -1)]);
  const high = Math.max(0, ...ends.map(([up]) => up!));
  const low = Math.min(0, ...ends.map(([, down]) => down!));
  const y = scale([low, high > low ? high : low + 1], [HEIGHT, 0], false, 5);
  const left = Math.ceil(widest(y.ticks.map(y.label))) + 12;
  const fitting = Math.max(1, Math.floor((width - left) / NARROW));
  const lines = Math.max(1, Math.ceil(figure.heights.length / fitting));
  // Lines of one length, a multiple of ten where there are several, so that eyes find their place.
  const even = Math.ceil(figure.heights.length / lines);
  const inLine = lines === 1 ? Math.max(1, even) : Math.min(fitting, Math.ceil(even / 10) * 10);
  return { left, inLine, y, step: Math.min(BROAD, (width - left) / inLine) };
}

function sum(heights: (number | null)[], sign: number): number {
  return heights.reduce<number>((all, value) => all + Math.max(0, (value ?? 0) * sign), 0);
}

function chart(figure: Logo, width: number, readout: Readout): SVGElement {
  const frame = layout(figure, width);
  const count = Math.max(1, Math.ceil(figure.heights.length / frame.inLine));
  const top = figure.y_label ? 24 : 8;
  const each = HEIGHT + AXIS + GAP;
  const height = top + count * each + (figure.x_label ? 16 : 0);
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": spoken(figure) });
  for (let line = 0; line < count; line++) svg.append(...lineOf(figure, frame, line, top + line * each, width));
  const middle = frame.left + Math.min(frame.inLine, figure.heights.length) * frame.step / 2;
  svg.append(s("text", { x: 0, y: 12, class: "label" }, figure.y_label),
    s("text", { x: middle, y: height - 4, "text-anchor": "middle", class: "label" }, figure.x_label));
  follow(svg, figure, frame, { top, each }, readout);
  return svg;
}

function lineOf(figure: Logo, frame: Layout, line: number, top: number, width: number): SVGElement[] {
  const { left, step, inLine, y } = frame;
  const begin = line * inLine;
  const stacks = figure.heights.slice(begin, begin + inLine);
  const right = left + Math.max(1, stacks.length) * step;
  const rules = y.ticks.flatMap((tick) => [
    s("line", { x1: left, x2: right, y1: top + y.at(tick), y2: top + y.at(tick), class: tick === 0 ? "axis" : "rule" }),
    s("text", { x: left - 7, y: top + y.at(tick) + 4, "text-anchor": "end", class: "tick" }, y.label(tick)),
  ]);
  const letters = stacks.flatMap((heights, i) => stack(figure, heights, left + i * step, step, (value) => top + y.at(value)));
  const every = step >= widest([String(figure.first + figure.heights.length)]) + 4 ? 1 : step >= 20 ? 5 : 10;
  const places = stacks.flatMap((_, i) => {
    const place = figure.first + begin + i;
    const x = left + (i + 0.5) * step;
    return place % every && !(i === 0 && every > 1 && place % every < every / 2) ? []
      : [s("text", { x: Math.min(x, width - 8), y: top + HEIGHT + 16, "text-anchor": "middle", class: "tick" }, String(place))];
  });
  return [...rules, ...letters, ...places];
}

/** The highest letters stand farthest from the axis, as in every logo. */
function stack(
  figure: Logo, heights: (number | null)[], x: number, step: number, at: (value: number) => number,
): SVGElement[] {
  const order = heights.map((height, i) => ({ height, i })).filter(({ height }) => finite(height) && height !== 0)
    .sort((a, b) => Math.abs(a.height!) - Math.abs(b.height!));
  const reached: Record<number, number> = { 1: 0, [-1]: 0 };
  return order.flatMap(({ height, i }) => {
    const sign = Math.sign(height!);
    const from = reached[sign]!;
    reached[sign] = from + height!;
    const [upper, lower] = [at(from), at(from + height!)].sort((a, b) => a - b) as [number, number];
    return lower - upper < 0.4 ? [] : [letter(figure.alphabet[i]!, i, x, step, upper, lower - upper)];
  });
}

const pen = document.createElement("canvas").getContext("2d")!;

/** Stretched to fill its box: the box of its ink is measured, for fonts differ. */
function letter(text: string, index: number, x: number, step: number, top: number, height: number): SVGElement {
  pen.font = "700 100px Arial, Helvetica, \"Liberation Sans\", sans-serif";
  const ink = pen.measureText(text);
  const wide = ink.actualBoundingBoxLeft + ink.actualBoundingBoxRight || 60;
  const tall = ink.actualBoundingBoxAscent + ink.actualBoundingBoxDescent || 70;
  // A letter as slim as I keeps its shape, in the middle of its place.
  const across = Math.min((step - 1) / wide, (step - 1) / 40);
  const down = height / tall;
  const dx = x + (step - wide * across) / 2 + ink.actualBoundingBoxLeft * across;
  const dy = top + ink.actualBoundingBoxAscent * down;
  const matrix = [across, 0, 0, down, dx, dy].map((value) => value.toFixed(4)).join(" ");
  const colour = COLOURS[text.toUpperCase()] ?? `c${index % 6}`;
  return s("text", { transform: `matrix(${matrix})`, class: `stacked fill ${colour}` }, text);
}

// --- Reading off ----------------------------------------------------------------------------------

function follow(
  svg: SVGElement, figure: Logo, frame: Layout, { top, each }: { top: number; each: number }, readout: Readout,
): void {
  const cursor = s("g", { class: "cursor" });
  svg.append(cursor);
  if (!figure.heights.length) return;
  const last = figure.heights.length - 1;
  let at = -1;
  const go = (to: number) => {
    at = Math.max(0, Math.min(last, to));
    const [line, i] = [Math.floor(at / frame.inLine), at % frame.inLine];
    const [x, y] = [frame.left + i * frame.step, top + line * each];
    cursor.replaceChildren(s("rect", { x, y: y - 2, width: frame.step, height: HEIGHT + 4, class: "here" }));
    const shown = figure.heights[at]!.map((value, letter) => ({ name: figure.alphabet[letter]!, value }))
      .filter(({ value }) => finite(value)).sort((a, b) => b.value! - a.value!).slice(0, 6)
      .map(({ name, value }) => ({ name, value: number(value, 3) }));
    readout.show(x + frame.step, y, `${figure.x_label} ${figure.first + at}`, shown);
  };
  steer(svg, {
    move: (dx, dy) => go(at < 0 ? 0 : at + dx + dy * frame.inLine),
    point: (x, y) => {
      const line = Math.max(0, Math.floor((y - top) / each));
      const i = Math.max(0, Math.min(frame.inLine - 1, Math.floor((x - frame.left) / frame.step)));
      go(line * frame.inLine + i);
    },
    hide: () => { cursor.replaceChildren(); readout.hide(); at = -1; },
  });
}

function spoken(figure: Logo): string {
  const tops = figure.heights.map((heights) => {
    const best = heights.reduce<number>((found, value, i) =>
      Math.abs(value ?? 0) > Math.abs(heights[found] ?? 0) ? i : found, 0);
    return { letter: figure.alphabet[best] ?? "", size: Math.abs(heights[best] ?? 0), value: heights[best] };
  });
  const strongest = tops.map((one, i) => ({ ...one, place: figure.first + i }))
    .sort((a, b) => b.size - a.size).slice(0, 8)
    .map(({ letter, place, value }) => `${letter} at ${place}: ${number(value, 3)}`);
  return `${figure.title}. Highest letter of each ${figure.x_label}: ${tops.slice(0, 200).map((one) => one.letter).join("")}. `
    + `Highest ${figure.y_label}: ${strongest.join("; ")}. Arrow keys read values.`;
}
