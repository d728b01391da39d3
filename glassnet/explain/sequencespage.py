"""``Sequences`` as a page and as text."""

# Letters in tensor names: C channels, T steps, F rows of the field, U its columns, N tiles.

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from glassnet.explain import numbertrust
from glassnet.explain.attribution import Attribution
from glassnet.explain.lookback import forecasts
from glassnet.explain.numbers import METHODS
from glassnet.explain.sequencesfigures import (
    along_time,
    curves,
    heard,
    logos,
    mutated,
    spelled,
)
from glassnet.explain.sequencesplaces import place
from glassnet.figures import Block, Document, Section

if TYPE_CHECKING:
    from glassnet.explain.sequences import Explained, Sequences, Shown
    from glassnet.task import Axes

HEARD = 6
"""Examples with the largest errors that a report lets people hear or see."""
TOP = 3
"""Places that are told in words."""
ENOUGH_SHARE = 0.005


def document(found: Sequences) -> Document:
    """Every part that was found, on one page."""
    subtitle = ", ".join(part for part in (found.network, found.run) if part)
    return Document("What speaks for the answer", subtitle, sections(found))


def sections(found: Sequences, title: str = "What speaks for the answer") -> list[Section]:
    """The parts that there are."""
    parts = [evidence(found, title), trusted(found)]
    return [part for part in parts if part is not None]


def report(largest: Sequences, why: Sequences) -> list[Section]:
    """For a report: the largest errors, then why a wrong and a typical answer were given."""
    what = "hear" if largest.axes.rate else "see"
    text = f"The validation examples with the largest errors, the worst first, to {what}."
    if all(one.truth is not None and one.truth == one.answer for one in largest.examples):
        text = f"No validation example is answered wrongly; these are the least sure, to {what}."
    blocks = _drawn(largest)
    errors = [Section("The largest errors", text, blocks)] if largest.examples else []
    return [*errors, *sections(why, "What speaks for a wrong and for a typical answer")]


def evidence(found: Sequences, title: str) -> Section | None:
    """What speaks for each answer, example by example."""
    names = list(dict.fromkeys(
        e.method for one in found.examples for each in one.explained for e in each.evidence
    ))  # fmt: skip
    if not found.examples:
        return None
    nothing = blank(found.axes)
    text = [*found.notes]
    text += [f"{n.replace('_', ' ')}: {METHODS[n][1].format(blank=nothing)}." for n in names]
    text.append(_unit(found))
    return Section(title, "\n\n".join(text), _drawn(found))


def blank(axes: Axes) -> str:
    """What evidence is measured against, in words."""
    if axes.letters:
        return "letters that are not known"
    if axes.rate:
        return "silence" if axes.front is not None else "a flat line"
    return "a flat line at the mean of each channel"


def _unit(found: Sequences) -> str:
    side = "Blue speaks for the explained answer, orange against it"
    if found.axes.letters:
        side = "What stands above the axis speaks for the explained answer, below it against it"
    if found.axes.horizon:
        return "Blue raises the forecast, orange lowers it, in the unit of the variable."
    if found.axes.tokens is not None:
        return (
            f"{side}, in nats of log-probability: of a word the sum over its letters. Behind "
            "letters and words, the fuller the blue, the more probable."
        )
    return f"{side}, in log-odds: +0.69 doubles the odds, −0.69 halves them."


def _drawn(found: Sequences) -> list[Block]:
    blocks: list[Block] = []
    axes = found.axes
    if axes.rate:
        return [heard(found)] if found.examples else []
    if axes.letters and not any(e.evidence for one in found.examples for e in one.explained):
        return [spelled(found)] if found.examples else []
    for one in found.examples:
        if axes.letters:
            blocks += logos(one, axes, said(one))
            blocks += [] if one.mutated is None else [mutated(one, axes)]
        elif axes.horizon:
            blocks += forecasts(one, axes)
            blocks += along_time(one, axes)
        else:
            blocks += curves(one, axes, said(one))
            blocks += along_time(one, axes)
    return blocks


def trusted(found: Sequences) -> Section | None:
    """What the checks say."""
    if not found.checks:
        return None
    number = found.checks[0].num_examples
    lines = [
        f"Checked on {number} example{'s' * (number > 1)}. What holds there need not hold "
        "elsewhere."
    ]
    lines += [check.text for check in found.checks]
    blocks: list[Block] = [numbertrust.curve(found.checks), numbertrust.likeness(found.checks)]
    return Section("Is this to be trusted?", "\n\n".join(lines), blocks)


# --- In words -------------------------------------------------------------------------------------


def text(found: Sequences) -> str:
    """For a terminal, in 100 columns."""
    lines = [fill(note, 98) for note in found.notes]
    for one in found.examples:
        lines.append(fill(f"{one.name}: {said(one)}", 98, subsequent_indent="  "))
        if len(one.probabilities) > 1:
            best = [p for p in list(one.probabilities.items())[:5] if p[1] >= ENOUGH_SHARE]
            lines.append(_filled("  ".join(f"{c} {p:.1%}" for c, p in best)))
        if one.words:
            words = "  ".join(f"{w.text} {w.begin:.2f}–{w.end:.2f} s" for w in one.words)
            lines.append(_filled(words))
        for each in one.explained:
            lines += [_filled(told(one, each, single, found.axes)) for single in each.evidence]
    if found.checks:
        lines.append("is this to be trusted?")
        lines += [_filled(one.text) for one in found.checks]
    return "\n".join(lines)


def said(one: Shown) -> str:
    """Answer, how sure, and what is right."""
    share = one.probabilities.get(one.answer)
    sure = f" ({share:.0%})" if share is not None else ""
    wrong = f", not {one.truth}" if one.truth not in (None, one.answer) else ""
    return f"{shorten(one.answer, 200, placeholder=' …')}{wrong}{sure}"


def told(one: Shown, each: Explained, found: Attribution, axes: Axes) -> str:
    """Where the strongest evidence lies, and whether the sum is complete."""
    values_FU = torch.tensor(found.values, dtype=torch.float64).view(one.field.shape)
    sums_N = values_FU.new_zeros(int(one.tiles.max()) + 1)
    sums_N = sums_N.index_add(0, one.tiles.flatten(), values_FU.flatten())
    order = sums_N.abs().argsort(descending=True, stable=True)[:TOP].tolist()
    places = [f"{place(one, tile, axes)} ({sums_N[tile]:+.3g})" for tile in order if sums_N[tile]]
    where = "; ".join(places) or "nothing counts"
    return (
        f"{found.method.replace('_', ' ')}, evidence for “{each.about}” in {each.unit}: {where}."
        f"{complete(found)}"
    )


def complete(found: Attribution) -> str:
    """Whether the values add up to the whole change; empty for methods that promise no sum."""
    if found.change is None:
        return ""
    verdict = "complete" if found.complete else "not complete, so beware"
    return (
        f" The values add up to {found.total:+.3f}; the answer changed by {found.change:+.3f} "
        f"({verdict}; {found.steps} points on the way)."
    )


def _filled(text: str) -> str:
    return fill(text, 98, initial_indent="  ", subsequent_indent="    ")


def strongest(values_CT: Tensor, most: int) -> Sequence[int]:
    """The channels with the most evidence, in their own order."""
    size_C = values_CT.abs().sum(1)
    return sorted(size_C.argsort(descending=True, stable=True)[:most].tolist())
