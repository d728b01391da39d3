"""The hidden state and the gates of a recurrent layer, token by token.

A layer that has an explicit form passes each inner value through a submodule of its own, at every
step; here they are listened to. See ``networks/lstm.py`` and its like for the equations.
"""

# Letters in tensor names: T tokens, H hidden units.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError
from glassnet.figures import Grid, Token, Tokens
from glassnet.words.inner import recorded

UNITS = 16
"""Hidden units in a figure: those that change most."""
MOST = 60
"""Tokens in a figure; the cells of more would be too small."""
BACKWARDS = "backwards"
"""In the name of a layer that reads from the end."""
ABOUT = {
    "input_gate": "how much of what is new goes into the cell",
    "forget_gate": "how much of the cell stays",
    "candidate": "what is new",
    "output_gate": "how much of the cell is shown",
    "cell": "the memory itself",
    "hidden": "what the layer gives to what comes after",
    "reset_gate": "how much of the past is looked at for what is new",
    "update_gate": "how much of the past stays",
}
"""What the usual inner values are; others are shown too."""


@dataclass(frozen=True)
class Layer:
    """What one recurrent layer did at each token, in the order of the text."""

    name: str
    parts: dict[str, Tensor]
    """Name -> (T, H), such as ``forget_gate``; ``hidden`` is among them."""

    @property
    def hidden_TH(self) -> Tensor:
        """The hidden state after each token."""
        return self.parts["hidden"]

    @property
    def backwards(self) -> bool:
        """Whether it reads from the end."""
        return BACKWARDS in self.name.split(".")

    @property
    def changes(self) -> list[float]:
        """By how much each token changes the hidden state: the length of the difference."""
        hidden_TH = self.hidden_TH.flip(0) if self.backwards else self.hidden_TH
        before_TH = torch.cat([torch.zeros_like(hidden_TH[:1]), hidden_TH[:-1]])
        size_T = (hidden_TH - before_TH).norm(dim=1)
        changes: list[float] = (size_T.flip(0) if self.backwards else size_T).tolist()
        return changes

    def busiest(self, count: int = UNITS) -> list[int]:
        """The hidden units that change most from token to token."""
        steps_H = self.hidden_TH.diff(dim=0).abs().sum(0)
        if len(self.hidden_TH) == 1:
            steps_H = self.hidden_TH[0].abs()
        return steps_H.argsort(descending=True, stable=True)[:count].tolist()

    def to_json(self) -> dict[str, Any]:
        """Of each part: its mean over all units, token by token, and the busiest units in full."""
        units = self.busiest()
        return {
            "layer": self.name,
            "changes": self.changes,
            "units": units,
            "parts": {
                name: {"mean": values.mean(1).tolist(), "of_units": values[:, units].T.tolist()}
                for name, values in self.parts.items()
            },
        }


def layers(network: nn.Module, tokens_T: Tensor) -> list[Layer]:
    """What every recurrent layer with an explicit form did at each token of one text.

    Raises:
        UserError: If the network has none.
    """
    found = there(network, tokens_T)
    if not found:
        raise UserError(
            "This network has no recurrent layer whose gates can be looked at; rnn, lstm and gru "
            "have."
        )
    return found


def there(network: nn.Module, tokens_T: Tensor) -> list[Layer]:
    """The same; empty if there is none."""
    with torch.no_grad():
        seen = recorded(network, lambda: network(tokens_T[None]))
    found = []
    for name, parts in seen.items():
        if "hidden" not in parts or len(parts["hidden"]) != len(tokens_T):
            continue
        steps = {part: torch.cat(outputs).float().cpu() for part, outputs in parts.items()}
        back = BACKWARDS in name.split(".")
        found.append(Layer(name, {p: v.flip(0) if back else v for p, v in steps.items()}))
    return found


def grids(layer: Layer, names: Sequence[str]) -> list[Grid]:
    """Each gate and state of the busiest units, over the tokens."""
    units = layer.busiest()
    shown = slice(0, MOST)
    more = f" The first {MOST} of {len(names)} tokens." if len(names) > MOST else ""
    order = [*[p for p in ABOUT if p in layer.parts], *[p for p in layer.parts if p not in ABOUT]]
    return [
        Grid(
            f"{layer.name}: {part.replace('_', ' ')}",
            layer.parts[part][shown, units].T.tolist(),
            row_labels=[f"unit {unit + 1}" for unit in units],
            column_labels=[name.strip() or "␣" for name in names[shown]],
            format=".2f",
            note=(ABOUT.get(part, "").capitalize() + "." if part in ABOUT else "") + more,
        )
        for part in order
    ]


def change(layer: Layer, names: Sequence[str], spaced: bool) -> Tokens:
    """The text, coloured by how much each token changes the hidden state."""
    means = {part: values.mean(1).tolist() for part, values in layer.parts.items()}
    gates = [part for part in means if part.endswith("_gate")]
    items = [
        Token(
            name,
            size,
            said="\n".join(f"{part.replace('_', ' ')}\t{means[part][t]:.2f}" for part in gates),
        )
        for t, (name, size) in enumerate(zip(names, layer.changes, strict=True))
    ]
    read = ", read from the end" if layer.backwards else ""
    return Tokens(
        f"{layer.name}{read}: how much each token changes the hidden state",
        items,
        value_label="length of the change",
        spaced=spaced,
        note="Pointing at a token shows the mean of each gate there." if gates else "",
    )
