// The values of glassnet/figures.py as they arrive in JSON. tests/test_figures.py derives these
// interfaces from the Python dataclasses and fails, with the text to put here, when they differ.

export interface Series {
  name: string;
  x: (number | null)[];
  y: (number | null)[];
  low: (number | null)[] | null;
  high: (number | null)[] | null;
  dashed: boolean;
  joined: boolean;
}

export interface Ground {
  x: (number | null)[];
  y: (number | null)[];
  series: number[][];
  strength: (number | null)[][];
}

export interface Mark {
  x: number;
  text: string;
}

export interface Lines {
  kind: "lines";
  title: string;
  series: Series[];
  x_label: string;
  y_label: string;
  x_log: boolean;
  y_log: boolean;
  mode: "lines" | "points";
  diagonal: boolean;
  marks: Mark[];
  grounds: Ground[];
  note: string;
}

export interface Grid {
  kind: "grid";
  title: string;
  values: (number | null)[][];
  row_labels: string[];
  column_labels: string[];
  row_title: string;
  column_title: string;
  format: string;
  normalize: "rows" | null;
  note: string;
}

export interface Picture {
  source: string;
  caption: string;
  note: string;
}

export interface Images {
  kind: "images";
  title: string;
  items: Picture[];
  pixelated: boolean;
  wide: boolean;
  note: string;
}

export interface Table {
  kind: "table";
  title: string;
  columns: string[];
  rows: (string | number | null)[][];
  note: string;
}

export interface Bar {
  label: string;
  value: number | null;
  low: number | null;
  high: number | null;
}

export interface Bars {
  kind: "bars";
  title: string;
  items: Bar[];
  x_label: string;
  note: string;
}

export interface Shown {
  values: (number | null)[][] | null;
  marked: number[][];
  chosen: number[][];
}

export interface Frame {
  label: string;
  text: string;
  panels: Shown[];
}

export interface Steps {
  kind: "steps";
  title: string;
  panels: Grid[];
  frames: Frame[];
  note: string;
}

export interface Token {
  text: string;
  value: number | null;
  under: string;
  said: string;
}

export interface Tokens {
  kind: "tokens";
  title: string;
  items: Token[];
  value_label: string;
  scale: number | null;
  spaced: boolean;
  note: string;
}

export interface Logo {
  kind: "logo";
  title: string;
  alphabet: string[];
  heights: (number | null)[][];
  x_label: string;
  y_label: string;
  first: number;
  note: string;
}

export interface Span {
  text: string;
  begin: number;
  end: number;
  value: number | null;
  said: string;
}

export interface Track {
  name: string;
  spans: Span[];
}

export interface Tick {
  at: number;
  text: string;
}

export interface Strip {
  source: string;
  label: string;
  ticks: Tick[];
}

export interface Recording {
  source: string;
  seconds: number;
  caption: string;
  note: string;
  wave: (number | null)[][];
  strips: Strip[];
  tracks: Track[];
}

export interface Sounds {
  kind: "sounds";
  title: string;
  items: Recording[];
  value_label: string;
  scale: number | null;
  note: string;
}

export interface Fact {
  label: string;
  value: string | number | null;
  note: string;
}

export interface Facts {
  kind: "facts";
  items: Fact[];
  headline: boolean;
}

export interface Code {
  kind: "code";
  text: string;
  language: string;
}

export interface Section {
  title: string;
  text: string;
  blocks: Block[];
}

export interface Document {
  kind: "document";
  title: string;
  subtitle: string;
  sections: Section[];
}

export type Figure = Lines | Grid | Images | Table | Bars | Steps | Tokens | Logo | Sounds;
export type Block = Figure | Facts | Code;
export type Cell = string | number | null;
