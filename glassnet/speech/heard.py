"""What a network hears in utterances, how well, and how a language model is weighed.

An ``Outcome`` of speech recognition has one row of numbers for each utterance, whose sums over
utterances give the figures: a word error rate is no mean over sentences. Its targets and answers
are tokens (N, L), filled up with blanks. Where a language model
helps, further columns tell the best candidates of each utterance by sound, by model and by number
of words, so that ``Weights`` can be chosen on the validation utterances after the search, and then
hold for others.
"""

# Letters in tensor names: N utterances, B of a batch, U frames, V tokens, L tokens of a text,
# K candidates.

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from glassnet.progress import tell
from glassnet.speech import beam, ctc
from glassnet.speech.beam import Fusion
from glassnet.speech.ctc import BLANK
from glassnet.speech.mistakes import distance
from glassnet.speech.wording import referred, spelled, units_of
from glassnet.task import Batch, Examples, Metric, Outcome

LOSS, TOKENS, WORDS, SIGNS, GREEDY_WORDS, GREEDY_SIGNS, WORD_EDITS, SIGN_EDITS = range(8)
"""Columns of each utterance: its loss (nats); tokens, words and characters of its reference; the
changes of words and characters that make what the best path spells of the reference, and those
that make what the search found of it (NaN where none was made)."""
FIXED = 8
OF_CANDIDATE = 5
"""Then for each candidate: log p by sound, by the model, its words, its changes as above."""
BEST = 10
"""Candidates that are kept of each search."""
ALPHA, BETA = 0.5, 1.0
"""The weights of the search, and of the answers before others were chosen."""
ALPHAS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
BETAS = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0)


def wer(outcome: Outcome) -> float:
    """Word error rate: changed, missing and added words, per word of the references."""
    return _rate(outcome, WORD_EDITS, WORDS)


def cer(outcome: Outcome) -> float:
    """Character error rate: the same for characters, spaces included."""
    return _rate(outcome, SIGN_EDITS, SIGNS)


def greedy_wer(outcome: Outcome) -> float:
    """Word error rate of the best paths, which are searched for in no time."""
    return _rate(outcome, GREEDY_WORDS, WORDS)


def greedy_cer(outcome: Outcome) -> float:
    """Character error rate of the best paths."""
    return _rate(outcome, GREEDY_SIGNS, SIGNS)


def exact(outcome: Outcome) -> float:
    """Share of utterances that were heard without any mistake."""
    edits = outcome.outputs[:, WORD_EDITS]
    return float((edits == 0).double().mean()) if edits.isfinite().all() else math.nan


def loss(outcome: Outcome) -> float:
    """Mean CTC loss (nats) per token of the references."""
    return _rate(outcome, LOSS, TOKENS)


METRICS = (
    Metric("wer", wer, better="lower", costly=True),
    Metric("cer", cer, better="lower", costly=True),
    Metric("exact", exact, proportion=True, costly=True),
    Metric("greedy_wer", greedy_wer, better="lower"),
    Metric("greedy_cer", greedy_cer, better="lower"),
    Metric("loss", loss, better="lower"),
)


def _rate(outcome: Outcome, part: int, whole: int) -> float:
    sums = outcome.outputs[:, :FIXED].double().sum(0)
    return float(sums[part] / sums[whole]) if sums[whole] else math.nan


# --- Hearing --------------------------------------------------------------------------------------


