"""Attention, positions, and the block of which every transformer is a stack.

Papers: Ashish Vaswani, Noam Shazeer, Niki Parmar, Jakob Uszkoreit, Llion Jones, Aidan Gomez, Łukasz
Kaiser and Illia Polosukhin (2017), "Attention Is All You Need", arXiv:1706.03762; rotary positions:
Jianlin Su, Yu Lu, Shengfeng Pan, Ahmed Murtadha, Bo Wen and Yunfeng Liu (2021), "RoFormer: Enhanced
Transformer with Rotary Position Embedding", arXiv:2104.09864.

Each token asks with its query how well it fits the key of every other token; the shares, which sum
to 1, say how much of each value it takes over: softmax(q kᵀ / √E) v, in several heads side by side.

What was read before is kept as keys and values of each layer, so that one more token costs one
token: ``State``, a list of (keys, values), each (B, H, S, E).
"""

# Letters in tensor names: B examples, T tokens that ask, S tokens that are asked, D width, H heads,
# E = D / H width of a head.

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from glassnet.networks._sequences import Explicit

KeysValues: TypeAlias = tuple[Tensor, Tensor]
State: TypeAlias = list[KeysValues]

Positions: TypeAlias = Annotated[
    Literal["sinusoidal", "learned", "rotary", "none"],
    Field(
        description="How tokens know their places. sinusoidal: waves added to the embeddings. "
        "learned: a vector for each place, which knows no place beyond the longest text of "
        "training. rotary: queries and keys are turned, so that only distances count. none: the "
        "order of words is lost, except to a decoder."
    ),
]
NumHeads: TypeAlias = Annotated[
    int, Field(ge=1, description="Heads of attention in each block; they share the width.")
]
Width: TypeAlias = Annotated[
    int,
    Field(
        ge=1,
        description="Numbers that stand for a token between the blocks, a multiple of num_heads. "
        "Time and parameters grow with its square.",
    ),
]
Activation: TypeAlias = Literal["relu", "gelu", "gelu_tanh"]

ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
}
SLOWEST = 10_000.0
"""The longest wave is about 2π times as many tokens (Vaswani et al. 2017, section 3.5)."""


