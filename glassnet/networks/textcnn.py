"""TextCNN: a convolution over words, and the strongest answer of each filter in the whole text.

Paper: Yoon Kim (2014), "Convolutional Neural Networks for Sentence Classification", EMNLP,
arXiv:1408.5882.

A filter looks at a window of a few words and answers how much they are what it looks for; of its
answers along the text only the largest counts. Filters of several window sizes, dropout, one dense
layer. This is the paper's CNN-rand, whose words are learned from nothing; with sentences of SST-2
it reached 82.7 % of the test (table 2).

| part      | shape                              | parameters, for V words and two classes     |
|-----------|------------------------------------|---------------------------------------------|
| embedding | V × 300                            | 300 V                                       |
| filters   | 100 each of 3, 4 and 5 words × 300 | 360,300                                     |
| output    | 300 × classes                      | 602                                         |

How ours differs (the paper's value after the colon):
- a window needs to hold one word of the text, and may reach beyond its ends, as in the author's
  code; windows of nothing but padding do not count: there they do, so that an answer depends on
  how long the longest text is.
- no limit on the length of the output's weights (`fit.optimizer.weight_decay` takes its place): 3
  (section 3.1). The author trained with Adadelta, batches of 50.

When to use it: for short texts, where some words side by side say it all. It is the fastest of the
networks for texts, and forgets the order of all that is farther apart than its largest window.
"""

# Letters in tensor names: B examples, T tokens, W windows, D width, C filters of one size.

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._sequences import PAD, present

READS = ("tokens",)


class TextCNN(nn.Module):
    """Filters of several window sizes, each asked for its strongest answer in a text."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        vocabulary: int,
        reads: Literal["tokens"] = "tokens",
        width: Annotated[
            int, Field(ge=1, description="Numbers that stand for a word. 100 to 300.")
        ] = 300,
        windows: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...],
            Field(
                min_length=1,
                description="Tokens that a filter sees at once, for each group of filters. Larger "
                "ones for sub-words (3–7) and characters (5–15).",
            ),
        ] = (3, 4, 5),
        filters: Annotated[
            int, Field(ge=1, description="Filters of each window size. 50 to 600.")
        ] = 100,
        dropout: Annotated[
            float,
            Field(
                ge=0,
                lt=1,
                description="Share of the filters' answers set to zero at each training step. "
                "Lower it when the training error stays high.",
            ),
        ] = 0.5,
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.filters = nn.ModuleList(
            nn.Conv1d(width, filters, window, padding=window - 1) for window in windows
        )
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(filters * len(windows), num_outputs)
        initialize(self)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the logits (B, num_outputs) of texts."""
        present_BT = present(tokens_BT)
        words_BTD = self.embedding(tokens_BT) * present_BT[:, :, None]
        strongest = []
        for convolution in self.filters:
            answers_BCW = self.activation(convolution(words_BTD.mT))
            # A window begins up to window - 1 places before the text, and its last token is within.
            before = answers_BCW.shape[2] - tokens_BT.shape[1]
            held_BW = nn.functional.pad(present_BT, (before, 0), value=True)
            held_BW = held_BW & present_BT.any(1, keepdim=True)
            strongest.append((answers_BCW * held_BW[:, None, :]).amax(2))
        features_BC = torch.cat(strongest, 1)
        return self.output(self.dropout(features_BC))  # type: ignore[no-any-return]


def initialize(network: TextCNN) -> None:
    """Set the first weights.

    | parameter            | first value                                                          |
    |----------------------|----------------------------------------------------------------------|
    | embeddings           | uniform between -0.25 and 0.25 (section 3.3, and the author's code)  |
    | embedding of padding | 0                                                                    |
    | filters              | normal, variance 2 / inputs (He et al. 2015); the author's code has  |
    |                      | uniform between -0.01 and 0.01, which needs Adadelta's large steps   |
    | output weight        | normal, variance 0.01 / inputs: at first, all classes are nearly     |
    |                      | equally likely                                                       |
    | every bias           | 0                                                                    |
    """
    nn.init.uniform_(network.embedding.weight, -0.25, 0.25)
    network.embedding.weight.data[PAD] = 0
    for convolution in network.filters:
        assert isinstance(convolution, nn.Conv1d) and convolution.bias is not None
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)
    nn.init.normal_(network.output.weight, std=0.1 / math.sqrt(network.output.in_features))
    nn.init.zeros_(network.output.bias)


NETWORK = TextCNN
