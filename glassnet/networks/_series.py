"""What networks that read sequences of numbers share: sound, signals, measurements over time.

A batch of sequences is one tensor (B, C, T) float32. **What is not there is NaN**: the end of a
shorter sequence (in all channels), a measurement that is missing (in one). No network may let a NaN
through to an answer, and each must answer a sequence the same however many NaN follow it.

A network says in ``READS`` what it can be fed:

- ``signals``: ``forward(signals_BCT)`` -> (B, num_outputs), one answer for each sequence.
- ``frames``: ``forward(signals_BCT)`` -> (B, U, num_outputs), an answer for each ``stride`` steps,
  U = ceil(T / stride). ``stride`` is an attribute of the network. Frames after the end of a
  sequence answer NaN: that is how a loss knows the lengths.
- ``forecast``: ``forward(series_BCT)`` -> (B, variables, horizon, num_outputs). T is the past that
  is looked at, then ``horizon`` steps of the future. The first ``variables`` channels are what is
  forecast, NaN in the future; the others are known in the future too (calendar, prices, plans).

Its constructor takes ``(input_shape, num_outputs, *, reads, variables, horizon, knobs…)``, of the
last four those that it needs; ``input_shape`` is (C, T), T the longest sequence of the training.
"""

# Letters in tensor names: B examples, C channels, T steps, U frames, D width.

import torch
from torch import Tensor


def present(signals_BCT: Tensor) -> Tensor:
    """Where a sequence has not ended: bool (B, T). A step counts if any channel has a number."""
    measured_BT = (~signals_BCT.isnan().all(1)).long()
    # A gap within a sequence is not its end.
    return measured_BT.flip(1).cummax(1).values.flip(1).bool()


def frames(present_BT: Tensor, stride: int) -> Tensor:
    """Which of the frames of ``stride`` steps have begun: bool (B, ceil(T / stride))."""
    return present_BT[:, ::stride]


def lengths(present_BT: Tensor) -> Tensor:
    """Steps of each sequence, int64 (B,)."""
    return present_BT.sum(1)


def mean_over_time(features_BCT: Tensor, present_BT: Tensor) -> Tensor:
    """The mean (B, C) over the steps of each sequence; zeros for one without any."""
    counted_B1T = present_BT[:, None].to(features_BCT.dtype)
    return (features_BCT * counted_B1T).sum(2) / counted_B1T.sum(2).clamp(min=1)


def max_over_time(features_BCT: Tensor, present_BT: Tensor) -> Tensor:
    """The largest value (B, C) of each feature; zeros for a sequence without any step."""
    hidden = torch.finfo(features_BCT.dtype).min
    highest_BC = features_BCT.masked_fill(~present_BT[:, None], hidden).amax(2)
    return highest_BC.masked_fill(~present_BT.any(1)[:, None], 0)
