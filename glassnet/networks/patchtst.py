"""PatchTST: a Transformer that reads a series in patches, as others read a text in words.

Paper: Yuqi Nie, Nam H. Nguyen, Phanwadee Sinthong, Jayant Kalagnanam (2023), "A Time Series is
Worth 64 Words: Long-term Forecasting with Transformers", ICLR.

A patch of 16 steps is one token. Every variable is read by itself, with the same weights, in units
of its own window; one dense layer turns the features of all patches into all steps of the forecast.
The sizes are the paper's for small sets such as ETTh1.

How ours differs:
- it corrects a linear regression that was solved before the first step (``begin``).
- patches do not overlap (the paper's overlap by half: ``stride=8``), which makes a step of training
  three times as fast.
- layer normalization before each part, where the paper has batch normalization behind it.
- which values of a patch were measured, and what is known of past and future, is read as well.
- a past shorter than a patch is one patch; where the paper repeats the last value behind the end,
  ours repeats the first before the beginning, so that the newest patch is whole.

When to use it: with thousands of windows, where series differ more than a linear model can say.
"""

# Letters in tensor names: B examples, C channels, T steps, V variables, L steps of the past, H of
# the future, P patches, D width, Q outputs.

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._forecast import Answer, Begin, Dropout, Head, Patches, window

READS = ("forecast",)


class PatchTST(nn.Module):
    """Patches, positions, encoder layers, and one dense layer for all steps of the forecast."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        variables: int,
        horizon: int,
        begin: Begin = "regression",
        patch: Annotated[
            int, Field(ge=1, le=512, description="Steps of a patch; about a part of a season.")
        ] = 16,
        stride: Annotated[
            int,
            Field(
                ge=1,
                le=512,
                description="Steps from one patch to the next; `patch` or less. Half of it: as "
                "in the paper, three times as slow.",
            ),
        ] = 16,
        width: Annotated[
            int,
            Field(
                ge=1,
                description="Numbers for a patch. 16 for one set of some thousand "
                "windows, 128 from some ten thousand on; a multiple of `num_heads`.",
            ),
        ] = 16,
        num_heads: Annotated[int, Field(ge=1, description="Attention heads.")] = 4,
        num_layers: Annotated[int, Field(ge=1, description="Encoder layers.")] = 3,
        dropout: Dropout = 0.3,
    ):
        if width % num_heads:
            raise ValueError(f"width {width} is no multiple of num_heads {num_heads}")
        if stride > patch:
            raise ValueError(f"stride {stride} is more than patch {patch}, and leaves gaps")
        super().__init__()
        channels, steps = input_shape
        self.variables, self.horizon = variables, horizon
        num_known = channels - variables
        self.patches = Patches(steps - horizon, patch, stride)
        self.embedding = nn.Linear((2 + num_known) * self.patches.size, width)
        self.positions = nn.Parameter(0.02 * torch.randn(self.patches.number, width))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                num_heads,
                8 * width,
                dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = Head(self.patches.number * width, num_known, horizon, num_outputs, dropout)
        self.answer = Answer(input_shape, num_outputs, variables, horizon, begin)

    def forward(self, series_BCT: Tensor) -> Tensor:
        """Return forecasts (B, V, H, Q)."""
        seen = window(series_BCT, self.variables, self.horizon)
        tokens_NPD = self.dropout(self.embedding(self.patches(seen.signals())) + self.positions)
        for layer in self.layers:
            tokens_NPD = layer(tokens_NPD)
        features_BVD = self.norm(tokens_NPD).flatten(1).unflatten(0, (-1, self.variables))
        return self.answer(seen, self.head(features_BVD, seen))  # type: ignore[no-any-return]


NETWORK = PatchTST
