"""What can be asked about an answer to a sequence: a class, a spoken word, a step of a forecast.

The kind follows from what the network answers and how people read what it is fed (``Axes``), never
from the name of a task.
"""

# Letters in tensor names: B copies, C channels, T steps, K classes, U frames, V tokens.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError, nearest
from glassnet.explain.numbers import Asked, Target
from glassnet.explain.tokens import log_odds
from glassnet.speech import ctc
from glassnet.task import Axes

MOST_WORDS = 8
"""Words of a recording, of which each is explained by itself."""


FALLEN = "forecast (100%: as it is, 0%: lower by the spread of the past)"


@dataclass(frozen=True)
class Timed:
    """A letter or a word in a recording."""

    text: str
    begin: float
    end: float
    """In the unit of the axes."""
    share: float
    """The probability of the letter, or the geometric mean of those of the word's letters."""


@dataclass(frozen=True)
class Question:
    """One answer to one sequence, to be explained."""

    about: str
    unit: str
    """What evidence is told in."""
    asked: Asked
    value: float | None = None
    """Of a forecast: the value that is explained, in people's unit."""
    thing: str = "answer's share"
    """What ``asked.score`` is, as a share."""
    channel: int = 0
    """Of a forecast: the variable that is explained."""
    step: int = 0
    """Of a forecast: the step of the future, from 1."""


def of_class(
    network: nn.Module, signals_1CT: Tensor, axes: Axes, classes: Sequence[str], about: str
) -> Question:
    """The log-odds of a class.

    Raises:
        UserError: If there is no such class.
    """
    if about not in classes:
        raise UserError(
            f"--class {about}: the run knows no such class.{nearest(about, classes)} "
            f"Classes: {', '.join(classes)}."
        )
    number = list(classes).index(about)

    def odds(outputs_BK: Tensor) -> Tensor:
        return log_odds(outputs_BK.float(), number)

    def share(outputs_BK: Tensor) -> Tensor:
        share_B: Tensor = outputs_BK.float().softmax(1)[:, number]
        return share_B

    return Question(about, "log-odds", _asked(network, signals_1CT, axes, odds, share))


def of_step(
    network: nn.Module, signals_1CT: Tensor, axes: Axes, variable: str | None, step: int | None
) -> Question:
    """The forecast of one variable at one step of the future, from 1; None: the first, the last.

    Raises:
        UserError: If there is no such variable or step.
    """
    names = variables_of(axes)
    if variable is not None and variable not in names:
        raise UserError(
            f"--class {variable}: no such variable is forecast.{nearest(variable, names)} "
            f"Variables: {', '.join(names)}."
        )
    if step is not None and not 1 <= step <= axes.horizon:
        raise UserError(
            f"--step {step}: the run forecasts {axes.horizon} steps, numbered from 1 to "
            f"{axes.horizon}."
        )
    number = 0 if variable is None else names.index(variable)
    ahead = axes.horizon if step is None else step
    factor, offset = axes.scale[number] if axes.scale else (1.0, 0.0)

    def value(outputs_BVHO: Tensor) -> Tensor:
        value_B: Tensor = outputs_BVHO[:, number, ahead - 1, axes.middle].float() * factor
        return value_B

    now = float(_asked(network, signals_1CT, axes, value, value).measured(signals_1CT, value))
    past = signals_1CT[0, number, : signals_1CT.shape[2] - axes.horizon] * factor
    known = past[~past.isnan()].cpu().double()
    spread = float(known.std(correction=0)) if len(known) else 0.0
    spread = spread or max(1e-9, abs(now))

    def kept(outputs_BVHO: Tensor) -> Tensor:
        kept_B: Tensor = 1 - (now - value(outputs_BVHO)) / spread
        return kept_B

    about = f"{names[number]}, {ahead} step{'s' * (ahead > 1)} ahead"
    asked = _asked(network, signals_1CT, axes, value, kept)
    return Question(about, names[number], asked, now + offset, FALLEN, number, ahead)


def variables_of(axes: Axes) -> list[str]:
    """The names of what is forecast."""
    named = list(axes.channels[: axes.variables])
    return named or [f"variable {n + 1}" for n in range(axes.variables)]


