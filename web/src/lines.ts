// Curves with their intervals, and scatters of thousands of points.

import {
  Readout, css, finite, h, key, number, responsive, s, shorten, steer, textWidth, widest,
} from "./dom";
import { type Range, type Scale, extent, padded, scale } from "./scale";
import { numbers } from "./table";
import type { Ground, Lines, Series } from "./types";

const LINE = 15;
const MAX_ROWS_OF_NUMBERS = 1000;

export function colour(index: number): string {
  return `c${index % 6}`;
}

export function lines(figure: Lines): HTMLElement {
  const readout = new Readout();
  const keys = h("div", { class: "legend" });
  const plot = responsive((width) => {
    const direct = labelsFit(figure, width);
    keys.hidden = direct || figure.series.length < 2;
    return chart(figure, width, direct, readout);
  });
  keys.append(...figure.series.map((one, i) =>
    h("span", {}, key(colour(i), one.dashed, isCloud(figure, one)), one.name)));
  return h("div", {}, keys, h("div", { class: "stage" }, plot, readout.element), data(figure));
}

/** A plane is as high as it is wide; colour behind curves is as wide as these. */
function inPlane(figure: Lines): boolean {
  return figure.grounds.length > 0 && figure.mode === "points";
}

function isCloud(figure: Lines, one: Series): boolean {
  return figure.mode === "points" && !one.joined;
}

/** Curves are named at their ends where there is room, so that no eye has to travel to a legend. */
function labelsFit(figure: Lines, width: number): boolean {
  return figure.mode === "lines" && namesWidth(figure) < width * 0.28;
}

function namesWidth(figure: Lines): number {
  return widest(figure.series.map((one) => one.name), 12, 600);
}

interface Frame {
  figure: Lines;
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
  x: Scale;
  y: Scale;
}

function chart(figure: Lines, width: number, direct: boolean, readout: Readout): SVGElement {
  const frame = layout(figure, width, direct);
  const svg = s("svg", {
    viewBox: `0 0 ${frame.width} ${frame.height}`, width: frame.width, height: frame.height,
    role: "img", "aria-label": spoken(figure),
  });
  svg.append(...figure.grounds.map((one) => ground(frame, one)), ...axes(frame));
  svg.append(...figure.series.map((one, i) => band(frame, one, i)).filter((path) => path !== null));
  svg.append(...figure.series.flatMap((one, i) =>
    isCloud(figure, one) ? cloud(frame, one, i) : [curve(frame, one, i)]));
  svg.append(...marks(frame));
  if (direct) svg.append(...endLabels(frame));
  follow(svg, frame, readout);
  return svg;
}

function layout(figure: Lines, full: number, direct: boolean): Frame {
  const square = figure.diagonal || inPlane(figure);
  const width = square ? Math.min(full, 460) : full;
  const names = direct ? namesWidth(figure) + 12 : 12;
  const top = figure.y_label || figure.marks.length ? 30 + (figure.marks.length ? LINE : 0) : 10;
  const bottom = figure.x_label ? 42 : 24;
  let height = Math.round(Math.max(210, Math.min(330, width * 0.56)));
  const [xs, ys] = ranges(figure);
  const rows = Math.max(3, Math.round(height / 56));
  const measure = scale(ys, [height - bottom, top], figure.y_log, rows);
  const left = Math.ceil(widest(measure.ticks.map(measure.label))) + 10;
  const right = width - names;
  if (square) height = right - left + top + bottom;
  return {
    figure, width, height, left, right, top, bottom: height - bottom,
    x: scale(xs, [left, right], figure.x_log, Math.max(3, Math.floor((right - left) / 75))),
    y: scale(ys, [height - bottom, top], figure.y_log, square ? 5 : rows),
  };
}

function ranges(figure: Lines): [Range, Range] {
  if (inPlane(figure)) {
    return [extent(figure.grounds.flatMap((one) => one.x), false), extent(figure.grounds.flatMap((one) => one.y), false)];
  }
  const xs = figure.series.flatMap((one) => one.x).concat(figure.marks.map((mark) => mark.x));
  const ys = figure.series.flatMap((one) => [...one.y, ...(one.low ?? []), ...(one.high ?? [])]);
  for (const one of figure.grounds) xs.push(...one.x);
  for (const one of figure.grounds) ys.push(...one.y);
  if (figure.diagonal) {
    const both = padded(extent(xs.concat(ys), figure.x_log), figure.x_log);
    return [both, both];
  }
  const x = extent(xs, figure.x_log);
  const y = padded(extent(ys, figure.y_log), figure.y_log);
  return [figure.mode === "points" ? padded(x, figure.x_log) : x, y];
}

