"""What all groups of knobs share."""

from pydantic import BaseModel, ConfigDict


class Knobs(BaseModel):
    """A group of knobs: immutable, and strict about names."""

    # Numbers to text: YAML and flags read the name of the column 2024 as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)
