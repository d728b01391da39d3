"""DnaCNN: motif filters on letters of DNA, and a head that knows places or looks everywhere.

Papers: B. Alipanahi, A. Delong, M. Weirauch, B. Frey (2015), "Predicting the sequence specificities
of DNA- and RNA-binding proteins by deep learning", Nature Biotechnology 33 (DeepBind): filters on
one-hot letters are position weight matrices, of which the strongest answer in a sequence counts.
D. Kelley et al. (2018), "Sequential regulatory activity prediction across chromosomes with
convolutional neural networks", Genome Research 28 (Basenji): dilated residual blocks behind them.
H.-T. Cheng et al. (2016), "Wide & Deep Learning for Recommender Systems", arXiv:1606.07792: a
linear model beside the deep one, trained together with it.

    letters (B, C, T), probabilities, NaN after the end
      -> k-mers        kmer = 1: the letters; 3: each three neighbours, as an outer product
      -> filters       one convolution of `window` steps: the motifs; the strongest answer of each
                       three neighbouring steps
      -> blocks        x + convolution of 3 such steps, 1, 2, 4, … apart
      -> head          strongest and mean answer of each feature in the whole sequence, and where
                       places have a meaning (`places`), all answers in their order
      -> hidden layer  -> logits, + linear: of how often each k-mer stands there up to four letters,
                          and, where places have a meaning, of the letter at each place

How ours differs from DeepBind: several members, each with filters of its own, are trained each on
its own loss and answer together (as deep ensembles do; a hundred sequences leave much to chance);
a linear part, so that what logistic regression finds need not be found by filters; letters that
are not known for sure count by their probability.
"""

# Letters in tensor names: B examples, C letters, T steps, M members, F filters of a member, K
# k-mers, D width, O outputs.

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from glassnet.networks._series import frames, max_over_time, mean_over_time, present
from glassnet.networks._words import LinearWords, kmers

READS = ("signals",)
STRIDE = 3
"""Neighbouring steps of which a head that knows places keeps the strongest answer."""

Kmer = Annotated[
    int,
    Field(
        ge=1,
        le=5,
        description="Letters that are read as one sign, overlapping. 1: single letters. 3 "
        "for codons, or where motifs are exact words; memory grows as 4 to this power.",
    ),
]
Filters = Annotated[int, Field(ge=1, description="Motif filters of each member. 16 to 256.")]
Window = Annotated[
    int,
    Field(ge=1, le=101, description="Letters that a filter sees. The longest motif: 7-25."),
]
Blocks = Annotated[
    int,
    Field(
        ge=0,
        le=12,
        description="Dilated residual blocks behind the filters, which see how motifs lie "
        "to each other; n of them look 3 * 2^n letters to either side. 0: motifs alone.",
    ),
]
Hidden = Annotated[
    int, Field(ge=1, description="Units of the hidden layer of each member. 16 to 256.")
]
Members = Annotated[
    int,
    Field(
        ge=1,
        le=64,
        description="Networks that are trained side by side and answer together. More for "
        "few sequences, 1 for hundreds of thousands; time grows with them.",
    ),
]
Places = Annotated[
    bool | None,
    Field(
        description="Whether the place in a sequence has a meaning, as around a splice "
        "site: true needs sequences of one length. Unset: the task asks the training "
        "sequences (it looks whether letters depend on the place).",
    ),
]
Linear = Annotated[
    bool,
    Field(description="Whether a linear model of k-mers (and places) is trained along."),
]
Hide = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the letters that training shows as unknown, others at each "
        "step. Raise it for some hundred sequences, 0 for very many.",
    ),
]
Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Share of the features set to zero at each training step. Raise it "
        "when validation is much worse than training.",
    ),
]


