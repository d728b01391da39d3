// A text whose tokens have coloured ground: evidence, surprise.

import { Readout, finite, h, number, steer } from "./dom";
import { numbers } from "./table";
import type { Token, Tokens } from "./types";

const STRONGEST = 50; // percent of the hue in the ground; more, and the text would be hard to read

export function tokens(figure: Tokens): HTMLElement {
  const scale = scaleOf(figure);
  const two = figure.items.some((item) => item.under);
  const words = figure.items.map((item) => word(item, scale, two));
  const parts = words.flatMap((one, i) => figure.items[i]!.text.includes("\n") ? [one, h("br")] : [one]);
  const text = h("p", { class: `running${figure.spaced ? " spaced" : ""}${two ? " two" : ""}`, dir: "auto",
    role: "img", "aria-label": spoken(figure) }, ...parts);
  const readout = new Readout();
  const stage = h("div", { class: "stage" }, text, readout.element);
  follow(text, words, figure, readout);
  return h("div", {}, stage, legend(figure, scale), table(figure));
}

function scaleOf(figure: Tokens): number {
  return figure.scale ?? figure.items.reduce((most, { value }) => Math.max(most, Math.abs(value ?? 0)), 0);
}

/** Blue for what is positive, orange for what is negative; a value that is missing has no ground. */
export function ground(value: number | null, scale: number): string {
  if (!finite(value) || !scale) return "";
  const strength = Math.min(1, Math.abs(value) / scale) * STRONGEST;
  return `color-mix(in srgb, var(${value < 0 ? "--c1" : "--c0"}) ${strength.toFixed(1)}%, transparent)`;
}

function word(item: Token, scale: number, two: boolean): HTMLElement {
  const text = h("span", { class: "ground" }, item.text.replace(/\r?\n|\r/g, "↵").replace(/\t/g, "⇥") || "∅");
  // By the object model: the page's policy forbids style attributes.
  text.style.background = ground(item.value, scale);
  return two ? h("span", { class: "word" }, text, h("small", {}, item.under || "\u00a0")) : text;
}

function legend(figure: Tokens, scale: number): HTMLElement | null {
  const values = figure.items.map((item) => item.value).filter(finite);
  if (!values.length || !scale) return null;
  const stops = values.some((value) => value < 0) ? [-scale, -scale / 2, 0, scale / 2, scale] : [0, scale / 2, scale];
  const swatches = stops.map((value) => {
    const square = h("span", { class: "square" });
    square.style.background = ground(value, scale);
    return h("span", {}, square, number(value, 3));
  });
  return h("div", { class: "legend small" }, h("span", { class: "group" }, figure.value_label, ...swatches));
}

function table(figure: Tokens): HTMLElement {
  const two = figure.items.some((item) => item.under);
  const rows = figure.items.map(({ text, value, under }, i) => [i + 1, text, value, ...(two ? [under] : [])]);
  return numbers(["number", "token", figure.value_label || "value", ...(two ? ["below"] : [])], rows);
}

// --- Reading off ----------------------------------------------------------------------------------

function follow(text: HTMLElement, words: HTMLElement[], figure: Tokens, readout: Readout): void {
  let at = -1;
  const hide = () => {
    words[at]?.classList.remove("here");
    at = -1;
    readout.hide();
  };
  const go = (to: number) => {
    if (to === at) return;
    words[at]?.classList.remove("here");
    at = Math.max(0, Math.min(words.length - 1, to));
    const [one, item] = [words[at]!, figure.items[at]!];
    one.classList.add("here");
    const value = finite(item.value) ? [{ name: figure.value_label || "value", value: number(item.value) }] : [];
    const said = item.said.split("\n").filter((line) => line).map((line) => {
      const [name, ...rest] = line.split("\t");
      return { name: name!, value: rest.join(" ") };
    });
    const beside = item.under ? [{ name: item.under, value: "" }] : [];
    readout.show(one.offsetLeft, 0, `${at + 1}: ${item.text}`, [...value, ...(said.length ? said : beside)]);
    // Below its line, so that the text itself stays in sight, though it may reach below the figure.
    readout.element.style.top = `${one.offsetTop + one.offsetHeight + 6}px`;
  };
  if (!words.length) return;
  steer(text, {
    move: (dx, dy) => at < 0 ? go(0) : go(dy ? below(words, at, dy) : at + dx),
    point: (x, y) => {
      const box = text.getBoundingClientRect();
      const found = document.elementFromPoint(box.left + x, box.top + y)?.closest(".word, .ground");
      const place = words.findIndex((one) => one === found || one.contains(found ?? null));
      if (place < 0) hide();
      else go(place);
    },
    hide,
  });
}

/** The word in the next line (or the one before) that stands nearest below. */
function below(words: HTMLElement[], at: number, dy: number): number {
  const here = words[at]!;
  const others = words.filter((one) => (one.offsetTop - here.offsetTop) * dy > here.offsetHeight / 2);
  if (!others.length) return at;
  const top = dy > 0 ? others[0]!.offsetTop : others[others.length - 1]!.offsetTop;
  const line = others.filter((one) => Math.abs(one.offsetTop - top) <= here.offsetHeight / 2);
  const distance = (one: HTMLElement) => Math.abs(one.offsetLeft - here.offsetLeft);
  return words.indexOf(line.reduce((best, one) => distance(one) < distance(best) ? one : best));
}

function spoken(figure: Tokens): string {
  const items = figure.items.filter((item) => finite(item.value)).slice(0, 200);
  const strongest = items.sort((a, b) => Math.abs(b.value!) - Math.abs(a.value!)).slice(0, 5);
  const said = strongest.map((item) => `${item.text} ${number(item.value, 3)}`);
  const text = figure.items.slice(0, 200).map((item) => item.text).join(figure.spaced ? " " : "");
  return `${figure.title}. ${text}. Strongest ${figure.value_label}: ${said.join("; ")}. Arrow keys read the tokens.`;
}