def hear(
    network: nn.Module,
    examples: Examples[Batch],
    batches: Sequence[Tensor],
    facts: Any,
    fusion: Fusion | None = None,
    width: int | None = None,
) -> Outcome:
    """Hear all examples in evaluation mode.

    Args:
        network: Logits (B, U, V) for each batch.
        examples: With token targets.
        batches: Positions that are heard together.
        facts: With the vocabulary.
        fusion: The language model, if one helps.
        width: Beginnings that are followed at once; 1: the best path is the answer. None: nothing
            is searched for, and the best path is told alone.
    """
    rows: list[Tensor] = []
    texts: list[Tensor] = []
    said: list[Tensor] = []
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for batch in examples.batches(batches):
            outputs_BUV = network(batch.inputs).float()
            logs_BUV, num_frames_B = ctc.log_shares(outputs_BUV), ctc.lengths(outputs_BUV)
            losses_B = ctc.total(outputs_BUV, batch.targets)
            logs_BUV = logs_BUV.cpu()
            for place, target_L in enumerate(batch.targets.cpu()):
                logs_UV = logs_BUV[place, : int(num_frames_B[place])]
                found = candidates(logs_UV, fusion, width or 1)
                (path,) = ctc.greedy(logs_UV[None], num_frames_B[place : place + 1])
                edits, reference, text = _judged(target_L, found, facts)
                greedy, _, _ = _judged(target_L, [(path.tokens,)], facts)
                first = edits[0] if width else (math.nan, math.nan)
                fixed = [float(losses_B[place]), *reference, *greedy[0], *first]
                rows.append(_row(fixed, found, edits, fusion))
                texts.append(text)
                said.append(target_L)
            if width and width > 1:
                tell("beam search", len(rows), len(examples))
    network.train(was_training)
    order = torch.cat(list(batches)).argsort().cpu()
    outputs, answers = _stacked(rows, fusion), _padded(texts, fusion)
    references = nn.utils.rnn.pad_sequence(said, batch_first=True, padding_value=BLANK)
    outcome = Outcome(outputs[order], references[order], answers[order])
    return outcome if fusion is None else Weights(alpha=ALPHA, beta=BETA)._placed(outcome)


def candidates(
    logs_UV: Tensor, fusion: Fusion | None, width: int
) -> list[tuple[tuple[int, ...], float, float, int]]:
    """Texts that may have been said: tokens, log p by sound and by the model, number of words.

    With a language model the best of a search with it and of one without, so that any weights can
    choose among them.
    """
    if width == 1:
        logs_1UV = logs_UV[None]
        (best,) = ctc.greedy(logs_1UV, torch.tensor([len(logs_UV)]))
        found = {best.tokens: best.log_probability}
    else:
        found = {one.tokens: one.sound for one in beam.search(logs_UV, width)[:BEST]}
    if fusion is None:
        return [(tokens, sound, 0.0, 0) for tokens, sound in list(found.items())[:1]]
    for one in beam.search(logs_UV, max(2, width), fusion)[:BEST]:
        found[one.tokens] = max(one.sound, found.get(one.tokens, -math.inf))
    return [(tokens, sound, *fusion.total(tokens)) for tokens, sound in found.items()]


def _judged(
    target_L: Tensor, found: Sequence[Any], facts: Any
) -> tuple[list[tuple[int, int]], tuple[int, int, int], Tensor]:
    """The changes of words and characters of each text that was found, and all texts (K, L).

    Between them, how many tokens, words and characters the reference has.
    """
    said = target_L[target_L != BLANK].tolist()
    reference = referred(said, facts)
    words = units_of(reference, facts)
    edits = []
    for tokens, *_ in found:
        ours = spelled(tokens, facts)
        edits.append((distance(words, units_of(ours, facts)), distance(reference, ours)))
    texts = nn.utils.rnn.pad_sequence(
        [torch.tensor(tokens, dtype=torch.int64) for tokens, *_ in found], batch_first=True
    )
    return edits, (len(said), len(words), len(reference)), texts


def _row(
    fixed: Sequence[float], found: Sequence[Any], edits: Sequence[Any], fusion: Fusion | None
) -> Tensor:
    """The columns of an utterance, with those of its candidates if there is a language model."""
    more = [
        value
        for (_, sound, model, number), edit in zip(found, edits, strict=True)
        for value in (sound, model, number, *edit)
    ]
    return torch.tensor([*fixed, *(more if fusion else ())], dtype=torch.float64)


def _stacked(rows: Sequence[Tensor], fusion: Fusion | None) -> Tensor:
    """Rows of one width; candidates that are not there are impossible."""
    if fusion is None:
        return torch.stack(list(rows))
    width = FIXED + 2 * BEST * OF_CANDIDATE
    filled = torch.zeros(len(rows), width, dtype=torch.float64)
    filled[:, FIXED::OF_CANDIDATE] = -math.inf
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


def _padded(texts: Sequence[Tensor], fusion: Fusion | None) -> Tensor:
    """Answers (N, L), or of all candidates (N, K, L)."""
    longest = max((text.shape[1] for text in texts), default=0)
    number = 1 if fusion is None else 2 * BEST
    answers = torch.full((len(texts), number, longest), BLANK)
    for place, text in enumerate(texts):
        answers[place, : len(text), : text.shape[1]] = text
    return answers[:, 0] if fusion is None else answers