class Attend(Explicit):
    """softmax(q kᵀ / √E) v: fused, or in steps with the shares (B, H, T, S) through ``shares``."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.shares = nn.Identity()

    def forward(
        self,
        q_BHTE: Tensor,
        k_BHSE: Tensor,
        v_BHSE: Tensor,
        seen: Tensor | None = None,
        causal: bool = False,
    ) -> Tensor:
        """Return what each token takes over, (B, H, T, E).

        Args:
            q_BHTE: Queries.
            k_BHSE: Keys.
            v_BHSE: Values.
            seen: Which tokens may be asked, bool that spreads to (B, H, T, S); not with causal.
            causal: A token asks only itself and those before it; the last of each are the same.
        """
        asking, asked = q_BHTE.shape[2], k_BHSE.shape[2]
        causal = causal and asking > 1  # a single one is the last, and may ask all
        if causal and (asked > asking or self.explicit):
            causal = False
            seen = q_BHTE.new_ones((asking, asked), dtype=torch.bool).tril(asked - asking)
        rate = self.dropout if self.training else 0.0
        if not self.explicit:
            return fused(q_BHTE, k_BHSE, v_BHSE, seen, rate, causal)
        scores_BHTS = q_BHTE @ k_BHSE.mT / math.sqrt(q_BHTE.shape[-1])
        if seen is not None:
            scores_BHTS = scores_BHTS.masked_fill(~seen, -math.inf)
        shares_BHTS = self.shares(scores_BHTS.softmax(-1))
        return F.dropout(shares_BHTS, rate) @ v_BHSE


def fused(
    q_BHTE: Tensor, k_BHSE: Tensor, v_BHSE: Tensor, seen: Tensor | None, rate: float, causal: bool
) -> Tensor:
    """One kernel for shares and values; on a CPU in float32, whatever comes in.

    Backward in bfloat16 takes ten times as long there (torch 2.13, Zen 4: 56 instead of 6 ms for
    128 texts of 18 tokens), which would cost all that bfloat16 saves elsewhere.
    """
    if q_BHTE.device.type != "cpu" or q_BHTE.dtype == torch.float32:
        return F.scaled_dot_product_attention(q_BHTE, k_BHSE, v_BHSE, seen, rate, causal)
    with torch.autocast("cpu", enabled=False):
        q, k, v = q_BHTE.float(), k_BHSE.float(), v_BHSE.float()
        found = F.scaled_dot_product_attention(q, k, v, seen, rate, causal)
    return found.to(q_BHTE.dtype)


class SelfAttention(nn.Module):
    """Every token asks the tokens of its own text."""

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_key_value = nn.Linear(width, 3 * width, bias)
        self.attend = Attend(dropout)
        self.output = nn.Linear(width, width, bias)

    def forward(
        self,
        inputs_BTD: Tensor,
        *,
        seen: Tensor | None = None,
        causal: bool = False,
        turns: KeysValues | None = None,
        past: KeysValues | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """Return (B, T, D), and the keys and values of all tokens up to here."""
        q, k, v = self.query_key_value(inputs_BTD).chunk(3, dim=-1)
        q_BHTE, k_BHSE, v_BHSE = (in_heads(part, self.num_heads) for part in (q, k, v))
        if turns is not None:
            q_BHTE, k_BHSE = turned(q_BHTE, turns), turned(k_BHSE, turns)
        if past is not None:
            k_BHSE = torch.cat((past[0], k_BHSE), 2)
            v_BHSE = torch.cat((past[1], v_BHSE), 2)
        heads_BHTE = self.attend(q_BHTE, k_BHSE, v_BHSE, seen, causal)
        return self.output(heads_BHTE.transpose(1, 2).flatten(2)), (k_BHSE, v_BHSE)


class CrossAttention(nn.Module):
    """Every token of one text asks the tokens of another one."""

    def __init__(self, width: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.attend = Attend(dropout)
        self.output = nn.Linear(width, width)

    def read(self, source_BSD: Tensor) -> KeysValues:
        """Return keys and values of the other text: once, however many tokens will ask it."""
        k, v = self.key_value(source_BSD).chunk(2, dim=-1)
        return in_heads(k, self.num_heads), in_heads(v, self.num_heads)

    def forward(self, inputs_BTD: Tensor, source: KeysValues, seen: Tensor) -> Tensor:
        """Return (B, T, D)."""
        q_BHTE = in_heads(self.query(inputs_BTD), self.num_heads)
        heads_BHTE = self.attend(q_BHTE, *source, seen)
        return self.output(heads_BHTE.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention within the text, across to another one, two dense layers: each adds a change.

    With ``norm_first`` the inputs of each part are normalized, and the sum passes unhindered from
    the first block to the last (Radford et al. 2019; Xiong et al. 2020); else the sums are, as in
    Vaswani et al. 2017.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        hidden: int,
        *,
        activation: Activation,
        dropout: float,
        attention_dropout: float = 0.0,
        norm_first: bool = True,
        across: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.within_norm = nn.LayerNorm(width, bias=bias)
        self.within = SelfAttention(width, num_heads, attention_dropout, bias)
        if across:
            self.across_norm = nn.LayerNorm(width)
            self.across = CrossAttention(width, num_heads, attention_dropout)
        self.dense_norm = nn.LayerNorm(width, bias=bias)
        self.dense = nn.Sequential(
            nn.Linear(width, hidden, bias),
            ACTIVATIONS[activation](),
            nn.Linear(hidden, width, bias),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BTD: Tensor,
        *,
        seen: Tensor | None = None,
        causal: bool = False,
        turns: KeysValues | None = None,
        past: KeysValues | None = None,
        source: KeysValues | None = None,
        source_seen: Tensor | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """Return (B, T, D), and the keys and values of all tokens up to here."""
        change_BTD, kept = self.within(
            self._before(self.within_norm, x_BTD), seen=seen, causal=causal, turns=turns, past=past
        )
        x_BTD = self._after(self.within_norm, x_BTD + self.dropout(change_BTD))
        if source is not None:
            change_BTD = self.across(self._before(self.across_norm, x_BTD), source, source_seen)
            x_BTD = self._after(self.across_norm, x_BTD + self.dropout(change_BTD))
        change_BTD = self.dense(self._before(self.dense_norm, x_BTD))
        return self._after(self.dense_norm, x_BTD + self.dropout(change_BTD)), kept

    def _before(self, norm: nn.Module, x_BTD: Tensor) -> Tensor:
        return norm(x_BTD) if self.norm_first else x_BTD

    def _after(self, norm: nn.Module, x_BTD: Tensor) -> Tensor:
        return x_BTD if self.norm_first else norm(x_BTD)


class Embedding(nn.Module):
    """From tokens to vectors that know their places."""

    def __init__(
        self,
        vocabulary: int,
        width: int,
        *,
        num_heads: int,
        positions: Positions,
        places: int,
        pad: int | None,
        scale: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(width, num_heads, positions)
        self.positions, self.scale, self.head_width = positions, scale, width // num_heads
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=pad)
        if positions == "learned":
            self.places = nn.Embedding(places, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens_BT: Tensor, first: int = 0) -> tuple[Tensor, KeysValues | None]:
        """Return vectors (B, T, D) and the turns of rotary positions.

        Args:
            tokens_BT: What is read now.
            first: The place of the first of them: how many were read before.

        Raises:
            ValueError: If learned positions do not reach that far.
        """
        x_BTD = self.tokens(tokens_BT)
        if self.scale != 1:
            x_BTD = x_BTD * self.scale
        places_T = torch.arange(first, first + tokens_BT.shape[1], device=tokens_BT.device)
        turns = None
        if self.positions == "learned":
            if len(places_T) + first > self.places.num_embeddings:
                raise ValueError(
                    f"{len(places_T) + first} tokens are more than the "
                    f"{self.places.num_embeddings} places that were learned"
                )
            x_BTD = x_BTD + self.places(places_T)
        elif self.positions == "sinusoidal":
            x_BTD = x_BTD + waves(places_T, x_BTD.shape[-1]).to(x_BTD.dtype)
        elif self.positions == "rotary":
            turns = angles(places_T, self.head_width)
        return self.dropout(x_BTD), turns


class Tied(nn.Module):
    """The logit of a token is how well the features fit its embedding (Press and Wolf 2017)."""

    def forward(self, features_BTD: Tensor, embedding_VD: Tensor) -> Tensor:
        """Return logits (B, T, V)."""
        return F.linear(features_BTD, embedding_VD)


def in_heads(x_BTD: Tensor, num_heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, E): each head has a part of the width."""
    x_BTHE: Tensor = x_BTD.unflatten(-1, (num_heads, -1))
    return x_BTHE.transpose(1, 2)


