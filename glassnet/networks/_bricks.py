"""The layers of convolutional networks by the number of axes: 1 for signals, 2 for images.

A signal is an image that has lost its height; so the same file builds both networks, and takes its
layers from here.
"""

from typing import NamedTuple

from torch import nn


class Bricks(NamedTuple):
    """Layers for inputs of one kind."""

    conv: type[nn.Conv1d] | type[nn.Conv2d]
    norm: type[nn.BatchNorm1d] | type[nn.BatchNorm2d]
    max_pool: type[nn.MaxPool1d] | type[nn.MaxPool2d]
    average_pool: type[nn.AvgPool1d] | type[nn.AvgPool2d]


BRICKS = {
    1: Bricks(nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d),
    2: Bricks(nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d),
}
