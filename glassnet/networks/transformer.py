"""Transformer: reads a text at once, every token looking at every other; and translates.

Paper: Ashish Vaswani, Noam Shazeer, Niki Parmar, Jakob Uszkoreit, Llion Jones, Aidan Gomez, Łukasz
Kaiser and Illia Polosukhin (2017), "Attention Is All You Need", arXiv:1706.03762.

The encoder is a stack of blocks: each token takes over something from all others (attention), then
passes through two dense layers; each part adds its result to its inputs. One answer for a text is
given on the mean over its tokens. For pairs of texts a decoder follows: it reads what was written
so far, from left to right, and in each block asks the encoder's features of the source
(cross-attention). All three, source, target and output, share one table of embeddings.

How ours differs (the paper's value after the colon):
- the inputs of each part are normalized: the sums after each part (`norm: after`), which needs a
  slow start of the learning rate to learn at all with more layers (Xiong et al. 2020).
- 3 + 3 layers, width 256, 4 heads, dense layers of 1024: 6 + 6, 512, 8, 2048, the base model
  (63,082,496 parameters with 37,000 tokens; "65 million" in table 3).
- `pooling` and one answer for a text: not in the paper.
- dropout is on embeddings and on the results of parts, as in the paper's section 5.4; not on the
  shares of attention, where the authors' code has it too.

When to use it: for pairs of texts, and for texts where one word's meaning hangs on another one far
away. On a few thousand texts `textcnn` and `lstm` are better (docs/log.md), published weights best.
"""

# Letters in tensor names: B examples, T tokens, S tokens of the source, D width, V outputs.

import math
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._attention import (
    Activation,
    Block,
    Embedding,
    NumHeads,
    Positions,
    State,
    Tied,
    Width,
)
from glassnet.networks._sequences import PAD, max_over_text, mean_over_text, present

READS = ("tokens", "pairs")

Pooling: TypeAlias = Literal["mean", "max"]
POOLING = {"mean": mean_over_text, "max": max_over_text}