def waves(places_T: Tensor, width: int) -> Tensor:
    """Sinusoidal positions (T, D) (Vaswani et al. 2017, section 3.5).

    Number 2i is sin(place / 10000^(2i/D)), number 2i + 1 the cosine of the same. Those of place
    t + d are a turn of those of place t, the same turn for all t.
    """
    angle_TE = _phases(places_T, width + width % 2)
    return torch.stack((angle_TE.sin(), angle_TE.cos()), -1).flatten(1)[:, :width]


def angles(places_T: Tensor, width: int) -> KeysValues:
    """Cosine and sine (T, E/2) of how far rotary positions turn each pair of numbers."""
    angle_TE = _phases(places_T, width)
    return angle_TE.cos(), angle_TE.sin()


def turned(x_BHTE: Tensor, turns: KeysValues) -> Tensor:
    """Turn each pair of numbers by the angle of its place (Su et al. 2021, eq. 15).

    The product of a query and a key that were turned depends on the distance of their places alone.
    A pair is (i, i + E/2), where the paper has (2i, 2i + 1): the same but for the order.
    """
    cos_TE, sin_TE = (part.to(x_BHTE.dtype) for part in turns)
    one, two = x_BHTE.chunk(2, -1)
    return torch.cat((one * cos_TE - two * sin_TE, one * sin_TE + two * cos_TE), -1)


def _phases(places_T: Tensor, width: int) -> Tensor:
    """The angle of each place and wave, place / 10000^(2i / width): float32 (T, width / 2)."""
    i_E = torch.arange(0, width, 2, device=places_T.device, dtype=torch.float32)
    return places_T[:, None] * torch.exp(i_E * (-math.log(SLOWEST) / width))


def check_heads(width: int, num_heads: int, positions: Positions) -> None:
    """Refuse a width that cannot be divided among the heads."""
    if width % num_heads:
        raise ValueError(f"width {width} is no multiple of num_heads {num_heads}")
    if positions == "rotary" and width // num_heads % 2:
        raise ValueError(
            f"rotary positions turn pairs, and width {width} / num_heads {num_heads} is odd"
        )
