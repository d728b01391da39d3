"""What networks that read tokens share: padding, the way in, and the mean over a text.

A batch of texts is one matrix (B, T) of token numbers; shorter texts end in ``PAD``. A network must
answer a text the same however much padding follows it.

A network says in ``READS`` what it can be fed:

- ``tokens``: ``forward(tokens_BT)`` -> logits (B, num_outputs), one answer for each text.
- ``stream``: ``forward(tokens_BT)`` -> logits (B, T, num_outputs), for each token what comes next;
  and ``follow(tokens_BT, state)`` -> (logits, state), which goes on where ``state`` ends (None:
  from the beginning) with the same answers as if all had been read at once. ``context`` is the
  longest stretch that it reads in all, None without a limit.
- ``pairs``: ``forward(pair_B2T)`` -> logits (B, T, num_outputs): ``pair[:, 0]`` is the source,
  ``pair[:, 1]`` what was written so far, beginning with the token that begins a text. For writing,
  ``read(source_BS)`` -> memory, and ``follow(tokens_BT, memory, state)`` -> (logits, state).
  ``chosen(memory_or_state, index)`` takes some of the examples, for beam search.

Its constructor takes ``(input_shape, num_outputs, *, vocabulary, reads, knobs…)``; ``input_shape``
is (T,), the longest text, in tokens.
"""

# Letters in tensor names: B examples, T tokens, D width.

from typing import Any

import torch
from torch import Tensor, nn

PAD = 0
"""The token that fills up short texts; its embedding is never read."""


def present(tokens_BT: Tensor) -> Tensor:
    """Where there is text, and not padding: bool (B, T)."""
    return tokens_BT != PAD


def mean_over_text(features_BTD: Tensor, present_BT: Tensor) -> Tensor:
    """The mean (B, D) over the tokens of each text; zeros for a text without any."""
    counted_BT1 = present_BT[:, :, None].to(features_BTD.dtype)
    total_BD = (features_BTD * counted_BT1).sum(1)
    return total_BD / counted_BT1.sum(1).clamp(min=1)


def max_over_text(features_BTD: Tensor, present_BT: Tensor) -> Tensor:
    """The largest value (B, D) of each feature in each text; zeros for a text without any."""
    hidden = torch.finfo(features_BTD.dtype).min
    highest_BD = features_BTD.masked_fill(~present_BT[:, :, None], hidden).amax(1)
    return highest_BD.masked_fill(~present_BT.any(1)[:, None], 0)


def chosen(state: Any, index: Tensor) -> Any:
    """The same state for some of its examples: every tensor in it has the example first."""
    if isinstance(state, Tensor):
        return state.index_select(0, index)
    if isinstance(state, dict):
        return {key: chosen(value, index) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(chosen(value, index) for value in state)
    return state


class Explicit(nn.Module):
    """Base of layers that can compute step by step what is usually fused.

    Where ``explicit`` is true, every inner value (a gate, a share of attention) passes through a
    submodule of its own, whose output a forward hook can see. The answers are the same.
    """

    explicit: bool = False


def make_explicit(network: nn.Module, explicit: bool = True) -> None:
    """Switch all layers of a network that can do both."""
    for module in network.modules():
        if isinstance(module, Explicit):
            module.explicit = explicit
