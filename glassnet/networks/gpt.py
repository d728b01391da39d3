"""GPT: a transformer that reads from left to right and says what comes next.

Papers: Alec Radford, Karthik Narasimhan, Tim Salimans and Ilya Sutskever (2018), "Improving
Language Understanding by Generative Pre-Training"; Alec Radford, Jeffrey Wu, Rewon Child, David
Luan, Dario Amodei and Ilya Sutskever (2019), "Language Models are Unsupervised Multitask Learners"
(GPT-2), section 2.3.

A stack of blocks: each token takes over something from the tokens before it (causal attention),
then passes through two dense layers; each part normalizes its inputs and adds its result to them.
The logit of a token is the product of the last features and its embedding (tied weights).

| model        | num_layers | num_heads | width | context | vocabulary | parameters    |
|--------------|------------|-----------|-------|---------|------------|---------------|
| GPT-2 small  | 12         | 12        | 768   | 1024    | 50,257     | 124,439,808   |
| GPT-2 medium | 24         | 16        | 1024  | 1024    | 50,257     | 354,823,168   |
| GPT-2 large  | 36         | 20        | 1280  | 1024    | 50,257     | 774,030,080   |
| GPT-2 XL     | 48         | 25        | 1600  | 1024    | 50,257     | 1,557,611,200 |

How ours differs: with the knobs of that table and `activation: gelu_tanh` it is GPT-2, number for
number; unset, gelu is computed as it is defined, which is faster on a CPU. GPT of 2018
normalizes the sums after each part (`norm: after`) and not the inputs before it, which needs a slow
start of the learning rate. `positions: rotary` (Su et al. 2021) is what later models use. Dropout
is 0, where both papers have 0.1: they went over their texts many times, or fine-tuned on few.

When to use it: to continue texts. Raise `num_layers` and `width` together as the text grows: a few
million characters suit 4 to 6 layers of 128 to 384.
"""

# Letters in tensor names: B examples, T tokens, D width, V outputs.

import math
from typing import Annotated, Literal

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

READS = ("stream",)


class GPT(nn.Module):
    """A decoder-only transformer for streams of tokens."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        reads: Literal["stream"] = "stream",
        num_layers: Annotated[
            int, Field(ge=1, description="Blocks of attention and dense layers. Raise with width.")
        ] = 4,
        num_heads: NumHeads = 4,
        width: Width = 128,
        context: Annotated[
            int | None,
            Field(
                ge=1,
                description="Tokens that it reads at most, what it has written included. Unset: "
                "the length of the stretches that it is trained on.",
            ),
        ] = None,
        positions: Positions = "learned",
        norm: Annotated[
            Literal["before", "after"],
            Field(
                description="Where a block normalizes: before each part (GPT-2), or after each sum "
                "(GPT of 2018), which needs `fit.schedule.warmup`."
            ),
        ] = "before",
        activation: Annotated[
            Activation,
            Field(
                description="Of the dense layers. gelu_tanh: GPT-2's approximation of gelu, for "
                "its weights, and slower on a CPU."
            ),
        ] = "gelu",
        bias: Annotated[
            bool,
            Field(
                description="Whether dense layers and normalizations add something of their own, "
                "as in GPT-2. false: a step of a small network is some percent faster."
            ),
        ] = True,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of embeddings, of attention and of each part's result set to "
                "zero at each training step. Raise to 0.1–0.2 when validation grows worse while "
                "training goes on; it makes a step slower.",
            ),
        ] = 0.0,
        tied: Annotated[
            bool,
            Field(
                description="Answer with the embeddings themselves. false: with weights of their "
                "own, which costs vocabulary × width parameters more."
            ),
        ] = True,
    ):
        super().__init__()
        self.context = context or input_shape[0]
        self.embedding = Embedding(
            vocabulary,
            width,
            num_heads=num_heads,
            positions=positions,
            places=self.context,
            pad=None,  # nothing is masked: padding comes last, and no token looks ahead
            dropout=dropout,
        )
        self.blocks = nn.ModuleList(
            Block(
                width,
                num_heads,
                4 * width,
                activation=activation,
                dropout=dropout,
                attention_dropout=dropout,
                norm_first=norm == "before",
                bias=bias,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width, bias=bias) if norm == "before" else nn.Identity()
        if tied and num_outputs != vocabulary:
            raise ValueError(
                f"tied: true needs as many outputs ({num_outputs}) as tokens ({vocabulary})"
            )
        self.output = Tied() if tied else nn.Linear(width, num_outputs, bias=False)
        initialize(self)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the logits (B, T, V) of what comes after each token."""
        return self.follow(tokens_BT)[0]

    def follow(self, tokens_BT: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Go on where ``state`` ends: logits (B, T, V), and the state after these tokens.

        Raises:
            ValueError: If that makes more tokens than the context.
        """
        first = state[0][0].shape[2] if state else 0
        if first + tokens_BT.shape[1] > self.context:
            raise ValueError(
                f"{first + tokens_BT.shape[1]} tokens are more than the context of {self.context}"
            )
        x_BTD, turns = self.embedding(tokens_BT, first)
        kept: State = []
        for number, block in enumerate(self.blocks):
            past = state[number] if state else None
            x_BTD, keys_values = block(x_BTD, causal=True, turns=turns, past=past)
            kept.append(keys_values)
        x_BTD = self.norm(x_BTD)
        if isinstance(self.output, Tied):
            return self.output(x_BTD, self.embedding.tokens.weight), kept
        return self.output(x_BTD), kept


def initialize(network: GPT) -> None:
    """Set the first weights.

    | parameter                                  | first value                               |
    |--------------------------------------------|-------------------------------------------|
    | dense weights, embeddings, learned places  | normal, deviation 0.02 (GPT, section 4.1; |
    |                                            | places of GPT-2's code: 0.01)             |
    | … that add to the sum: `within.output`,    | deviation 0.02 / √(2 num_layers): the sum |
    | the last of `dense`                        | of all does not grow with depth (GPT-2)   |
    | every bias                                 | 0                                         |
    | normalization                              | scale 1, shift 0 (torch's own)            |
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    scale = 0.02 / math.sqrt(2 * len(network.blocks))
    for block in network.blocks:
        assert isinstance(block, Block)
        for layer in (block.within.output, block.dense[2]):
            assert isinstance(layer, nn.Linear)
            nn.init.normal_(layer.weight, std=scale)


NETWORK = GPT
