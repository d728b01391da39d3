// A matrix of coloured cells: from a 3x3 filter to a confusion matrix of 200 classes.

import {
  Readout, css, finite, fixed, h, number, percent, responsive, s, shorten, steer, textWidth, widest,
} from "./dom";
import type { Grid, Shown } from "./types";

const MAX_CELL = 44;
const MAX_LABEL = 150;
const MAX_RECTANGLES = 1600;

/** How a cell is coloured: a hue from the style sheet and its strength from 0 to 1. */
interface Tint {
  hue: string;
  strength: number;
}

interface Paint {
  confusion: boolean;
  tint(row: number, column: number): Tint | null;
  /** What a strength stands for, from weak to strong. */
  legend: { tint: Tint; text: string }[];
  share(row: number, column: number): number | null;
}

export function grid(figure: Grid): HTMLElement {
  const readout = new Readout();
  const paint = painter(figure);
  const plot = responsive((width) => chart(figure, width, paint, readout));
  return h("div", {}, h("div", { class: "stage" }, plot, readout.element), legend(figure, paint));
}

/** One of several matrices of a figure: values and outlines change, the colours do not. */
export interface Panel {
  figure: Grid;
  all: Grid["values"];
  /** Pixels that it asks for, names included. */
  breadth: number;
}

/** `all` are the values that the panel has at any time: they set its colours. */
export function panel(figure: Grid, all: Grid["values"]): Panel {
  const columns = columnsOf(figure);
  const cell = columns <= 8 ? MAX_CELL : Math.max(4, Math.min(24, 420 / columns));
  const named = figure.row_labels.length ? Math.min(MAX_LABEL, widest(figure.row_labels)) + 8 : 2;
  return { figure, all, breadth: Math.ceil(named + columns * cell + 4) };
}

export function still(one: Panel, shown: Shown, width: number, readout: Readout | null): SVGElement {
  const figure = { ...one.figure, values: shown.values ?? one.figure.values };
  const frame = layout(figure, width, painter(figure, one.all));
  const svg = s("svg", {
    viewBox: `0 0 ${frame.width} ${frame.height}`, width: frame.width, height: frame.height,
    role: "img", "aria-label": spoken(figure),
  });
  svg.append(...labels(frame), ...cells(frame), outline(frame, shown.marked, "marked"),
    outline(frame, shown.chosen, "chosen"));
  if (readout) follow(svg, frame, readout);
  return svg;
}

/** Around all of the cells together: a side between two of them is not drawn. */
function outline({ cell, left, top }: Frame, cellsOf: number[][], kind: string): SVGElement {
  const has = new Set(cellsOf.map(String));
  const sides = cellsOf.flatMap(([i, j]) => {
    const [x, y] = [left + j! * cell, top + i! * cell];
    const around: [number, number, string][] = [
      [-1, 0, `M${x} ${y}h${cell}`], [1, 0, `M${x} ${y + cell}h${cell}`],
      [0, -1, `M${x} ${y}v${cell}`], [0, 1, `M${x + cell} ${y}v${cell}`],
    ];
    return around.filter(([dy, dx]) => !has.has(String([i! + dy, j! + dx]))).map(([, , path]) => path);
  });
  return s("path", { d: sides.join(""), class: `outline ${kind}` });
}

export function isWide(figure: Grid): boolean {
  return columnsOf(figure) > 16;
}

function columnsOf(figure: Grid): number {
  return figure.values.reduce((most, row) => Math.max(most, row.length), 0);
}

// --- Colour ---------------------------------------------------------------------------------------

/** `all` values set the scale: those of the figure, or of all its frames. */
function painter(figure: Grid, all = figure.values): Paint {
  return figure.normalize === "rows" ? sharePainter(figure) : valuePainter(figure, all);
}

function sharePainter(figure: Grid): Paint {
  const totals = figure.values.map((row) => row.reduce<number>((sum, v) => sum + (v ?? 0), 0));
  const same = figure.row_labels.join("\n") === figure.column_labels.join("\n");
  const confusion = same && figure.values.length > 1 && figure.values.length === columnsOf(figure);
  const share = (row: number, column: number) => {
    const value = figure.values[row]?.[column];
    return finite(value) ? value / (totals[row] || 1) : null;
  };
  // A root, because the errors of a good network are rare and must be seen all the same.
  const tint = (hue: string, part: number) => ({ hue, strength: Math.sqrt(Math.max(0, part)) });
  const hue = (row: number, column: number) => confusion && row !== column ? "--c1" : "--c0";
  return {
    confusion, share,
    tint: (row, column) => {
      const part = share(row, column);
      return part === null ? null : tint(hue(row, column), part);
    },
    legend: confusion
      ? [...[0.01, 0.05, 0.2].map((p) => ({ tint: tint("--c1", p), text: percent(p, 0) })),
         ...[0.8, 1].map((p) => ({ tint: tint("--c0", p), text: percent(p, 0) }))]
      : [0.01, 0.1, 0.5, 1].map((p) => ({ tint: tint("--c0", p), text: percent(p, 0) })),
  };
}