class Transformer(nn.Module):
    """An encoder with one answer for a text, or an encoder and a decoder for pairs of texts."""

    context: int | None = None
    """It sets no limit, except with learned positions."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        reads: Literal["tokens", "pairs"] = "tokens",
        num_layers: Annotated[
            int,
            Field(ge=1, description="Blocks of the encoder, and as many of the decoder."),
        ] = 3,
        num_heads: NumHeads = 4,
        width: Width = 256,
        hidden: Annotated[
            int | None,
            Field(ge=1, description="Units of the dense layers in a block. Unset: 4 × width."),
        ] = None,
        positions: Positions = "sinusoidal",
        norm: Annotated[
            Literal["before", "after"],
            Field(
                description="Where a block normalizes: before each part, or after each sum as in "
                "2017, which needs `fit.schedule.warmup`."
            ),
        ] = "before",
        activation: Annotated[
            Activation, Field(description="Of the dense layers; relu is the paper's.")
        ] = "relu",
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of embeddings and of each part's result set to zero at each "
                "training step. Raise to 0.3 for some ten thousand texts, lower to 0 for millions.",
            ),
        ] = 0.1,
        pooling: Annotated[
            Pooling,
            Field(description="How the tokens' features become those of a text; not for pairs."),
        ] = "mean",
        tied: Annotated[
            bool,
            Field(
                description="For pairs: answer with the embeddings themselves. false: with weights "
                "of their own, which costs vocabulary × width parameters more."
            ),
        ] = True,
    ):
        super().__init__()
        self.reads, self.pooling = reads, pooling
        tied = tied and reads == "pairs"
        if tied and num_outputs != vocabulary:
            raise ValueError(
                f"tied: true needs as many outputs ({num_outputs}) as tokens ({vocabulary})"
            )
        if positions == "learned":
            self.context = input_shape[0]
        self.embedding = Embedding(
            vocabulary,
            width,
            num_heads=num_heads,
            positions=positions,
            places=input_shape[0],
            pad=PAD,
            scale=math.sqrt(width),
            dropout=dropout,
        )
        options: dict[str, Any] = {
            "activation": activation,
            "dropout": dropout,
            "norm_first": norm == "before",
        }
        sizes = (width, num_heads, hidden or 4 * width)
        blocks = range(num_layers)
        self.encoder = nn.ModuleList(Block(*sizes, **options) for _ in blocks)
        self.encoder_norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        if reads == "pairs":
            self.decoder = nn.ModuleList(Block(*sizes, **options, across=True) for _ in blocks)
            self.decoder_norm = nn.LayerNorm(width) if norm == "before" else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.output = Tied() if tied else nn.Linear(width, num_outputs, bias=reads == "tokens")
        initialize(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits: of texts (B, T) one answer each, (B, V); of pairs (B, 2, T), (B, T, V)."""
        if self.reads == "pairs":
            return self.follow(tokens[:, 1], self.read(tokens[:, 0]))[0]
        features_BTD = self.encode(tokens)
        features_BD = POOLING[self.pooling](features_BTD, present(tokens))
        return self.output(self.dropout(features_BD))  # type: ignore[no-any-return]

    def encode(self, tokens_BT: Tensor) -> Tensor:
        """Return the features (B, T, D) of every token in its text."""
        seen_B11T = to_be_asked(tokens_BT)
        x_BTD, turns = self.embedding(tokens_BT)
        for block in self.encoder:
            x_BTD, _ = block(x_BTD, seen=seen_B11T, turns=turns)
        return self.encoder_norm(x_BTD)  # type: ignore[no-any-return]

    def read(self, source_BS: Tensor) -> dict[str, Any]:
        """Return what the decoder asks: keys and values of the source for each of its blocks."""
        features_BSD = self.encode(source_BS)
        asked: State = []
        for block in self.decoder:
            assert isinstance(block, Block)
            asked.append(block.across.read(features_BSD))
        return {"blocks": asked, "seen": to_be_asked(source_BS)}

    def follow(
        self, tokens_BT: Tensor, memory: dict[str, Any], state: State | None = None
    ) -> tuple[Tensor, State]:
        """Go on writing where ``state`` ends: logits (B, T, V), and the state after these tokens.

        Args:
            tokens_BT: What was written since, at first with the token that begins a text.
            memory: What ``read`` returned for the sources.
            state: What an earlier call returned; None: nothing was written yet.
        """
        x_BTD, turns = self.embedding(tokens_BT, state[0][0].shape[2] if state else 0)
        kept: State = []
        for number, block in enumerate(self.decoder):
            # Padding comes last, and no token looks ahead: nothing else is to be masked here.
            x_BTD, keys_values = block(
                x_BTD,
                causal=True,
                turns=turns,
                past=state[number] if state else None,
                source=memory["blocks"][number],
                source_seen=memory["seen"],
            )
            kept.append(keys_values)
        x_BTD = self.decoder_norm(x_BTD)
        if isinstance(self.output, Tied):
            return self.output(x_BTD, self.embedding.tokens.weight), kept
        return self.output(x_BTD), kept


def to_be_asked(tokens_BT: Tensor) -> Tensor:
    """Which tokens attention may ask, bool (B, 1, 1, T): those that are there.

    In an empty text the first place is asked, for shares of nothing are not defined.
    """
    seen_BT = present(tokens_BT)
    seen_BT[:, 0] = True
    return seen_BT[:, None, None, :]


def initialize(network: Transformer) -> None:
    """Set the first weights; the paper names none, these are those of the authors' code.

    | parameter             | first value                                                          |
    |-----------------------|----------------------------------------------------------------------|
    | dense weights         | uniform, variance 2 / (inputs + outputs) (Glorot and Bengio 2010);   |
    |                       | queries, keys and values apart, though they are one matrix           |
    | embeddings            | normal, variance 1 / width; times √width where they are read         |
    | embedding of padding  | 0                                                                    |
    | learned places        | normal, variance 1 / 4: about as strong as the waves                 |
    | every bias            | 0                                                                    |
    | normalization         | scale 1, shift 0 (torch's own)                                       |
    """
    embedding = network.embedding
    width = embedding.tokens.embedding_dim
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            parts = 3 if name.endswith("query_key_value") else 2 if "key_value" in name else 1
            for part in module.weight.chunk(parts):
                nn.init.xavier_uniform_(part)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.normal_(embedding.tokens.weight, std=1 / math.sqrt(width))
    embedding.tokens.weight.data[PAD] = 0
    if embedding.positions == "learned":
        nn.init.normal_(embedding.places.weight, std=0.5)


NETWORK = Transformer
