"""Figures of sequences with their evidence: heard, drawn as curves, spelled as letters."""

# Letters in tensor names: C channels, T steps, F rows of the field, U its columns, V variables, H
# steps of the future.

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from glassnet.explain import colours
from glassnet.explain.attribution import Attribution
from glassnet.explain.sequencesplaces import (
    AHEAD,
    ahead,
    method_of,
    name_of,
    time_of,
    times,
    unscaled,
)
from glassnet.figures import (
    Cell,
    Grid,
    Ground,
    Lines,
    Logo,
    Recording,
    Series,
    Sounds,
    Span,
    Strip,
    Table,
    Tick,
    Track,
    png,
    wav,
)

if TYPE_CHECKING:
    from glassnet.explain.sequences import Explained, Sequences, Shown
    from glassnet.task import Axes

BYTES = 220_000
"""Of sound in a recording to be heard; what is longer is cut."""
PIECES = 600
"""Of the time in which the wave has a least and a greatest sample."""
WIDEST = 1200
"""Columns of a picture over time."""
MOST_CHANNELS = 6
"""Curves of an example, those with the most evidence."""
STRONG = 0.75
"""Share of the colour behind a curve where evidence is strongest."""
WRITTEN = 300
"""Letters of a sequence in a table."""
PLACES = 24
"""Columns of a grid over time."""


# --- Sounds ---------------------------------------------------------------------------------------


def heard(found: Sequences) -> Sounds:
    """Each recording with its wave, its spectrogram, its evidence, its letters and words."""
    from glassnet.explain.sequencespage import complete, said

    items = []
    for one in found.examples:
        sums = [(each.about, complete(e).strip()) for each in one.explained
                for e in each.evidence if e.change is not None]  # fmt: skip
        many = len(one.explained) > 1
        note = "\n".join(f"“{about}”: {told}" if many else told for about, told in sums)
        items.append(recording(one, found.axes, said(one), note))
    if not any(one.explained[0].evidence for one in found.examples if one.explained):
        return Sounds("Heard", items, value_label="probability" if found.axes.tokens else "")
    label = "probability" if found.axes.tokens is not None else ""
    scale = 1.0 if label else None
    return Sounds("Heard, and what speaks for it", items, value_label=label, scale=scale)