/** One pixel per cell, enlarged by the browser; the first row is the lowest. */
function ground(frame: Frame, one: Ground): SVGElement {
  const [rows, columns] = [one.series.length, one.series[0]?.length ?? 0];
  const canvas = h("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d")!;
  one.series.forEach((row, i) => row.forEach((index, j) => {
    pen.globalAlpha = one.strength[i]?.[j] ?? 0;
    pen.fillStyle = css(`--${colour(index)}`);
    pen.fillRect(j, rows - 1 - i, 1, 1);
  }));
  const [left, right] = one.x.map((value) => frame.x.at(value ?? 0)) as [number, number];
  const [bottom, top] = one.y.map((value) => frame.y.at(value ?? 0)) as [number, number];
  return s("image", {
    href: canvas.toDataURL(), x: left, y: top, width: right - left, height: bottom - top,
    preserveAspectRatio: "none", class: "ground",
  });
}

function axes(frame: Frame): SVGElement[] {
  const { figure, left, right, top, bottom, x, y } = frame;
  const marks = x.ticks.flatMap((tick) => [
    s("line", { x1: x.at(tick), x2: x.at(tick), y1: bottom, y2: bottom + 4, class: "axis" }),
    s("text", { x: x.at(tick), y: bottom + 17, "text-anchor": "middle", class: "tick" }, x.label(tick)),
  ]);
  const rules = y.ticks.flatMap((tick) => [
    s("line", { x1: left, x2: right, y1: y.at(tick), y2: y.at(tick), class: "rule" }),
    s("text", { x: left - 7, y: y.at(tick) + 4, "text-anchor": "end", class: "tick" }, y.label(tick)),
  ]);
  const base = s("line", { x1: left, x2: right, y1: bottom, y2: bottom, class: "axis" });
  const diagonal = figure.diagonal
    ? [s("line", { x1: left, x2: right, y1: bottom, y2: top, class: "diagonal" })] : [];
  return [...rules, base, ...marks, ...diagonal, ...titles(frame)];
}

function titles({ figure, left, right, bottom }: Frame): SVGElement[] {
  const middle = (left + right) / 2;
  return [
    s("text", { x: 0, y: 13, class: "label" }, figure.y_label),
    s("text", { x: middle, y: bottom + 35, "text-anchor": "middle", class: "label" }, figure.x_label),
  ];
}

type Point = [x: number, y: number];

/** Runs of drawable points in pixels; a missing value ends a run. */
function runs(frame: Frame, xs: Series["x"], ys: Series["y"]): Point[][] {
  const found: Point[][] = [[]];
  ys.forEach((y, i) => {
    const x = xs[i];
    if (frame.x.inside(x) && frame.y.inside(y)) found.at(-1)!.push([frame.x.at(x), frame.y.at(y)]);
    else if (found.at(-1)!.length) found.push([]);
  });
  return found.filter((run) => run.length);
}

/** At most four points per pixel column (first, least, greatest, last): the same picture, less work. */
function thinned(run: Point[]): Point[] {
  if (run.length < 3000) return run;
  const columns = new Map<number, Point[]>();
  for (const point of run) {
    const column = Math.round(point[0]);
    columns.set(column, [...extremes(columns.get(column), point)]);
  }
  return [...columns.values()].flat();
}

function extremes(kept: Point[] | undefined, point: Point): Point[] {
  if (!kept) return [point, point, point, point];
  const [first, least, greatest] = kept as [Point, Point, Point, Point];
  return [first, point[1] < least[1] ? point : least, point[1] > greatest[1] ? point : greatest, point];
}

function through(points: Point[]): string {
  return points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
}

function curve(frame: Frame, one: Series, index: number): SVGElement {
  const parts = runs(frame, one.x, one.y).map((run) =>
    // A run of one point would be invisible as a line; its round cap makes it a dot.
    run.length === 1 ? `M${through(run)}h0` : `M${through(thinned(run))}`);
  const dash = one.dashed ? "5 4" : null;
  return s("path", { d: parts.join(""), class: `curve stroke ${colour(index)}`, "stroke-dasharray": dash });
}

