"""How often a series repeats itself: found in its training rows, not asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glassnet.data.timelinestamps import DAY, HOUR, Calendar

Floats = NDArray[np.float64]
MOST_SERIES = 30
"""Series that are looked at; the others will be like them."""

CLEAR = 0.15
"""Autocorrelation that a season must have at least."""


def find(series: Sequence[Floats], calendar: Calendar) -> list[int]:
    """The seasons in steps, the strongest first; none if nothing repeats itself.

    Usual periods of the calendar, and the peak of the spectrum, count if the autocorrelation there
    is clear, beyond chance, and above that at half of the period.
    """
    candidates: dict[int, list[float]] = {}
    looked = series[:: max(1, len(series) // MOST_SERIES)][:MOST_SERIES]
    used = 0
    for values in looked:
        for column in values.T:
            if np.isfinite(column).sum() < 12 or np.nanstd(column) == 0:
                continue
            used += 1
            for period, strength in _of_one(column, calendar):
                candidates.setdefault(period, []).append(strength)
    most = {period: sum(found) / used for period, found in candidates.items()
            if len(found) >= max(1, 0.4 * used)}  # fmt: skip
    return sorted(most, key=lambda period: -most[period])


def _of_one(column: Floats, calendar: Calendar) -> list[tuple[int, float]]:
    """Period and autocorrelation of each season of one series."""
    flat = _detrended(column)
    lags = _autocorrelation(flat)
    usual = _usual(calendar)
    found = []
    for period in dict.fromkeys([*usual, *_spectral(flat, usual)]):
        if period < 2 or 2 * period > len(flat) or period >= len(lags):
            continue
        bound = max(CLEAR, 1.645 / np.sqrt(len(flat)))
        # What drifts slowly is like its own past at any lag; what repeats itself is so after a
        # whole season more than after a half.
        if lags[period] > max(bound, lags[period // 2 : (period + 1) // 2 + 1].mean()):
            found.append((period, float(lags[period])))
    return found


def _usual(calendar: Calendar) -> list[int]:
    """Periods in steps that a calendar suggests: a day, a week, a year."""
    if calendar.unit == "months":
        return [12 // calendar.count] if 12 % calendar.count == 0 else []
    if calendar.unit == "business days":
        return [5]
    if calendar.unit != "seconds":
        return []
    spans = [DAY, 7 * DAY] if calendar.count < DAY else [7 * DAY, 365.2425 * DAY]
    spans = [HOUR, *spans] if calendar.count < 600 else spans
    return [round(span / calendar.count) for span in spans if span >= 2 * calendar.count]


def _spectral(flat: Floats, usual: Sequence[int]) -> list[int]:
    """The period with the most power, if it stands out and is not one of the usual ones."""
    power = np.abs(np.fft.rfft(flat * np.hanning(len(flat)))) ** 2
    power[:2] = 0
    peak = int(power.argmax())
    if peak < 4 or power[peak] < 0.1 * power.sum():
        return []
    period = round(len(flat) / peak)
    near = any(abs(period - known) <= 0.1 * known for known in usual)
    return [] if near else [period]


def _detrended(column: Floats) -> Floats:
    """Without gaps and without its straight line."""
    time = np.arange(len(column))
    there = np.isfinite(column)
    whole = np.interp(time, time[there], column[there])
    slope, level = np.polyfit(time, whole, 1)
    return whole - (slope * time + level)  # type: ignore[no-any-return]


def _autocorrelation(flat: Floats) -> Floats:
    """At lags 0, 1, …, by the spectrum."""
    size = 2 ** (2 * len(flat) - 1).bit_length()
    power = np.abs(np.fft.rfft(flat, size)) ** 2
    sums = np.fft.irfft(power, size)[: len(flat)]
    return sums / max(sums[0], 1e-300)  # type: ignore[no-any-return]
