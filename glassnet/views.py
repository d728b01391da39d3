"""Stock figures about answers, for the report and the notebook."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from glassnet.figures import Cell, Grid, Images, Lines, Picture, Series, Table, png
from glassnet.metrics import answered
from glassnet.networks._standardize import cropped
from glassnet.task import Outcome, Review

NUM_MISTAKES = 24
NUM_POINTS = 3000
NUM_ROWS = 20


def confusion(review: Review[Any]) -> Grid:
    """Count how often each class (rows) was answered as each class (columns)."""
    predicted, truth = answered(review.outcome), review.outcome.targets
    classes = review.facts.classes
    counts = torch.bincount(truth * len(classes) + predicted, minlength=len(classes) ** 2)
    return Grid(
        "Confusion matrix",
        counts.view(len(classes), len(classes)).tolist(),
        row_labels=classes,
        column_labels=classes,
        row_title="true class",
        column_title="answer",
        format="d",
        normalize="rows",
    )


def per_class(review: Review[Any]) -> Table:
    """Precision, recall and F1 of each class."""
    predicted, truth = answered(review.outcome), review.outcome.targets
    rows: list[list[Cell]] = []
    for number, name in enumerate(review.facts.classes):
        right = int(((predicted == number) & (truth == number)).sum())
        taken, there = int((predicted == number).sum()), int((truth == number).sum())
        precision = right / taken if taken else None
        recall = right / there if there else None
        f1 = 2 * right / (taken + there) if taken + there else None
        rows.append([name, there, precision, recall, f1])
    columns = ["class", "examples", "precision", "recall", "F1"]
    return Table(
        "Each class",
        columns,
        rows,
        note="precision: of the examples answered so, the share that is so; recall: of the "
        "examples that are so, the share that was found; F1: their harmonic mean",
    )


def columns(review: Review[Any]) -> Table:
    """Say how each column of a table was understood."""
    rows: list[list[Cell]] = [
        [c.name, c.kind, ", ".join(c.levels[:8]) or c.reason, "yes" if c.missing else ""]
        for c in review.facts.columns
    ]
    return Table("Columns", ["column", "read as", "levels, or why ignored", "has missing"], rows)


def mistaken_images(review: Review[Any]) -> Images | None:
    """Show the wrong answers of which the network was most certain."""
    worst = worst_mistakes(review.outcome)
    items = [_mistake(review, i) for i in worst[:NUM_MISTAKES]]
    if not items:
        return None
    facts = review.facts
    return Images("Worst mistakes", items, pixelated=max(facts.height, facts.width) <= 64)


def mistaken_rows(review: Review[Any]) -> Table | None:
    """List the wrong answers of which the network was most certain."""
    outputs, targets = review.outcome.outputs, review.outcome.targets
    shares, classes = outputs.double().softmax(1), review.facts.classes
    answers = answered(review.outcome)
    rows: list[list[Cell]] = [
        [
            review.name(i),
            classes[int(targets[i])],
            classes[int(answers[i])],
            float(shares[i, answers[i]]),
            float(shares[i, targets[i]]),
        ]
        for i in worst_mistakes(review.outcome)[:NUM_ROWS]
    ]
    columns = ["row", "true class", "answer", "certainty", "given to the true class"]
    return Table("Worst mistakes", columns, rows) if rows else None


def predicted_and_true(review: Review[Any]) -> Lines:
    """Draw the predicted value of each example over the true one."""
    outcome = review.outcome[:: len(review.outcome.targets) // NUM_POINTS + 1]
    series = Series("examples", outcome.targets.tolist(), outcome.outputs.tolist())
    name = review.facts.target.name
    return Lines(
        "Predicted and true values",
        [series],
        x_label=f"true {name}",
        y_label=f"predicted {name}",
        mode="points",
        diagonal=True,
    )


def largest_errors(review: Review[Any]) -> Table:
    """List the examples with the largest errors."""
    outputs, targets = review.outcome.outputs, review.outcome.targets
    order = (outputs - targets).abs().argsort(descending=True)[:NUM_ROWS].tolist()
    rows: list[list[Cell]] = [
        [review.name(i), float(targets[i]), float(outputs[i]), float(outputs[i] - targets[i])]
        for i in order
    ]
    return Table("Largest errors", ["row", "true", "predicted", "error"], rows)


def worst_mistakes(outcome: Outcome) -> list[int]:
    """Positions of the wrong answers, the most certain one first."""
    shares, predicted, targets = (
        outcome.outputs.double().softmax(1),
        answered(outcome),
        outcome.targets,
    )
    wrong = (predicted != targets).nonzero().flatten()
    surprise = shares[wrong, predicted[wrong]] - shares[wrong, targets[wrong]]
    return list(wrong[surprise.argsort(descending=True)].tolist())


def as_read(facts: Any, pixels_BCHW: Tensor) -> Tensor:
    """Return what a network reads of images, of which some are stored larger: their middle."""
    return cropped(pixels_BCHW, facts.height, facts.width)


def _mistake(review: Review[Any], position: int) -> Picture:
    outputs, classes = review.outcome.outputs[position], review.facts.classes
    where = review.examples.rows.device
    batch = review.examples.batch(torch.tensor([position], device=where))
    shares = outputs.double().softmax(0)
    answer = int(answered(review.outcome)[position])
    truth = int(review.outcome.targets[position])
    return Picture(
        png(batch.inputs[0].permute(1, 2, 0).cpu().numpy()),
        f"{classes[answer]}, not {classes[truth]}",
        f"{shares[answer]:.0%} sure; {review.name(position)}",
    )
