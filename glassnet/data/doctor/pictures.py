"""A set of images as the doctor sees it: each image as a small picture, and its file's name.

Copies are found by the bytes of whole files (arrays: of pixels); nearly equal images as nearly
equal rows are (see ``repeats``), among small pictures of 32 x 32 brought to the same brightness
and contrast. Pictures that were mirrored, turned or cropped are not found.

Legend: N images, S the side of a small picture.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassnet.data.doctor import drift, labels, near, quick, repeats
from glassnet.data.doctor.album import Album, components, correlation, look
from glassnet.data.doctor.effort import Effort, counted
from glassnet.data.doctor.sheet import TEST, TRAIN, VALIDATION, sample
from glassnet.data.images import ImageSource
from glassnet.data.layouts import ArrayStore
from glassnet.data.threads import in_threads
from glassnet.progress import tell
from glassnet.task import Problem

Array = NDArray[Any]

BLANK = 1.0
"""Standard deviation in grey levels (of 255) below which an image shows nothing."""
TINY = 8
"""Pixels on the shorter side below which an image can hardly be learned from."""
MOST_JUDGED = 15_000
"""Images whose labels are checked."""
ALIKE = 0.98
"""Correlation that two small pictures must have to be called nearly equal."""


def check(source: ImageSource, parts: Array, brought: bool, bounds: Effort) -> Iterator[Problem]:
    """All checks of a set of images, within the bounds of an effort."""
    album, count = look(source, parts, brought, bounds.images, bounds.bytes), bounds.folds
    if album.sampled:
        yield _sampled(source, album)
    yield from album.unread
    yield from _odd_images(source, album)
    group = _equal_files(source)
    yield from _duplicates(album, group)
    yield from _straddling(album, group)
    labelled = np.flatnonzero((parts != TEST) & (group >= 0))
    yield from repeats.class_conflicts(album, group[labelled], labelled)
    if len(album.rows) < 30:
        return
    points = components(album.small)
    yield from _near(album, group, points)
    yield from _by_names(album, points)
    yield from _drifting(album, points, count)
    yield from _suspicious(album, points, count)


def _sampled(source: ImageSource, album: Album) -> Problem:
    looked = len(album.rows) + len(album.unread)
    return Problem(
        album.origin,
        f"{looked:,} of {len(source):,} images were decoded to be looked at, drawn at random",
        "what concerns pixels was sought among these only; `glassnet inspect` looks at more",
        kind="sample",
        level="note",
    )


# --- Single images --------------------------------------------------------------------------------


def _odd_images(source: ImageSource, album: Album) -> Iterator[Problem]:
    # A picture of one colour varies between its channels only.
    blank = (album.small.std(axis=(2, 3)) < BLANK).all(axis=1)
    yield from _listed(
        album, blank, "blank images", "of one colour only",
        "look at them; remove them if they are mistakes",
    )  # fmt: skip
    tiny = album.shapes[:, :2].min(axis=1) < TINY if len(album.shapes) else blank
    yield from _listed(
        album, tiny, "tiny images", f"with fewer than {TINY} pixels on a side",
        "look whether they are thumbnails or icons",
    )  # fmt: skip
    if not isinstance(source.layout.store, ArrayStore):
        wrong = np.array([_misnamed(source, int(row)) for row in album.rows], bool)
        yield from _listed(
            album, wrong, "misnamed images", "in another format than their suffix says",
            "harmless here, since the content decides; other programs may stumble",
        )  # fmt: skip


def _listed(album: Album, which: Array, kind: str, what: str, remedy: str) -> Iterator[Problem]:
    rows = album.rows[which]
    if len(rows):
        yield Problem(
            album.origin,
            f"{counted(len(rows), 'image')} {what}",
            remedy,
            kind=kind,
            level="warning" if kind == "blank images" else "note",
            items=tuple(album.name(int(row)) for row in rows),
            rows=tuple((int(row),) for row in rows),
        )


_MAGIC = {
    b"\xff\xd8\xff": (".jpg", ".jpeg", ".jpe"), b"\x89PNG": (".png",), b"GIF8": (".gif",),
    b"BM": (".bmp",), b"II*\0": (".tif", ".tiff"), b"MM\0*": (".tif", ".tiff"),
    b"RIFF": (".webp",),
}  # fmt: skip


def _misnamed(source: ImageSource, row: int) -> bool:
    raw, name = source.layout.store.raw(row), source.name(row).lower()
    fitting = next((s for magic, s in _MAGIC.items() if raw[: len(magic)] == magic), None)
    suffix = name[name.rfind(".") :]
    known = {s for suffixes in _MAGIC.values() for s in suffixes}
    return suffix in known and fitting is not None and suffix not in fitting


# --- Copies ---------------------------------------------------------------------------------------


def _equal_files(source: ImageSource) -> Array:
    """Groups of images whose bytes are equal, (N,) over all rows of the source; -1: unknown."""
    store = source.layout.store
    if isinstance(store, ArrayStore):
        digests: list[Any] = []
        for start in range(0, len(source), 4096):
            rows = range(start, min(start + 4096, len(source)))
            digests += [hashlib.blake2b(store.raw(row).tobytes()).digest() for row in rows]
        store.forget()
        return np.unique(np.array(digests), return_inverse=True)[1]
    # Only files of one size can be equal: of most sets, few files need be read for this.
    by_size = defaultdict(list)
    for row, name in enumerate(store.names):
        by_size[store.files.sizes[name]].append(row)
    asked = [row for rows in by_size.values() if len(rows) > 1 for row in rows]
    group = np.arange(len(source))
    seen: dict[bytes, int] = {}
    for row, digest in zip(asked, in_threads(partial(_digest, store), asked), strict=True):
        group[row] = seen.setdefault(digest, row) if digest else -1
    return group


def _digest(store: Any, row: int) -> bytes:
    try:
        return hashlib.blake2b(store.raw(row)).digest()
    except OSError:
        return b""


def _duplicates(album: Album, group: Array) -> Iterator[Problem]:
    known = np.flatnonzero(group >= 0)
    first = known[repeats.firsts(group[known])]
    pairs = [(int(a), int(b)) for a, b in zip(known, first, strict=True) if a != b]
    if pairs:
        yield Problem(
            album.origin,
            f"{len(pairs):,} of {len(group):,} images repeat an earlier one, bit for bit",
            "copies count double, and may get into training and test; remove them",
            kind="duplicates",
            items=tuple(f"{album.name(a)} = {album.name(b)}" for a, b in pairs),
            rows=tuple(pairs),
            fix="all copies but one are left out, if their labels agree",
        )


def _straddling(album: Album, group: Array) -> Iterator[Problem]:
    parts = album.parts
    there = np.flatnonzero((parts == TRAIN) & (group >= 0))
    seen = {int(g): int(row) for row, g in zip(there, group[there], strict=True)}
    for part in (TEST, VALIDATION):
        here = np.flatnonzero((parts == part) & (group >= 0))
        pairs = [(int(row), seen[int(group[row])]) for row in here if int(group[row]) in seen]
        if pairs:
            yield repeats.straddling(album, part, pairs, int((parts == part).sum()))


def _near(album: Album, group: Array, points: Array) -> Iterator[Problem]:
    """Nearly equal images that are not equal."""
    of_row = group[album.rows]
    _, one_of_each = np.unique(of_row, return_index=True)
    keep = np.sort(one_of_each)
    told = []
    for a, b in near.pairs(points[keep], limit=NEAR, told="comparing images"):
        one, other = int(keep[a]), int(keep[b])
        alike = correlation(album.small[one], album.small[other])
        if alike >= ALIKE:
            told.append((int(album.rows[one]), int(album.rows[other]), f"correlation {alike:.4f}"))
    if told:
        looked = f" among {len(keep):,} images drawn" if album.sampled else ""
        yield near.problem_of(album, told, looked)


NEAR = 0.3
"""Nearest distance as a share of that to the tenth neighbour; the correlation decides then."""


# --- Groups by names ------------------------------------------------------------------------------

_TOKENS = re.compile(r"[-_. ]+")
CLOSER = 0.7
"""Distance within groups over that within classes below which names tell of groups."""


def _by_names(album: Album, points: Array) -> Iterator[Problem]:
    """Images whose names begin alike (patient12_slice3) and that are alike as well."""
    for length in (1, 2):
        group = _prefixes(album, length)
        if group is None or (closer := _closeness(album, group, points)) > CLOSER:
            continue
        seen = set(group[album.parts[album.rows] == TRAIN].tolist())
        torn = [g for g in set(group[album.parts[album.rows] != TRAIN].tolist()) if g in seen]
        yield _named_groups(album, group, torn, closer, length)
        return


def _prefixes(album: Album, length: int) -> Array | None:
    """Groups by the first tokens of the files' names, if there are many of several images."""
    stems = [album.name(int(row)).rpartition("/")[2].rpartition(".")[0] for row in album.rows]
    tokens = [_TOKENS.split(stem) for stem in stems]
    if any(len(t) <= length for t in tokens):
        return None
    heads = ["_".join(t[:length]) for t in tokens]
    found, group, sizes = np.unique(heads, return_inverse=True, return_counts=True)
    several = sizes[sizes > 1].sum() / len(heads)
    if not (any(c.isdigit() for c in heads[0]) or length == 1):
        return None
    return group if 10 <= len(found) <= len(heads) / 2 and several > 0.5 else None


