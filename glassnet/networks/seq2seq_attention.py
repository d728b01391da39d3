"""Encoder and decoder with attention: a translator that looks back at the source for each word.

Papers: Dzmitry Bahdanau, Kyunghyun Cho, Yoshua Bengio (2014, ICLR 2015), "Neural Machine
Translation by Jointly Learning to Align and Translate", arXiv:1409.0473; Minh-Thang Luong, Hieu
Pham, Christopher Manning (2015), "Effective Approaches to Attention-based Neural Machine
Translation", arXiv:1508.04025.

LSTM layers read the source from both ends and leave features s[1] … s[S], one for each of its
tokens. LSTM layers write the translation token by token. After each step of the decoder, with its
hidden state h:

    scores     e_j = h · W s_j             (general, Luong)
           or  e_j = v · tanh(W s_j + U h) (additive, Bahdanau)
    shares     a = softmax(e)                   how much of each token of the source is looked at
    context    c = Σ_j a_j s_j
    attention  h~ = tanh(W_c [c; h])            what the next token is told from

The next step reads the embedding of the token just written, and h~ beside it (Luong's input
feeding), so that it knows what has been looked at.

How ours differs:
- one embedding for source and target, which have a common vocabulary, and, if `tied`, also the
  output layer (Press and Wolf 2017); both papers keep three tables.
- Bahdanau's are GRU layers, and the context is found before the step; ours are LSTM layers, and it
  is found after the step, as Luong does. Luong's encoder reads in one direction.
- the decoder begins with states that a dense layer makes of the encoder's last ones, as Bahdanau's
  does (Luong copies them).

When to use it: for translation and other rewriting of short texts, up to some 50 tokens, with few
data; and because its attention can be read as a table of which word was made from which.
"""

# Letters in tensor names: B examples, T tokens written, S tokens of the source, D numbers of an
# embedding, H of a hidden state, E of the encoder's features.

import math
from typing import Annotated, Any, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._recurrent import (
    Direction,
    Dropout,
    Initial,
    Layers,
    OfPairs,
    check_tied,
    initialize,
)
from glassnet.networks._sequences import PAD, Explicit, present
from glassnet.networks.lstm import LSTMLayer
from glassnet.networks.seq2seq import Start

READS = ("pairs",)
Score: TypeAlias = Literal["general", "additive"]
Memory: TypeAlias = dict[str, Any]
"""Of the source: ``features`` (B, S, E), ``keys`` (B, S, H), ``present`` (B, S), the decoder's
first ``states``."""


class Attention(Explicit):
    """Look at the encoder's features with a hidden state of the decoder."""

    def __init__(self, features: int, hidden: int, score: Score):
        super().__init__()
        self.score = score
        self.key = nn.Linear(features, hidden, bias=False)
        if score == "additive":
            self.query = nn.Linear(hidden, hidden)
            self.energy = nn.Linear(hidden, 1, bias=False)
        self.shares = nn.Identity()

    def forward(self, hidden_BH: Tensor, memory: Memory) -> Tensor:
        """Return the context (B, E); zeros for an empty source."""
        keys_BSH, present_BS = memory["keys"], memory["present"]
        if self.score == "general":
            scores_BS = torch.einsum("bsh,bh->bs", keys_BSH, hidden_BH)
        else:
            scores_BS = self.energy(torch.tanh(keys_BSH + self.query(hidden_BH)[:, None]))[:, :, 0]
        scores_BS = scores_BS.masked_fill(~present_BS, torch.finfo(scores_BS.dtype).min)
        shares_BS = scores_BS.softmax(1) * present_BS
        if self.explicit:
            shares_BS = self.shares(shares_BS[:, None, None])[:, 0, 0]  # (B, heads, steps, S)
        return torch.einsum("bs,bse->be", shares_BS, memory["features"])


