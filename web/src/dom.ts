// Elements, numbers as text, and the read-out. Data reach the page only as text nodes and attributes.

export type Attributes = Record<string, string | number | boolean | null>;
export type Child = Node | string | null;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function s<K extends keyof SVGElementTagNameMap>(
  tag: K, attributes: Attributes = {}, ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Draws anew whenever the width or the colour scheme changes, so that text keeps its size. */
export function responsive(draw: (width: number) => Element): HTMLElement {
  const box = h("div", { class: "plot" });
  let last = 0;
  const redraw = () => last > 0 && box.replaceChildren(draw(last));
  new ResizeObserver(() => {
    const width = Math.floor(box.clientWidth);
    if (width === last) return;
    last = width;
    redraw();
  }).observe(box);
  dark.addEventListener("change", redraw);
  for (const event of ["beforeprint", "afterprint"]) addEventListener(event, redraw);
  return box;
}

const dark = matchMedia("screen and (prefers-color-scheme: dark)");

// Paper is white. The media query alone would come too late for what is computed from the colours.
const printing = document.documentElement.classList;
addEventListener("beforeprint", () => printing.add("printing"));
addEventListener("afterprint", () => printing.remove("printing"));

export function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const pen = document.createElement("canvas").getContext("2d")!;

export function textWidth(text: string, size = 12, weight = 400): number {
  pen.font = `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

export function widest(texts: string[], size = 12, weight = 400): number {
  return texts.reduce((most, text) => Math.max(most, textWidth(text, size, weight)), 0);
}

export function shorten(text: string, width: number, size = 12): string {
  if (textWidth(text, size) <= width) return text;
  const letters = [...text];
  while (letters.length > 1 && textWidth(letters.join("") + "…", size) > width) letters.pop();
  return letters.join("") + "…";
}

export function finite(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** Four significant digits, a true minus sign, and powers of ten as they are written by hand. */
export function number(value: number | null | undefined, digits = 4, powers = false): string {
  if (!finite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && size !== 1 && (powers || size < 1e-3 || size >= 1e7)) return power(value, digits);
  const shown = Number.isInteger(value) ? value : Number(value.toPrecision(digits));
  return minus(shown.toLocaleString("en-US", { maximumFractionDigits: 10 }));
}

export function fixed(value: number, decimals: number): string {
  const format = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return minus(value.toLocaleString("en-US", format));
}

export function percent(value: number, decimals = 1): string {
  return `${fixed(value * 100, decimals)} %`;
}

function power(value: number, digits: number): string {
  const [front, exponent] = value.toExponential(digits - 1).split("e") as [string, string];
  const factor = String(Number(front));
  const ten = `10${superscript(Number(exponent))}`;
  return minus(factor === "1" ? ten : `${factor}×${ten}`);
}

function superscript(exponent: number): string {
  return [...String(exponent)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(c)])).join("");
}

function minus(text: string): string {
  return text.replace("-", "−");
}

export interface Entry {
  name: string;
  value: string;
  colour?: string;
}

/** A small box beside the pointer or the keyboard's cursor; screen readers are told what it says. */
export class Readout {
  readonly element = h("div", { class: "readout", role: "status", hidden: true });

  /** Beside the point (x, y) in pixels of the plot, on the side where there is room. */
  show(x: number, y: number, heading: string, entries: Entry[]): void {
    const rows = entries.flatMap((e) => [
      h("dt", {}, e.colour ? key(e.colour) : null, e.name), h("dd", {}, e.value),
    ]);
    this.element.replaceChildren(h("strong", {}, heading), h("dl", {}, ...rows));
    this.element.hidden = false;
    const stage = this.element.parentElement!;
    const room = stage.clientWidth - this.element.offsetWidth;
    const depth = stage.clientHeight - this.element.offsetHeight;
    const right = x + 14 <= room ? x + 14 : x - 14 - this.element.offsetWidth;
    this.element.style.left = `${Math.max(0, Math.min(right, room))}px`;
    this.element.style.top = `${Math.max(0, Math.min(y - 12, depth))}px`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}

export function key(colour: string, dashed = false, dot = false): SVGElement {
  const line = { x1: 0, x2: 16, y1: 5, y2: 5, class: `stroke ${colour}` };
  const shape = dot ? s("circle", { cx: 8, cy: 5, r: 4, class: `fill ${colour}` })
    : s("line", { ...line, "stroke-dasharray": dashed ? "4 3" : null });
  return s("svg", { width: 16, height: 10, class: "key", "aria-hidden": "true" }, shape);
}

export interface Cursor {
  move(dx: number, dy: number): void;
  point(x: number, y: number): void;
  hide(): void;
}

/** The pointer and the arrow keys move one cursor over a plot that takes part in the tab order. */
export function steer(plot: SVGElement | HTMLElement, cursor: Cursor): void {
  const steps: Record<string, [number, number]> = {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  };
  plot.setAttribute("tabindex", "0");
  // The two kinds of elements declare the same events by different maps.
  plot.addEventListener("pointermove", (event) => {
    const [box, { clientX, clientY }] = [plot.getBoundingClientRect(), event as PointerEvent];
    cursor.point(clientX - box.left, clientY - box.top);
  });
  plot.addEventListener("pointerleave", () => cursor.hide());
  plot.addEventListener("blur", () => cursor.hide());
  plot.addEventListener("keydown", (event) => {
    const { key: pressed } = event as KeyboardEvent;
    const step = steps[pressed];
    if (pressed === "Escape") cursor.hide();
    if (!step) return;
    event.preventDefault();
    cursor.move(...step);
  });
}
