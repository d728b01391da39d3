"""The network around recurrent layers: the ways in, the layers, and the ways out.

It reads tokens through an embedding, and signals through two convolutions (``_front.py``). A past
that is to be continued is read as a signal, each variable by itself; ``_forecast.py`` answers.
"""

# Letters in tensor names: B examples, C channels, T tokens or steps, U frames, D numbers of an
# input, H of a hidden state, O outputs.

import math
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._forecast import Answer, Begin, Head, window
from glassnet.networks._front import SignalFront, Stride, stride_for
from glassnet.networks._recurrent import (
    Dropout,
    Initial,
    Layers,
    Pooling,
    RecurrentLayer,
    State,
    initialize,
)
from glassnet.networks._sequences import PAD, max_over_text, mean_over_text, present

SIGNALS = ("signals", "frames", "forecast")
"""What these networks read through convolutions, and not as tokens."""

Width = Annotated[
    int,
    Field(
        ge=1,
        description="Numbers that stand for a token (its embedding), or for a frame of a signal.",
    ),
]
Hidden = Annotated[
    int,
    Field(
        ge=1,
        description="Numbers of the hidden state of each layer and direction: its memory. "
        "Raise it when the training error stays high.",
    ),
]
NumLayers = Annotated[
    int,
    Field(ge=1, description="Recurrent layers on each other. Try 2 with much data."),
]
Bidirectional = Annotated[
    bool | None,
    Field(
        description="Read each text or signal from both ends. Unset: yes, but no where the "
        "next token is to be told, which no one can who has read it."
    ),
]
Pooled = Annotated[
    Pooling,
    Field(
        description="What of the features of all tokens or frames the answer is made of: "
        "their mean, the max of each, or the last of each direction. For one answer for "
        "each text or signal."
    ),
]
Tied = Annotated[
    bool,
    Field(
        description="For streams: use the embedding as the weights of the output layer "
        "too. Fewer parameters, often better with a large vocabulary and little text."
    ),
]


