"""Labelled series as a source: sequences of numbers in one or more channels, of any length.

Where they lie is read by ``serieslayouts``; ``encode`` is the one path from measurements to what a
network reads, for training and for prediction.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from glassnet.data import seriesarrays, serieslayouts, seriestables
from glassnet.data.order import natural
from glassnet.data.seriesfiles import Recorded, Values, ended
from glassnet.data.seriestables import Columns
from glassnet.data.signals import SignalExamples
from glassnet.errors import UserError
from glassnet.task import Facts, Look, Problem

Scale = Literal["channel", "each"]
Gaps = Literal["interpolate", "keep"]
LEAST = 1e-8
"""Of the size of its values: a channel that varies less does not vary."""
ENOUGH = 20
"""Fewer labels that are nearly all different may still be classes."""
SHOWN = 10


class SeriesFacts(Facts):
    """What turns measurements into what a network reads, and an output into a class."""

    kind: Literal["series"] = "series"
    channels: list[str]
    longest: int
    """Steps of the longest training series."""
    shortest: int
    scale: Scale
    gaps: Gaps
    means: list[float]
    """Of each channel, over all steps of the training series."""
    deviations: list[float]
    classes: list[str]
    class_counts: list[int]
    """Training series of each class."""
    target: str = ""
    series: str = ""
    time: str = ""
    group: str = ""
    one: Literal["row", "file"] = "row"
    """What one series was in training: rows of something, or a file."""


def open_series(
    path: str | Path,
    columns: Columns | None = None,
    *,
    scale: Scale = "channel",
    gaps: Gaps = "interpolate",
) -> SeriesSource:
    """Open labelled series; the arguments are the knobs of the task of the same names."""
    columns = columns or Columns()
    return SeriesSource(serieslayouts.find(path, columns), str(path), columns, scale, gaps)


class SeriesSource:
    """Labelled series of which nothing has been learned yet."""

    def __init__(
        self, found: Recorded, origin: str, columns: Columns, scale: Scale, gaps: Gaps
    ) -> None:
        self.origin, self.columns, self.scale, self.gaps = origin, columns, scale, gaps
        self.found = found
        self.problems: list[Problem] = list(found.problems)
        kept = self._usable(found)
        self.series = [ended(found.series[row]) for row in kept]
        self.names = [found.names[row] for row in kept]
        labels = [str(found.labels[row]) for row in kept]
        parts = [found.parts[row] for row in kept] if found.parts else None
        self._parts = parts if parts and len(set(parts)) > 1 else None
        self._groups = None if found.groups is None else [found.groups[row] for row in kept]
        self.classes = self._read_classes(labels)
        position = {name: number for number, name in enumerate(self.classes)}
        self.answers = np.array([position[label] for label in labels], np.int64)
        self._tell_odd()
        self.fingerprint = _digest(self.series, labels, self._parts)

    def __len__(self) -> int:
        return len(self.series)

    @property
    def strata(self) -> Sequence[int]:
        """The class number of every series."""
        return self.answers.tolist()  # type: ignore[no-any-return]

    @property
    def groups(self) -> Sequence[str] | None:
        """Whose each series is, if a column says so."""
        return self._groups

    @property
    def parts(self) -> Sequence[str] | None:
        """The part of every series if the data bring their own split."""
        return self._parts

    def name(self, row: int, /) -> str:
        """The line, row or file that the series came from."""
        return self.names[row]

    def facts(self, rows: Tensor, /) -> SeriesFacts:
        """Learn lengths and scales from these rows.

        Only the list of the classes comes from all rows: it is part of the problem's statement.
        """
        held = [self.series[row] for row in rows.tolist()]
        if not held:
            raise UserError(f"{self.origin}: no series is left to learn from.")
        steps = np.concatenate(held)
        measured = ~np.isnan(steps)
        count = measured.sum(0).clip(1)
        means = np.where(measured, steps, 0).sum(0) / count
        spread = np.sqrt(np.where(measured, (steps - means) ** 2, 0).sum(0) / count)
        counts = np.bincount(self.answers[rows.numpy()], minlength=len(self.classes))
        lengths = [len(one) for one in held]
        columns = self.columns
        return SeriesFacts(
            channels=self.found.channels, longest=max(lengths), shortest=min(lengths),
            scale=self.scale, gaps=self.gaps, means=means.tolist(), deviations=spread.tolist(),
            classes=self.classes, class_counts=counts.tolist(), target=self.found.target,
            series=columns.series or "", time=columns.time or "", group=columns.group or "",
            one=self.found.one,
        )  # fmt: skip

    def examples(self, rows: Tensor, facts: SeriesFacts, /) -> SignalExamples:
        """Encode these rows; ``rows`` becomes part of the examples and is not copied."""
        encoded = encode([self.series[row] for row in rows.tolist()], facts)
        targets = torch.from_numpy(self.answers[rows.numpy()])
        return SignalExamples(rows, *encoded, targets)

    # What is asked of the data -------------------------------------------------------------------

    def _usable(self, found: Recorded) -> list[int]:
        """Rows with a label and at least one measurement; the others are reported."""
        bare = [row for row, label in enumerate(found.labels) if label is None]
        empty = [row for row, one in enumerate(found.series) if np.isnan(one).all()]
        for rows, what in ((bare, "have no label"), (empty, "hold no number")):
            if rows:
                self._tell([found.names[row] for row in rows], what, "they are left out",
                           kind="rejected rows", fix="dropped")  # fmt: skip
        kept = sorted(set(range(len(found.series))) - {*bare, *empty})
        if not kept:
            what = "the label" if len(bare) == len(found.series) else "every number"
            raise UserError(
                f"{self.origin}: {what} is missing in all {len(found.series)} series.\n"
                f"{serieslayouts.expected(self.origin)}"
            )
        return kept

    def _read_classes(self, labels: Sequence[str]) -> list[str]:
        counts = Counter(labels)
        if len(counts) < 2:
            raise UserError(
                f"{self.origin}: all {len(labels)} series are of the class {labels[0]!r}. Telling "
                "classes apart needs at least two; add series of another class."
            )
        if len(counts) > len(labels) / 2 and len(labels) >= ENOUGH:
            raise UserError(
                f"{self.origin}: there are {len(counts):,} different labels for {len(labels):,} "
                "series. Those are no classes; choose another target."
            )
        if self._parts is not None:
            known = {y for y, part in zip(labels, self._parts, strict=True) if part == "train"}
            if unknown := sorted(set(labels) - known):
                raise UserError(
                    f"{self.origin}: the train part has no series of the class "
                    f"{', '.join(map(repr, unknown[:SHOWN]))}; it has "
                    f"{', '.join(sorted(known)[:SHOWN])}. Write the labels alike in all parts."
                )
        if single := sorted(name for name, count in counts.items() if count == 1):
            self.problems.append(
                Problem(
                    f"{self.origin}: classes",
                    f"the class {', '.join(map(repr, single[:SHOWN]))} has one series only",
                    "it can be learned or measured, but not both; add series or merge classes",
                )
            )
        return sorted(counts, key=natural)

    def _tell_odd(self) -> None:
        """Gaps, constant series, and copies."""
        gaps = [n for n, s in zip(self.names, self.series, strict=True) if np.isnan(s).any()]
        flat = [n for n, s in zip(self.names, self.series, strict=True) if is_constant(s)]
        if gaps:
            share = np.mean([np.isnan(one).mean() for one in self.series])
            filled = (
                "they are filled along the line between their neighbours; with --gaps keep a "
                "network reads them as gaps"
                if self.gaps == "interpolate"
                else "they are read as gaps: as the mean of their channel"
            )
            self._tell(gaps, f"have missing measurements, {share:.1%} of all", filled, kind="gaps")
        if flat:
            self._tell(flat, "are constant: all their values are equal",
                       "check the sensor, or remove them", kind="constant")  # fmt: skip
        first: dict[bytes, str] = {}
        copies = []
        for name, one in zip(self.names, self.series, strict=True):
            original = first.setdefault(one.tobytes(), name)
            copies += [f"{name} (as {original})"] * (original != name)
        if copies:
            self._tell(copies, "repeat an earlier one", "equal series may get into training and "
                       "test; remove them if they are mistakes", kind="duplicates")  # fmt: skip

    def _tell(
        self, names: Sequence[str], what: str, remedy: str, *, kind: str, fix: str = ""
    ) -> None:
        shown = ", ".join(names[:SHOWN]) + " …" * (len(names) > SHOWN)
        what = f"{len(names):,} of {len(self.found.series):,} series {what} ({shown})"
        self.problems.append(
            Problem(self.origin, what, remedy, kind=kind, items=tuple(names), fix=fix)
        )


# --- From measurements to what a network reads ----------------------------------------------------


def encode(series: Sequence[Values], facts: SeriesFacts) -> tuple[Tensor, Tensor]:
    """All series end to end, (total, C) float32 with NaN for gaps, and where each starts (N + 1,).

    Scaled by channel (mean 0 and standard deviation 1 over the training series), or each series by
    itself.
    """
    scaled = [_scaled(filled(one) if facts.gaps == "interpolate" else one, facts) for one in series]
    starts = torch.tensor([0, *map(len, scaled)]).cumsum(0)
    none = np.zeros((0, len(facts.channels)))
    return torch.from_numpy(np.concatenate([none, *scaled]).astype(np.float32)), starts


def _scaled(one: Values, facts: SeriesFacts) -> Values:
    if facts.scale == "each":
        measured = ~np.isnan(one)
        count = measured.sum(0).clip(1)
        means = np.where(measured, one, 0).sum(0) / count
        spread = np.sqrt(np.where(measured, (one - means) ** 2, 0).sum(0) / count)
    else:
        means, spread = np.array(facts.means), np.array(facts.deviations)
    flat = spread <= LEAST * np.maximum(1, np.abs(means))
    scaled: Values = (one - means) / np.where(flat, 1, spread)
    return scaled


def filled(one: Values) -> Values:
    """A series whose gaps lie on the line between their neighbours; at its ends, on the nearest.

    >>> filled(np.array([[np.nan], [1.0], [np.nan], [3.0]]))[:, 0].tolist()
    [1.0, 1.0, 2.0, 3.0]
    """
    gone = np.isnan(one)
    if not gone.any():
        return one
    whole = one.copy()
    steps = np.arange(len(one))
    for channel in range(one.shape[1]):
        known = ~gone[:, channel]
        if known.any() and not known.all():
            whole[:, channel] = np.interp(steps, steps[known], one[known, channel])
    return whole


def is_constant(one: Values) -> bool:
    """Whether no channel ever changes."""
    first = one[0]
    return bool((np.isnan(one) | (one == first)).all())


def _digest(series: Sequence[Values], labels: Sequence[str], parts: Sequence[str] | None) -> str:
    digest = hashlib.sha256()
    for one, label in zip(series, labels, strict=True):
        digest.update(f"{label}\0{one.shape}".encode("utf-8", "surrogatepass"))
        digest.update(np.ascontiguousarray(one).tobytes())
    digest.update("".join(part[:2] for part in parts or ()).encode())
    return digest.hexdigest()


# --- A cheap look ---------------------------------------------------------------------------------


def look(path: str | Path, target: str | None) -> Look | None:
    """What series lie there; None unless their form says that they are some.

    A table with a series in each row could be any table: it needs --task series-classification.
    """
    place = Path(path)
    if not (place.is_file() or place.is_dir()) or not _is_series(place):
        return None
    source = open_series(place, Columns(target=target))
    lengths = sorted(len(one) for one in source.series)
    counts = Counter(source.classes[answer] for answer in source.answers)
    parts = Counter(source.parts or [])
    listed = ", ".join(f"{name} ({n:,})" for name, n in counts.most_common(SHOWN))
    channels = source.found.channels
    summary = [
        ("Kind", source.found.form),
        ("Series", f"{len(source):,}"),
        ("Parts", ", ".join(f"{p} {n:,}" for p, n in parts.items()) or "none of its own"),
        ("Classes", f"{len(counts)}: {listed}" + " …" * (len(counts) > SHOWN)),
        ("Channels", f"{len(channels)}: {', '.join(channels[:SHOWN])}"
         + " …" * (len(channels) > SHOWN)),
        ("Steps", f"{lengths[0]:,}" if lengths[0] == lengths[-1] else
         f"{lengths[0]:,} to {lengths[-1]:,}, half of them {lengths[len(lengths) // 2]:,} or more"),
    ]  # fmt: skip
    details: dict[str, Any] = {
        "num_rows": len(source),
        "classes": dict(counts),
        "parts": dict(parts),
        "channels": channels,
        "shortest": lengths[0],
        "longest": lengths[-1],
        "target": {"name": "", "kind": "categories", "classes": dict(counts)},
    }
    return Look("series", path, summary, source.problems, details)


def _is_series(path: Path) -> bool:
    if serieslayouts.files_of(path):
        return True
    if path.is_dir():
        folders = {label for _, label in seriestables.places(path).values()}
        return len(folders) > 1
    return path.suffix == ".npz" and _has_series(path)


def _has_series(path: Path) -> bool:
    """Whether X, in capitals, holds numbers of a fraction: images are whole numbers."""
    try:
        with seriesarrays.opened(path) as arrays:
            name = next(
                (n for n in ("X", "X_train", "X_TRAIN", "series") if n in arrays.files), None
            )
            return name is not None and arrays[name].dtype.kind == "f"
    except seriesarrays.BROKEN:
        return False
