"""What stands first in a network that listens: a spectrogram on the scale of hearing.

``LogMel`` turns samples into the logarithm of the power in bands that are as wide as hearing
resolves them (mel scale after Malcolm Slaney (1998), "Auditory Toolbox", the scale and the
normalization that librosa has by default): windows of 25 ms, a new one each 10 ms. It works on
whole batches, on the device; a sound may have any length.

``SpecAugment`` hides stripes of frequency and of time while training (Daniel S. Park et al. (2019),
"SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
arXiv:1904.08779). Ours has no time warping, which the paper's section 5 found to matter least, and
its widths are shares of the whole, so that they suit sounds of a second as well as of ten.
"""

# Letters in tensor names: B sounds, S samples, M mel bands, F frequencies, U frames.

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from glassnet.networks._series import frames, present

Normalize: TypeAlias = Literal["sound", "band", "none"]
RANGE = 1e-8
"""Power, as a share of the loudest of a sound, below which nothing is told apart: 80 dB."""
LEAST = 1e-10
"""Power below which everything is silence."""
SPREAD = 1e-2
"""Least deviation that is scaled to 1: silence stays flat."""


class LogMel(nn.Module):
    """Sounds (B, 1, S) of one rate, ending in NaN -> log-mel (B, mels, ceil(S / hop)), as well.

    Frame u is centred at sample u * hop. What lies before the first sample and after the last is
    silence, so that a sound is answered the same whatever it is padded with.
    """

    window: Tensor
    filters_FM: Tensor

    def __init__(
        self,
        rate: int,
        *,
        mels: int = 64,
        window: float = 0.025,
        hop: float = 0.010,
        low: float = 20.0,
        high: float | None = None,
        normalize: Normalize = "sound",
    ):
        """``window`` and ``hop`` are in seconds, ``low`` and ``high`` in Hz (unset: half the rate).

        ``normalize`` takes level and contrast out: of the whole sound; of each band by itself, as
        speech recognition does against microphones and rooms; or of neither.
        """
        super().__init__()
        size, self.hop = round(window * rate), round(hop * rate)
        if size < 2 or self.hop < 1:
            raise ValueError(f"windows of {window} s each {hop} s are too short for {rate} Hz")
        self.rate, self.mels, self.normalize = rate, mels, normalize
        self.num_fft = 1 << (size - 1).bit_length()
        filters = mel_filters(rate, self.num_fft, mels, low, high or rate / 2)
        self.register_buffer("filters_FM", filters, persistent=False)
        shape = nn.functional.pad(torch.hann_window(size), self._margins(size))
        self.register_buffer("window", shape, persistent=False)

    def _margins(self, size: int) -> tuple[int, int]:
        before = (self.num_fft - size) // 2
        return before, self.num_fft - size - before

    def frames(self, num_samples: int) -> int:
        """How many frames a sound of so many samples has."""
        return math.ceil(num_samples / self.hop)

    def forward(self, sounds_B1S: Tensor) -> Tensor:
        """Return the normalized log-mel spectrogram (B, M, U); NaN after the end of a sound."""
        log_BMU, present_BU = self.log_mel(sounds_B1S)
        if self.normalize != "none":
            log_BMU = normalized(log_BMU, present_BU, (1, 2) if self.normalize == "sound" else (2,))
        return log_BMU.masked_fill(~present_BU[:, None], torch.nan)

    def log_mel(self, sounds_B1S: Tensor) -> tuple[Tensor, Tensor]:
        """Return the natural logarithm of the power in each band, (B, M, U), not normalized, and
        which frames are there, (B, U).
        """
        present_BU = frames(present(sounds_B1S), self.hop)
        # Half precision is too coarse for a power; `glassnet trace` computes in float64.
        exact = torch.promote_types(sounds_B1S.dtype, torch.float32)
        wave_BS = sounds_B1S[:, 0].to(exact).nan_to_num(0.0)
        num_frames = self.frames(wave_BS.shape[1])
        half = self.num_fft // 2
        behind = (num_frames - 1) * self.hop + self.num_fft - half - wave_BS.shape[1]
        padded_BS = nn.functional.pad(wave_BS, (half, max(0, behind)))
        with torch.autocast(wave_BS.device.type, enabled=False):
            pieces_BUN = padded_BS.unfold(1, self.num_fft, self.hop)[:, :num_frames]
            spectrum_BUF = torch.fft.rfft(pieces_BUN * self.window)
            power_BUF = spectrum_BUF.real.square() + spectrum_BUF.imag.square()
            mel_BMU = (power_BUF @ self.filters_FM).transpose(1, 2)
        # A frame behind the end hears the end too, but is there only if something is longer.
        loudest_B11 = (mel_BMU * present_BU[:, None]).amax((1, 2), keepdim=True)
        return mel_BMU.maximum((loudest_B11 * RANGE).clamp(min=LEAST)).log(), present_BU


