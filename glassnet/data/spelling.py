"""One way of writing for what sounds the same, so that transcripts can be compared."""

from __future__ import annotations

import re
import unicodedata

from glassnet.data import tokens

APOSTROPHES = "'\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}"
JOINERS = "\N{SOFT HYPHEN}\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{WORD JOINER}"
"""Signs within words that are not seen, and not heard."""
SIGNS = re.compile(r"(?<!\w)['.,]|['.,](?!\w)|(?<!\d)[.,]|[.,](?!\d)|[^\w\s'.,]|_")


def normalized(text: str, lowercase: bool, punctuation: bool) -> str:
    """One way of writing for what sounds the same.

    Without ``punctuation``, what stands in angle or square brackets (noise, laughter) goes, and all
    signs but letters, digits, and apostrophes and points within words; hyphens part words.

    >>> normalized("Well -- it's [noise] 3.5 O\N{RIGHT SINGLE QUOTATION MARK}Clock!", True, False)
    "well it's 3.5 o'clock"
    """
    text = unicodedata.normalize("NFC", tokens.whole(text))
    if lowercase:
        text = text.lower()
    if not punctuation:
        text = re.sub(r"<[^<>]*>|\[[^\[\]]*\]", " ", text)
        text = re.sub(f"[{APOSTROPHES}]", "'", text)
        text = _words_alone(re.sub(f"[{JOINERS}]", "", text))
    return " ".join(text.split())


def _words_alone(text: str) -> str:
    """The same with spaces in the place of all signs.

    Python's class of letters lacks the marks on a letter, which are the vowels of Hindi and Thai:
    letters stand in for them.
    """
    shape = "".join("a" if unicodedata.category(sign)[0] == "M" else sign for sign in text)
    gone = {found.start() for found in SIGNS.finditer(shape)}
    return "".join(" " if place in gone else sign for place, sign in enumerate(text))
