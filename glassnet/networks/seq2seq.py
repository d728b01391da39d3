"""Encoder and decoder: a translator that puts the whole source into one vector.

Paper: Ilya Sutskever, Oriol Vinyals, Quoc Le (2014), "Sequence to Sequence Learning with Neural
Networks", arXiv:1409.3215.

LSTM layers read the source from its last token to its first (the paper's section 3.3: so the first
words stand near where they are needed). Their last hidden state is a vector of fixed length, and
all that the decoder learns of the source: LSTM layers that begin with it write the translation,
each step reading the token written before. Long sources do not fit into it; that is what attention
mends (`seq2seq-attention`).

How ours differs:
- the paper copies hidden state and cell of each of its 4 layers of 1000 units; ours makes the first
  states of the decoder from the last hidden state of the top layer, by a dense layer each. So it is
  one vector, `hidden` numbers, whatever the number of layers.
- one embedding for source and target, which have a common vocabulary, and, if `tied`, also the
  output layer (Press and Wolf 2017); the paper's have separate ones.

When to use it: to see what a fixed vector can hold, and as the baseline of attention. For
translations take `seq2seq-attention` or `transformer`.
"""

# Letters in tensor names: B examples, T tokens written, S tokens of the source, D numbers of an
# embedding, H of a hidden state, V of the output.

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._recurrent import (
    Dropout,
    Initial,
    Layers,
    OfPairs,
    State,
    check_tied,
    initialize,
)
from glassnet.networks._sequences import PAD, present
from glassnet.networks.lstm import LSTMLayer

READS = ("pairs",)


class Seq2Seq(nn.Module):
    """LSTM encoder, one vector, LSTM decoder."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        width: Annotated[
            int, Field(ge=1, description="Numbers that stand for a token (its embedding).")
        ] = 256,
        hidden: Annotated[
            int,
            Field(
                ge=1,
                description="Numbers of the hidden state of each layer, and of the vector that "
                "holds the source. Raise it first: it is the narrow place.",
            ),
        ] = 512,
        num_layers: Annotated[
            int,
            Field(
                ge=1,
                description="LSTM layers on each other, as many in the encoder as in the decoder. "
                "Try 2 with 100,000 pairs or more.",
            ),
        ] = 1,
        tied: OfPairs = True,
        dropout: Dropout = 0.3,
        initialization: Initial = "orthogonal",
    ):
        super().__init__()
        check_tied(tied, num_outputs, vocabulary)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        self.encoder = Layers(
            LSTMLayer, width, hidden, num_layers, directions=("backwards",), dropout=dropout
        )
        self.start = nn.ModuleList(Start(hidden, hidden) for _ in range(num_layers))
        self.decoder = Layers(LSTMLayer, width, hidden, num_layers, dropout=dropout)
        self.narrow = nn.Linear(hidden, width) if tied and width != hidden else nn.Identity()
        self.output = nn.Linear(width if tied else hidden, num_outputs)
        self.scale = math.sqrt(width) if tied else 1.0
        initialize(self, initialization, tied)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, pair_B2T: Tensor) -> Tensor:
        """Return logits (B, T, num_outputs): after each token written, which comes next."""
        memory = self.read(pair_B2T[:, 0])
        return self.follow(pair_B2T[:, 1], memory, None)[0]

    def read(self, source_BS: Tensor) -> list[State]:
        """Read the source: the first states of the decoder's layers, all made of one vector."""
        lengths_B = present(source_BS).sum(1)
        features_BSH, _ = self.encoder(self.embed(source_BS), lengths_B)
        vector_BH = self.encoder.last(features_BSH, lengths_B)
        return [start(vector_BH) for start in self.start]

    def follow(
        self, tokens_BT: Tensor, memory: list[State], state: list[State] | None
    ) -> tuple[Tensor, list[State]]:
        """Go on writing where ``state`` ends: logits (B, T, num_outputs), new state."""
        lengths_B = tokens_BT.new_full((len(tokens_BT),), tokens_BT.shape[1])
        begin = memory if state is None else state
        features_BTH, state = self.decoder(self.embed(tokens_BT), lengths_B, begin)
        return self.output(self.narrow(self.dropout(features_BTH))), state

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The numbers (B, T, D) that stand for tokens."""
        return self.dropout(self.embedding(tokens_BT) * self.scale)  # type: ignore[no-any-return]


class Start(nn.Module):
    """The first state of an LSTM layer of the decoder, from what the encoder ends with."""

    def __init__(self, features: int, hidden: int):
        super().__init__()
        self.dense = nn.Linear(features, 2 * hidden)

    def forward(self, last_BE: Tensor) -> State:
        """Return hidden state and cell, (B, H) each."""
        hidden_BH, cell_BH = self.dense(last_BE).chunk(2, 1)
        return torch.tanh(hidden_BH), cell_BH.contiguous()


NETWORK = Seq2Seq