function band(frame: Frame, one: Series, index: number): SVGElement | null {
  const { low, high } = one;
  if (!low || !high) return null;
  const both = one.x.map((x, i) => finite(low[i]) && finite(high[i]) ? x : null);
  const lower = runs(frame, both, low);
  const upper = runs(frame, both, high);
  const areas = upper.map((run, i) => `M${through(run)}L${through([...(lower[i] ?? [])].reverse())}Z`);
  return s("path", { d: areas.join(""), class: `band fill ${colour(index)}` });
}

/** Several interleaved layers, because one path never darkens itself where its points pile up. */
function cloud(frame: Frame, one: Series, index: number): SVGElement[] {
  const points = runs(frame, one.x, one.y).flat();
  const layers = Math.min(10, Math.ceil(points.length / 60));
  const size = points.length > 800 ? 3.5 : 5;
  return Array.from({ length: layers }, (_, layer) => {
    const dots = points.filter((_, i) => i % layers === layer);
    const d = dots.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
    return s("path", { d, class: `cloud stroke ${colour(index)}${frame.figure.grounds.length ? " clear" : ""}`, "stroke-width": size });
  });
}

/** A text that would run into its neighbour's goes one line lower. */
function marks(frame: Frame): SVGElement[] {
  const ends: number[] = [];
  const inside = frame.figure.marks.filter((mark) => frame.x.inside(mark.x));
  return inside.sort((a, b) => a.x - b.x).flatMap(({ x: value, text }) => {
    const x = frame.x.at(value);
    const half = textWidth(text, 11) / 2;
    const middle = Math.max(half, Math.min(frame.width - half, x));
    const free = ends.findIndex((end) => end < middle - half - 6);
    const row = free < 0 ? ends.length : free;
    ends[row] = middle + half;
    const y = frame.top - 8 + row * LINE;
    return [
      s("line", { x1: x, x2: x, y1: y + 4, y2: frame.bottom, class: "mark" }),
      s("text", { x: middle, y, "text-anchor": "middle", class: "mark-text" }, text),
    ];
  });
}

function endLabels(frame: Frame): SVGElement[] {
  const ends = frame.figure.series
    .map((one, index) => ({ one, index, y: runs(frame, one.x, one.y).at(-1)?.at(-1)?.[1] ?? NaN }))
    .filter((end) => finite(end.y))
    .sort((a, b) => a.y - b.y);
  spread(ends, frame.top, frame.bottom);
  return ends.map(({ one, index, y }) =>
    s("text", { x: frame.right + 7, y: y + 4, class: `name fill ${colour(index)}` }, one.name));
}

/** Moves labels apart, first downwards, then back up where they would leave the plot. */
function spread(ends: { y: number }[], top: number, bottom: number): void {
  let free = top;
  for (const end of ends) {
    end.y = Math.max(end.y, free);
    free = end.y + LINE;
  }
  let limit = bottom;
  for (const end of [...ends].reverse()) {
    end.y = Math.min(end.y, limit);
    limit = end.y - LINE;
  }
}

// --- Reading off ----------------------------------------------------------------------------------

function follow(svg: SVGElement, frame: Frame, readout: Readout): void {
  const cursor = s("g", { class: "cursor" });
  svg.append(cursor);
  const stops = frame.figure.mode === "points" ? points(frame) : columns(frame);
  if (!stops.length) return;
  let current = 0;
  const go = (index: number) => {
    current = Math.max(0, Math.min(stops.length - 1, index));
    stops[current]!.show(cursor, readout);
  };
  let used = false;
  steer(svg, {
    move: (dx, dy) => { go(used ? current + (dx || -dy) : 0); used = true; },
    point: (x, y) => { used = true; go(nearest(stops, x, y)); },
    hide: () => { cursor.replaceChildren(); readout.hide(); },
  });
}

interface Stop {
  x: number;
  /** null: the whole column. */
  y: number | null;
  show(cursor: SVGElement, readout: Readout): void;
}

