"""What networks that read sequences of numbers share, and the contract that each of them keeps."""

from __future__ import annotations

import torch
from torch import nan

from glassnet.data.signals import SignalExamples
from glassnet.networks import _series


def test_a_gap_is_not_the_end_of_a_sequence() -> None:
    signals = torch.tensor([[[1.0, nan, 2.0, nan]], [[nan, nan, nan, nan]]])
    present = _series.present(signals)
    assert present.tolist() == [[True, True, True, False], [False] * 4]
    assert _series.frames(present, 2).tolist() == [[True, True], [False, False]]
    assert _series.lengths(present).tolist() == [3, 0]


def test_an_empty_sequence_has_the_mean_and_the_largest_value_zero() -> None:
    features = torch.tensor([[[1.0, 3.0, 9.0]], [[5.0, 5.0, 5.0]]])
    present = torch.tensor([[True, True, False], [False, False, False]])
    assert _series.mean_over_time(features, present).tolist() == [[2.0], [0.0]]
    assert _series.max_over_time(features, present).tolist() == [[3.0], [0.0]]


def test_a_batch_of_signals_ends_in_nan_and_its_tokens_in_zeros() -> None:
    values = torch.arange(10, dtype=torch.int16).reshape(5, 2)
    examples = SignalExamples(
        rows=torch.arange(2),
        values=values,
        starts=torch.tensor([0, 2, 5]),
        targets=torch.tensor([[3, 0, 0], [4, 5, 0]]),
        scale=0.5,
    )
    batch = examples.batch(torch.tensor([1, 0]))
    assert batch.inputs.shape == (2, 2, 3)
    assert batch.inputs[0].tolist() == [[2.0, 3.0, 4.0], [2.5, 3.5, 4.5]]
    assert _series.present(batch.inputs).tolist() == [[True, True, True], [True, True, False]]
    assert batch.targets.tolist() == [[4, 5], [3, 0]]
