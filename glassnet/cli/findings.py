"""Comparisons and diagnoses as text for a terminal."""

from __future__ import annotations

from textwrap import fill
from typing import Any

from glassnet.cli.text import table

WIDTH = 96


def race(found: Any) -> str:
    """What a race of optimizers came to."""
    from glassnet import optimizer_page as page

    tables = [
        f"{title}\n{table(page.columns(found), page.cells(page.rows(found, group)))}"
        for title, group in page.groups(found).items()
    ]
    cut = ["Interrupted: what had been done by then is shown."] if found.interrupted else []
    return "\n\n".join([*cut, *tables, fill(page.how(found), WIDTH)])


def diagnosis(found: Any) -> str:
    """Levels, verdict and what to try next."""
    from glassnet.diagnosis import page

    m = found.measured
    rows = [[level.name, *page.interval(level), level.examples] for level in page.all_levels(m)]
    parts = [table([m.metric.name, "value", "95 % interval", "rows"], rows)]
    if (worth := page.worth_of_twice(m)) is not None:
        parts.append(fill(worth, WIDTH))
    for finding in found.findings:
        words = f"{finding.name.upper()} ({finding.certainty}): {finding.evidence}"
        parts.append(fill(words, WIDTH, subsequent_indent="  "))
    parts += [fill(f"Note: {note}", WIDTH, subsequent_indent="  ") for note in m.notes]
    return "\n\n".join([*parts, _advice(found)])


def _advice(found: Any) -> str:
    steps = ["What to try next, in order:"]
    for number, item in enumerate(found.advice, 1):
        steps.append(fill(f"{number}. {item.what} {item.why}", WIDTH, subsequent_indent="   "))
        if item.command:
            steps.append(f"     {item.command}")
    return "\n".join(steps)
