"""How the gradient vanishes through an RNN and not through an LSTM: measured, without a run.

The problem: a text's first token is one of four, all others are noise, and after the last one the
network is to say what the first was; to learn it, a gradient must come back from the last step to
the first (after the tasks of Hochreiter and Schmidhuber 1997, section 5). Measured is what is left
of that gradient at each step, at first weights and after a short training on texts of all lengths,
so that whoever can learn across short distances can go on to longer ones.
"""

# Letters in tensor names: B texts, T tokens.

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet import figures
from glassnet.errors import UserError
from glassnet.explain import vanishing
from glassnet.explain.vanishing import Faded
from glassnet.figures import Document, Lines, Section, Series, Table
from glassnet.network import build_network, find, schema
from glassnet.progress import tell
from glassnet.recipe import NetworkKnobs

NETWORKS = ("rnn", "gru", "lstm")
FIRST, NOISE = 4, 8
"""Different tokens at the beginning, and behind it."""
TOKENS = 4 + FIRST + NOISE
"""The first four numbers are taken in every vocabulary."""
WIDTH = 32
BATCH, LR, CLIP = 64, 0.01, 1.0
MEASURED = 16
"""Texts over which a gradient's length is taken."""
TESTED = 200
LEAST, MOST = 2, 2000
STATES = {"hidden": False, "cell": True}
"""Whether its curve is dashed."""
FLOOR = 1e-30
"""What is left below this is nothing, for any number that a computer trains with."""