def _closeness(album: Album, group: Array, points: Array) -> float:
    """Median distance of images of a group over that of images of a class."""
    random = np.random.default_rng(0)
    label = album.answers[album.rows]
    distances = []
    for of in (group, label):
        order = np.lexsort((random.permutation(len(of)), of))
        beside = of[order[1:]] == of[order[:-1]]
        gaps = points[order[1:]][beside] - points[order[:-1]][beside]
        distances.append(float(np.median(np.linalg.norm(gaps, axis=1))) if len(gaps) else 1.0)
    return distances[0] / max(distances[1], 1e-12)


def _named_groups(
    album: Album, group: Array, torn: Sequence[int], closer: float, length: int
) -> Problem:
    stems = [album.name(int(album.rows[np.flatnonzero(group == g)[0]])) for g in torn[:1000]]
    told = f"{len(torn):,} are in training and in another part" if torn else "no part splits one"
    return Problem(
        album.origin,
        f"names seem to tell of {len(np.unique(group)):,} groups (by their first "
        f"{'word' if length == 1 else f'{length} words'}), whose images are alike ({closer:.2f} of "
        f"the distance within a class); {told}",
        "if they show one patient, place or moment, figures flatter: keep each group in one part, "
        "by folders train/ and test/",
        kind="groups across parts",
        level="warning" if torn else "note",
        items=tuple(stems),
    )


