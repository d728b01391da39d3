"""Figures of the motifs that a network found, for the report."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from glassnet.dna import motifs
from glassnet.dna.motifs import Motif
from glassnet.figures import Cell, Lines, Logo, Series, Table
from glassnet.task import Review

SHOWN = 6
"""Motifs that are shown as logos."""
BINS = 30

_last: tuple[weakref.ref[Review[Any]], list[Motif]] | None = None
"""Several figures of one report ask for the same motifs, which take seconds to find."""


def found(review: Review[Any]) -> list[Motif]:
    """The motifs of the network, by what they matter; [] where it has no filters on letters."""
    global _last
    if _last is None or _last[0]() is not review:
        known = motifs.find(review.network, review.examples, review.facts)
        _last = weakref.ref(review), known
    return _last[1]


def table(review: Review[Any]) -> Table | None:
    """List the motifs, with the class that has them and where they stand."""
    known = found(review)
    if not known:
        return None
    classes = review.facts.classes
    rows: list[list[Cell]] = [
        [
            number,
            motif.consensus,
            motif.sites,
            classes[motif.enriched],
            motif.shares[motif.enriched],
            max((s for k, s in enumerate(motif.shares) if k != motif.enriched), default=0.0),
            sorted(motif.places)[len(motif.places) // 2] + 1,
            motif.bits_told,
            motif.matters,
        ]
        for number, motif in enumerate(known, 1)
    ]
    columns = ["motif", "consensus", "sites", "mostly in", "share of them", "of the next class",
               "middle place", "bits told", "log loss without"]  # fmt: skip
    note = (
        "each is what one filter of the first layer answers to; a consensus is in IUPAC letters (R "
        "is A or G, Y is C or T, N any); sites are the best windows of different sequences; bits "
        "told is what one learns about the class from whether the motif is there; the last column "
        "says by how much the log loss grows when the filter always answers its mean"
    )
    return Table("Motifs that the network found", columns, rows, note=note)


def logo(rank: int) -> Callable[[Review[Any]], Logo | None]:
    """The view of the motif of this rank, from 0."""

    def view(review: Review[Any]) -> Logo | None:
        known = found(review)
        return None if rank >= len(known) else drawn(known[rank], rank + 1, review.facts)

    return view


def drawn(motif: Motif, number: int, facts: Any) -> Logo:
    """One motif as a logo in bits."""
    shares = ", ".join(
        f"{share:.0%} of {name}" for name, share in zip(facts.classes, motif.shares, strict=True)
    )
    return Logo(
        f"Motif {number}: {motif.consensus}", list(facts.letters), motif.bits,
        x_label="place in the window of the filter",
        note=f"{motif.sites:,} sites, against the letters' frequencies in training; in {shares}",
    )  # fmt: skip


def places(review: Review[Any]) -> Lines | None:
    """Where in their sequences the motifs stand."""
    known = found(review)[:SHOWN]
    last = max((max(motif.places) for motif in known), default=-1)
    if not known or last < 1:
        return None
    width = max(1, -(-(last + 1) // BINS))
    middle = [1 + width * at + (width - 1) / 2 for at in range(-(-(last + 1) // width))]
    series = []
    for number, motif in enumerate(known, 1):
        counts = [0] * len(middle)
        for place in motif.places:
            counts[max(0, place) // width] += 1
        shares = [count / motif.sites for count in counts]
        series.append(Series(f"{number}: {motif.consensus}", middle, shares, joined=True))
    return Lines(
        "Where the motifs begin", series, x_label="place in the sequence, letters from 1",
        y_label="share of the motif's sites",
        note="a peak: the place has a meaning; flat: the motif may stand anywhere",
    )  # fmt: skip


VIEWS: dict[str, Callable[[Review[Any]], Any]] = {
    "motifs": table,
    **{f"motif_{rank + 1}": logo(rank) for rank in range(SHOWN)},
    "motif_places": places,
}
