"""What recurrent networks share: one layer, layers on layers, both directions.

A recurrent layer reads a sequence x[1] … x[T] and changes its state at each step: s[t] = f(x[t],
s[t-1]), with the same weights at all steps. The first tensor of a state is the hidden state, which
is also the output of the step. A network's file gives the equations of one step; torch's fused form
computes the same with the same weights, many times faster.

Padding. Reading forwards, what stands behind a text cannot change what was made of it. Reading
backwards, each text is turned round within its own length first, so that its padding stays behind
it. That is 1.3 to 3.6 times as fast as torch's packed sequences (docs/log.md), and as exact.
"""

# Letters in tensor names: B examples, T tokens, D numbers of an input, H of a hidden state.

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, Explicit

State: TypeAlias = tuple[Tensor, ...]
"""The hidden state (B, H) of one layer, and what else it keeps: an LSTM its cell (B, H)."""
Initialization: TypeAlias = Literal["orthogonal", "torch"]
Direction: TypeAlias = Literal["forwards", "backwards"]
Pooling: TypeAlias = Literal["mean", "max", "last"]
FEW = 1000  # tokens of a vocabulary of characters or bytes, at most

Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the numbers of embeddings and features set to zero at each training "
        "step. Raise it to 0.5 when validation is much worse than training.",
    ),
]
Initial = Annotated[
    Initialization,
    Field(
        description="First weights. orthogonal: recurrent weights that neither stretch nor shrink "
        "the state, and gates that forget little at first. torch: small uniform numbers, torch's "
        "own; to see the difference."
    ),
]


OfPairs = Annotated[
    bool,
    Field(
        description="Use the embedding as the weights of the output layer too. Unset it if the two "
        "languages have little in common and pairs are plenty."
    ),
]


def check_tied(tied: bool, num_outputs: int, vocabulary: int) -> None:
    """Refuse to answer with embeddings where there is not one for each output."""
    if tied and num_outputs != vocabulary:
        raise ValueError(
            f"tied needs an output for each of the {vocabulary} tokens of the vocabulary, "
            f"found {num_outputs} outputs. Set tied to false"
        )