def recording(one: Shown, axes: Axes, said: str, note: str) -> Recording:
    """One recording."""
    assert axes.rate is not None
    sound_T = one.signals[0].nan_to_num()
    seconds = len(sound_T) / axes.rate
    most = BYTES // 2
    if len(sound_T) > most:
        note = f"To be heard are the first {most / axes.rate:.1f} of {seconds:.1f} s. {note}"
    # Of one length, for longer ones would look louder.
    pieces = sound_T.split(max(1, -(-len(sound_T) // PIECES)))
    ticks = [Tick(at, text) for at, text in axes.rows]
    strips = []
    if axes.front is not None:
        strips.append(Strip(spectrogram(one.field), "spectrogram", ticks=ticks))
    strips += [
        Strip(evidence(one.field, found), _label(each, found), ticks=ticks)
        for each in one.explained for found in each.evidence
    ]  # fmt: skip
    tracks = [
        Track(name, [Span(t.text, t.begin, t.end, value=t.share) for t in timed if t.text.strip()])
        for name, timed in (("words", one.words), ("letters", one.letters)) if timed
    ]  # fmt: skip
    lows, highs = ([float(f(p)) for p in pieces] for f in (torch.min, torch.max))
    return Recording(
        wav(sound_T[:most].numpy(), axes.rate), seconds, caption=f"{one.name}: {said}", note=note,
        wave=[lows, highs], strips=strips, tracks=tracks,
    )  # fmt: skip


def _label(each: Explained, found: Attribution) -> str:
    return f"evidence for “{each.about}” by {found.method.replace('_', ' ')}"


def spectrogram(field_FU: Tensor) -> str:
    """The field from its least number (dark) to its greatest, the last row on top."""
    return png(colours.scaled(centred(_lightness(field_FU)).flip(0)))


def evidence(field_FU: Tensor, found: Attribution) -> str:
    """Evidence laid over the field in grey: blue speaks for the answer, orange against it."""
    values_FU = torch.tensor(found.values).view(field_FU.shape)
    grey_1FU = _narrowed(centred(_lightness(field_FU))[None] * 255)
    heat_FU = colours.strength(_narrowed(centred(values_FU)[None])[0])
    # `over` has orange for what speaks for an answer; beside words, blue does.
    return png(colours.over(grey_1FU, -heat_FU)[::-1].copy())


def centred(picture_FU: Tensor) -> Tensor:
    """Two columns for each frame, half of one earlier: a frame tells what is around its time."""
    num_frames = picture_FU.shape[1]
    halves = (torch.arange(2 * num_frames) + 1) // 2
    return picture_FU[:, halves.clamp(max=num_frames - 1)]


def _lightness(field_FU: Tensor) -> Tensor:
    there = field_FU[~field_FU.isnan()].float()
    if not len(there):
        return torch.zeros_like(field_FU)
    low, high = (float(there.quantile(q)) for q in (0.02, 0.998))
    return ((field_FU.nan_to_num(low) - low) / max(high - low, 1e-9)).clamp(0, 1)


def _narrowed(picture_1FU: Tensor) -> Tensor:
    """At most ``WIDEST`` columns, means of neighbours."""
    if picture_1FU.shape[2] <= WIDEST:
        return picture_1FU
    size = (picture_1FU.shape[1], WIDEST)
    return torch.nn.functional.adaptive_avg_pool2d(picture_1FU, size)


# --- Curves ---------------------------------------------------------------------------------------


def curves(one: Shown, axes: Axes, said: str) -> list[Lines]:
    """The channels with the most evidence, which colours the ground behind each."""
    drawn = []
    for each in one.explained:
        for found in each.evidence:
            values_CT = torch.tensor(found.values).view(one.field.shape)
            title = f"{one.name}: {said}. Evidence for “{each.about}” by {method_of(found)}"
            drawn += _channels(one, axes, values_CT, title, found)
    if drawn:
        return drawn
    shown = range(min(MOST_CHANNELS, len(one.signals)))
    return [_curve(one, axes, channel, f"{one.name}: {said}", None) for channel in shown]


def _channels(
    one: Shown, axes: Axes, values_CT: Tensor, title: str, found: Attribution
) -> list[Lines]:
    from glassnet.explain.sequencespage import complete, strongest

    if len(values_CT) != len(one.signals) or values_CT.shape[1] != one.signals.shape[1]:
        return []
    heat_CT = colours.strength(values_CT)
    chosen = strongest(values_CT, MOST_CHANNELS)
    lines = [_curve(one, axes, c, title, heat_CT[c], complete(found)) for c in chosen]
    return lines


def _curve(
    one: Shown, axes: Axes, channel: int, title: str, heat_T: Tensor | None, note: str = ""
) -> Lines:
    x, y = times(axes, one.signals.shape[1]), unscaled(one.signals[channel], axes, channel)
    grounds = [] if heat_T is None else [ground(heat_T, x, y)]
    name = name_of(axes, channel)
    return Lines(
        title if len(one.signals) == 1 else f"{title}, {name}",
        [Series(name, x, y)], x_label=time_of(axes), y_label=name, grounds=grounds,
        note=note.strip(),
    )  # fmt: skip


def ground(heat_T: Tensor, x: Sequence[float], y: Sequence[float]) -> Ground:
    """Colour behind a curve: blue where evidence is positive, orange where it is negative."""
    known = [value for value in y if value == value]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.5
    half = (x[1] - x[0]) / 2 if len(x) > 1 else 0.5
    return Ground(
        (x[0] - half, x[-1] + half), (low - room, high + room),
        [(heat_T < 0).int().tolist()], [(heat_T.abs() * STRONG).tolist()],
    )  # fmt: skip


def along_time(one: Shown, axes: Axes) -> list[Grid]:
    """Of several channels: the evidence of each in stretches of the time."""
    num_channels = len(one.signals)
    if num_channels < 2 or not one.explained or not one.explained[0].evidence:
        return []
    each, found = one.explained[0], one.explained[0].evidence[0]
    values_CT = torch.tensor(found.values, dtype=torch.float64).view(one.field.shape)
    parts = values_CT.tensor_split(min(PLACES, values_CT.shape[1]), dim=1)
    places = times(axes, values_CT.shape[1])
    if axes.horizon:
        places = [float(x) for x in ahead(axes, len(places))]
    begin = AHEAD if axes.horizon else time_of(axes)
    starts, at = [], 0
    for part in parts:
        starts.append(f"{places[at]:.4g}".replace("-", "−"))
        at += part.shape[1]
    return [
        Grid(
            f"{one.name}: evidence for “{each.about}” by channel and time, in {each.unit}",
            torch.stack([part.sum(1) for part in parts], 1).tolist(),
            row_labels=[name_of(axes, channel) for channel in range(num_channels)],
            column_labels=starts, column_title=f"from ({begin})", format=".2f",
        )
    ]  # fmt: skip


# --- Letters --------------------------------------------------------------------------------------


def logos(one: Shown, axes: Axes, said: str) -> list[Logo]:
    """Each letter as high as what it adds to the answer."""
    from glassnet.explain.sequencespage import complete

    drawn = []
    letters = list(axes.channels)
    for each in one.explained:
        for found in each.evidence:
            values_CT = torch.tensor(found.values, dtype=torch.float64).view(one.field.shape)
            # What a place adds is the sum over its letters; the letter that stands there bears it.
            height_TC = (values_CT.sum(0) * one.field.nan_to_num()).T
            title = f"{one.name}: {said}. Evidence for “{each.about}” by {method_of(found)}"
            drawn.append(
                Logo(title, letters, height_TC.tolist(), y_label=each.unit, first=int(axes.first),
                     note=complete(found).strip())
            )  # fmt: skip
    return drawn


def spelled(found: Sequences) -> Table:
    """Sequences as they are written, with what was answered and what is right."""
    rows: list[list[Cell]] = []
    for one in found.examples:
        known_T = ~one.field.isnan().any(0)
        letters = "".join(found.axes.channels[c] for c in one.field[:, known_T].argmax(0).tolist())
        share = one.probabilities.get(one.answer)
        rows.append([one.name, one.answer, share, one.truth, _cut(letters)])
    columns = ["sequence", "answered", "share", "right", "letters"]
    return Table("Sequences", columns, rows)


def _cut(letters: str) -> str:
    return letters if len(letters) <= WRITTEN else letters[:WRITTEN] + " …"


def mutated(one: Shown, axes: Axes) -> Grid:
    """Every letter changed into every other."""
    assert one.mutated is not None
    known = (~one.mutated.isnan().all(0)).nonzero().flatten().tolist()
    begin, end = (known[0], known[-1] + 1) if known else (0, 1)
    of = one.field.nan_to_num().argmax(0)[begin:end].tolist()
    labels = [f"{axes.channels[c]} {int(axes.first) + begin + n}" for n, c in enumerate(of)]
    return Grid(
        f"{one.name}: every letter changed, and how the evidence for “{one.explained[0].about}” "
        "changes",
        one.mutated[:, begin:end].tolist(), row_labels=list(axes.channels), column_labels=labels,
        row_title="changed into", column_title="letter and its place",
        note="In log-odds. 0 is the letter that stands there.", format=".2f",
    )  # fmt: skip