class Seq2SeqAttention(nn.Module):
    """LSTM encoder, attention, LSTM decoder."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        width: Annotated[
            int,
            Field(
                ge=1, description="Numbers that stand for a token (its embedding), and those of h~."
            ),
        ] = 256,
        hidden: Annotated[
            int,
            Field(
                ge=1,
                description="Numbers of the hidden state of each layer and direction. Raise it "
                "with 100,000 pairs or more.",
            ),
        ] = 256,
        num_layers: Annotated[
            int,
            Field(
                ge=1,
                description="LSTM layers on each other, as many in the encoder as in the decoder. "
                "Try 2 with 100,000 pairs or more.",
            ),
        ] = 1,
        score: Annotated[
            Score,
            Field(
                description="How the decoder's state is compared with a token of the source: "
                "general is a product (Luong 2015), additive a small network (Bahdanau 2015), "
                "slower with long texts."
            ),
        ] = "general",
        tied: OfPairs = True,
        dropout: Dropout = 0.3,
        initialization: Initial = "orthogonal",
    ):
        super().__init__()
        check_tied(tied, num_outputs, vocabulary)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.dropout = nn.Dropout(dropout)
        both: tuple[Direction, ...] = ("forwards", "backwards")
        self.encoder = Layers(
            LSTMLayer, width, hidden, num_layers, directions=both, dropout=dropout
        )
        features = self.encoder.num_features
        self.start = nn.ModuleList(Start(features, hidden) for _ in range(num_layers))
        self.decoder = Layers(LSTMLayer, 2 * width, hidden, num_layers, dropout=dropout)
        self.attention = Attention(features, hidden, score)
        self.combine = nn.Linear(features + hidden, width)
        self.output = nn.Linear(width, num_outputs)
        self.scale = math.sqrt(width) if tied else 1.0
        initialize(self, initialization, tied)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, pair_B2T: Tensor) -> Tensor:
        """Return logits (B, T, num_outputs): after each token written, which comes next."""
        memory = self.read(pair_B2T[:, 0])
        return self.follow(pair_B2T[:, 1], memory, None)[0]

    def read(self, source_BS: Tensor) -> Memory:
        """Read the source once, for as many steps of writing as there will be."""
        present_BS = present(source_BS)
        lengths_B = present_BS.sum(1)
        features_BSE, _ = self.encoder(self.embed(source_BS), lengths_B)
        last_BE = self.encoder.last(features_BSE, lengths_B)
        return {
            "features": features_BSE,
            "keys": self.attention.key(features_BSE),
            "present": present_BS,
            "states": [start(last_BE) for start in self.start],
        }

    def follow(
        self, tokens_BT: Tensor, memory: Memory, state: dict[str, Any] | None
    ) -> tuple[Tensor, dict[str, Any]]:
        """Go on writing where ``state`` ends: logits (B, T, num_outputs), new state."""
        embedded_BTD = self.embed(tokens_BT)
        if state is None:
            states, attended_BD = memory["states"], torch.zeros_like(embedded_BTD[:, 0])
        else:
            states, attended_BD = state["states"], state["attended"]
        one_B = tokens_BT.new_ones(len(tokens_BT))
        attended = []
        for embedded_BD in embedded_BTD.unbind(1):
            x_B1D = torch.cat((embedded_BD, attended_BD), 1)[:, None]
            hidden_B1H, states = self.decoder(x_B1D, one_B, states)
            hidden_BH = hidden_B1H[:, 0]
            context_BE = self.attention(hidden_BH, memory)
            attended_BD = torch.tanh(self.combine(torch.cat((context_BE, hidden_BH), 1)))
            attended.append(attended_BD)
        logits_BTV = self.output(self.dropout(torch.stack(attended, 1)))
        return logits_BTV, {"states": states, "attended": attended_BD}

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The numbers (B, T, D) that stand for tokens."""
        return self.dropout(self.embedding(tokens_BT) * self.scale)  # type: ignore[no-any-return]


NETWORK = Seq2SeqAttention