class DnaCNN(nn.Module):
    """Members of motif filters, dilated blocks and a head, with a linear part beside them."""

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        reads: Literal["signals"] = "signals",
        kmer: Kmer = 1,
        filters: Filters = 32,
        window: Window = 11,
        blocks: Blocks = 2,
        hidden: Hidden = 32,
        members: Members = 4,
        places: Places = None,
        linear: Linear = True,
        hide: Hide = 0.1,
        dropout: Dropout = 0.3,
    ):
        super().__init__()
        letters, self.length = input_shape
        self.kmer, self.places, self.hide, self.members = kmer, bool(places), hide, members
        width = members * filters
        self.first = nn.Conv1d(letters**kmer, width, window, padding="same")
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=2**n, dilation=2**n, groups=members)
            for n in range(blocks)
        )
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        steps = math.ceil(self.length / STRIDE) if self.places else 0
        self.hidden = Dense(members, filters * (2 + steps), hidden)
        self.output = Dense(members, hidden, num_outputs)
        self.linear = (
            LinearWords(letters, self.length, num_outputs, members=members, places=self.places)
            if linear
            else None
        )
        initialize(self)

    def forward(self, signals_BCT: Tensor) -> Tensor:
        """Return each member's logits (B, M, O) in training mode, else those of all, (B, O)."""
        if self.places:
            signals_BCT = fitted(signals_BCT, self.length)
        here_BT = present_BT = present(signals_BCT)
        letters_BCT = self.hidden_letters(signals_BCT.nan_to_num(0.0), present_BT)
        kmers_BKT = kmers(letters_BCT, self.kmer)
        answers = self.first(kmers_BKT) * present_BT[:, None]
        # The strongest of STRIDE neighbours; the same as after the activation, and cheaper.
        features = self.activation(nn.functional.max_pool1d(answers, STRIDE, ceil_mode=True))
        present_BT = frames(present_BT, STRIDE)
        for block in self.blocks:
            features = features + self.activation(block(features)) * present_BT[:, None]
        found_BMD = self.dropout(self.pooled(features, present_BT))
        logits_BMO: Tensor = self.output(self.dropout(self.activation(self.hidden(found_BMD))))
        if self.linear is not None:
            logits_BMO = logits_BMO + self.linear(letters_BCT, here_BT)
        return logits_BMO if self.training else together(logits_BMO)

    def hidden_letters(self, letters_BCT: Tensor, present_BT: Tensor) -> Tensor:
        """In training, some letters become unknown: each equally probable."""
        if not (self.training and self.hide):
            return letters_BCT
        drawn_BT = torch.rand(present_BT.shape, device=letters_BCT.device) < self.hide
        unknown = 1 / letters_BCT.shape[1]
        return letters_BCT.masked_fill((drawn_BT & present_BT)[:, None], unknown)

    def pooled(self, features: Tensor, present_BT: Tensor) -> Tensor:
        """What the filters answered (B, M * F, T), without the time or in coarse steps of it."""
        parts = [max_over_time(features, present_BT), mean_over_time(features, present_BT)]
        split = [part.unflatten(1, (self.members, -1)) for part in parts]
        if self.places:
            split.append(features.unflatten(1, (self.members, -1)).flatten(2))
        return torch.cat(split, 2)


class Dense(nn.Module):
    """A dense layer for each member."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(members, 1, outputs))

    def forward(self, inputs_BMD: Tensor) -> Tensor:
        """(B, M, D) -> (B, M, O)."""
        return torch.baddbmm(self.bias, inputs_BMD.transpose(0, 1), self.weight).transpose(0, 1)


def fitted(signals_BCT: Tensor, length: int) -> Tensor:
    """The first ``length`` steps, with NaN where there are fewer."""
    missing = length - signals_BCT.shape[2]
    if missing > 0:
        return nn.functional.pad(signals_BCT, (0, missing), value=torch.nan)
    return signals_BCT[:, :, :length]


def together(logits_BMO: Tensor) -> Tensor:
    """The logarithm of the members' mean probabilities, (B, O); the mean of a single output."""
    if logits_BMO.shape[-1] == 1:
        return logits_BMO.mean(1)
    return logits_BMO.log_softmax(-1).logsumexp(1) - math.log(logits_BMO.shape[1])


def initialize(network: DnaCNN) -> None:
    """Set the first weights.

    | parameter              | first value                                              |
    |------------------------|----------------------------------------------------------|
    | filters, hidden layer  | normal, variance 2 / inputs (He et al. 2015, eq. 10)     |
    | blocks                 | the same by 1/4: at first they change little             |
    | output                 | normal, variance 0.09 / inputs                           |
    | linear part            | 0; without places a task may give it a regression's      |
    | every bias             | 0                                                        |
    """
    nn.init.kaiming_normal_(network.first.weight, nonlinearity="relu")
    for block in network.blocks:
        assert isinstance(block, nn.Conv1d)
        nn.init.kaiming_normal_(block.weight, nonlinearity="relu")
        with torch.no_grad():
            block.weight.mul_(0.5)
    nn.init.normal_(network.hidden.weight, std=math.sqrt(2 / network.hidden.weight.shape[1]))
    nn.init.normal_(network.output.weight, std=0.3 / math.sqrt(network.output.weight.shape[1]))
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)


NETWORK = DnaCNN
