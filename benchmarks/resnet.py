"""ResNet-18 for small images: a network file as a user would write it (`--network resnet.py`).

Paper: Kaiming He et al. (2016), "Deep Residual Learning for Image Recognition", CVPR; table 1,
18 layers. Ours differs: the first convolution is 3×3 with stride 2 and no pooling follows it,
as is usual for images of 64×64 and below.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3×3 convolutions, and a way past them."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.past: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False)
            self.past = nn.Sequential(shortcut, nn.BatchNorm2d(channels))

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return maps of ``channels`` channels."""
        changed_BCHW = F.relu(self.norm1(self.conv1(maps_BCHW)))
        changed_BCHW = self.norm2(self.conv2(changed_BCHW))
        return F.relu(changed_BCHW + self.past(maps_BCHW))


class ResNet(nn.Module):
    """Four stages of two blocks; 11.2 million parameters."""

    def __init__(self, input_shape: tuple[int, ...], num_outputs: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(input_shape[0], 64, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        blocks, channels_in = [], 64
        for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Block(channels_in, channels, stride), Block(channels, channels, 1)]
            channels_in = channels
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(channels_in, num_outputs)

    def forward(self, inputs_BCHW: Tensor) -> Tensor:
        """Return the logits (B, num_outputs)."""
        maps_BCHW = self.blocks(F.relu(self.norm(self.stem(inputs_BCHW))))
        logits: Tensor = self.output(maps_BCHW.mean((2, 3)))
        return logits


NETWORK = ResNet
