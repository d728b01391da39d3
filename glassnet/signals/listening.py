"""What tasks that listen are put together from: knobs, and the front of their networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from glassnet.errors import UserError
from glassnet.knobs import Knobs
from glassnet.networks._sound import LogMel, Normalize, SpecAugment

# --- Knobs ----------------------------------------------------------------------------------------

Names = Annotated[
    str | None,
    Field(
        description="What the names of the files say, without their endings: "
        "{label}_{speaker}_{take} reads 7_theo_3.wav. Fields of your own may be used by "
        "`held_out`. Unset: folders or a list say it.",
    ),
]

Target = Annotated[
    str | None,
    Field(
        description="The column of a list, or the field of `names`, that holds the labels. Unset: "
        "one that is called label, class, category or the like.",
    ),
]

HeldOut = Annotated[
    str | None,
    Field(
        description="Which sounds are the test part: a speaker, several with commas between, or a "
        "column (or field of `names`) and its values, such as take=0,1,2. Unset: the test part of "
        "the data, or drawn at random.",
    ),
]

ApartSpeakers = Annotated[
    Literal["mixed", "apart"],
    Field(
        description="apart: nobody is heard in two of training, validation and test, so that the "
        "figures tell how well strangers are understood. mixed: sounds are drawn one by one.",
    ),
]

Rate = Annotated[
    int | None,
    Field(
        ge=2000,
        le=192_000,
        description="Samples a second that all sounds are brought to. Unset: what most training "
        "sounds have, 16,000 at most. Raise it where high tones matter, such as for bats, birds "
        "and machines.",
    ),
]

Longest = Annotated[
    float,
    Field(
        gt=0.05,
        le=3600,
        description="Seconds after which a sound is cut. Lower it if the classes can be told by "
        "the beginning of long recordings; time grows with it.",
    ),
]


class Mel(Knobs):
    """The spectrogram that the network reads."""

    bands: int = Field(
        40,
        ge=8,
        le=256,
        description="Mel bands. 40 for spoken words at 8,000 Hz, 64-80 for higher rates and for "
        "sounds of all kinds.",
    )
    window: float = Field(
        0.025, ge=0.002, le=1, description="Seconds under each window. Longer ones part tones "
        "that lie close, shorter ones show fast changes."
    )  # fmt: skip
    hop: float = Field(
        0.010, ge=0.001, le=1, description="Seconds from one window to the next. 0.02 halves the "
        "time."
    )  # fmt: skip
    low: float = Field(20.0, ge=0, description="Hz, where the lowest band begins.")
    high: float | None = Field(
        None, gt=0, description="Hz, where the highest band ends. Unset: half the rate."
    )
    normalize: Normalize = Field(
        "sound",
        description="What is taken out of a spectrogram. sound: level and contrast of the whole. "
        "band: the same of each band by itself, against other microphones; hums are lost. none.",
    )


class Hide(Knobs):
    """Stripes of the spectrogram that training hides (SpecAugment, Park et al. 2019)."""

    bands: int = Field(2, ge=0, le=20, description="How many stripes of bands. 0: none.")
    band_share: float = Field(
        0.15, ge=0, lt=1, description="Share of all bands under the widest stripe."
    )
    times: int = Field(2, ge=0, le=20, description="How many stripes of time. 0: none.")
    time_share: float = Field(
        0.1, ge=0, lt=1, description="Share of a sound's length under the longest stripe. Lower "
        "it where a short moment decides."
    )  # fmt: skip


def front(mel: Mel, hide: Hide, rate: int) -> tuple[LogMel, SpecAugment]:
    """The layers between samples at ``rate`` Hz and a network that reads spectrograms.

    Raises:
        UserError: If such spectrograms cannot be made of sounds of this rate.
    """
    if mel.low >= (mel.high or rate / 2) or (mel.high or 0) > rate / 2:
        raise UserError(
            f"mel.low={mel.low:g} and mel.high={mel.high or rate / 2:g} Hz must be in order and "
            f"at most half the rate, {rate / 2:g} Hz."
        )
    try:
        first = LogMel(
            rate, mels=mel.bands, window=mel.window, hop=mel.hop, low=mel.low, high=mel.high,
            normalize=mel.normalize,
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f"mel: {error}.") from None
    return first, SpecAugment(**hide.model_dump())


def listening(first: tuple[LogMel, SpecAugment], network: nn.Module) -> nn.Sequential:
    """The whole network: from samples (B, 1, S) to what ``network`` makes of spectrograms."""
    return nn.Sequential(*first, network)
