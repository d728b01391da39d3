"""How good translations are: figures from sums over sentences, and the views of the report.

An ``Outcome`` of translation has one row of numbers for each sentence, whose sums over sentences
give the figures of a whole text: BLEU and chrF of a corpus are no means over sentences. So any
selection of rows, such as a bootstrap's, has its figures too. The statistics and the formulas are
sacreBLEU's own (Post 2018, "A Call for Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from glassnet.figures import Cell, Table
from glassnet.losses import Loss
from glassnet.networks._sequences import PAD
from glassnet.task import Batch, Examples, Metric, Outcome, Reading, Review

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric as Judge

FORCED = 3
"""Columns of each sentence: its loss (nats), its tokens, and how many of them were foretold."""
BLEU = 2 + 2 * 4
"""Then for BLEU: lengths of translation and reference, n-grams that agree, all n-grams, n = 1-4."""
CHRF = 3 * 6
"""Then for chrF: character n-grams of translation, of reference, of both, for n = 1 to 6."""
NUM_SHOWN = 8
UNSPACED = {
    "zh": "zh", "chinese": "zh", "ja": "char", "japanese": "char", "ko": "char", "korean": "char",
    "th": "char", "thai": "char", "lo": "char", "my": "char", "km": "char",
}  # fmt: skip
"""sacreBLEU's way of cutting languages that it would need more packages for, or have no spaces."""


def loss(outcome: Outcome) -> float:
    """Mean loss (nats) per token of the reference, each foretold from the true ones before it."""
    return float(_sums(outcome)[0] / _sums(outcome)[1])


def perplexity(outcome: Outcome) -> float:
    """exp(loss): among how many equally likely tokens the network is undecided."""
    return math.exp(min(700.0, loss(outcome)))


def accuracy(outcome: Outcome) -> float:
    """Share of the reference's tokens that were foretold, from the true ones before it."""
    return float(_sums(outcome)[2] / _sums(outcome)[1])


def bleu(outcome: Outcome) -> float:
    """BLEU of the translations as a whole, 0 to 100 (Papineni et al. 2002); NaN without any."""
    return _judged(outcome, judges()[0], FORCED, BLEU)


def chrf(outcome: Outcome) -> float:
    """ChrF of the translations as a whole, 0 to 100 (Popović 2015); NaN without any."""
    return _judged(outcome, judges()[1], FORCED + BLEU, CHRF)


METRICS = (
    Metric("bleu", bleu, costly=True),
    Metric("chrf", chrf, costly=True),
    Metric("loss", loss, better="lower"),
    Metric("perplexity", perplexity, better="lower"),
    Metric("accuracy", accuracy),
)


def _sums(outcome: Outcome) -> Tensor:
    return outcome.outputs[:, :FORCED].double().sum(0)


def _judged(outcome: Outcome, judge: Judge, first: int, number: int) -> float:
    if outcome.outputs.shape[1] < first + number:
        return math.nan
    sums = outcome.outputs[:, first : first + number].double().sum(0).long().tolist()
    return float(judge._compute_score_from_stats(sums).score)


def per_token(smoothing: float) -> Loss:
    """The mean cross-entropy (nats) over the real tokens of each text.

    A batch weighs each text by its number of tokens, so that its loss is the mean over all of its
    tokens, however it is cut into pieces.
    """

    def loss(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
        """Return (B,)."""
        each = nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1),
            targets_BT.flatten(),
            reduction="none",
            ignore_index=PAD,
            label_smoothing=smoothing,
        )
        return each.view_as(targets_BT).sum(1) / (targets_BT != PAD).sum(1)

    return loss


def forced(network: nn.Module, examples: Examples[Batch], batches: Sequence[Tensor]) -> Outcome:
    """Foretell every token from the true ones before it: the first columns of each sentence."""
    rows = []
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        for batch in examples.batches(batches):
            logits_BTV, real_BT = network(batch.inputs).float(), batch.targets != PAD
            logits_NV, targets_N = logits_BTV[real_BT], batch.targets[real_BT]
            each = nn.functional.cross_entropy(logits_NV, targets_N, reduction="none")
            right = (logits_NV.argmax(1) == targets_N).float()
            columns = torch.stack([each, torch.ones_like(each), right], 1)
            summed = columns.new_zeros(len(real_BT), FORCED)
            rows.append(summed.index_add_(0, real_BT.nonzero()[:, 0], columns).cpu())
    network.train(was_training)
    found = torch.cat(rows)[torch.cat(list(batches)).argsort().cpu()]
    return Outcome(found, found[:, 1])


@functools.cache
def judges(language: str = "") -> tuple[Judge, Judge]:
    """SacreBLEU's BLEU and chrF for a target language, with its defaults."""
    from sacrebleu.metrics.bleu import BLEU as Bleu
    from sacrebleu.metrics.chrf import CHRF as Chrf

    code = re.split("[-_]", language.lower())[
        0
    ]  # a column may be called 'theirs', which is no Thai
    return Bleu(tokenize=UNSPACED.get(code)), Chrf()


def statistics(translations: Sequence[str], references: Sequence[str], language: str) -> Tensor:
    """The columns of BLEU and chrF for each sentence, (N, 28)."""
    found = [
        torch.tensor(judge._extract_corpus_statistics(list(translations), [list(references)]))
        for judge in judges(language)
    ]
    return torch.cat(found, 1)


def signatures(language: str) -> str:
    """What others must know to compare their figures with these, as sacreBLEU writes it."""
    told = []
    for name, judge in zip(("BLEU", "chrF"), judges(language), strict=True):
        judge.corpus_score(["a"], [["a"]])  # the signature holds the number of references
        told.append(f"{name} {judge.get_signature()}")
    return "; ".join(told)


def reading(facts: Any, _decision: Any) -> Reading:
    """The figures, with what others must know to compare theirs."""
    note = (
        f"Translated by beam search, {facts.beam} beginnings at once, length penalty "
        f"{facts.length_penalty:g} (Wu et al. 2016). {signatures(facts.target)}."
    )
    return Reading(METRICS, (note,))


def sentence_chrf(outcome: Outcome) -> Tensor:
    """The chrF of each sentence, (N,)."""
    first = FORCED + BLEU
    rows = outcome.outputs[:, first : first + CHRF].long().tolist()
    return torch.tensor([judges()[1]._compute_score_from_stats(row).score for row in rows])


def examples(review: Review[Any], texts: Sequence[tuple[str, str]]) -> Table | None:
    """The best and the worst translations, beside their sources and references."""
    if review.outcome.answers is None:
        return None
    each = sentence_chrf(review.outcome)
    order = each.argsort(descending=True, stable=True).tolist()
    few = min(NUM_SHOWN, len(order) // 2)
    middle = order[len(order) // 2 - few // 2 : len(order) // 2 - few // 2 + few]
    groups = {"best": order[:few], "middle": middle, "worst": order[len(order) - few :][::-1]}
    vocabulary = review.facts.vocabulary
    rows: list[list[Cell]] = [
        [
            name,
            round(float(each[position]), 1),
            *texts[position],
            vocabulary.decode(review.outcome.answers[position].tolist()),
            review.name(position),
        ]
        for name, positions in groups.items()
        for position in positions
    ]
    names = [review.facts.source, f"reference ({review.facts.target})", "ours", "where"]
    columns = ["which", "chrF", *names]
    return Table("Translations", columns, rows, note="by the chrF of the sentence, 0 to 100")
