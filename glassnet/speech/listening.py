"""The network that listens: a spectrogram, stripes hidden while training, and what answers it."""

# Letters in tensor names: B sounds, S samples, U frames, O outputs.

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glassnet.networks._sound import LogMel, SpecAugment
from glassnet.speech import ctc
from glassnet.speech.transcribe import Search, Transcript, transcribe, transcribe_windows
from glassnet.task import Prediction

TOGETHER = 16
"""Recordings that are heard at once."""


class Listener(nn.Module):
    """Sounds (B, 1, S) with NaN behind their ends -> an answer for each frame (B, U, O)."""

    def __init__(self, features: LogMel, hide: SpecAugment, body: nn.Module):
        super().__init__()
        self.features, self.hide, self.body = features, hide, body
        self.seconds = features.hop * int(body.stride) / features.rate  # type: ignore[arg-type]
        """Of a frame."""

    def forward(self, sounds_B1S: Tensor) -> Tensor:
        """Return (B, U, O); NaN behind the end of a sound."""
        return self.body(self.hide(self.features(sounds_B1S)))  # type: ignore[no-any-return]


def seconds(network: nn.Module) -> float:
    """How long a frame of a network is, whatever wraps it."""
    return next(part.seconds for part in network.modules() if isinstance(part, Listener))


def short(
    network: nn.Module, names: Sequence[str], sounds_B1S: Tensor, search: Search, facts: Any
) -> list[Prediction]:
    """What is said in recordings that are heard whole."""
    answers = []
    for name, logs_UV in zip(names, frames(network, sounds_B1S), strict=True):
        answers.append(_answer(name, transcribe(logs_UV, seconds(network), search, facts)))
    return answers


def long(
    network: nn.Module,
    name: str,
    windows: Iterable[tuple[float, Tensor]],
    search: Search,
    facts: Any,
    told: Callable[[int], None],
) -> Prediction:
    """What is said in a recording that comes in windows (1, 1, S), with where each begins."""
    heard = ((begin, frames(network, sound_11S)[0]) for begin, sound_11S in windows)
    found = transcribe_windows(
        heard, seconds(network), search, facts, lambda done: told(round(done))
    )
    return _answer(name, found)


def frames(network: nn.Module, sounds_B1S: Tensor) -> list[Tensor]:
    """The log-probabilities (U, V) of the frames of each sound, in evaluation mode."""
    network.eval()
    where = next(network.parameters()).device
    found = []
    with torch.inference_mode():
        for some_B1S in sounds_B1S.split(TOGETHER) if len(sounds_B1S) else ():
            outputs_BUV = network(some_B1S.to(where))
            logs_BUV = ctc.log_shares(outputs_BUV).cpu()
            lengths = ctc.lengths(outputs_BUV).tolist()
            found += [logs_UV[:n] for logs_UV, n in zip(logs_BUV, lengths, strict=True)]
    return found


def _answer(name: str, found: Transcript) -> Prediction:
    words = [
        {"word": word.text, "begin": round(word.begin, 3), "end": round(word.end, 3)}
        for word in found.words
    ]
    return Prediction(name, found.text, {"certainty": found.certainty, "words": words})
