"""Connectionist temporal classification: a text learned from sound without knowing when is what.

Paper: Alex Graves, Santiago Fernández, Faustino Gomez, Jürgen Schmidhuber (2006), "Connectionist
Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML.

The network says for each frame how probable each token is, or ``BLANK``: nothing new. A path names
one of them in each frame; it spells the text that is left when repetitions are made one and blanks
taken out. The probability of a text is the sum over all paths that spell it. A token that follows
itself needs a blank between, so a text needs ``needed`` frames at least; one that has fewer has no
path, an infinite loss and no gradient: it is not learned from, and ``impossible`` finds it.
"""

# Letters in tensor names: B utterances, U frames, V tokens with the blank, L tokens of a text,
# S = 2 L + 1 states: the tokens with a blank before, between and behind.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

BLANK = 0


def lengths(outputs_BUV: Tensor) -> Tensor:
    """Frames of each utterance, int64 (B,): those behind its end are NaN."""
    return (~outputs_BUV[:, :, 0].isnan()).sum(1)


def log_shares(outputs_BUV: Tensor) -> Tensor:
    """Log-probabilities (B, U, V), float32 or more exact; finite behind the end too."""
    ended_BU1 = outputs_BUV[:, :, :1].isnan()
    exact = torch.promote_types(outputs_BUV.dtype, torch.float32)
    return outputs_BUV.to(exact).masked_fill(ended_BU1, 0).log_softmax(2)


def loss(outputs_BUV: Tensor, targets_BL: Tensor) -> Tensor:
    """The negative log-probability of each text per token (nats), (B,).

    Zero for a text that has no path, and so without a gradient.

    Args:
        outputs_BUV: Logits; NaN in the frames behind the end of an utterance.
        targets_BL: Tokens, filled up with ``BLANK`` at the end.
    """
    return total(outputs_BUV, targets_BL) / (targets_BL != BLANK).sum(1).clamp(min=1)


def total(outputs_BUV: Tensor, targets_BL: Tensor) -> Tensor:
    """The negative log-probability of each whole text (nats), (B,); zero where there is no path."""
    num_frames_B, num_tokens_B = lengths(outputs_BUV), (targets_BL != BLANK).sum(1)
    each_B: Tensor = nn.functional.ctc_loss(
        log_shares(outputs_BUV).transpose(0, 1),
        targets_BL,
        num_frames_B,
        num_tokens_B,
        blank=BLANK,
        reduction="none",
        zero_infinity=True,  # inf - inf is NaN in a gradient; ``impossible`` tells of them
    )
    return each_B


def needed(targets_BL: Tensor) -> Tensor:
    """The fewest frames in which each text can be spelled, int64 (B,)."""
    real_BL = targets_BL != BLANK
    again_BL = real_BL[:, 1:] & (targets_BL[:, 1:] == targets_BL[:, :-1])
    return real_BL.sum(1) + again_BL.sum(1)


def impossible(num_frames_B: Tensor, targets_BL: Tensor) -> Tensor:
    """Which texts have no path in so many frames: bool (B,)."""
    return needed(targets_BL) > num_frames_B


def told(num_frames_B: Tensor, targets_BL: Tensor) -> list[str]:
    """A sentence about the texts that have no path, if there are any."""
    bad_B = impossible(num_frames_B, targets_BL)
    if not bad_B.any():
        return []
    return [
        f"{int(bad_B.sum()):,} of {len(bad_B):,} training transcripts have more letters than their "
        "recordings have frames, and are not learned from: look whether they belong together, or "
        "lower network.stride (lstm, gru) or take --units subwords"
    ]


@dataclass(frozen=True)
class Spelled:
    """Tokens that were found in an utterance, and where."""

    tokens: tuple[int, ...]
    frames: tuple[int, ...]
    """The first frame of each token, counted from 0."""
    log_probability: float
    """Of the best path, in nats."""


def greedy(logs_BUV: Tensor, num_frames_B: Tensor) -> list[Spelled]:
    """What the best path of each utterance spells: the most probable token of each frame.

    The most probable text need not be the one that the most probable path spells.
    """
    best = logs_BUV.max(2)
    tokens_BU, found = best.indices.cpu(), []
    values_BU = best.values.cpu()
    for path_U, value_U, length in zip(tokens_BU, values_BU, num_frames_B.tolist(), strict=True):
        path_U = path_U[:length]
        new_U = path_U != BLANK
        new_U[1:] &= path_U[1:] != path_U[:-1]
        places = new_U.nonzero()[:, 0]
        found.append(
            Spelled(
                tuple(path_U[places].tolist()),
                tuple(places.tolist()),
                float(value_U[:length].sum()),
            )
        )
    return found


def align(logs_UV: Tensor, tokens: Sequence[int]) -> Spelled | None:
    """The most probable path that spells a known text (Viterbi): when was which token said?

    Args:
        logs_UV: Log-probabilities of the frames of one utterance.
        tokens: The text, without blanks.

    Returns:
        The first frame of each token, or None if the text needs more frames than there are.
    """
    num_frames = len(logs_UV)
    states = [BLANK]
    for token in tokens:
        states += [token, BLANK]
    state_S = torch.tensor(states)
    # From a token straight to the next one, unless it is the same: then a blank must stand between.
    skip_S = torch.zeros(len(states), dtype=torch.bool)
    skip_S[3::2] = state_S[3::2] != state_S[1:-2:2]
    score_S = torch.full((len(states),), -math.inf, dtype=torch.float64)
    emitted_US = logs_UV.double().cpu()[:, state_S]
    came_US = torch.zeros(num_frames, len(states), dtype=torch.int64)
    for frame in range(num_frames):
        if frame == 0:
            score_S[:2] = emitted_US[0, :2]
            continue
        ways_3S = torch.stack([score_S, _later(score_S, 1), _later(score_S, 2)])
        ways_3S[2, ~skip_S] = -math.inf
        best = ways_3S.max(0)
        score_S, came_US[frame] = best.values + emitted_US[frame], best.indices
    if not num_frames:
        return None if tokens else Spelled((), (), 0.0)
    ends = score_S[-2:]
    state = len(states) - len(ends) + int(ends.argmax())
    if ends.max() == -math.inf:
        return None
    first = [0] * len(tokens)
    for frame in range(num_frames - 1, -1, -1):
        if state % 2:
            first[state // 2] = frame
        state -= int(came_US[frame, state])
    return Spelled(tuple(tokens), tuple(first), float(ends.max()))


def _later(score_S: Tensor, steps: int) -> Tensor:
    """The scores of the states ``steps`` before each."""
    return nn.functional.pad(score_S, (steps, 0), value=-math.inf)[: len(score_S)]
