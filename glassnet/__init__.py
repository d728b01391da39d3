"""glassnet: deep networks you can see through.

    >>> import glassnet
    >>> run = glassnet.train("digits", epochs=5)      # doctest: +SKIP
    >>> run.evaluate()                                # doctest: +SKIP
    >>> run.predict("new_photos/")                    # doctest: +SKIP

Importing this package is cheap; torch comes with the first use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from glassnet.errors import UserError
from glassnet.version import __version__

if TYPE_CHECKING:
    from glassnet.api import (
        TrainedRun,
        activations,
        compare_optimizers,
        convolve,
        finetune,
        gradients,
        inspect,
        load,
        resume,
        train,
    )
    from glassnet.estimators import GlassnetClassifier, GlassnetRegressor

# Threads that wait for each other by spinning make a step eight times slower as soon as another
# program wants a core (docs/log.md). OpenMP reads this once, when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Large pages of memory for large tensors, on Linux: a batch of maps is given back to the system
# after each step, and taking it anew in pages of 4 kB was a tenth of the time of a training on
# images (docs/log.md). torch reads this once, before its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__all__ = [
    "GlassnetClassifier",
    "GlassnetRegressor",
    "TrainedRun",
    "UserError",
    "__version__",
    "activations",
    "compare_optimizers",
    "convolve",
    "finetune",
    "gradients",
    "inspect",
    "load",
    "resume",
    "train",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name.startswith("Glassnet") and name in __all__:
        from glassnet import estimators  # scikit-learn costs a second

        return getattr(estimators, name)
    if name in __all__:
        from glassnet import api

        return getattr(api, name)
    raise AttributeError(f"module 'glassnet' has no attribute {name!r}")
