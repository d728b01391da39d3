// Horizontal bars from zero, with whiskers.

import { finite, fixed, h, number, responsive, s, shorten, widest } from "./dom";
import { type Scale, extent, scale } from "./scale";
import { decimalsOf, numbers } from "./table";
import type { Bar, Bars } from "./types";

const ROW = 26;
const THICK = 14;

export function bars(figure: Bars): HTMLElement {
  const rows = figure.items.map(({ label, value, low, high }) => [label, value, low, high]);
  return h("div", {}, responsive((width) => chart(figure, width)),
    numbers(["", figure.x_label || "value", "low", "high"], rows));
}

function chart(figure: Bars, width: number): SVGElement {
  const left = Math.min(width * 0.45, widest(figure.items.map((item) => item.label), 13) + 10);
  const values = texts(figure);
  const right = width - widest(values, 12, 600) - 12;
  const height = figure.items.length * ROW + (figure.x_label ? 44 : 26);
  const x = axis(figure, left, right);
  const svg = s("svg", {
    viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": spoken(figure),
  });
  svg.append(...rules(figure, x, left, right), ...figure.items.flatMap((item, i) => drawn(item, values[i]!, i, x, left, right)));
  return svg;
}

function texts(figure: Bars): string[] {
  const values = figure.items.map((item) => item.value);
  const decimals = decimalsOf(values.filter(finite), 3);
  const small = values.filter(finite).every((value) => Math.abs(value) < 0.01);
  return values.map((value) => finite(value) && !small ? fixed(value, decimals) : number(value, 3));
}

function axis(figure: Bars, left: number, right: number): Scale {
  const ends = figure.items.flatMap((item) => [item.value, item.low, item.high]);
  return scale(extent([...ends, 0], false), [left, right], false, Math.max(2, Math.floor((right - left) / 80)));
}

function rules(figure: Bars, x: Scale, left: number, right: number): SVGElement[] {
  const end = figure.items.length * ROW + 4;
  const ticks = x.ticks.flatMap((tick) => [
    s("line", { x1: x.at(tick), x2: x.at(tick), y1: 0, y2: end, class: tick === 0 ? "axis" : "rule" }),
    s("text", { x: x.at(tick), y: end + 14, "text-anchor": "middle", class: "tick" }, x.label(tick)),
  ]);
  const title = { x: (left + right) / 2, y: end + 32, "text-anchor": "middle", class: "label" };
  return [...ticks, s("text", title, figure.x_label)];
}

function drawn(item: Bar, text: string, index: number, x: Scale, left: number, right: number): SVGElement[] {
  const middle = index * ROW + ROW / 2;
  const name = s("text", { x: left - 8, y: middle + 4, "text-anchor": "end", class: "bar-label" },
    s("title", {}, item.label), shorten(item.label, left - 10, 13));
  const value = { x: right + 10, y: middle + 4, class: "bar-value" };
  if (!finite(item.value)) return [name, s("text", value, text)];
  const [from, to] = [x.at(Math.min(0, item.value)), x.at(Math.max(0, item.value))];
  return [
    name,
    s("rect", { x: from, width: Math.max(1, to - from), y: middle - THICK / 2, height: THICK, class: "bar" }),
    ...whisker(item, middle, x),
    s("text", value, text),
  ];
}

function whisker({ low, high }: Bar, y: number, x: Scale): SVGElement[] {
  if (!finite(low) || !finite(high)) return [];
  const [from, to] = [x.at(low), x.at(high)];
  const d = `M${from} ${y}H${to}M${from} ${y - 4}v8M${to} ${y - 4}v8`;
  return [s("path", { d, class: "whisker halo" }), s("path", { d, class: "whisker" })];
}

function spoken(figure: Bars): string {
  const items = figure.items.slice(0, 20).map((item) => `${item.label} ${number(item.value)}`);
  return `${figure.title}. ${figure.x_label}: ${items.join("; ")}.`;
}
