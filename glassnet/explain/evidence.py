"""The methods that say which parts of an input speak for an output, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from glassnet.errors import UserError, nearest
from glassnet.explain import colours
from glassnet.explain.gradcam import gradcam
from glassnet.explain.occlusion import occlusion
from glassnet.explain.saliency import integrated_gradients, saliency, smoothgrad
from glassnet.explain.trust import Method
from glassnet.figures import Picture, png

MOST = 0.8
"""The share of the evidence whose area is told."""
SPREAD = 0.5
"""If it takes more than this share of the area, no place is named."""


@dataclass(frozen=True)
class Way:
    """One method."""

    method: Method
    about: str
    """How to read its map, and where it is from."""


METHODS = {
    "gradcam": Way(
        gradcam,
        "places of the last map whose channels push the answer up; coarse, as that map is "
        "(Selvaraju et al. 2017)",
    ),
    "occlusion": Way(
        occlusion,
        "by how much the answer falls (orange) or rises (blue) when a window of the image is "
        "covered with its mean (Zeiler & Fergus 2014)",
    ),
    "integrated_gradients": Way(
        integrated_gradients,
        "what each pixel adds (orange) or takes away (blue) on the way from the image's mean "
        "colour to the image; the sum is the whole change (Sundararajan et al. 2017)",
    ),
    "saliency": Way(
        saliency,
        "how much a small change of each pixel changes the answer, up or down (Simonyan et al. "
        "2013)",
    ),
    "smoothgrad": Way(
        smoothgrad, "saliency, averaged over noisy copies of the image (Smilkov et al. 2017)"
    ),
}
DEFAULT = ("gradcam", "occlusion", "integrated_gradients", "saliency")


@dataclass(frozen=True)
class Evidence:
    """What one method says about one image."""

    method: str
    values: Tensor
    """(H, W), in units of the output; what is negative speaks against it."""

    def to_json(self) -> dict[str, Any]:
        """``values`` is nested as (row, column)."""
        where = {"where": self.place, "of_evidence": MOST, "in_area": self.area}
        return {"method": self.method, **where, "values": self.values.tolist()}

    @property
    def area(self) -> float | None:
        """The smallest share of the area that holds ``MOST`` of what speaks for the output."""
        strongest = self.values.clamp_min(0).flatten().double().sort(descending=True).values
        if not float(strongest.sum()):
            return None
        sums = strongest.cumsum(0)
        return (int((sums < MOST * sums[-1] * (1 - 1e-9)).sum()) + 1) / len(sums)

    @property
    def place(self) -> str:
        """Where its middle lies, in words."""
        if self.area is None:
            return "nowhere: nothing speaks for it"
        if self.area > SPREAD:
            return "all over the image"
        weights = self.values.clamp_min(0).double()
        middles = []
        for axis, words in ((1, ("upper", "", "lower")), (0, ("left", "", "right"))):
            line = weights.sum(axis)
            places = (line.new_ones(len(line)).cumsum(0) - 0.5) / len(line)
            middles.append(words[min(2, int(3 * float((line * places).sum() / line.sum())))])
        named = " ".join(word for word in middles if word)
        return f"the {named or 'middle'}" + " part" * (named in ("upper", "lower"))

    @property
    def text(self) -> str:
        """Where the evidence lies, in half a sentence."""
        if self.area is None:
            return self.place
        return f"{self.place}; {MOST:.0%} of the evidence in {self.area:.0%} of the area"

    def picture(self, image: Tensor) -> Picture:
        """The evidence laid over its image (C, H, W)."""
        heat = colours.strength(self.values)
        small = colours.fitted(heat[None])[0]
        return Picture(
            png(colours.over(colours.fitted(image), small)),
            self.method.replace("_", " "),
            self.text,
        )


def chosen(names: Sequence[str], layer: str | None) -> dict[str, Method]:
    """The methods of these names; ``layer`` is the map that Grad-CAM looks at.

    Raises:
        UserError: If there is no such method.
    """
    for name in names:
        if name not in METHODS:
            raise UserError(
                f"There is no method {name!r}.{nearest(name, list(METHODS))} "
                f"Methods: {', '.join(METHODS)}."
            )
    found = {name: METHODS[name].method for name in names}
    if layer is not None and "gradcam" in found:
        found["gradcam"] = partial(gradcam, layer=layer)
    return found
