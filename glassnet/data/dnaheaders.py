"""Labels in headers of FASTA: ``>name|label``, ``>name label``, ``>name class=label``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from glassnet.data.parts import PARTS
from glassnet.errors import UserError

KEYS = ("class", "label", "type", "category", "target", "y")
MOST_CLASSES = 50
COORDINATES = re.compile(r"[\d:,.()+-]+")
"""What follows the chromosome in '>chr1:100-200'."""

Rule = Callable[[str], str | None]


def labels_and_parts(headers: Sequence[str], origin: str) -> tuple[list[str | None], list[str]]:
    """Label and part of each record, by the first rule that finds classes in all headers.

    A last field that says training or testing, as in ``>name|label|training``, is the part.

    Raises:
        UserError: If no rule finds labels.
    """
    if not headers:
        raise UserError(f"{origin} holds no sequence. Expected records such as '>name|label'.")
    parts = ["train"] * len(headers)
    ends = [header.rpartition("|")[2].strip().lower() for header in headers]
    if all(end in PARTS for end in ends):
        parts = [PARTS[end] for end in ends]
        headers = [header.rpartition("|")[0] for header in headers]
    for rule in RULES:
        labels = [rule(header) for header in headers]
        if _are_classes(labels):
            return labels, parts
    for rule in RULES:
        same = {rule(header) for header in headers}
        label = same.pop() if len(same) == 1 else None
        if label is not None and len(headers) > 1 and not COORDINATES.fullmatch(label):
            raise UserError(
                f"{origin}: the label is {label!r} in every header. Telling classes apart "
                "needs at least two; add sequences of another class."
            )
    shown = "; ".join(f">{header[:60]}" for header in headers[:3])
    raise UserError(
        f"{origin}: no label was found in the headers ({shown}). Expected '>name|label', "
        "'>name label' or '>name class=label', of two classes at least; or a folder with one file "
        "for each class, such as promoter.fa and other.fa."
    )


def _are_classes(labels: Sequence[str | None]) -> bool:
    """Whether a rule finds few classes, of which most records have one."""
    known = [label for label in labels if label]
    most = max(2, min(MOST_CLASSES, len(known) // 2))
    return 2 * len(known) > len(labels) and 2 <= len(set(known)) <= most


def _of_key(header: str) -> str | None:
    found = re.search(rf"\b({'|'.join(KEYS)})\s*[=:]\s*([^\s|;,\]]+)", header, re.IGNORECASE)
    return found[2] if found else None


def _last(separator: str) -> Rule:
    def rule(header: str) -> str | None:
        before, _, label = header.rstrip().rpartition(separator)
        return label.strip() or None if before else None

    return rule


def _second(header: str) -> str | None:
    fields = header.split("|")
    return fields[1].strip() or None if len(fields) > 2 else None


RULES: tuple[Rule, ...] = (
    _of_key, _last("|"), _second, *(_last(sign) for sign in (" ", "\t", ";", ":", ",", "_")),
)  # fmt: skip
