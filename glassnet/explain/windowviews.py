"""A walk of a window with its name, as text and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from glassnet.explain import windowpage, windowtext
from glassnet.explain.windows import Walk
from glassnet.figures import Document, notebook


@dataclass(frozen=True)
class Walked:
    """A walk with its name; draws itself in a notebook, prints itself in a terminal."""

    walk: Walk
    title: str = ""
    notes: tuple[str, ...] = ()
    """What one must know to read the numbers."""

    @property
    def text(self) -> str:
        """For a terminal, one window after another."""
        return windowtext.text(self.walk, self.title, self.notes)

    @property
    def document(self) -> Document:
        """For a page: ``figures.page(walked.document)``."""
        return windowpage.document(self.walk, self.title, self.notes)

    def to_json(self) -> dict[str, Any]:
        """The title, the notes, and every field of the walk."""
        return {"title": self.title, "notes": list(self.notes), **self.walk.to_json()}

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return notebook(self.document)
