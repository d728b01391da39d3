"""What went wrong where a text was heard: the fewest changes that turn one text into another.

The word error rate is (substituted + deleted + inserted words) / (words of the reference): the edit
distance of Vladimir Levenshtein (1966), summed over utterances, so that it may exceed 1. The
character error rate is the same for characters, spaces included.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal

Step = Literal["same", "substituted", "deleted", "inserted"]


def distance(reference: Sequence[Hashable], heard: Sequence[Hashable]) -> int:
    """The fewest substitutions, deletions and insertions; one whole column of the table at a time.

    Heikki Hyyrö (2003), "A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit
    Distances": bit n of a number says how the table changes from row n to the next.

    >>> distance("kitten", "sitting")
    3
    """
    if not reference:
        return len(heard)
    places: dict[Hashable, int] = {}
    for place, one in enumerate(reference):
        places[one] = places.get(one, 0) | 1 << place
    whole, last = (1 << len(reference)) - 1, 1 << (len(reference) - 1)
    up, down, found = whole, 0, len(reference)
    for one in heard:
        equal = places.get(one, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right_up = down | ~(diagonal | up)
        right_down = up & diagonal
        found += bool(right_up & last) - bool(right_down & last)
        right_up, right_down = right_up << 1 | 1, right_down << 1
        up = (right_down | ~(diagonal | right_up)) & whole
        down = right_up & diagonal & whole
    return found


def alignment(
    reference: Sequence[str], heard: Sequence[str]
) -> list[tuple[Step, str | None, str | None]]:
    """The changes of a shortest way, in order: what, the word of the reference, the word heard.

    >>> alignment(["two", "one", "six"], ["one", "six"])
    [('deleted', 'two', None), ('same', 'one', 'one'), ('same', 'six', 'six')]
    """
    table = [list(range(len(heard) + 1))]
    for row, said in enumerate(reference, 1):
        above, line = table[-1], [row]
        for column, other in enumerate(heard, 1):
            line.append(min(above[column - 1] + (said != other), above[column] + 1, line[-1] + 1))
        table.append(line)
    steps: list[tuple[Step, str | None, str | None]] = []
    row, column = len(reference), len(heard)
    while row or column:
        here = table[row][column]
        if row and column:
            said, other = reference[row - 1], heard[column - 1]
            if here == table[row - 1][column - 1] + (said != other):
                steps.append(("same" if said == other else "substituted", said, other))
                row, column = row - 1, column - 1
                continue
        if row and here == table[row - 1][column] + 1:
            steps.append(("deleted", reference[row - 1], None))
            row -= 1
        else:
            steps.append(("inserted", None, heard[column - 1]))
            column -= 1
    return steps[::-1]