class RecurrentNetwork(nn.Module):
    """Embedding or convolutions, recurrent layers of the kind that a file names, a dense layer."""

    layer: ClassVar[type[RecurrentLayer]]
    context = None

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int | None = None,
        reads: str = "tokens",
        variables: int = 0,
        horizon: int = 0,
        width: Width = 128,
        stride: Stride = None,
        hidden: Hidden = 128,
        num_layers: NumLayers = 1,
        bidirectional: Bidirectional = None,
        pooling: Pooled = "mean",
        tied: Tied = False,
        dropout: Dropout = 0.2,
        initialization: Initial = "orthogonal",
        begin: Begin = "regression",
    ):
        super().__init__()
        streams, forecasts = reads == "stream", reads == "forecast"
        if streams and bidirectional:
            raise ValueError(
                "bidirectional reads what comes next, which is what this task asks for; leave it "
                "unset"
            )
        if tied:
            _require_streams(streams, num_outputs, vocabulary)
        if stride is not None and reads not in SIGNALS:
            raise ValueError("stride is for signals; leave it unset where tokens are read")
        both = not (streams or forecasts) if bidirectional is None else bidirectional
        self.streams, self.pooling, self.reads = streams, pooling, reads
        if reads in SIGNALS:
            self.stride = stride_for(reads, stride, input_shape[1] - (horizon or 0))
            # Each variable that is forecast comes with a channel that says what was measured.
            num_channels = input_shape[0] + (2 - variables if forecasts else 0)
            self.front = SignalFront(num_channels, width, self.stride)
        else:
            assert vocabulary is not None, "a task that feeds tokens says how many there are"
            self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Layers(
            type(self).layer,
            width,
            hidden,
            num_layers,
            directions=("forwards", "backwards") if both else ("forwards",),
            dropout=dropout,
        )
        num_features = self.recurrent.num_features
        # A tied output layer reads as many numbers as an embedding has.
        self.narrow = nn.Linear(num_features, width) if tied and width != hidden else nn.Identity()
        if not forecasts:
            self.output = nn.Linear(width if tied else num_features, num_outputs)
        self.scale = math.sqrt(width) if tied else 1.0
        initialize(self, initialization, tied)
        self.variables, self.horizon = variables, horizon
        if forecasts:  # its first weights are its own
            num_known = input_shape[0] - variables
            self.head = Head(2 * num_features, num_known, horizon, num_outputs, dropout)
            self.answer = Answer(input_shape, num_outputs, variables, horizon, begin)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, inputs: Tensor) -> Tensor:
        """Answer tokens (B, T), int64, or signals or series (B, C, T) with NaN.

        Returns:
            (B, num_outputs) for texts and signals, (B, T, num_outputs) for streams,
            (B, U, num_outputs) for frames, NaN behind the end, (B, variables, horizon, num_outputs)
            for forecasts.
        """
        if self.streams:
            return self.follow(inputs, None)[0]
        if self.reads == "forecast":
            return self._continue(inputs)
        if self.reads in SIGNALS:
            x_BTD, present_BT = self.front(inputs)
            x_BTD = self.dropout(x_BTD)
        else:
            x_BTD, present_BT = self.embed(inputs), present(inputs)
        lengths_B = present_BT.sum(1)
        features_BTH, _ = self.recurrent(x_BTD, lengths_B)
        if self.reads == "frames":
            answers_BTO: Tensor = self.output(self.dropout(features_BTH))
            return answers_BTO.masked_fill(~present_BT[:, :, None], math.nan)
        features_BH = self._pooled(features_BTH, present_BT)
        return self.output(self.dropout(features_BH))  # type: ignore[no-any-return]

    def _pooled(self, features_BTH: Tensor, present_BT: Tensor) -> Tensor:
        if self.pooling == "mean":
            return mean_over_text(features_BTH, present_BT)
        if self.pooling == "max":
            return max_over_text(features_BTH, present_BT)
        return self.recurrent.last(features_BTH, present_BT.sum(1))

    def _continue(self, series_BCT: Tensor) -> Tensor:
        """Forecast (B, V, H, O) from the state at the end and the features of all of the past."""
        seen = window(series_BCT, self.variables, self.horizon)
        x_NTD, present_NT = self.front(seen.signals())
        lengths_N = present_NT.sum(1)
        features_NTH, _ = self.recurrent(self.dropout(x_NTD), lengths_N)
        last_NH = self.recurrent.last(features_NTH, lengths_N)
        features_NH = torch.cat([last_NH, self._pooled(features_NTH, present_NT)], 1)
        features_BVH = features_NH.unflatten(0, (-1, self.variables))
        return self.answer(seen, self.head(features_BVH, seen))  # type: ignore[no-any-return]

    def follow(self, tokens_BT: Tensor, state: list[State] | None) -> tuple[Tensor, list[State]]:
        """Go on reading streams without padding where ``state`` ends: logits (B, T, V), state."""
        lengths_B = tokens_BT.new_full((len(tokens_BT),), tokens_BT.shape[1])
        features_BTH, state = self.recurrent(self.embed(tokens_BT), lengths_B, state)
        return self.output(self.narrow(self.dropout(features_BTH))), state

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The numbers (B, T, D) that stand for tokens."""
        return self.dropout(self.embedding(tokens_BT) * self.scale)  # type: ignore[no-any-return]


def _require_streams(streams: bool, num_outputs: int, vocabulary: int | None) -> None:
    """Refuse an output layer that shares the embedding's weights where they do not fit."""
    if not streams or num_outputs != vocabulary:
        raise ValueError(
            "tied needs an output for each token of the vocabulary, as in language modelling; "
            f"here are {num_outputs} outputs for each {'token' if streams else 'text'} and a "
            f"vocabulary of {vocabulary}. Set tied to false"
        )
