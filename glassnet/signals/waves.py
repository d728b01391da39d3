"""Other recordings of the same: speed, shift, level and noise of whole batches of sounds.

Each is drawn anew for each sound and step, from torch's global generator, on the device. Sounds are
(B, 1, S), ending in NaN, as ``networks/_series.py`` says; so are the results.
"""

# Letters in tensor names: B sounds, S samples.

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from glassnet.knobs import Knobs


class Waves(Knobs):
    """How recordings are changed while training; what they say stays."""

    speed: float = Field(
        0.1,
        ge=0,
        lt=0.5,
        description="Play up to this share faster or slower, which moves the pitch as well: 0.1 is "
        "usual for speech, where it stands for other speakers. 0 where pitch or pace tell the "
        "classes apart.",
    )
    shift: float = Field(
        0.05,
        ge=0,
        le=10,
        description="Move a sound by up to this many seconds, filled with silence; what leaves is "
        "lost. 0.05-0.1 for commands that were cut out of a recording.",
    )
    noise: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the sounds that noise is added to, 10 to 40 dB weaker than they are, "
        "white to pink. Raise it for use in noisy places; 0 if noise is what is told apart.",
    )
    gain: float = Field(
        6.0,
        ge=0,
        le=40,
        description="Decibels by which a sound is made louder or softer, at most. It only matters "
        "where the spectrogram is not normalized.",
    )

    def changed(self, sounds_B1S: Tensor, rate: int) -> Tensor:
        """Return changed sounds (B, 1, S') of the same rate, in Hz."""
        if self.speed:
            sounds_B1S = at_other_speed(sounds_B1S, self.speed)
        if self.shift:
            sounds_B1S = shifted(sounds_B1S, round(self.shift * rate))
        if self.noise:
            sounds_B1S = noisy(sounds_B1S, self.noise)
        if self.gain:
            decibels_B = (2 * _draw(sounds_B1S) - 1) * self.gain
            sounds_B1S = sounds_B1S * (10 ** (decibels_B / 20))[:, None, None]
        return sounds_B1S


NO_CHANGE = Waves(speed=0, shift=0, noise=0, gain=0)


def at_other_speed(sounds_B1S: Tensor, most: float) -> Tensor:
    """Play each at its own speed, 1 - most to 1 + most, by linear interpolation."""
    num_samples = sounds_B1S.shape[2]
    speed_B = 1 + (2 * _draw(sounds_B1S) - 1) * most
    ends_B = (~sounds_B1S[:, 0].isnan()).sum(1)
    lasts_B = ((ends_B - 1).clamp(min=0) / speed_B).floor()
    places_BS = torch.arange(int(lasts_B.max()) + 1, device=sounds_B1S.device) * speed_B[:, None]
    before_BS = places_BS.long().clamp(max=num_samples - 1)
    share_BS = places_BS - before_BS
    wave_BS = sounds_B1S[:, 0].nan_to_num(0.0)
    here_BS = wave_BS.gather(1, before_BS)
    next_BS = wave_BS.gather(1, (before_BS + 1).clamp(max=num_samples - 1))
    changed_BS = here_BS + (next_BS - here_BS) * share_BS
    beyond_BS = torch.arange(changed_BS.shape[1], device=ends_B.device) > lasts_B[:, None]
    return changed_BS.masked_fill(beyond_BS | (ends_B == 0)[:, None], torch.nan)[:, None]


def shifted(sounds_B1S: Tensor, most: int) -> Tensor:
    """Move each by its own number of samples, ``most`` at most."""
    by_B = ((2 * _draw(sounds_B1S) - 1) * most).round().long()
    places_BS = torch.arange(sounds_B1S.shape[2], device=by_B.device) - by_B[:, None]
    outside_BS = (places_BS < 0) | (places_BS >= sounds_B1S.shape[2])
    moved_BS = sounds_B1S[:, 0].gather(1, places_BS.clamp(0, sounds_B1S.shape[2] - 1))
    silent_BS = moved_BS.masked_fill(outside_BS | moved_BS.isnan(), 0.0)
    return silent_BS[:, None].masked_fill(sounds_B1S.isnan(), torch.nan)


def noisy(sounds_B1S: Tensor, share: float, weakest: float = 40, strongest: float = 10) -> Tensor:
    """Add noise to a share of the sounds, so many decibels weaker than each sound is."""
    wave_BS = sounds_B1S[:, 0].nan_to_num(0.0)
    count_B1 = (~sounds_B1S[:, 0].isnan()).sum(1, keepdim=True).clamp(min=1)
    level_B1 = (wave_BS.square().sum(1, keepdim=True) / count_B1).sqrt()
    white_BS = torch.randn_like(wave_BS)
    # Each sample is mixed with the one before: the more of it, the less high frequency there is.
    pink_BS = white_BS + _draw(sounds_B1S)[:, None] * white_BS.roll(1, 1)
    noise_BS = pink_BS / pink_BS.std(1, keepdim=True)
    decibels_B1 = weakest + (strongest - weakest) * _draw(sounds_B1S)[:, None]
    chosen_B1 = (_draw(sounds_B1S) < share)[:, None]
    scale_B1 = level_B1 * 10 ** (-decibels_B1 / 20) * chosen_B1
    return sounds_B1S + (noise_BS * scale_B1)[:, None]


def _draw(sounds_B1S: Tensor) -> Tensor:
    """A number in 0 to 1 for each sound."""
    return torch.rand(len(sounds_B1S), device=sounds_B1S.device)
