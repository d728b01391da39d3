"""Layers for signals of different lengths: what stands behind the end of one never counts.

A signal is zero behind its end, before and after each layer; statistics are over steps that are
there. So an answer does not depend on the lengths of the other signals of its batch.
"""

# Letters in tensor names: B examples, C channels, T steps, N steps of all examples, M members,
# O outputs.

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from glassnet.networks._series import present


class Prepared(nn.Module, ABC):
    """Base of networks with fixed parts, which look at some training signals before they learn."""

    @abstractmethod
    def prepare(self, signals_BCT: Tensor) -> None:
        """Set the fixed parts."""


def opened(signals_BCT: Tensor) -> tuple[Tensor, Tensor]:
    """The signals with zeros for all that is not there, and where they have not ended (B, T)."""
    return torch.nan_to_num(signals_BCT), present(signals_BCT)


def normalized(norm: nn.BatchNorm1d, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
    """Batch normalization whose statistics are over the steps that are there."""
    if not norm.training or bool(present_BT.all()):
        return norm(x_BCT)  # type: ignore[no-any-return]
    steps_BTC = x_BCT.new_zeros(x_BCT.mT.shape)
    return steps_BTC.masked_scatter(present_BT[:, :, None], norm(x_BCT.mT[present_BT])).mT


def strongest(x_BCT: Tensor, present_BT: Tensor, window: int) -> Tensor:
    """The largest of the steps in a window about each step; ``window`` is odd."""
    hidden = torch.finfo(x_BCT.dtype).min
    x_BCT = x_BCT.masked_fill(~present_BT[:, None], hidden)
    return nn.functional.max_pool1d(x_BCT, window, stride=1, padding=window // 2)


class Convolution(nn.Module):
    """Convolution, batch normalization and, if asked for, ReLU; as many steps as before."""

    def __init__(self, c_in: int, c_out: int, kernel: int, *, rectified: bool = True):
        super().__init__()
        self.convolution = nn.Conv1d(c_in, c_out, kernel, bias=False)
        self.pad = ((kernel - 1) // 2, kernel // 2)  # as many steps as before; the even one behind
        self.norm = nn.BatchNorm1d(c_out)
        self.activation = nn.ReLU() if rectified else nn.Identity()

    def forward(self, x_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """Return zeros behind the end of each signal."""
        x_BCT = normalized(
            self.norm, self.convolution(nn.functional.pad(x_BCT, self.pad)), present_BT
        )
        return self.activation(x_BCT) * present_BT[:, None]  # type: ignore[no-any-return]


def together(logits_BO: Sequence[Tensor], training: bool) -> Tensor:
    """What members answer: side by side (B, M, O) while they learn, then their mean.

    The mean is one of probabilities; it is returned as their logarithms (B, O).
    """
    if len(logits_BO) == 1:
        return logits_BO[0]
    logits_BMO = torch.stack(list(logits_BO), 1)
    if training:
        return logits_BMO
    return logits_BMO.log_softmax(2).logsumexp(1) - math.log(len(logits_BO))


def initialize(network: nn.Module) -> None:
    """Set the first weights.

    | parameter            | first value                                                  |
    |----------------------|--------------------------------------------------------------|
    | convolution weight   | normal, variance 2 / inputs (He et al. 2015)                 |
    | batch normalization  | scale 1, shift 0 (torch's own)                               |
    | output weight        | normal, variance 0.01 / inputs: at first, all classes are    |
    |                      | nearly equally likely                                        |
    | output bias          | 0                                                            |
    """
    for module in network.modules():
        if isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1 / math.sqrt(module.in_features))
            nn.init.zeros_(module.bias)
