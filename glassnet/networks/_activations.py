"""Activations: the functions between the layers, without which all layers would be one.

Legend: z is what a unit sums up, a = σ(z) what it passes on.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import nn

Activation: TypeAlias = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]


@dataclass(frozen=True)
class About:
    """One activation: its module, its formula, when to take it, and where it comes from."""

    module: type[nn.Module]
    formula: str
    use: str
    source: str


ABOUT: dict[Activation, About] = {
    "relu": About(
        nn.ReLU,
        "max(0, z)",
        "The default of hidden layers: cheap, and its derivative does not shrink. A unit whose z "
        "is below 0 for every example learns no more (it is dead).",
        "Nair and Hinton 2010; Glorot, Bordes and Bengio 2011",
    ),
    "leaky_relu": About(
        nn.LeakyReLU,
        "z if z > 0, else 0.01 z",
        "When many units of a relu network are dead: it keeps a small slope below 0.",
        "Maas, Hannun and Ng 2013",
    ),
    "elu": About(
        nn.ELU,
        "z if z > 0, else exp(z) − 1",
        "For deep networks without normalization: smooth below 0, and its mean is nearer to 0.",
        "Clevert, Unterthiner and Hochreiter 2016",
    ),
    "gelu": About(
        nn.GELU,
        "z Φ(z), with Φ the normal distribution",
        "For transformers, and where a smooth relu is wanted; slower than relu.",
        "Hendrycks and Gimpel 2016",
    ),
    "silu": About(
        nn.SiLU,
        "z / (1 + exp(−z))",
        "As gelu, and cheaper; common in image networks and in tables (Swish).",
        "Elfwing, Uchibe and Doya 2018; Ramachandran, Zoph and Le 2017",
    ),
    "tanh": About(
        nn.Tanh,
        "(exp(z) − exp(−z)) / (exp(z) + exp(−z))",
        "For small and recurrent networks, and smooth functions: its mean is 0. For |z| above 3 "
        "hardly any gradient passes.",
        "LeCun et al. 1998, Efficient BackProp, section 4.4",
    ),
    "sigmoid": About(
        nn.Sigmoid,
        "1 / (1 + exp(−z))",
        "For one probability at the output, and to follow older texts. In hidden layers its "
        "derivative is 1/4 at most, so that gradients fade with depth.",
        "Rumelhart, Hinton and Williams 1986; Glorot and Bengio 2010",
    ),
}
"""When to take which, and why."""
