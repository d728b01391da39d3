// From data to pixels, and the round numbers along an axis.

import { finite, fixed, number } from "./dom";

export interface Scale {
  at(value: number): number;
  /** From a pixel to the value there. */
  back(place: number): number;
  inside(value: number | null | undefined): value is number;
  ticks: number[];
  label(tick: number): string;
}

export type Range = [number, number];

export function extent(values: Iterable<number | null>, log: boolean): Range {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!finite(value) || (log && value <= 0)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (low < high) return [low, high];
  return log ? [low / 2, high * 2] : [low - (Math.abs(low) / 2 || 1), high + (Math.abs(low) / 2 || 1)];
}

/** Room on both sides, but never across zero: a share or a loss does not look negative. */
export function padded([low, high]: Range, log: boolean, part = 0.04): Range {
  if (log) {
    const factor = (high / low) ** part;
    return [low / factor, high * factor];
  }
  const room = (high - low) * part;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high <= 0 ? Math.min(0, high + room) : high + room];
}

export function scale([low, high]: Range, [from, to]: Range, log: boolean, count: number): Scale {
  const warp = log ? Math.log10 : (value: number) => value;
  const unwarp = log ? (value: number) => 10 ** value : (value: number) => value;
  const factor = (to - from) / (warp(high) - warp(low));
  const ticks = log ? logTicks(low, high, count) : linearTicks(low, high, count);
  const decimals = log ? 0 : decimalsOf((ticks[1] ?? 1) - (ticks[0] ?? 0));
  return {
    at: (value) => from + (warp(value) - warp(low)) * factor,
    back: (place) => unwarp(warp(low) + (place - from) / factor),
    inside: (value): value is number => finite(value) && (!log || value > 0),
    ticks,
    label: (tick) => {
      // Along many decades all ticks are powers, not some of them decimals.
      if (log && high / low > 1e4) return number(tick, 3, true);
      return log || Math.abs(high) >= 1e7 || decimals > 4 ? number(tick, 3) : fixed(tick, decimals);
    },
  };
}

function linearTicks(low: number, high: number, count: number): number[] {
  const rough = (high - low) / count;
  const base = 10 ** Math.floor(Math.log10(rough));
  const step = base * ([1, 2, 5, 10].find((m) => base * m >= rough * 0.999) ?? 10);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    ticks.push(Number((i * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low: number, high: number, count: number): number[] {
  const first = Math.floor(Math.log10(low));
  const decades = Math.log10(high / low);
  const factors = decades < 1.2 ? [1, 2, 3, 5, 7] : decades < 2.5 ? [1, 2, 5] : [1];
  const stride = Math.max(1, Math.ceil(decades / count));
  const ticks: number[] = [];
  for (let exponent = first; 10 ** exponent <= high; exponent += stride) {
    for (const factor of factors) {
      const tick = Number(`${factor}e${exponent}`);
      if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, 4).filter((tick) => tick > 0);
}

function decimalsOf(step: number): number {
  return Math.max(0, -Math.floor(Math.log10(Math.abs(step)) + 1e-9));
}