function nearest(stops: Stop[], x: number, y: number): number {
  let best = 0;
  let least = Infinity;
  stops.forEach((stop, i) => {
    const distance = (stop.x - x) ** 2 + (stop.y === null ? 0 : (stop.y - y) ** 2);
    if (distance < least) [best, least] = [i, distance];
  });
  return best;
}

function columns(frame: Frame): Stop[] {
  const rows = frame.figure.series.map((one) => new Map(one.x.map((x, i) => [x, i])));
  const xs = [...new Set(frame.figure.series.flatMap((one) => one.x))];
  return xs.filter(frame.x.inside).sort((a, b) => a - b)
    .map((x) => ({ x: frame.x.at(x), y: null, show: (g, readout) => showColumn(frame, rows, x, g, readout) }));
}

function showColumn(
  frame: Frame, rows: Map<number | null, number>[], x: number, cursor: SVGElement, readout: Readout,
): void {
  const at = frame.x.at(x);
  const found = frame.figure.series
    .map((one, index) => ({ one, index, row: rows[index]!.get(x) }))
    .filter((hit): hit is Hit => hit.row !== undefined);
  const dots = found.flatMap(({ one, index, row }) => {
    const y = one.y[row];
    return frame.y.inside(y) ? [{ cx: at, cy: frame.y.at(y), r: 3.5, class: `fill ${colour(index)}` }] : [];
  });
  const rule = s("line", { x1: at, x2: at, y1: frame.top, y2: frame.bottom });
  cursor.replaceChildren(rule, ...dots.map((dot) => s("circle", dot)));
  const entries = found.map((hit) =>
    ({ name: hit.one.name, value: interval(hit), colour: colour(hit.index) }));
  const mean = dots.reduce((sum, dot) => sum + dot.cy, 0) / dots.length;
  // In the half of the plot where the curves are not.
  const free = mean < (frame.top + frame.bottom) / 2 ? frame.bottom - 20 * (entries.length + 1) - 20 : frame.top;
  readout.show(at, free, `${frame.figure.x_label || "x"} ${number(x)}`, entries);
}

interface Hit {
  one: Series;
  index: number;
  row: number;
}

function interval({ one, row }: Hit): string {
  const [low, high] = [one.low?.[row], one.high?.[row]];
  const value = number(one.y[row]);
  return finite(low) && finite(high) ? `${value}  (${number(low, 3)} to ${number(high, 3)})` : value;
}

function points(frame: Frame): Stop[] {
  return frame.figure.series.flatMap((one, index) => one.joined ? [] : one.x.flatMap((x, row) => {
    const y = one.y[row];
    if (!frame.x.inside(x) || !frame.y.inside(y)) return [];
    const [left, top] = [frame.x.at(x), frame.y.at(y)];
    return { x: left, y: top, show: (g: SVGElement, readout: Readout) => {
      g.replaceChildren(s("circle", { cx: left, cy: top, r: 6, class: `ring stroke ${colour(index)}` }));
      readout.show(left, top, one.name, [
        { name: frame.figure.x_label || "x", value: number(x) },
        { name: frame.figure.y_label || "y", value: number(y) },
      ]);
    } };
  }));
}

function spoken(figure: Lines): string {
  const ends = figure.series.slice(0, 8).map((one) => {
    const last = one.y.findLastIndex(finite);
    if (last < 0) return `${one.name}: no values`;
    if (figure.mode === "points") return `${one.name}: ${one.y.length} points`;
    return `${one.name} ends at ${number(one.y[last])}`;
  });
  return `${figure.title}. ${figure.y_label} over ${figure.x_label}. ${ends.join("; ")}. `
    + "Arrow keys read values.";
}

/** The same numbers as a table, for screen readers and for those who want to copy them. */
function data(figure: Lines): HTMLElement | null {
  const rows = figure.series.flatMap((one) => one.x.map((x, i) =>
    [shorten(one.name, 300), x, one.y[i] ?? null, one.low?.[i] ?? null, one.high?.[i] ?? null]));
  if (rows.length > MAX_ROWS_OF_NUMBERS) return null;
  const wide = figure.series.some((one) => one.low) ? 5 : 3;
  const columns = ["series", figure.x_label || "x", figure.y_label || "y", "low", "high"];
  return numbers(columns.slice(0, wide), rows.map((row) => row.slice(0, wide)));
}
