"""L2-norm pooling: a window becomes the root of the sum of its squares.

Boureau, Ponce and LeCun (2010), "A Theoretical Analysis of Feature Pooling in Visual Recognition".
torch's own ``nn.LPPool2d(2, …)`` takes the root of a sum that may be 0 (after ReLU it often is); its
gradient there is infinity times zero, NaN, and would spoil every weight before it.
"""

from torch import Tensor, nn

LEAST = 1e-12
"""Added to the sum of squares: a window of zeros answers 1e-6, and its gradient is 0."""


class L2Pool1d(nn.Module):
    """Root of the sum of squares of each window of a signal (B, C, L)."""

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def forward(self, maps_BCL: Tensor) -> Tensor:
        """Return the pooled signal."""
        mean = nn.functional.avg_pool1d(maps_BCL.square(), self.kernel_size, self.stride)
        return (mean * self.kernel_size + LEAST).sqrt()


class L2Pool2d(nn.Module):
    """Root of the sum of squares of each window of a map (B, C, H, W)."""

    def __init__(self, kernel_size: int, stride: int | None = None) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride or kernel_size

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return the pooled maps."""
        mean = nn.functional.avg_pool2d(maps_BCHW.square(), self.kernel_size, self.stride)
        return (mean * self.kernel_size**2 + LEAST).sqrt()