def of_words(
    network: nn.Module,
    signals_1CT: Tensor,
    axes: Axes,
    about: str | None,
    tokens: Sequence[int] | None = None,
) -> tuple[list[Question], list[Timed], list[Timed]]:
    """The words that were heard, each a question of its own, with letters and words in time.

    ``tokens`` are those of the answer, which need not be what the best path spells: a search, and a
    language model, may have found another text. None: the best path is the answer.

    Raises:
        UserError: If the word ``about`` was not heard.
    """
    assert axes.tokens is not None
    with torch.no_grad():
        outputs_1UV = network(signals_1CT)
    logs_UV = ctc.log_shares(outputs_1UV)[0, : int(ctc.lengths(outputs_1UV)[0])].cpu()
    (found,) = ctc.greedy(logs_UV[None], torch.tensor([len(logs_UV)]))
    if tokens is not None:
        # A text that is cut into tokens again may come to more of them than there are frames.
        found = ctc.align(logs_UV, tokens) or found
    letters, groups = _letters(found, logs_UV, axes, signals_1CT.shape[2] * axes.step)
    words = [_word(letters, group) for group in groups]
    known = [word.text for word in words]
    if about is not None and about not in known:
        raise UserError(
            f"--class {about}: no such word was heard.{nearest(about, known)} "
            f"Heard: {' '.join(known) or 'nothing'}."
        )
    questions = []
    for word, group in zip(words, groups, strict=True):
        if about in (None, word.text):
            odds, share = _spoken([(found.frames[n], found.tokens[n]) for n in group])
            asked = _asked(network, signals_1CT, axes, odds, share)
            questions.append(Question(word.text, "log-probability", asked, thing="word's share"))
    return questions[:MOST_WORDS], letters, words


def _asked(
    network: nn.Module, signals_1CT: Tensor, axes: Axes, target: Target, score: Target
) -> Asked:
    return Asked(network, signals_1CT, target, score, axes.front, axes.letters)


def _letters(
    found: ctc.Spelled, logs_UV: Tensor, axes: Axes, last: float
) -> tuple[list[Timed], list[list[int]]]:
    """Letters in time, and which of them make up each word."""
    assert axes.tokens is not None
    apart = axes.frame
    ends = [*found.frames, len(logs_UV)][1:]
    letters: list[Timed] = []
    groups: list[list[int]] = [[]]
    for n, (token, frame, end) in enumerate(zip(found.tokens, found.frames, ends, strict=True)):
        text = axes.tokens(token)
        # A letter is said around its frame; up to the next one may be a long silence.
        until = min(end, frame + max(1, round(LETTER / apart)) if axes.unit == "s" else end)
        share = float(logs_UV[frame, token].exp())
        letters.append(Timed(text, frame * apart, min(last, until * apart), share))
        if not text.strip():
            groups.append([])
        else:
            if text != text.lstrip() and groups[-1]:  # a piece that brings its own space
                groups.append([])
            groups[-1].append(n)
    return letters, [group for group in groups if group]


LETTER = 0.2
"""Seconds of a letter, at most, if none follows sooner."""


def _word(letters: Sequence[Timed], group: Sequence[int]) -> Timed:
    some = [letters[n] for n in group]
    product = 1.0
    for one in some:
        product *= one.share
    text = "".join(one.text for one in some).strip()
    return Timed(text, some[0].begin, some[-1].end, product ** (1 / len(some)))


def _spoken(places: Sequence[tuple[int, int]]) -> tuple[Target, Target]:
    """The log-probability of tokens in their frames, and their geometric mean."""
    frames, tokens = (torch.tensor(part) for part in zip(*places, strict=True))

    def log_probability(outputs_BUV: Tensor) -> Tensor:
        logs_BL: Tensor = ctc.log_shares(outputs_BUV)[:, frames, tokens]
        return logs_BL.sum(1)

    def mean(outputs_BUV: Tensor) -> Tensor:
        return (log_probability(outputs_BUV) / len(places)).exp()

    return log_probability, mean


def nothing(network: nn.Module, signals_1CT: Tensor, axes: Axes) -> Asked:
    """Where nothing was answered: the field alone."""

    def none(outputs: Tensor) -> Tensor:
        return outputs.flatten(1).nan_to_num().sum(1) * 0

    return _asked(network, signals_1CT, axes, none, none)


def future_hidden(signals_1CT: Tensor, axes: Axes) -> Tensor:
    """A window of a forecast as it is fed: nothing of the future of what is forecast."""
    if not axes.horizon:
        return signals_1CT
    hidden = signals_1CT.clone()
    hidden[:, : axes.variables, -axes.horizon :] = torch.nan
    return hidden


def outputs(network: nn.Module, signals_1CT: Tensor) -> Any:
    """What the network answers, without gradients."""
    with torch.no_grad():
        return network(signals_1CT)
