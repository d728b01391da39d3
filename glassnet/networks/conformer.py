"""Conformer: attention for what is far, convolution for what is near; for speech and other signals.

Paper: Anmol Gulati, James Qin, Chung-Cheng Chiu, Niki Parmar, Yu Zhang, Jiahui Yu, Wei Han, Shibo
Wang, Zhengdong Zhang, Yonghui Wu, Ruoming Pang (2020), "Conformer: Convolution-augmented
Transformer for Speech Recognition", Interspeech, arXiv:2005.08100.

Convolutions make one frame of each four steps. Then each block changes the frames in four parts,

    x ← x + ½ dense(x);  x ← x + attention(x);  x ← x + convolution(x);  x ← norm(x + ½ dense(x))

where dense is two dense layers with a hidden one four times as wide, convolution a gate (GLU)
and a filter over the neighbouring frames of each feature by itself.

How ours differs:
- positions are rotary (Su et al. 2021); the paper's are relative (Dai et al. 2019), which also know
  distances alone and cost more.
- the convolution is followed by a layer norm where the paper has a batch norm (section 2.2): no
  utterance depends on those beside it, and padding is in no statistic.
- the paper's frames pass a decoder of one LSTM (transducer); here each frame is answered by one
  dense layer, for connectionist temporal classification, or the mean of all for one answer.
- sizes: width 144, 4 blocks, filters of 15 frames, 32 filters in front. Conformer (S), the
  smallest of the paper (table 1), has 144, 16 blocks, 4 heads and filters of 32 for 960 hours.

When to use it: speech recognition with an hour of recordings or more. Below that, or where time is
short, compare `--network lstm`.
"""

# Letters in tensor names: B examples, C channels, T steps, U frames, D width, F filters in front,
# M channels that are left of C, O outputs.

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._attention import KeysValues, NumHeads, SelfAttention, angles, check_heads
from glassnet.networks._dropout import Dropout
from glassnet.networks._series import frames, mean_over_time, present

READS = ("frames", "signals")
STRIDE = 4


class Conformer(nn.Module):
    """Signals (B, C, T) with NaN for what is not there -> an answer for each frame, or one."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        reads: str = "frames",
        width: Annotated[
            int,
            Field(
                ge=2,
                description="Numbers that stand for a frame between the blocks, a multiple of "
                "num_heads. 144 for an hour or ten of speech, 256 for a hundred. Time and "
                "parameters grow with its square.",
            ),
        ] = 144,
        num_layers: Annotated[
            int,
            Field(ge=1, description="Blocks on each other. Time and parameters grow with it."),
        ] = 4,
        num_heads: NumHeads = 4,
        kernel: Annotated[
            int,
            Field(
                ge=3,
                le=127,
                multiple_of=1,
                description="Frames under each filter of a block's convolution; an odd number. 15 "
                "frames of 40 ms are 0.6 s.",
            ),
        ] = 15,
        filters: Annotated[
            int,
            Field(
                ge=1,
                description="Filters of the two convolutions in front, over time and frequency.",
            ),
        ] = 32,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of each part's change that is set to zero at each training "
                "step. Raise it when validation is much worse than training.",
            ),
        ] = 0.1,
    ):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, to have a middle; found {kernel}")
        check_heads(width, num_heads, "rotary")
        self.reads, self.stride, self.head_width = reads, STRIDE, width // num_heads
        self.front = Subsampling(input_shape[0], width, filters)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            ConformerBlock(width, num_heads, kernel, dropout) for _ in range(num_layers)
        )
        self.output = nn.Linear(width, num_outputs)

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Answer signals.

        Returns:
            (B, U, num_outputs) for frames, NaN behind the end; (B, num_outputs) for signals.
        """
        x_BUD, present_BU = self.front(signals_BCT)
        x_BUD = self.dropout(x_BUD)
        seen_BU = present_BU.clone()
        seen_BU[:, :1] = True  # attention to nothing at all would be no number
        turns = angles(torch.arange(x_BUD.shape[1], device=x_BUD.device), self.head_width)
        for block in self.blocks:
            x_BUD = block(x_BUD, seen_BU, turns)
        if self.reads == "signals":
            return self.output(mean_over_time(x_BUD.mT, present_BU))  # type: ignore[no-any-return]
        answers_BUO: Tensor = self.output(x_BUD)
        return answers_BUO.masked_fill(~present_BU[:, :, None], math.nan)


class Subsampling(nn.Module):
    """Two convolutions over time and channels, each of which halves both: 4 steps are one frame."""

    def __init__(self, c_in: int, width: int, filters: int):
        super().__init__()
        self.first = nn.Conv2d(1, filters, 3, stride=2, padding=1)
        self.second = nn.Conv2d(filters, filters, 3, stride=2, padding=1)
        self.activation = nn.SiLU()
        self.dense = nn.Linear(filters * math.ceil(math.ceil(c_in / 2) / 2), width)

    def forward(self, signals_BCT: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames (B, U, D), and which of them have begun (B, U)."""
        present_BT = present(signals_BCT)
        x_B1TC = signals_BCT.nan_to_num().mT[:, None]  # a gap within is read as the mean, 0
        x_BFTC = self.activation(self.first(x_B1TC))
        # The bias makes something of nothing, which the next filter would take for sound.
        x_BFTC = x_BFTC * frames(present_BT, 2)[:, None, :, None]
        x_BFUM = self.activation(self.second(x_BFTC))
        return self.dense(x_BFUM.transpose(1, 2).flatten(2)), frames(present_BT, STRIDE)


class ConformerBlock(nn.Module):
    """Half a dense part, attention, convolution, half a dense part; a norm at the end."""

    def __init__(self, width: int, num_heads: int, kernel: int, dropout: float):
        super().__init__()
        self.dense_before = dense(width, dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads)  # shares are kept whole, as in the paper
        self.convolution = Convolution(width, kernel, dropout)
        self.dense_after = dense(width, dropout)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x_BUD: Tensor, seen_BU: Tensor, turns: KeysValues) -> Tensor:
        """Return (B, U, D)."""
        x_BUD = x_BUD + 0.5 * self.dense_before(x_BUD)
        change_BUD, _ = self.attention(
            self.attention_norm(x_BUD), seen=seen_BU[:, None, None, :], turns=turns
        )
        x_BUD = x_BUD + self.dropout(change_BUD)
        x_BUD = x_BUD + self.convolution(x_BUD, seen_BU)
        return self.norm(x_BUD + 0.5 * self.dense_after(x_BUD))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """A gate, then a filter over the neighbouring frames of each feature."""

    def __init__(self, width: int, kernel: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.gate = nn.Sequential(nn.Linear(width, 2 * width), nn.GLU())
        self.filter = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.filter_norm = nn.LayerNorm(width)
        self.out = nn.Sequential(nn.SiLU(), nn.Linear(width, width), Dropout(dropout))

    def forward(self, x_BUD: Tensor, seen_BU: Tensor) -> Tensor:
        """Return (B, U, D)."""
        gated_BUD = self.gate(self.norm(x_BUD)) * seen_BU[:, :, None]
        filtered_BUD = self.filter(gated_BUD.mT).mT
        return self.out(self.filter_norm(filtered_BUD))  # type: ignore[no-any-return]


def dense(width: int, dropout: float) -> nn.Sequential:
    """Two dense layers with a hidden one four times as wide."""
    return nn.Sequential(
        nn.LayerNorm(width),
        nn.Linear(width, 4 * width),
        nn.SiLU(),
        Dropout(dropout),
        nn.Linear(4 * width, width),
        Dropout(dropout),
    )


NETWORK = Conformer