function valuePainter(figure: Grid, values: Grid["values"]): Paint {
  const all = values.flat().filter(finite);
  const least = all.reduce((a, b) => Math.min(a, b), Infinity);
  const high = all.reduce((a, b) => Math.max(a, b), -Infinity);
  // A scale that begins near zero begins at zero, so that no colour at all means nothing at all.
  const low = least > 0 && least < high / 5 ? 0 : least;
  const size = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const span = high - low || 1;
  const tint = (value: number) => low < 0
    ? { hue: value < 0 ? "--c1" : "--c0", strength: Math.abs(value) / size }
    : { hue: "--c0", strength: (value - low) / span };
  const stops = low < 0 ? [-size, -size / 2, 0, size / 2, size] : [low, low + span / 2, low + span];
  return {
    confusion: false,
    share: () => null,
    tint: (row, column) => {
      const value = figure.values[row]?.[column];
      return finite(value) ? tint(value) : null;
    },
    legend: all.length ? stops.map((v) => ({ tint: tint(v), text: written(figure, v) })) : [],
  };
}

function legend(figure: Grid, paint: Paint): HTMLElement {
  const swatches = paint.legend.map(({ tint, text }) => {
    const square = s("rect", { width: 14, height: 14, x: 0.5, y: 0.5, class: "swatch", fill: `var(${tint.hue})`,
      "fill-opacity": tint.strength });
    return h("span", {}, s("svg", { width: 15, height: 15, "aria-hidden": "true" }, square), text);
  });
  const group = (name: string, some: Node[]) => h("span", { class: "group" }, name, ...some);
  const parts = !figure.normalize ? [group("", swatches)]
    : !paint.confusion ? [group("share of the row", swatches)]
    : [group("share of the row: wrong", swatches.slice(0, 3)), group("right", swatches.slice(3))];
  return h("div", { class: "legend small" }, ...parts);
}

// --- Drawing --------------------------------------------------------------------------------------

interface Frame {
  figure: Grid;
  paint: Paint;
  rows: number;
  columns: number;
  cell: number;
  left: number;
  top: number;
  width: number;
  height: number;
  upright: boolean;
}

function chart(figure: Grid, width: number, paint: Paint, readout: Readout): SVGElement {
  const frame = layout(figure, width, paint);
  const svg = s("svg", {
    viewBox: `0 0 ${frame.width} ${frame.height}`, width: frame.width, height: frame.height,
    role: "img", "aria-label": spoken(figure),
  });
  svg.append(...labels(frame), ...cells(frame));
  follow(svg, frame, readout);
  return svg;
}

function layout(figure: Grid, full: number, paint: Paint): Frame {
  const [rows, columns] = [figure.values.length, columnsOf(figure)];
  const named = Math.min(MAX_LABEL, full * 0.3, widest(figure.row_labels));
  const titled = figure.row_title ? Math.min(textWidth(figure.row_title) + 8, full * 0.3) : 1;
  const left = Math.ceil(Math.max(named && named + 8, titled));
  const room = (full - left - 2) / Math.max(1, columns);
  const cell = Math.min(MAX_CELL, room >= 4 ? Math.floor(room) : room);
  const upright = widest(figure.column_labels) > cell - 4;
  const names = !figure.column_labels.length ? 0
    : upright ? Math.min(MAX_LABEL, widest(figure.column_labels)) + 6 : 18;
  const top = names + (figure.column_title || figure.row_title ? 20 : 1);
  const width = Math.max(left + columns * cell + 2, Math.min(full, left + textWidth(figure.column_title)));
  return { figure, paint, rows, columns, cell, left, top, width, height: top + rows * cell + 2, upright };
}

function labels(frame: Frame): SVGElement[] {
  const { figure, cell, left, top, upright } = frame;
  const every = Math.max(1, Math.ceil(12 / cell));
  const row = (text: string, i: number) => s(
    "text", { x: left - 7, y: top + (i + 0.5) * cell + 4, "text-anchor": "end", class: "tick strong" },
    shorten(text, left - 8));
  const column = (text: string, i: number) => {
    const x = left + (i + 0.5) * cell;
    return upright
      ? s("text", { transform: `translate(${x + 4} ${top - 6}) rotate(-90)`, class: "tick strong" }, shorten(text, MAX_LABEL))
      : s("text", { x, y: top - 6, "text-anchor": "middle", class: "tick strong" }, text);
  };
  const shown = (_: unknown, i: number) => i % every === 0;
  return [
    ...figure.row_labels.map(row).filter(shown),
    ...figure.column_labels.map(column).filter(shown),
    s("text", { x: left - 7, y: top - 6, "text-anchor": "end", class: "label" }, figure.row_title),
    s("text", { x: left, y: 12, class: "label" }, figure.column_title),
  ];
}

function cells(frame: Frame): SVGElement[] {
  const { rows, columns, cell, left, top } = frame;
  const border = s("rect", { x: left - 0.5, y: top - 0.5, width: columns * cell + 1, height: rows * cell + 1, class: "frame" });
  if (rows * columns > MAX_RECTANGLES) return [picture(frame), border];
  const all: SVGElement[] = [];
  const written = textsFit(frame);
  frame.figure.values.forEach((row, i) => row.forEach((value, j) => {
    all.push(...rectangle(frame, i, j));
    if (written && finite(value)) all.push(text(frame, i, j, value));
  }));
  return [...all, border];
}

