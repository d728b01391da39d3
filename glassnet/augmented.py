"""What training sees: images beside augmented and mixed versions of them, for every report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from glassnet import device, mixing
from glassnet.figures import Images, Picture, png
from glassnet.task import Batch, Review
from glassnet.views import as_read

NUM_IMAGES, NUM_VERSIONS = 8, 7
SMALL = 64
"""Images of at most so many pixels are enlarged by whole factors."""


def pictures(
    review: Review[Any],
    change: Callable[[Tensor, int], Tensor],
    told: Sequence[str],
) -> Images:
    """Draw some validation images, each beside versions as training would see it.

    ``change`` is the learner's; ``told`` are sentences about it. All is drawn in a forked random
    state from a fixed seed: looking changes nothing.
    """
    facts, mix = review.facts, mixing.of_images(review.recipe)
    where = review.examples.rows.device
    index = _spread(review, where)
    batch = review.examples.batch(index)
    columns, shares = [as_read(facts, batch.inputs)], []
    with device.forked_random(where):
        torch.manual_seed(0)
        for version in range(NUM_VERSIONS):
            seen = Batch(change(batch.inputs, version), batch.targets)
            if mix is not None:
                seen = mix(seen)
                assert seen.weights is not None
                shares.append(float(seen.weights[0, 0]))
            columns.append(seen.inputs.round().to(torch.uint8))
    items = [
        Picture(png(_strip(row)), facts.classes[int(target)], review.name(int(position)))
        for row, target, position in zip(torch.stack(columns, 1), batch.targets, index, strict=True)
    ]
    small = max(facts.height, facts.width) <= SMALL
    note = _note(shares, told)
    return Images("What training sees", items, pixelated=small, wide=True, note=note)


def _note(shares: Sequence[float], told: Sequence[str]) -> str:
    lines = [f"Left the image itself, then {NUM_VERSIONS} versions that training might see"]
    if shares:
        listed = ", ".join(f"{share:.0%}" for share in shares)
        lines.append(f"each is mixed with another image; its own share is {listed}")
    return " ".join(f"{line[:1].upper()}{line[1:]}." for line in [*lines, *told])


def _spread(review: Review[Any], where: torch.device) -> Tensor:
    """Positions of images of as many classes as there is room for, in the order of the classes."""
    targets = review.outcome.targets
    firsts = [int((targets == c).nonzero()[0]) for c in targets.unique().tolist()]
    step = max(1, len(firsts) / NUM_IMAGES)
    chosen = [firsts[int(step * i)] for i in range(min(NUM_IMAGES, len(firsts)))]
    others = [i for i in range(len(targets)) if i not in chosen]
    return torch.tensor((chosen + others)[:NUM_IMAGES], device=where)


def _strip(versions_VCHW: Tensor) -> Any:
    """One row of pictures with a thin grey line between them, uint8 (H, W, C) as an array.

    Grey is seen beside black images and white ones, on a light page and on a dark one.
    """
    line = versions_VCHW.new_full((*versions_VCHW.shape[1:3], 1), 128)
    parts = [part for version in versions_VCHW for part in (line, version)]
    return torch.cat(parts[1:], 2).permute(1, 2, 0).cpu().numpy()
