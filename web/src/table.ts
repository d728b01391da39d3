// A table that sorts by a click on a column's name.

import { fixed, h, number } from "./dom";
import type { Cell, Table } from "./types";

const FIRST_ROWS = 30;

export function table(figure: Table): HTMLElement {
  return sortable(figure.columns, figure.rows, figure.title);
}

/** The numbers behind a picture, folded away. */
export function numbers(columns: string[], rows: Cell[][]): HTMLElement {
  const details = h("details", { class: "numbers" }, h("summary", {}, "Numbers"));
  // Built on demand: most are never opened.
  details.addEventListener("toggle", () => details.append(sortable(columns, rows, "Numbers")), { once: true });
  return details;
}

function sortable(columns: string[], all: Cell[][], title: string): HTMLElement {
  const formats = columns.map((_, i) => formatOf(all.map((row) => row[i] ?? null)));
  const body = h("tbody");
  let [sorted, falling, limit] = [-1, false, FIRST_ROWS];
  const more = h("button", { class: "more", type: "button" });
  const show = () => {
    const rows = sorted < 0 ? all : inOrder(all, sorted, falling);
    body.replaceChildren(...rows.slice(0, limit).map((row) => line(row, formats)));
    more.textContent = `Show all ${all.length} rows`;
    more.hidden = all.length <= limit;
  };
  const heads = columns.map((name, i) => header(name, formats[i]!.numeric, () => {
    falling = sorted === i ? !falling : formats[i]!.numeric;
    sorted = i;
    heads.forEach((head, j) => head.setAttribute("aria-sort", j !== i ? "none" : falling ? "descending" : "ascending"));
    show();
  }));
  more.addEventListener("click", () => { limit = Infinity; show(); });
  show();
  const element = h("table", { "aria-label": title }, h("thead", {}, h("tr", {}, ...heads)), body);
  // Focusable, because a wide table must scroll by keyboard too.
  return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": title }, element, more);
}

function header(name: string, numeric: boolean, sort: () => void): HTMLElement {
  const button = h("button", { type: "button" }, name);
  button.addEventListener("click", sort);
  return h("th", { scope: "col", class: numeric ? "number" : null, "aria-sort": "none" }, button);
}

function line(row: Cell[], formats: Format[]): HTMLElement {
  return h("tr", {}, ...formats.map((format, i) =>
    h("td", { class: format.numeric ? "number" : null }, format.text(row[i] ?? null))));
}

interface Format {
  numeric: boolean;
  text(cell: Cell): string;
}

/** One number of decimals per column, so that the points stand under each other. */
function formatOf(cells: Cell[]): Format {
  const present = cells.filter((cell) => cell !== null);
  const values = present.filter((cell) => typeof cell === "number");
  const numeric = values.length > 0 && values.length === present.length;
  if (!numeric) return { numeric, text: (cell) => typeof cell === "string" ? cell : number(cell) };
  const sizes = values.map(Math.abs).filter((size) => size > 0);
  const decimals = decimalsOf(values);
  const plain = !sizes.some((size) => size >= 1e9 || (size < 0.5 * 10 ** -decimals));
  const text = (cell: Cell) =>
    typeof cell !== "number" ? "–" : plain ? fixed(cell, decimals) : number(cell);
  return { numeric, text };
}

/** As few as show every value in full, and no more than four digits of the greatest one need. */
export function decimalsOf(values: number[], digits = 4): number {
  const size = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const most = Math.max(0, Math.min(digits, digits - 1 - Math.floor(Math.log10(size))));
  for (let decimals = 0; decimals < most; decimals++) {
    if (values.every((value) => Math.abs(value - Number(value.toFixed(decimals))) < 1e-9 * size)) return decimals;
  }
  return most;
}

/** Numbers before texts, and gaps last whatever the direction. */
function inOrder(rows: Cell[][], column: number, falling: boolean): Cell[][] {
  const sign = falling ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [one[column] ?? null, other[column] ?? null];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  });
}