# --- Drift and labels -----------------------------------------------------------------------------


def _drifting(album: Album, points: Array, count: int) -> Iterator[Problem]:
    if not album.brought:
        return
    names = ["brightness", "contrast", "red", "green", "blue", "height", "width", "channels"]
    small = album.small.astype(np.float32)
    means = small.mean(axis=(2, 3))
    looks = [means.mean(axis=1), small.std(axis=(1, 2, 3)), *means.T, *album.shapes.T]
    x = np.column_stack([*looks, points[:, :16]])
    names += [f"pattern {k + 1}" for k in range(x.shape[1] - len(names))]
    parts = album.parts[album.rows]
    for part in (TEST, VALIDATION):
        sides = [np.flatnonzero(parts == p) for p in (TRAIN, part)]
        if min(map(len, sides)) < drift.FEWEST:
            continue
        rows = np.concatenate([side[sample(len(side), 5000)] for side in sides])
        none = np.zeros(x.shape[1], bool)
        yield from drift.compare(
            album.origin, part, x[rows], none, names, parts[rows] == part, count
        )


def _suspicious(album: Album, points: Array, count: int) -> Iterator[Problem]:
    """Labels that a quick model on small pictures is sure to be others."""
    free = np.flatnonzero(album.parts[album.rows] != TEST)
    here = free[sample(len(free), MOST_JUDGED)]
    if len(here) < labels.FEWEST:
        return
    rows = album.rows[here]
    y = album.answers[rows]
    p = _probabilities(points[here], y, len(album.classes), count)
    drawn = album.sampled or len(here) < len(free)
    looked = f" among {len(rows):,} images drawn" if drawn else ""
    yield from labels.suspicious_classes(album, rows, p, looked)


def _probabilities(x: Array, y: Array, num_classes: int, count: int) -> Array:
    """Out-of-fold probabilities (N, K): logistic regression on a kernel's features.

    With Nyström's features of a Gaussian kernel (Williams and Seeger 2001) it is nearly as good as
    a kernel machine, and far quicker.
    """
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    gamma = 1 / (x.std(axis=0).mean() ** 2 * x.shape[1])
    found = np.zeros((len(y), num_classes))
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the optimum is good enough
        for number, (train, test) in enumerate(quick.folds(y, count, True)):
            tell("cross-validating labels", number, count)
            features = Nystroem(gamma=gamma, n_components=min(300, len(train)), random_state=0)
            model = make_pipeline(features, LogisticRegression(C=30.0, max_iter=100))
            model.fit(x[train], y[train])
            found[np.ix_(test, model.classes_)] = model.predict_proba(x[test])
    tell("cross-validating labels", count, count)
    return found