@dataclass(frozen=True)
class Measured:
    """One network of one seed."""

    network: str
    seed: int
    first: Sequence[Faded]
    """What is left of the gradient at first weights."""
    trained: Sequence[Faded]
    """And after training; empty if there was none."""
    right: dict[int, float]
    """Length of a text -> share of new ones whose first token was told after training."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        lists = {part: [f.to_json() for f in getattr(self, part)] for part in ("first", "trained")}
        return {"network": self.network, "seed": self.seed, **lists, "right": self.right}


@dataclass(frozen=True)
class Gradients:
    """What was measured; ``text`` for a terminal, ``document`` for a page."""

    length: int
    """Tokens of a text."""
    steps: int
    """Of training."""
    measured: Sequence[Measured]

    def to_json(self) -> dict[str, Any]:
        """As ``glassnet gradients --json`` prints it."""
        return {**asdict(self), "measured": [one.to_json() for one in self.measured]}

    @property
    def table(self) -> Table:
        """What is left at the far end, and what was learned."""
        rows = [_row(self, name) for name in self.names]
        lengths = list(self.measured[0].right)
        columns = ["network", "left at first weights", "left after training"]
        columns += [f"right, {length} tokens" for length in lengths]
        chance = f"Chance is {1 / FIRST:.0%}. " if lengths else ""
        return Table(
            f"{self.length - 1} steps back",
            columns,
            rows,
            note=f"{chance}Of an LSTM, what is left in its cell. Geometric and other means over "
            f"{len(self.measured) // len(self.names)} seeds.",
        )

    @property
    def names(self) -> list[str]:
        """The networks, in order."""
        return list(dict.fromkeys(one.network for one in self.measured))

    @property
    def text(self) -> str:
        """For a terminal."""
        lines = [
            f"What is left of a gradient {self.length - 1} steps back, and how often the first "
            "token was told",
        ]
        for row in self.table.rows:
            name, first, trained, *right = row
            told = "".join(
                f"  {share:4.0%} of {length} tokens"
                for length, share in zip(self.measured[0].right, right, strict=True)
            )
            after = f", trained {trained}" if trained else ""
            lines.append(f"{name:6}  first weights {first}{after}{told}")
        return "\n".join(lines)

    @property
    def document(self) -> Document:
        """For a page: ``figures.page(found.document)``."""
        blocks = [self.figure("first"), *([self.figure("trained")] if self.steps else [])]
        text = (
            f"Texts of {self.length} tokens: the first is one of {FIRST}, the others are noise, "
            "and after the last one the network is to say what the first was. A curve is "
            "the length of the gradient of that loss with respect to the state at each step, as a "
            "share of its length at the last step; the band is from the least to the most over "
            "the seeds."
            "\n\nIn an RNN the gradient is multiplied at each step by the recurrent weights and "
            "the slope of tanh, which is below 1. An LSTM has a cell that is changed by adding: "
            "there it is multiplied by the forget gate alone, which training can bring near 1."
        )
        return Document(
            "The vanishing gradient",
            ", ".join(self.names),
            [Section("How much of a gradient reaches back", text, [*blocks, self.table])],
        )

    def figure(self, part: str) -> Lines:
        """The curves at first weights ('first') or after training ('trained')."""
        title = "At first weights" if part == "first" else f"After {self.steps} steps of training"
        series = [
            _series(name, state, self._curves(name, state, part))
            for name in self.names
            for state in STATES
            if self._curves(name, state, part)
        ]
        return Lines(
            title,
            series,
            x_label="steps before the end",
            y_label="share of the gradient that is left",
            y_log=True,
            note=f"What is below {FLOOR:g} is drawn there.",
        )

    def _curves(self, name: str, state: str, part: str) -> list[Sequence[float]]:
        return [
            faded.left
            for one in self.measured
            if one.network == name
            for faded in getattr(one, part)
            if faded.state == state
        ]

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return figures.notebook(self.document)


def compare(
    networks: Sequence[str] = NETWORKS, *, length: int = 100, steps: int = 300, seeds: int = 2
) -> Gradients:
    """Measure recurrent networks at first weights and after a short training.

    Raises:
        UserError: If a network has no explicit recurrent form, or a number is out of range.
    """
    _require("length", length, LEAST, MOST)
    _require("steps", steps, 0, 100_000)
    _require("seeds", seeds, 1, 100)
    found: list[Measured] = []
    total = len(networks) * seeds
    with torch.random.fork_rng(devices=[]):
        for name in networks:
            for seed in range(seeds):
                tell("training networks", len(found), total)
                found.append(_measure(name, seed, length, steps))
    tell("training networks", total, total)
    return Gradients(length, steps, found)


def _measure(name: str, seed: int, length: int, steps: int) -> Measured:
    if "hidden" not in schema(find(name)).model_fields:
        raise _not_recurrent(name)
    torch.manual_seed(seed)
    knobs = NetworkKnobs(name=name, width=WIDTH, hidden=WIDTH, dropout=0.0)
    network = build_network(knobs, (length,), TOKENS, reads="stream", vocabulary=TOKENS)
    generator = torch.Generator().manual_seed(seed)
    first = _faded(network, name, length)
    if not steps:
        return Measured(name, seed, first, (), {})
    optimizer = torch.optim.Adam(network.parameters(), LR)
    for _ in range(steps):
        own = int(torch.randint(LEAST, length + 1, (), generator=generator))
        texts_BT = texts(BATCH, own, generator)
        loss = nn.functional.cross_entropy(network(texts_BT)[:, -1], texts_BT[:, 0])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
    network.eval()
    lengths = sorted({min(length, n) for n in (5, 20, length)})
    right = {n: _right(network, texts(TESTED, n, generator)) for n in lengths}
    return Measured(name, seed, first, _faded(network, name, length), right)


def texts(count: int, length: int, generator: torch.Generator) -> Tensor:
    """Texts (B, T): one of ``FIRST`` tokens, then noise."""
    texts_BT = torch.randint(4 + FIRST, TOKENS, (count, length), generator=generator)
    texts_BT[:, 0] = torch.randint(4, 4 + FIRST, (count,), generator=generator)
    return texts_BT


def _faded(network: nn.Module, name: str, length: int) -> list[Faded]:
    texts_BT = texts(MEASURED, length, torch.Generator().manual_seed(0))
    # In float32 what is left would soon be called nothing at all.
    exact = copy.deepcopy(network).double().eval()
    asked_BT = torch.cat([texts_BT, texts_BT[:, :1]], 1)
    found = [f for f in vanishing.faded(exact, asked_BT, stream=True) if f.layer.endswith("wards")]
    if not found:
        raise _not_recurrent(name)
    return found


def _not_recurrent(name: str) -> UserError:
    return UserError(
        f"--networks {name}: expected recurrent networks with an explicit form, such as "
        f"{', '.join(NETWORKS)}."
    )


def _right(network: nn.Module, texts_BT: Tensor) -> float:
    with torch.no_grad():
        answers_B = network(texts_BT)[:, -1].argmax(1)
    return float((answers_B == texts_BT[:, 0]).float().mean())


def _row(found: Gradients, name: str) -> list[str | float]:
    own = [one for one in found.measured if one.network == name]
    left = []
    for part in ("first", "trained"):
        ends = [getattr(one, part)[-1].left[-1] for one in own if getattr(one, part)]
        left.append(_left(_geometric(ends)) if ends else "")
    shares = [sum(one.right[n] for one in own) / len(own) for n in own[0].right]
    return [name, *left, *shares]


def _series(name: str, state: str, curves: Sequence[Sequence[float]]) -> Series:
    points = list(zip(*curves, strict=True))
    label = f"{name}, {state}" if state != "hidden" else name
    return Series(
        label,
        list(range(len(points))),
        [_geometric(some) for some in points],
        low=[max(min(some), FLOOR) for some in points],
        high=[max(*some, FLOOR) for some in points],
        dashed=STATES[state],
    )


def _geometric(values: Sequence[float]) -> float:
    return math.exp(sum(math.log(max(value, FLOOR)) for value in values) / len(values))


def _left(share: float) -> str:
    return f"below {FLOOR:g}" if share <= FLOOR * 1.001 else f"{share:.1e}"


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UserError(f"--{name} {value}: expected a whole number from {least} to {most:,}.")
