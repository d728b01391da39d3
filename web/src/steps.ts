// Matrices side by side, one frame at a time: the reader steps, slides or plays.

import { Readout, h, responsive } from "./dom";
import { panel, still, type Panel } from "./grid";
import type { Frame, Steps } from "./types";

const PAUSE = 1400; // milliseconds that a frame stays while it plays
const ON_PAPER = 12; // frames, at most

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function steps(figure: Steps): HTMLElement {
  if (!figure.frames.length) return h("p", { class: "note" }, "No steps.");
  const panels = figure.panels.map((one, i) => {
    const changed = figure.frames.flatMap((frame) => frame.panels[i]?.values ?? []);
    return panel(one, [...one.values, ...changed]);
  });
  const box = h("div", {}, player(figure, panels));
  addEventListener("beforeprint", () => box.append(sheet(figure, panels)));
  addEventListener("afterprint", () => box.querySelector(".sheet")?.remove());
  return box;
}

// --- On the screen --------------------------------------------------------------------------------

function player(figure: Steps, panels: Panel[]): HTMLElement {
  const last = figure.frames.length - 1;
  let at = 0;
  let timer = 0;
  const stages = panels.map((one, i) => stage(one, () => figure.frames[at]!.panels[i]!));
  const label = h("b", {});
  const text = h("span", {});
  // Polite while the reader steps; silent while it plays, for no voice could follow.
  const sentence = h("p", { class: "sentence", "aria-live": "polite" }, label, " ", text);
  const slider = h("input", { type: "range", min: 0, max: last, step: 1, value: 0, "aria-label": `Step of ${figure.title}` });
  const back = button("‹", "One step back", () => { stop(); go(at - 1); });
  const on = button("›", "One step on", () => { stop(); go(at + 1); });
  const play = button("", "Play", () => timer ? stop() : start());

  function go(to: number): void {
    at = Math.max(0, Math.min(last, to));
    const frame = figure.frames[at]!;
    label.textContent = frame.label;
    text.textContent = frame.text;
    slider.value = String(at);
    slider.setAttribute("aria-valuetext", `${at + 1} of ${last + 1}: ${frame.label}`);
    back.disabled = at === 0;
    on.disabled = at === last;
    for (const one of stages) one.redraw();
  }
  function start(): void {
    if (at === last) go(0);
    sentence.setAttribute("aria-live", "off");
    named(play, "❚❚", "Pause");
    timer = window.setInterval(() => { if (at === last) stop(); else go(at + 1); }, PAUSE);
  }
  function stop(): void {
    clearInterval(timer);
    timer = 0;
    sentence.setAttribute("aria-live", "polite");
    named(play, "▶", "Play");
  }

  slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
  addEventListener("beforeprint", stop);
  const asked = () => { stop(); play.hidden = calm.matches; }; // whoever wants no motion steps by hand
  calm.addEventListener("change", asked);
  asked();
  go(0);
  const controls = h("div", { class: "controls" }, back, play, on, slider);
  controls.hidden = last === 0;
  const row = h("div", { class: "panels" }, ...stages.map((one) => one.element));
  return h("div", { class: "player" }, controls, sentence, row);
}

function stage(one: Panel, shown: () => Frame["panels"][number]): { element: HTMLElement; redraw(): void } {
  const readout = new Readout();
  let width = 0;
  const plot = responsive((full) => { width = full; return still(one, shown(), full, readout); });
  const redraw = () => {
    readout.hide();
    if (width) plot.replaceChildren(still(one, shown(), width, readout));
  };
  const element = h("div", { class: "panel" }, h("h3", {}, one.figure.title),
    h("div", { class: "stage" }, plot, readout.element), one.figure.note ? h("p", { class: "note" }, one.figure.note) : null);
  element.style.width = `${Math.max(one.breadth, 64)}px`;
  return { element, redraw };
}

function button(sign: string, name: string, act: () => void): HTMLButtonElement {
  const made = h("button", { type: "button" });
  named(made, sign, name);
  made.addEventListener("click", act);
  return made;
}

function named(one: HTMLButtonElement, sign: string, name: string): void {
  one.textContent = sign;
  one.title = name;
  one.setAttribute("aria-label", name);
}

// --- On paper -------------------------------------------------------------------------------------

/** All frames if they are few, else the first ones and the last. */
function sheet(figure: Steps, panels: Panel[]): HTMLElement {
  const { frames } = figure;
  const kept = frames.length <= ON_PAPER ? frames : [...frames.slice(0, ON_PAPER - 1), frames.at(-1)!];
  const left = frames.length - kept.length;
  const note = left ? h("p", { class: "note" }, `${left} of ${frames.length} steps, before the last one, are left out on paper.`) : null;
  return h("div", { class: "sheet" }, ...kept.map((frame) => print(frame, panels)), note);
}

function print(frame: Frame, panels: Panel[]): HTMLElement {
  const drawn = panels.map((one, i) => h("div", {}, h("small", {}, one.figure.title),
    still(one, frame.panels[i]!, one.breadth, null)));
  return h("div", { class: "printed" }, h("p", { class: "sentence" }, h("b", {}, frame.label), " ", h("span", {}, frame.text)),
    h("div", { class: "panels" }, ...drawn));
}
