// Recordings: a player each, and over one time axis its letters and words, its wave and its pictures.

import { finite, h, number, responsive, s, shorten, textWidth, widest } from "./dom";
import { type Scale, scale } from "./scale";
import { numbers } from "./table";
import { ground } from "./tokens";
import type { Recording, Sounds, Strip, Track } from "./types";

const TRACK = 24;
const WAVE = 56;
const STRIP = 96;
const GAP = 6;

export function sounds(figure: Sounds): HTMLElement {
  const items = figure.items.map((item) => recording(item, figure.scale ?? largest(item)));
  const spans = figure.items.flatMap((item) => item.tracks.flatMap((track) => track.spans.map((span) =>
    [item.caption, track.name, span.text, span.begin, span.end, span.value])));
  const columns = ["recording", "line", "text", "begin (s)", "end (s)", figure.value_label || "value"];
  return h("div", {}, h("ul", { class: "recordings" }, ...items), spans.length ? numbers(columns, spans) : null);
}

function largest(item: Recording): number {
  const values = item.tracks.flatMap((track) => track.spans.map((span) => Math.abs(span.value ?? 0)));
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function recording(item: Recording, strongest: number): HTMLElement {
  const player = item.source ? h("audio", { controls: true, preload: "metadata", src: item.source,
    "aria-label": item.caption || "recording" }) : null;
  const cursor = s("line", { class: "played", visibility: "hidden" });
  let x: Scale | null = null;
  let waiting = 0; // one frame at a time, however many events ask for it
  const follow = () => {
    waiting = 0;
    if (!player || !x) return;
    const at = x.at(Math.min(player.currentTime, item.seconds));
    for (const [name, value] of [["x1", at], ["x2", at]] as const) cursor.setAttribute(name, String(value));
    cursor.setAttribute("visibility", player.currentTime > 0 ? "visible" : "hidden");
    if (!player.paused) waiting = requestAnimationFrame(follow);
  };
  for (const event of ["play", "timeupdate", "seeked"]) player?.addEventListener(event, () => { if (!waiting) follow(); });
  const plot = responsive((width) => {
    const drawn = chart(item, width, strongest);
    x = drawn.x;
    cursor.setAttribute("y1", "0");
    cursor.setAttribute("y2", String(drawn.bottom));
    drawn.svg.append(cursor);
    drawn.svg.addEventListener("click", (event) => {
      if (!player || !x) return;
      const left = event.clientX - drawn.svg.getBoundingClientRect().left;
      player.currentTime = Math.max(0, Math.min(item.seconds, x.back(left)));
    });
    if (player) drawn.svg.classList.add("seekable");
    return drawn.svg;
  });
  return h("li", {}, h("div", { class: "heading" }, h("b", {}, item.caption), player),
    item.note ? h("small", {}, item.note) : null, plot);
}

function chart(item: Recording, width: number, strongest: number): { svg: SVGElement; x: Scale; bottom: number } {
  const names = [...item.tracks.map((track) => track.name), ...item.strips.flatMap(({ ticks }) => ticks.map((tick) => tick.text))];
  const left = Math.ceil(Math.min(width * 0.3, widest(names))) + 12;
  const right = Math.max(left + 40, width - 12);
  const seconds = item.seconds > 0 ? item.seconds : 1;
  const x = scale([0, seconds], [left, right], false, Math.max(2, Math.floor((right - left) / 80)));
  const parts: SVGElement[] = [];
  let top = 2;
  for (const track of item.tracks) {
    parts.push(...line(track, x, left, top, strongest));
    top += TRACK + GAP;
  }
  if (item.wave.length === 2 && item.wave[0]!.length) {
    parts.push(...wave(item.wave, left, right, top));
    top += WAVE + GAP;
  }
  for (const strip of item.strips) {
    parts.push(...picture(strip, left, right, top));
    top += STRIP + GAP + (strip.label ? 16 : 0);
  }
  parts.push(...axis(x, left, right, top));
  const height = top + 36;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": spoken(item) }, ...parts);
  return { svg, x, bottom: top };
}

function line(track: Track, x: Scale, left: number, top: number, strongest: number): SVGElement[] {
  const middle = top + TRACK / 2 + 4;
  const name = s("text", { x: left - 8, y: middle, "text-anchor": "end", class: "tick" }, shorten(track.name, left - 10));
  let free = -Infinity;
  const spans = track.spans.flatMap((span) => {
    const [from, to] = [x.at(span.begin), Math.max(x.at(span.begin) + 1, x.at(span.end))];
    const box = s("rect", { x: from, y: top, width: to - from, height: TRACK, class: "span" });
    box.style.fill = ground(span.value, strongest) || "none";
    const said = `${span.text}: ${number(span.begin, 3)} to ${number(span.end, 3)} s`;
    box.append(s("title", {}, [said, finite(span.value) ? number(span.value, 3) : "", span.said].filter(Boolean).join("\n")));
    const half = textWidth(span.text, 12) / 2;
    const centre = (from + to) / 2;
    // Of texts that would run into each other the first stays; all of them are in the table below.
    if (centre - half < free || (half * 2 > to - from + 6 && span.text.length > 1)) return short(span.text, from, to, middle, box);
    free = centre + half + 1;
    return [box, s("text", { x: centre, y: middle, "text-anchor": "middle", class: "spoken" }, span.text)];
  });
  return [name, ...spans];
}

function short(text: string, from: number, to: number, y: number, box: SVGElement): SVGElement[] {
  const cut = to - from > 18 ? shorten(text, to - from - 4) : "";
  return [box, ...(cut ? [s("text", { x: (from + to) / 2, y, "text-anchor": "middle", class: "spoken" }, cut)] : [])];
}

function wave([lows, highs]: Recording["wave"], left: number, right: number, top: number): SVGElement[] {
  const size = [...lows!, ...highs!].reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0) || 1;
  const y = (value: number | null) => (top + WAVE / 2 - ((value ?? 0) / size) * (WAVE / 2)).toFixed(1);
  const at = (i: number) => (left + ((i + 0.5) / highs!.length) * (right - left)).toFixed(1);
  const upper = highs!.map((value, i) => `${at(i)} ${y(value)}`);
  const lower = lows!.map((value, i) => `${at(i)} ${y(value)}`).reverse();
  return [
    s("line", { x1: left, x2: right, y1: top + WAVE / 2, y2: top + WAVE / 2, class: "rule" }),
    s("path", { d: `M${[...upper, ...lower].join("L")}Z`, class: "wave" }),
  ];
}