function rectangle({ paint, cell, left, top }: Frame, row: number, column: number): SVGElement[] {
  const tint = paint.tint(row, column);
  const [x, y] = [left + column * cell, top + row * cell];
  const gap = cell > 14 ? 1 : 0;
  const place = { x: x + gap / 2, y: y + gap / 2, width: cell - gap, height: cell - gap };
  if (!tint) return [s("line", { x1: x + cell * 0.3, x2: x + cell * 0.7, y1: y + cell / 2, y2: y + cell / 2, class: "axis" })];
  return [s("rect", { ...place, fill: `var(${tint.hue})`, "fill-opacity": tint.strength.toFixed(3) })];
}

/** One pixel per cell, enlarged by the browser: 200 x 200 rectangles would be slow. */
function picture({ paint, rows, columns, cell, left, top }: Frame): SVGElement {
  const canvas = h("canvas", { width: columns, height: rows });
  const pen = canvas.getContext("2d")!;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const tint = paint.tint(i, j);
      if (!tint) continue;
      pen.globalAlpha = tint.strength;
      pen.fillStyle = css(tint.hue);
      pen.fillRect(j, i, 1, 1);
    }
  }
  return s("image", {
    href: canvas.toDataURL(), x: left, y: top, width: columns * cell, height: rows * cell,
    preserveAspectRatio: "none", class: "crisp",
  });
}

function textsFit({ figure, cell }: Frame): boolean {
  const values = figure.values.flat().filter(finite);
  return cell >= 20 && widest(values.map((value) => written(figure, value))) < cell - 3;
}

function text({ figure, paint, cell, left, top }: Frame, row: number, column: number, value: number): SVGElement {
  const faint = figure.normalize && value === 0;
  // At this luminance black and white have equal contrast, 4.6:1; elsewhere the better has more.
  const kind = faint ? "faint" : luminance(paint.tint(row, column)!) < 0.179 ? "white" : "black";
  return s("text", {
    x: left + (column + 0.5) * cell, y: top + (row + 0.5) * cell + 4, "text-anchor": "middle", class: `cell ${kind}`,
  }, faint ? "·" : written(figure, value));
}

/** Relative luminance (WCAG 2) of a tint over the paper. */
function luminance({ hue, strength }: Tint): number {
  const [over, under] = [css(hue), css("--paper")];
  const linear = [1, 3, 5].map((at) => {
    const [a, b] = [over, under].map((hex) => parseInt(hex.slice(at, at + 2), 16) / 255) as [number, number];
    const mixed = a * strength + b * (1 - strength);
    return mixed <= 0.04045 ? mixed / 12.92 : ((mixed + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function written(figure: Grid, value: number): string {
  const [, digits, type] = /^\.?(\d*)([df%])$/.exec(figure.format) ?? [];
  if (type === "d") return fixed(value, 0);
  if (type === "%") return percent(value, Number(digits));
  return type === "f" ? fixed(value, Number(digits)) : number(value, 3);
}

// --- Reading off ----------------------------------------------------------------------------------

function follow(svg: SVGElement, frame: Frame, readout: Readout): void {
  const { rows, columns, cell, left, top } = frame;
  const cursor = s("g", { class: "cursor" });
  svg.append(cursor);
  let [row, column] = [0, -1];
  const hide = () => { cursor.replaceChildren(); readout.hide(); };
  const go = (i: number, j: number) => {
    [row, column] = [Math.max(0, Math.min(rows - 1, i)), Math.max(0, Math.min(columns - 1, j))];
    const place = { x: left + column * cell, y: top + row * cell, width: cell, height: cell };
    cursor.replaceChildren(s("rect", { ...place, class: "here" }));
    readout.show(place.x + cell, place.y, ...said(frame, row, column));
  };
  if (!rows || !columns) return;
  steer(svg, {
    move: (dx, dy) => column < 0 ? go(0, 0) : go(row + dy, column + dx),
    point: (x, y) => {
      const [i, j] = [Math.floor((y - top) / cell), Math.floor((x - left) / cell)];
      if (i < 0 || j < 0 || i >= rows || j >= columns) hide();
      else go(i, j);
    },
    hide,
  });
}

function said({ figure, paint }: Frame, row: number, column: number): [string, { name: string; value: string }[]] {
  const value = figure.values[row]?.[column];
  const share = paint.share(row, column);
  const entries = [
    { name: figure.row_title || "row", value: figure.row_labels[row] ?? String(row) },
    { name: figure.column_title || "column", value: figure.column_labels[column] ?? String(column) },
  ];
  if (share !== null) entries.push({ name: "share of the row", value: percent(share) });
  return [finite(value) ? written(figure, value) : "no value", entries];
}

function spoken(figure: Grid): string {
  return `${figure.title}. ${figure.values.length} rows ${figure.row_title}, `
    + `${columnsOf(figure)} columns ${figure.column_title}. Arrow keys read the cells.`;
}
