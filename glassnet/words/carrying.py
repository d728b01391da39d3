"""Truncated backpropagation: a recurrent network reads on where the batch before ended.

Paper: Ronald Williams, Jing Peng (1990), "An Efficient Gradient-Based Algorithm for On-Line
Training of Recurrent Network Trajectories", Neural Computation 2, 490-501. The state at the end of
a batch is the beginning of the next one, as a constant: gradients go back through one batch, but
what was read long before still counts.
"""

# Letters in tensor names: B streams, T tokens.

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.learners import Supervised
from glassnet.networks._sequences import chosen


class Carried:
    """The state of all streams; a part of the checkpoint."""

    def __init__(self) -> None:
        self.epoch, self.before, self.after = -1, None, list[Any]()
        self.wanted = 0

    def begin(self, epoch: int, num_streams: int) -> None:
        """A new batch: what was read last is what it begins with, but not in a new epoch.

        A batch that was read in part only, for want of memory, begins as it began before.
        """
        whole = sum(map(size, self.after)) == self.wanted
        before = (self.joined if whole else self.before) if epoch == self.epoch else None
        self.epoch, self.before, self.after = epoch, before, []
        self.wanted = num_streams

    @property
    def joined(self) -> Any:
        """The state after the last batch, which may have been read in several pieces."""
        return joined(self.after) if self.after else self.before

    def state_dict(self) -> Mapping[str, Any]:
        """Return the epoch and the state after the last batch."""
        return {"epoch": self.epoch, "state": self.joined}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Go back to it."""
        self.epoch, self.after, self.wanted = state["epoch"], [], 0
        self.before = state["state"]


class Reader(nn.Module):
    """A network that begins with the carried state, and leaves its own."""

    def __init__(self, network: nn.Module, carried: Carried) -> None:
        super().__init__()
        self.network, self.carried = network, carried

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Logits (B, T, V) of a piece of the batch, after the pieces that were read before."""
        carried, state = self.carried, None
        if carried.before is not None:
            first = sum(size(piece) for piece in carried.after)
            here = torch.arange(first, first + len(tokens_BT), device=tokens_BT.device)
            state = chosen(moved(carried.before, tokens_BT.device), here)
        logits_BTV: Tensor
        logits_BTV, state = self.network.follow(tokens_BT, state)  # type: ignore[operator]
        carried.after.append(detached(state))
        return logits_BTV


def carrying(learner: Supervised) -> Carried:
    """Let a learner's network carry its state; ``Carried.begin`` is to be called at each batch."""
    carried = Carried()
    learner.trained = Reader(learner.trained, carried)
    learner.parts["carried"] = carried
    return carried


def detached(state: Any) -> Any:
    """The same numbers, through which no gradient flows back."""
    if isinstance(state, Tensor):
        return state.detach()
    return [detached(part) for part in state]


def moved(state: Any, device: torch.device) -> Any:
    """The same numbers there: a checkpoint's lie on the CPU."""
    if isinstance(state, Tensor):
        return state.to(device)
    return [moved(part, device) for part in state]


def joined(states: list[Any]) -> Any:
    """The states of several pieces of a batch, as one."""
    if isinstance(states[0], Tensor):
        return torch.cat(states) if len(states) > 1 else states[0]
    return [joined(list(parts)) for parts in zip(*states, strict=True)]


def size(state: Any) -> int:
    """How many streams."""
    return len(state) if isinstance(state, Tensor) else size(state[0])
