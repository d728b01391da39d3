// The page: reads the data beside it and draws them.

import "./style.css";
import { h, number } from "./dom";
import { render } from "./render";
import type { Block, Code, Document, Facts, Section } from "./types";

export function draw(data: Document): HTMLElement {
  const sections = data.sections.map(section);
  const header = data.title || data.subtitle
    ? h("header", {}, h("h1", {}, data.title), data.subtitle ? h("p", {}, data.subtitle) : null) : null;
  return h("main", {}, header, contents(data.sections), ...sections);
}

function contents(sections: Section[]): HTMLElement | null {
  const named = sections.map((one, i) => ({ ...one, i })).filter((one) => one.title);
  if (named.length < 3) return null;
  const links = named.map(({ title, i }) => h("li", {}, h("a", { href: `#s${i}` }, title)));
  return h("nav", { "aria-label": "Contents" }, h("ul", {}, ...links));
}

function section({ title, text, blocks }: Section, index: number): HTMLElement {
  const paragraphs = text.split(/\n\s*\n/).filter(Boolean).map((part) => h("p", { class: "text" }, part));
  return h("section", { id: `s${index}` }, title ? h("h2", {}, title) : null, ...paragraphs,
    h("div", { class: "blocks" }, ...blocks.map(block)));
}

function block(one: Block): HTMLElement {
  if (one.kind === "facts") return facts(one);
  return one.kind === "code" ? code(one) : render(one);
}

function facts({ items, headline }: Facts): HTMLElement {
  const all = items.map(({ label, value, note }) => h("div", {},
    h("dt", {}, label),
    h("dd", {}, typeof value === "string" ? value : number(value)),
    note ? h("dd", { class: "note" }, note) : null));
  return h("dl", { class: headline ? "facts headline wide" : "facts wide" }, ...all);
}

function code({ text, language }: Code): HTMLElement {
  const label = language ? h("span", { class: "language" }, language) : null;
  return h("div", { class: "code wide" }, label, h("pre", { tabindex: 0 }, h("code", {}, text)));
}

/** Within a notebook the page lives in a frame, which has to grow with what it shows. */
function fitFrame(main: HTMLElement): void {
  const frame = window.frameElement as HTMLElement | null;
  if (!frame) return;
  const fit = () => { frame.style.height = `${Math.ceil(main.getBoundingClientRect().height) + 2}px`; };
  new ResizeObserver(fit).observe(main);
}

const source = document.getElementById("glassnet");
if (source) {
  const main = draw(JSON.parse(source.textContent ?? "") as Document);
  document.body.append(main);
  if (document.documentElement.classList.contains("notebook")) fitFrame(main);
}