function picture(strip: Strip, left: number, right: number, top: number): SVGElement[] {
  const begin = top + (strip.label ? 16 : 0);
  const image = s("image", { href: strip.source, x: left, y: begin, width: right - left, height: STRIP, preserveAspectRatio: "none", class: "crisp" });
  const frame = s("rect", { x: left, y: begin, width: right - left, height: STRIP, class: "frame" });
  const ticks = strip.ticks.flatMap(({ at, text }) => {
    const y = begin + STRIP * (1 - at);
    return [
      s("line", { x1: left - 4, x2: left, y1: y, y2: y, class: "axis" }),
      s("text", { x: left - 7, y: Math.max(begin + 9, Math.min(begin + STRIP, y + 4)), "text-anchor": "end", class: "tick" }, text),
    ];
  });
  return [s("text", { x: left, y: top + 11, class: "label" }, strip.label), image, frame, ...ticks];
}

function axis(x: Scale, left: number, right: number, top: number): SVGElement[] {
  const ticks = x.ticks.flatMap((tick) => [
    s("line", { x1: x.at(tick), x2: x.at(tick), y1: top, y2: top + 4, class: "axis" }),
    s("text", { x: x.at(tick), y: top + 17, "text-anchor": "middle", class: "tick" }, x.label(tick)),
  ]);
  return [s("line", { x1: left, x2: right, y1: top, y2: top, class: "axis" }), ...ticks,
    s("text", { x: (left + right) / 2, y: top + 32, "text-anchor": "middle", class: "label" }, "seconds")];
}

function spoken(item: Recording): string {
  const tracks = item.tracks.map((track) => `${track.name}: ${track.spans.slice(0, 100).map((span) => span.text).join(" ")}`);
  const strips = item.strips.map((strip) => strip.label);
  return [item.caption || "Recording", item.note, `${number(item.seconds, 3)} seconds`, ...tracks, ...strips].filter(Boolean).join(". ") + ".";
}
