"""Texts as numbers: the vocabulary, learned from the training texts and kept in the facts.

Words and sub-words are those of the library ``tokenizers``; characters and bytes need no library.
The first numbers are the same in all vocabularies made here: padding, unknown, begin, end.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
"""Scripts whose words stand without spaces between them, as Unicode names their letters."""

Unit = Literal["words", "subwords", "characters", "bytes"]

Units = Annotated[
    Unit,
    Field(
        description="What a token is. words: as they stand, rare ones unknown. subwords: frequent "
        "words whole, rare ones in pieces (byte-pair encoding), none unknown; it suits every "
        "language. characters: few different ones, long sequences. bytes: any text at all."
    ),
]


class Vocabulary(BaseModel):
    """All different tokens and how a text is cut into them; a part of the facts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Unit
    model: str
    """characters: all of them, in order. words, subwords: a ``tokenizer.json``. bytes: empty."""
    lowercase: bool = False
    pad: int = PAD
    unknown: int | None = UNKNOWN
    begin: int | None = BEGIN
    end: int | None = END
    as_is: bool = False
    """Published, not learned here: its tokenizer alone decides what becomes of a raw text."""
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    """What a published encoder expects before and after a text, such as [CLS] and [SEP]."""

    def __len__(self) -> int:
        if self.unit == "bytes":
            return len(SPECIAL) + 256
        if self.unit == "characters":
            return len(SPECIAL) + len(self.model)
        return self._size

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int32]]:
        """The tokens of each text, without begin and end."""
        texts = [whole(t) if self.as_is else normal(t, self.lowercase) for t in texts]
        if self.unit == "bytes":
            return [
                np.frombuffer(text.encode(), np.uint8).astype(np.int32) + len(SPECIAL)
                for text in texts
            ]
        if self.unit == "characters":
            return [self._characters(text) for text in texts]
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(one.ids, np.int32) for one in found]

    @property
    def around(self) -> int:
        """How many special tokens stand around a text that is classified."""
        return len(self.before) + len(self.after)

    @property
    def special(self) -> tuple[int, ...]:
        """What fills up a text that is classified, and what stands around it."""
        return (self.pad, *self.before, *self.after)

    def framed(self, tokens: NDArray[np.int32], longest: int) -> NDArray[np.int32]:
        """One text as a classifier reads it: cut to ``longest``, what stands around it included."""
        if not (self.before or self.after):
            return tokens[:longest]
        room = max(0, longest - self.around)
        return np.concatenate([self.before, tokens[:room], self.after]).astype(np.int32)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; padding, begin and end are left out."""
        left_out = {self.pad, self.begin, self.end, *self.before, *self.after}
        kept = [int(token) for token in tokens if int(token) not in left_out]
        if self.unit == "bytes":
            numbers = [t - len(SPECIAL) for t in kept if t >= len(SPECIAL)]
            return bytes(numbers).decode(errors="replace")
        if self.unit == "characters":
            return "".join(self.token(token) for token in kept)
        return self._tokenizer.decode(kept, skip_special_tokens=False)

    def token(self, number: int) -> str:
        """How one token is shown to people."""
        if self.unit in ("bytes", "characters"):
            if number < len(SPECIAL):
                return "\N{REPLACEMENT CHARACTER}" if number == UNKNOWN else SPECIAL[number]
            if self.unit == "characters":
                return self.model[number - len(SPECIAL)]
            byte = number - len(SPECIAL)
            return chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}"
        return self._tokenizer.id_to_token(number) or f"#{number}"

    @functools.cached_property
    def sizes(self) -> list[int]:
        """Bytes of text that each token stands for; the end of a document counts as one."""
        special = [int(number in (UNKNOWN, END)) for number in range(len(SPECIAL))]
        if self.unit == "bytes":
            return [*special, *[1] * 256]
        if self.unit == "characters":
            return [*special, *(len(sign.encode()) for sign in self.model)]
        # Of byte-pair encoding over bytes, each sign of a token stands for one byte.
        found = [len(self._tokenizer.id_to_token(n) or "") for n in range(len(self))]
        for number in {self.pad, self.unknown, self.begin, self.end} - {None}:
            found[number] = int(number in (self.unknown, self.end))  # type: ignore[index]
        return found

    def _characters(self, text: str) -> NDArray[np.int32]:
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        known, numbers = _points(self.model)
        places = np.searchsorted(known, points).clip(max=len(known) - 1)
        tokens = np.where(known[places] == points, numbers[places], UNKNOWN)
        return tokens.astype(np.int32)

    @functools.cached_property
    def _size(self) -> int:
        """One more than the largest token: a published list may have holes."""
        return max(self._tokenizer.get_vocab().values(), default=-1) + 1

    @functools.cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.model)
        # A text that holds '</s>' or '<pad>' as signs must not end there, or look like padding.
        tokenizer.encode_special_tokens = not self.as_is
        return tokenizer


@functools.lru_cache
def _points(characters: str) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Their code points in ascending order, and the token of each.

    Not kept in the vocabulary: pydantic compares all that is, and arrays cannot be compared so.
    """
    points = np.frombuffer(characters.encode("utf-32-le"), np.uint32)
    order = points.argsort()
    return points[order], (order + len(SPECIAL)).astype(np.int32)


def unspaced(texts: Iterable[str]) -> bool:
    """Whether most letters are of a script that puts no spaces between words."""
    letters = [letter for text in texts for letter in text[:200] if letter.isalpha()]
    names = [unicodedata.name(letter, "").partition(" ")[0] for letter in letters]
    return sum(name in UNSPACED for name in names) > len(letters) / 2


def normal(text: str, lowercase: bool = False) -> str:
    """One way of writing for what looks the same (Unicode NFC)."""
    text = unicodedata.normalize("NFC", whole(text))
    return text.lower() if lowercase else text


def whole(text: str) -> str:
    """Halves of characters, as broken JSON and command lines have them, made one or replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def learn(
    texts: Iterable[str],
    unit: Unit,
    *,
    size: int = 8000,
    least: int = 2,
    lowercase: bool = False,
    marks: bool = True,
) -> Vocabulary:
    """Learn a vocabulary from the training texts.

    Args:
        texts: All of them.
        unit: What a token is.
        size: The most tokens, for words and sub-words.
        least: How often a word, or a pair that is joined, must occur.
        lowercase: Whether upper case is thrown away.
        marks: Whether marks are words of their own; else spaces alone part words.
    """
    if unit == "bytes":
        return Vocabulary(unit=unit, model="", lowercase=lowercase)
    read = (normal(text, lowercase) for text in texts)
    if unit == "characters":
        seen: set[str] = set()
        for text in read:
            seen.update(text)
        return Vocabulary(unit=unit, model="".join(sorted(seen)), lowercase=lowercase)
    words = unit == "words"
    model = _of_words(read, size, least, marks) if words else _of_pairs(read, size, least)
    return Vocabulary(unit=unit, model=model, lowercase=lowercase)


def _of_words(texts: Iterable[str], size: int, least: int, marks: bool) -> str:
    """Words, and marks if they are some, by frequency."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[UNKNOWN]))
    apart = pre_tokenizers.Whitespace() if marks else pre_tokenizers.WhitespaceSplit()
    tokenizer.pre_tokenizer = apart
    trainer: Any = trainers.WordLevelTrainer(
        vocab_size=size, min_frequency=least, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()


def _of_pairs(texts: Iterable[str], size: int, least: int) -> str:
    """Byte-pair encoding over bytes (Sennrich et al. 2016; Radford et al. 2019)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=least,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str()
