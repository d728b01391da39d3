"""Where each head of attention looks: what share of its attention every token gets.

Shares are those that the network computes, by its explicit form; each row of them sums to 1. They
say from where a head takes numbers, not that these numbers decide the answer: for that see
``attribution.py``, whose checks attention is not spared either (Jain and Wallace 2019, "Attention
is not Explanation", arXiv:1902.10186).
"""

# Letters in tensor names: B examples, H heads, T tokens that ask, S tokens that are asked.

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.errors import UserError, nearest
from glassnet.figures import Grid, Table
from glassnet.words.inner import recorded

PART = "shares"
"""The submodule through which a layer of attention passes its shares (B, H, T, S)."""
ACROSS = "across"
"""In the name of a layer that looks at another text."""
MOST = 40
"""Tokens in a figure."""
DRAWN = 16
"""Heads that are drawn one by one, if no layer is named."""


@dataclass(frozen=True)
class Attention:
    """What one layer looks at while it reads a text."""

    layer: str
    shares_HTS: Tensor
    """Of each head: of all that token t looks at, the share of token s."""

    @property
    def entropy(self) -> list[float]:
        """Of each head, in bits, the mean over the tokens: 0 if it looks at one token only."""
        bits_HT = -(self.shares_HTS * self.shares_HTS.clamp(min=1e-12).log2()).sum(2)
        return bits_HT.mean(1).tolist()

    def on(self, distance: int) -> list[float]:
        """Of each head: the mean share of the token so far before the one that asks."""
        diagonal = self.shares_HTS.diagonal(-distance, 1, 2)
        return diagonal.mean(1).tolist() if diagonal.shape[1] else [0.0] * len(self.shares_HTS)

    def to_json(self) -> dict[str, Any]:
        """``shares`` is nested as (head, token that asks, token that is asked)."""
        return {"layer": self.layer, "shares": self.shares_HTS.tolist(), "entropy": self.entropy}


def attention(network: nn.Module, tokens: Tensor) -> list[Attention]:
    """What every layer of attention looks at; ``tokens`` (1, T), or a pair (1, 2, T).

    Raises:
        UserError: If the network has no attention that can be looked at.
    """
    found = there(network, tokens)
    if not found:
        raise UserError(
            "This network has no attention that can be looked at; transformer, gpt and "
            "seq2seq_attention have."
        )
    return found


def there(network: nn.Module, tokens: Tensor) -> list[Attention]:
    """The same; empty if there is none."""
    with torch.no_grad():
        return heard(network, lambda: network(tokens))


def heard(network: nn.Module, ask: Callable[[], Any]) -> list[Attention]:
    """The attention of one example while ``ask`` runs, layer by layer.

    A layer that is asked token by token, as in a recurrent decoder, gives a row each time.
    """
    found = []
    for name, parts in recorded(network, ask).items():
        if PART not in parts:
            continue
        rows = [_four(one)[0] for one in parts[PART]]
        found.append(Attention(name, torch.cat(rows, 1).float().cpu()))
    return found


def _four(shares: Tensor) -> Tensor:
    """(B, S) and (B, T, S) as (B, H, T, S) with one head."""
    if shares.ndim == 2:
        return shares[:, None, None]
    return shares[:, None] if shares.ndim == 3 else shares


def across(found: Sequence[Attention], num_source: int, num_target: int) -> list[Attention]:
    """Those layers by which a target looks at its source; padding is cut off.

    A network that looks within its texts too says of these layers that they look ``across``.
    """
    looking = [one for one in found if ACROSS in one.layer.split(".")] or list(found)
    return [Attention(o.layer, o.shares_HTS[:, :num_target, :num_source]) for o in looking]


def find(found: Sequence[Attention], name: str | None) -> list[Attention]:
    """The layers to be drawn head by head: the one of this name, or all if there are few heads.

    Raises:
        UserError: If there is no such layer.
    """
    known = {one.layer: one for one in found}
    if name is not None and name not in known:
        raise UserError(
            f"--layer {name}: no layer of attention is called so.{nearest(name, list(known))} "
            f"Layers: {', '.join(known)}."
        )
    if name is not None:
        return [known[name]]
    return list(found) if sum(len(one.shares_HTS) for one in found) <= DRAWN else []


def grids(
    found: Sequence[Attention],
    asking: Sequence[str],
    asked: Sequence[str],
    layer: str | None = None,
    titles: tuple[str, str] = ("token that asks", "token that it looks at"),
) -> list[Grid]:
    """Each head, or the mean over the heads of each layer where there are too many to draw."""
    drawn = find(found, layer)
    figures = [
        _grid(f"{one.layer}, head {head + 1}", shares_TS, asking, asked, titles)
        for one in drawn
        for head, shares_TS in enumerate(one.shares_HTS)
    ]
    if drawn:
        return figures
    return [
        _grid(f"{one.layer}, mean of {len(one.shares_HTS)} heads", one.shares_HTS.mean(0),
              asking, asked, titles)
        for one in found
    ]  # fmt: skip


def _grid(
    title: str,
    shares_TS: Tensor,
    asking: Sequence[str],
    asked: Sequence[str],
    titles: tuple[str, str],
) -> Grid:
    cut = max(len(asking), len(asked)) > MOST
    return Grid(
        title,
        shares_TS[:MOST, :MOST].tolist(),
        row_labels=[name.strip() or "␣" for name in asking[:MOST]],
        column_labels=[name.strip() or "␣" for name in asked[:MOST]],
        row_title=titles[0],
        column_title=titles[1],
        format=".0%",
        note=f"The first {MOST} tokens." if cut else "",
    )


def table(found: Sequence[Attention], *, within: bool = True) -> Table:
    """What each head does, in figures."""
    columns = ["layer", "head", "spread, bits"]
    columns += ["on itself", "on the one before", "on the first"] if within else []
    rows: list[list[str | float]] = []
    for one in found:
        itself, before = one.on(0), one.on(1)
        for head, bits in enumerate(one.entropy):
            first = (
                float(one.shares_HTS[head, 1:, 0].mean()) if one.shares_HTS.shape[1] > 1 else 1.0
            )
            rows.append([one.layer, head + 1, bits])
            if within:
                rows[-1] += [itself[head], before[head], first]
    return Table(
        "What each head looks at",
        columns,
        rows,
        note="Spread is the mean entropy of its shares: 0 bits looks at one token, 3 bits at about "
        "8 alike. The other columns are mean shares.",
    )