class RecurrentLayer(Explicit, ABC):
    """One layer, reading in one direction; ``step`` computes it where ``explicit`` is true."""

    fused: nn.RNNBase
    """Torch's form, which holds the weights."""

    @abstractmethod
    def step(self, x_BD: Tensor, state: State) -> State:
        """The state after one more input, through a submodule for each gate and state."""

    def forward(self, x_BTD: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read from ``state`` on (None: zeros): all hidden states (B, T, H), and the last state."""
        if not self.explicit:
            return self._all_at_once(x_BTD, state)
        if state is None:
            state = self.zeros(x_BTD)
        hidden = []
        for x_BD in x_BTD.unbind(1):
            state = self.step(x_BD, state)
            hidden.append(state[0])
        return torch.stack(hidden, 1), state

    def sums(self, x_BD: Tensor, hidden_BH: Tensor) -> tuple[Tensor, Tensor]:
        """W x + b and U h + c, of all gates side by side: (B, gates · H) each."""
        of = self.fused.get_parameter
        return (
            nn.functional.linear(x_BD, of("weight_ih_l0"), of("bias_ih_l0")),
            nn.functional.linear(hidden_BH, of("weight_hh_l0"), of("bias_hh_l0")),
        )

    def zeros(self, inputs: Tensor) -> State:
        """The state before anything was read."""
        zeros_BH = inputs.new_zeros(len(inputs), self.fused.hidden_size)
        return (zeros_BH,) * (2 if isinstance(self.fused, nn.LSTM) else 1)

    def _all_at_once(self, x_BTD: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Torch's form wants an axis for layers and directions, of which there is one here."""
        # cuDNN keeps what a gradient needs in training only; nothing else here asks for the mode.
        self.fused.train(torch.is_grad_enabled())
        begin = None if state is None else tuple(part_BH[None] for part_BH in state)
        if begin is not None and len(begin) == 1:
            hidden_BTH, last = self.fused(x_BTD, begin[0])
        else:
            hidden_BTH, last = self.fused(x_BTD, begin)
        parts = last if isinstance(last, tuple) else (last,)
        return hidden_BTH, tuple(part_1BH[0] for part_1BH in parts)


class Layers(nn.Module):
    """Recurrent layers on each other; each reads forwards, backwards, or both ways side by side.

    It reads any numbers (B, T, D): embedded tokens, or a signal.
    """

    def __init__(
        self,
        layer: type[RecurrentLayer],
        dim_in: int,
        hidden: int,
        num_layers: int,
        *,
        directions: Sequence[Direction] = ("forwards",),
        dropout: float = 0.0,
    ):
        super().__init__()
        self.directions = tuple(directions)
        self.num_features = hidden * len(self.directions)
        dims = [dim_in, *[self.num_features] * (num_layers - 1)]
        self.layers = nn.ModuleList(
            nn.ModuleDict({direction: layer(dim, hidden) for direction in self.directions})
            for dim in dims
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BTD: Tensor, lengths_B: Tensor, states: Sequence[State | None] | None = None
    ) -> tuple[Tensor, list[State]]:
        """Read sequences of these lengths.

        Args:
            x_BTD: The inputs; what stands behind the length of a sequence is not looked at.
            lengths_B: Inputs of each sequence.
            states: Of each layer, to go on from; for one direction.

        Returns:
            The features (B, T, directions · H), and the last state of each layer, which has read
            the padding of shorter sequences too.
        """
        turned_BT = turned(lengths_B, x_BTD.shape[1]) if "backwards" in self.directions else None
        ends: list[State] = []
        for number, ways in enumerate(self.layers):
            if number:
                x_BTD = self.dropout(x_BTD)
            begin = None if states is None else states[number]
            sides = []
            for direction in self.directions:
                layer = ways.get_submodule(direction)
                if direction == "forwards":
                    hidden_BTH, end = layer(x_BTD, begin)
                else:
                    assert turned_BT is not None
                    hidden_BTH, end = layer(taken(x_BTD, turned_BT), begin)
                    hidden_BTH = taken(hidden_BTH, turned_BT)
                sides.append(hidden_BTH)
            ends.append(end)
            x_BTD = sides[0] if len(sides) == 1 else torch.cat(sides, 2)
        return x_BTD, ends

    def last(self, features_BTH: Tensor, lengths_B: Tensor) -> Tensor:
        """The features (B, directions · H) of each direction after its last step; of none, zeros.

        Forwards that is at the last token, backwards at the first.
        """
        end_B = (lengths_B - 1).clamp(min=0)
        each = torch.arange(len(features_BTH), device=features_BTH.device)
        sides = [
            side_BTH[each, end_B] if direction == "forwards" else side_BTH[:, 0]
            for direction, side_BTH in zip(
                self.directions, features_BTH.chunk(len(self.directions), 2), strict=True
            )
        ]
        return torch.cat(sides, 1) * (lengths_B > 0)[:, None]


def turned(lengths_B: Tensor, longest: int) -> Tensor:
    """Places (B, T) that turn each sequence round and leave its padding where it is.

    >>> turned(torch.tensor([3, 1]), 4)
    tensor([[2, 1, 0, 3],
            [0, 1, 2, 3]])
    """
    places_T = torch.arange(longest, device=lengths_B.device)
    turned_BT = lengths_B[:, None] - 1 - places_T
    return torch.where(turned_BT >= 0, turned_BT, places_T)


def taken(x_BTD: Tensor, places_BT: Tensor) -> Tensor:
    """The inputs at these places."""
    return x_BTD.gather(1, places_BT[:, :, None].expand(-1, -1, x_BTD.shape[2]))


def initialize(network: nn.Module, initialization: Initialization, tied: bool = False) -> None:
    """Set the first weights of a network of recurrent layers.

    | weights                          | orthogonal                         | torch              |
    |----------------------------------|------------------------------------|--------------------|
    | recurrent U, (H, H) of each gate | orthogonal (Saxe et al. 2014)      | uniform ±1/√H      |
    | input W, (H, D) of each gate     | Xavier, uniform ±√(6 / (H + D))    | uniform ±1/√H      |
    | biases                           | 0; of an LSTM's forget gate 1      | uniform ±1/√H      |
    |                                  | (Jozefowicz et al. 2015)           |                    |
    | embedding; that of padding is 0  | normal, standard deviation 0.1, with FEW tokens 1; 1/√D |
    |                                  | if ``tied`` to the output layer (times √D when read)    |
    | output layer                     | normal, variance 0.01 / inputs; bias 0                  |
    | other dense layers               | Xavier, uniform; bias 0                                 |
    | convolutions before the layers   | normal, variance 2 / inputs (He et al. 2015); bias 0    |
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.RNNBase) and initialization == "orthogonal":
            _orthogonal(module)
        elif isinstance(module, nn.Linear):
            if name == "output":
                nn.init.normal_(module.weight, std=0.1 / math.sqrt(module.in_features))
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            # A rare word hardly moves from where it begins; characters soon do (docs/log.md).
            untied = 0.1 if module.num_embeddings > FEW else 1.0
            nn.init.normal_(module.weight, std=module.embedding_dim**-0.5 if tied else untied)
            with torch.no_grad():
                module.weight[PAD] = 0


def _orthogonal(weights: nn.RNNBase) -> None:
    hidden = weights.hidden_size
    with torch.no_grad():
        for name, parameter in weights.named_parameters():
            for gate in parameter.split(hidden):
                if name.startswith("weight_hh"):
                    nn.init.orthogonal_(gate)
                elif name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(gate)
                else:
                    nn.init.zeros_(gate)
        if isinstance(weights, nn.LSTM):  # in torch's order: input, forget, cell, output
            weights.get_parameter("bias_ih_l0")[hidden : 2 * hidden] = 1
