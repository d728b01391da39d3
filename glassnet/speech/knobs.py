"""Knobs of speech recognition."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Text = Annotated[
    str | None,
    Field(description="The column of a list that holds the transcripts. Unset: found by its name."),
]

Longest = Annotated[
    float,
    Field(
        ge=0.5,
        le=600,
        description="Seconds of the longest recording to learn from; longer ones are left out and "
        "told. Prediction has no such limit.",
    ),
]

Join = Annotated[
    str | None,
    Field(
        description="Make each example of so many recordings of one part (and speaker, if known), "
        "such as 3-7, with silences of 0.05 to 0.4 s: for strings of commands or digits where only "
        "single ones were recorded.",
    ),
]

Heard = Annotated[
    Literal["characters", "subwords", "words"] | None,
    Field(
        description="What is heard one by one. characters: needs least data for many words. "
        "subwords: frequent pieces of words, with ten hours and more. words: for digits and "
        "commands; others cannot be heard. Unset: words if training says 50 different ones at most "
        "and each 50 times at least, else characters.",
    ),
]

NumTokens = Annotated[
    int,
    Field(ge=300, le=50_000, description="Most different tokens, for words and sub-words."),
]

Lowercase = Annotated[bool, Field(description="Write everything in lower case.")]

Punctuation = Annotated[
    bool,
    Field(
        description="Keep punctuation, which cannot be heard; else [noise] and <unk> go with it."
    ),
]

Beam = Annotated[
    int,
    Field(
        ge=1,
        le=1000,
        description="How many beginnings of a text are followed at once. 1: the best path, "
        "fastest, and without a language model.",
    ),
]

Alpha = Annotated[
    float | None,
    Field(
        ge=0,
        le=10,
        description="What the language model's log-probability counts; 0: nothing. Unset: chosen "
        "on validation recordings.",
    ),
]

Beta = Annotated[
    float | None,
    Field(
        ge=-20,
        le=20,
        description="What each word more counts, in nats, beside a language model: raise it where "
        "words are missing. Unset: chosen on validation recordings.",
    ),
]

Language = Annotated[
    str,
    Field(
        description="What knows which words follow which. transcripts: trigrams of those of the "
        "training; none; a text file (.txt), of which trigrams are counted; or the folder of a run "
        "of language modelling. Its weight is chosen on validation recordings."
    ),
]
