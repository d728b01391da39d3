"""Figures of forecasts: the past that one of them looks back at, beside what a regression does."""

# Letters in tensor names: C channels, T steps, L steps of the past, V variables, H steps ahead, P
# patches.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from glassnet.explain import colours, numbers
from glassnet.explain.attribution import Attribution
from glassnet.explain.sequencesfigures import ground
from glassnet.explain.sequencesplaces import AHEAD, ahead, method_of, name_of, unscaled
from glassnet.figures import Bar, Bars, Grid, Lines, Mark, Series
from glassnet.forecasts.lookback import Attended, attended, corrected

if TYPE_CHECKING:
    from glassnet.explain.questions import Question
    from glassnet.explain.sequences import Explained, Shown
    from glassnet.task import Axes

PAST = 4
"""So many horizons of the past are drawn where no evidence is."""
NOW = 0.5
"""Between the last step that was measured and the first one that is forecast."""


@dataclass(frozen=True)
class Lookback:
    """How one step of a forecast hangs on the past of its own variable."""

    slope: Sequence[float]
    """(L,): by how much the forecast would rise if a step of the past were higher by one, in this
    window: the gradient of the network."""
    regression: Sequence[float] | None
    """The same of the linear regression that the network corrects, in every window."""
    attention: Attended | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it; ``attention`` is nested as (layer, patch that reads, patch that is read)."""
        shares = None if self.attention is None else self.attention.shares_LPP.tolist()
        return {"slope": self.slope, "regression": self.regression, "attention": shares}


def look(question: Question, axes: Axes) -> Lookback:
    """Find how the explained step hangs on the past."""
    asked, channel, step = question.asked, question.channel, question.step
    factor = axes.scale[channel][0] if axes.scale else 1.0
    past = asked.signals_1CT.shape[2] - axes.horizon

    def slope(of: numbers.Asked) -> list[float]:
        gradient_1CT = numbers.gradient(of, of.field_FU[None].nan_to_num())
        values: list[float] = (gradient_1CT[0, channel, :past] / factor).tolist()
        return values

    def value(outputs_BVH: Tensor) -> Tensor:
        value_B: Tensor = outputs_BVH[:, channel, step - 1] * factor
        return value_B

    plain = corrected(asked.network)
    linear = None if plain is None else slope(replace(asked, network=plain, target=value))
    attention = attended(asked.network, asked.signals_1CT, channel)
    return Lookback(slope(asked), linear, attention)


def forecasts(one: Shown, axes: Axes) -> list[Lines | Bars | Grid]:
    """The past and the forecast, with what the explained step looks back at."""
    drawn: list[Lines | Bars | Grid] = []
    for each in one.explained:
        if not each.evidence:
            drawn.append(_forecast(one, axes, each.channel, one.name, None))
        for found in each.evidence:
            values_CT = torch.tensor(found.values).view(one.field.shape)
            title = f"{one.name}: what “{each.about}” looks back at, by {method_of(found)}"
            heat_T = colours.strength(values_CT)[each.channel]
            drawn.append(_forecast(one, axes, each.channel, title, heat_T, found))
            if len(values_CT) > 1:
                drawn.append(_by_channel(values_CT, axes, title, each.unit))
        if each.evidence and one.lookback is not None:
            drawn += [_weights(one, each, axes), *_attention(one, each, axes)]
    return drawn


def _forecast(
    one: Shown,
    axes: Axes,
    number: int,
    title: str,
    heat_T: Tensor | None,
    found: Attribution | None = None,
) -> Lines:
    from glassnet.explain.sequencespage import complete

    assert one.forecast is not None
    length = one.signals.shape[1]
    now = length - axes.horizon
    x = ahead(axes, length)
    begin = max(0, now - max(PAST * axes.horizon, 48)) if heat_T is None else 0
    past = unscaled(one.signals[number, :now], axes, number)
    grounds = [] if heat_T is None else [ground(heat_T[:now], x[:now], past)]
    series = [Series("past", x[begin:now], past[begin:])]
    if one.future is not None:
        came = unscaled(one.future[number], axes, number)
        series.append(Series("what came", x[now:], came, dashed=True))
    series.append(Series("forecast", x[now:], unscaled(one.forecast[number], axes, number)))
    note = "" if found is None else complete(found).strip()
    return Lines(
        title, series, x_label=AHEAD, y_label=name_of(axes, number), marks=[Mark(NOW, "now")],
        grounds=grounds, note=note,
    )  # fmt: skip


def _by_channel(values_CT: Tensor, axes: Axes, title: str, unit: str) -> Bars:
    """How much of the forecast comes from each variable and each known input."""
    total_C = values_CT.double().sum(1)
    order = total_C.abs().argsort(descending=True, stable=True)[:20].tolist()
    items = [Bar(name_of(axes, c) + ("" if c < axes.variables else " (known)"), float(total_C[c]))
             for c in order]  # fmt: skip
    return Bars(f"{title}: sums", items, x_label=f"change of the forecast, in {unit}")


def _weights(one: Shown, each: Explained, axes: Axes) -> Lines:
    """What a step of the past weighs, in the network and in the regression that it corrects."""
    assert one.lookback is not None
    x = ahead(axes, one.signals.shape[1])[: len(one.lookback.slope)]
    series = [Series("this network, in this window", x, one.lookback.slope)]
    note = "Nothing is wrong with a zigzag: neighbours that are alike share what they weigh."
    if one.lookback.regression is not None:
        linear = "linear regression, in every window"
        series.append(Series(linear, x, one.lookback.regression, dashed=True))
        note = f"The network begins as this regression and corrects it. {note}"
    return Lines(
        f"{one.name}: what each step of the past weighs for “{each.about}”", series, x_label=AHEAD,
        y_label="rise of the forecast if the step were higher by 1", note=note,
    )  # fmt: skip


def _attention(one: Shown, each: Explained, axes: Axes) -> list[Grid]:
    """How the patches of the past look at each other, layer by layer."""
    assert one.lookback is not None
    found = one.lookback.attention
    if found is None:
        return []
    x = ahead(axes, one.signals.shape[1])
    names = [f"{x[begin]} to {x[end]}".replace("-", "−") for begin, end in found.places]
    name, layers = name_of(axes, each.channel), len(found.shares_LPP)
    return [
        Grid(
            f"{one.name}: attention between patches of {name}, layer {number} of {layers}",
            shares_PP.tolist(), row_labels=names, column_labels=names, format=".0%",
            row_title="patch that reads", column_title=f"patch that is read, {AHEAD}",
            note=f"The mean of {found.num_heads} heads; each row sums to 100 %. The forecast is "
            "made of what all patches have become in the last layer.",
        )
        for number, shares_PP in enumerate(found.shares_LPP, 1)
    ]  # fmt: skip