# --- The weights of a language model --------------------------------------------------------------


class Weights(BaseModel):
    """How much a language model says; chosen on validation utterances, kept in decision.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: float
    """What the model's log-probability counts; 0: nothing."""
    beta: float
    """What each word more counts (nats)."""
    examples: int = 0
    """Validation utterances that chose them; 0: they are the usual ones."""

    @property
    def rule(self) -> str:
        """In a few words."""
        return f"language model weighed {self.alpha:g}, {self.beta:+g} a word"

    def best(self, sounds: Tensor, models: Tensor, numbers: Tensor) -> Tensor:
        """The best candidate of each utterance; (N, K) each -> (N,)."""
        return (sounds + self.alpha * models + self.beta * numbers).argmax(1)

    def apply(self, outcome: Outcome) -> Outcome:
        """The same utterances, each with its best candidate by these weights."""
        if outcome.outputs.shape[1] == FIXED:  # heard without a model, as after each epoch
            return outcome
        placed = self._placed(outcome)
        assert placed.answers is not None
        best = self._choice(outcome)
        return Outcome(
            placed.outputs[:, :FIXED], placed.targets, placed.answers[torch.arange(len(best)), best]
        )

    def _choice(self, outcome: Outcome) -> Tensor:
        columns = outcome.outputs[:, FIXED:].unflatten(1, (-1, OF_CANDIDATE))
        return self.best(columns[:, :, 0], columns[:, :, 1], columns[:, :, 2])

    def _placed(self, outcome: Outcome) -> Outcome:
        """The same with the changes of the best candidates among the fixed columns."""
        columns = outcome.outputs[:, FIXED:].unflatten(1, (-1, OF_CANDIDATE))
        best = self._choice(outcome)
        chosen = columns[torch.arange(len(best)), best]
        outputs = outcome.outputs.clone()
        outputs[:, WORD_EDITS], outputs[:, SIGN_EDITS] = chosen[:, 3], chosen[:, 4]
        return Outcome(outputs, outcome.targets, outcome.answers)


def choose(
    outcome: Outcome | None, alpha: float | None = None, beta: float | None = None
) -> Weights:
    """The weights with the fewest mistakes in words, then in characters; the usual ones on a tie.

    ``outcome`` are the validation utterances with their candidates; without them the usual weights.
    ``alpha`` and ``beta`` are not chosen where they are given.
    """
    alphas, betas = ALPHAS if alpha is None else (alpha,), BETAS if beta is None else (beta,)
    usual = Weights(alpha=ALPHA if alpha is None else alpha, beta=BETA if beta is None else beta)
    if outcome is None or outcome.outputs.shape[1] == FIXED:
        return usual
    number = len(outcome.outputs)

    def mistakes(weights: Weights) -> tuple[float, float, float]:
        sums = weights._placed(outcome).outputs[:, :FIXED].sum(0)
        far = abs(weights.alpha - ALPHA) + abs(weights.beta - BETA)
        return float(sums[WORD_EDITS]), float(sums[SIGN_EDITS]), far

    if alpha is not None and beta is not None:
        return usual
    grid = [Weights(alpha=a, beta=b, examples=number) for a in alphas for b in betas]
    return min(grid, key=mistakes)


# --- A plain method to compare with ---------------------------------------------------------------


def most_frequent(
    recipe: Any, known: Examples[Batch], asked: Examples[Batch], facts: Any
) -> Outcome:
    """Always the transcript that training had most often: what a deaf network could answer."""
    texts: Any = known
    counts: dict[tuple[int, ...], int] = {}
    for row in texts.targets.tolist():
        text = tuple(token for token in row if token != BLANK)
        counts[text] = counts.get(text, 0) + 1
    best = max(counts, key=lambda text: (counts[text], text))
    others: Any = asked
    targets = others.targets.cpu()
    rows = []
    for target_L in targets:
        edits, reference, _ = _judged(target_L, [(best,)], facts)
        rows.append(torch.tensor([math.nan, *reference, *edits[0], *edits[0]], dtype=torch.float64))
    answers = torch.tensor(best, dtype=torch.int64).expand(len(targets), -1)
    return Outcome(torch.stack(rows), targets, answers)
