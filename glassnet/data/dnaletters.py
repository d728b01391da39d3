"""Letters of nucleotides and of amino acids -> probabilities, the one path for training and after.

A letter that stands for several (IUPAC: R is A or G) gives each of them an equal probability. They
are kept in sixtieths, in which halves, thirds, quarters and twentieths are whole numbers.
"""

# Letters in names of arrays: C letters of the alphabet, T places.

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Alphabet = Literal["dna", "protein"]
Codes = NDArray[np.uint8]

WHOLE = 60
"""What certainty is kept as."""
LETTERS: dict[Alphabet, str] = {"dna": "ACGT", "protein": "ACDEFGHIKLMNPQRSTVWY"}
AMBIGUOUS: dict[Alphabet, dict[str, str]] = {
    "dna": {
        "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
        "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT", "-": "ACGT", ".": "ACGT",
    },
    "protein": {
        "B": "DN", "Z": "EQ", "J": "IL", "U": "C", "O": "K",
        "X": LETTERS["protein"], "-": LETTERS["protein"], ".": LETTERS["protein"],
    },
}  # fmt: skip
"""Letter -> those that it may be. A gap may be any; U and O are rare kinds of C and K."""
PLAIN = frozenset("ACGTUN")
"""Letters of which nucleotide sequences are mostly made."""
MOSTLY = 0.9
"""Share of the letters that must be ``PLAIN`` for a sequence to be one of nucleotides."""
FROM, TO = "ACGTURYSWKMBDHVNacgturyswkmbdhvn", "TGCAAYRSWMKVHDBNtgcaayrswmkvhdbn"
_COMPLEMENT = str.maketrans(FROM, TO)


@cache
def table(alphabet: Alphabet) -> Codes:
    """Byte -> sixtieths of each letter, (256, C); zeros for what is no letter."""
    letters = LETTERS[alphabet]
    found = np.zeros((256, len(letters)), np.uint8)
    for sign, meant in [*zip(letters, letters, strict=True), *AMBIGUOUS[alphabet].items()]:
        for spelling in {sign, sign.lower()}:
            for letter in meant:
                found[ord(spelling), letters.index(letter)] = WHOLE // len(meant)
    return found


def encode(sequence: str, alphabet: Alphabet) -> Codes:
    """Sixtieths (T, C) of the letters of a sequence that ``strange`` found nothing in."""
    found: Codes = table(alphabet)[np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)]
    return found


def cleaned(sequence: str) -> str:
    r"""Without white space, and without the * that ends a protein.

    >>> cleaned(" acg t\n")
    'acgt'
    """
    return "".join(sequence.split()).removesuffix("*")


def strange(sequence: str, alphabet: Alphabet) -> dict[str, int]:
    """The signs that are no letters of the alphabet -> the first place of each, from 1."""
    known = set(LETTERS[alphabet]) | set(AMBIGUOUS[alphabet])
    found = sorted(set(sequence.upper()) - known)
    return {sign: sequence.upper().index(sign) + 1 for sign in found}


def alphabet_of(sequences: Sequence[str]) -> Alphabet:
    """Nucleotides, unless most of the sequences cannot be."""
    judged = [is_nucleotides(one) for one in sequences if one]
    return "dna" if 2 * sum(judged) >= len(judged) else "protein"


def is_nucleotides(sequence: str) -> bool:
    """Whether a sequence is mostly of A, C, G, T, U and N."""
    upper = sequence.upper()
    return bool(upper) and sum(map(upper.count, PLAIN)) >= MOSTLY * len(upper)


def canonical(sequence: str, alphabet: Alphabet) -> str:
    """The same for what is the same: spellings of it, and the other strand."""
    upper = sequence.upper()
    if alphabet != "dna":
        return upper
    forward = upper.replace("U", "T")
    return min(forward, reverse_complement(forward))


def reverse_complement(sequence: str) -> str:
    """What stands on the other strand, read in its direction.

    >>> reverse_complement("AACGN")
    'NCGTT'
    """
    return sequence.translate(_COMPLEMENT)[::-1]