class SpecAugment(nn.Module):
    """Hide stripes of a normalized spectrogram (B, M, U) while training; else change nothing.

    What is hidden becomes 0, the mean. Drawn from torch's global generator.
    """

    def __init__(
        self, *, bands: int = 2, band_share: float = 0.15, times: int = 2, time_share: float = 0.1
    ):
        """``bands`` stripes of up to ``band_share`` of all bands, ``times`` of ``time_share`` of
        the frames of each sound.
        """
        super().__init__()
        self.bands, self.band_share, self.times, self.time_share = (
            bands, band_share, times, time_share,
        )  # fmt: skip

    def forward(self, mels_BMU: Tensor) -> Tensor:
        """Return the spectrogram with other stripes hidden each time."""
        if not self.training or not (self.bands or self.times):
            return mels_BMU
        num, num_mels, num_frames = mels_BMU.shape
        where = mels_BMU.device
        ends_B = (~mels_BMU[:, 0].isnan()).sum(1)
        all_B = torch.full((num,), num_mels, device=where)
        rows_BM = stripes(self.bands, self.band_share, all_B, num_mels)
        steps_BU = stripes(self.times, self.time_share, ends_B, num_frames)
        hidden_BMU = rows_BM[:, :, None] | steps_BU[:, None, :]
        return mels_BMU.masked_fill(hidden_BMU & ~mels_BMU.isnan(), 0.0)


def stripes(number: int, share: float, sizes_B: Tensor, longest: int) -> Tensor:
    """Draw ``number`` stripes in each row, of up to ``share`` of its size; bool (B, longest)."""
    places = torch.arange(longest, device=sizes_B.device)
    hidden = torch.zeros(len(sizes_B), longest, dtype=torch.bool, device=sizes_B.device)
    for _ in range(number):
        drawn_2B = torch.rand(2, len(sizes_B), device=sizes_B.device)
        widths_B1 = (drawn_2B[0] * share * sizes_B).round()[:, None]
        begins_B1 = (drawn_2B[1, :, None] * (sizes_B[:, None] - widths_B1 + 1)).floor()
        hidden |= (places >= begins_B1) & (places < begins_B1 + widths_B1)
    return hidden


def normalized(mels_BMU: Tensor, present_BU: Tensor, over: tuple[int, ...]) -> Tensor:
    """Mean 0 and deviation 1 over the axes ``over``, counted where a sound is present."""
    counted_BMU = present_BU[:, None].expand_as(mels_BMU).to(mels_BMU.dtype)
    total = counted_BMU.sum(over, keepdim=True).clamp(min=1)
    mean = (mels_BMU * counted_BMU).sum(over, keepdim=True) / total
    square = ((mels_BMU - mean).square() * counted_BMU).sum(over, keepdim=True) / total
    return (mels_BMU - mean) / square.sqrt().clamp(min=SPREAD)


def mel_filters(rate: int, num_fft: int, mels: int, low: float, high: float) -> Tensor:
    """Triangles of equal area over the frequencies of a spectrum, (num_fft / 2 + 1, mels).

    Slaney's scale is linear up to 1,000 Hz (3 mel each 200 Hz) and logarithmic above (27 mel for
    each factor of 6.4).

    Raises:
        ValueError: If a band is narrower than what the window resolves.
    """
    first, last = mel(torch.tensor([low, high])).tolist()
    edges = hertz(torch.linspace(first, last, mels + 2, dtype=torch.float64))
    bins_F1 = torch.linspace(0, rate / 2, num_fft // 2 + 1, dtype=torch.float64)[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rise_FM = (bins_F1 - lower) / (centre - lower)
    fall_FM = (upper - bins_F1) / (upper - centre)
    filters_FM = rise_FM.minimum(fall_FM).clamp(min=0) * (2 / (upper - lower))
    if empty := int((filters_FM.sum(0) == 0).sum()):
        raise ValueError(
            f"{mels} mel bands are too many for sounds of {rate} Hz: {empty} of them hold no "
            f"frequency of windows of {num_fft} samples; take fewer bands or longer windows"
        )
    return filters_FM.float()


def mel(hz: Tensor) -> Tensor:
    """Hertz on Slaney's mel scale."""
    hz = hz.double()
    return torch.where(hz < 1000, hz * 0.015, 15 + 27 * (hz.clamp(min=1) / 1000).log() / _STEP)


def hertz(mels: Tensor) -> Tensor:
    """Slaney's mel in hertz."""
    mels = mels.double()
    return torch.where(mels < 15, mels / 0.015, 1000 * ((mels - 15) * _STEP / 27).exp())


_STEP = math.log(6.4)
