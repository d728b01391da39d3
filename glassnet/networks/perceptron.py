"""Perceptron: one linear layer, the smallest network there is.

Paper: Frank Rosenblatt (1958), "The Perceptron: A Probabilistic Model for Information Storage and
Organization in the Brain", Psychological Review 65(6), 386-408.

Every output is a weighted sum of all input numbers plus a bias: z = W x + b. Trained with the
cross-entropy loss this is softmax regression (with two classes: logistic regression). With
`--loss perceptron` (table classification) it is trained by the paper's own rule: a row that is
answered rightly changes nothing, at a mistake lr x is added to the weights of the right class and
taken from those of the answer. On classes that a hyperplane separates, the rule ends after
finitely many mistakes (Novikoff 1962); else it never does, and the run says which, with a proof.

How ours differs: one output per class instead of one yes-or-no unit (with two classes, the
difference of their weights is that unit's); the outputs are logits, without the paper's threshold;
all inputs are connected, where the paper wires a random part.

When to use it: as the base line that a deeper network has to beat, and to look at what one layer
learns: each row of `linear.weight` has the shape of an input. It cannot learn XOR.
"""

# Letters in tensor names: B examples, D input numbers, O outputs.

import math

from torch import Tensor, nn


class Perceptron(nn.Module):
    """One linear layer on the flattened input."""

    def __init__(self, input_shape: tuple[int, ...], num_outputs: int):
        super().__init__()
        self.linear = nn.Linear(math.prod(input_shape), num_outputs)
        initialize(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits (B, O) of standardized inputs (B, *input_shape)."""
        inputs_BD = inputs.flatten(start_dim=1)
        return self.linear(inputs_BD)  # type: ignore[no-any-return]


def initialize(network: Perceptron) -> None:
    """Set the first weights.

    | parameter       | first value                                               |
    |-----------------|-----------------------------------------------------------|
    | `linear.weight` | 0: with a single layer there is no symmetry to break      |
    | `linear.bias`   | 0                                                         |
    """
    nn.init.zeros_(network.linear.weight)
    nn.init.zeros_(network.linear.bias)


NETWORK = Perceptron
