"""Compare how fast an epoch of images is delivered: glassnet, and a DataLoader with Pillow.

    python benchmarks/images.py [--works cifar photos] [--repeats 5] [--quick] [--out FILE]

GLASSNET_DATA must name the folder that holds image_cifar10_jpg/ and style_images/. Run it on a
machine with nothing else to do; OMP_NUM_THREADS and taskset are respected.

What is measured is the time to deliver all batches of 128 of one epoch, in a shuffled order, as
uint8 tensors (B, C, H, W) with their labels to the process that trains; nothing is trained. All
read the same JPEG files in class folders and bring them to the same form:

- cifar: 10,000 JPEGs of CIFAR-10, 32 x 32, no resizing;
- photos: 1,500 random crops of three paintings and four photographs, 256 to 500 pixels wide, whose
  middle is cut out and resized to 128 x 128.

Each peer runs in a process of its own, with an empty cache of its own, and delivers three epochs:

- ours, packed: the first epoch includes opening, decoding and packing; then it reads the cache;
- ours, packed, warm: a new process that finds the cache of the one before; its first epoch includes
  opening, and the comparison of each row with its checksum;
- ours, streamed: worker processes decode each epoch anew; the first epoch includes one pass over
  all images more, and the start of the workers;
- DataLoader with 2 workers (kept between epochs), with 0: Pillow decodes, cuts, resizes (bilinear
  with antialiasing), the array becomes a tensor. The first epoch includes listing the files and
  the start of the workers.

Peers take turns, in an order that is turned round every other time; every ratio is between two runs
of the same turn, and what is printed is their median and the middle half. "Second" is the mean of
the epochs after the first. Files lie in the system's cache for all peers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 128
EPOCHS = 3
SIDE = {"cifar": 32, "photos": 128}
PEERS = ("DataLoader, 2 workers", "DataLoader, 0 workers", "packed", "packed, warm", "streamed")
REFERENCE = PEERS[0]


def main() -> None:
    """Run everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--works", nargs="+", default=list(SIDE), choices=list(SIDE))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one turn")
    parser.add_argument("--out", type=Path, help="where each run is noted as a JSON line")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    print(header())
    for work in arguments.works:
        with tempfile.TemporaryDirectory() as name:
            data = write_files(work, Path(name) / work)
            turns = [_turn(work, data, Path(name), number) for number in range(repeats)]
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({"work": work, **turn}) + "\n" for turn in turns)
        for line in rows(work, turns):
            print(line, flush=True)


def _turn(work: str, data: Path, folder: Path, number: int) -> dict[str, Any]:
    """Each peer once."""
    found = {}
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        warm = [peer for peer in PEERS if peer != "packed, warm"][:: -1 if number % 2 else 1]
        order = [*warm, "packed, warm"]  # it needs the cache of an earlier one
        for peer in order:
            command = [sys.executable, __file__, "--peer", peer, work, str(data)]
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(f"{peer} failed:\n{done.stderr[-3000:]}")
            found[peer] = json.loads(done.stdout.splitlines()[-1])
            print(json.dumps({"work": work, "peer": peer, **found[peer]}), file=sys.stderr)
    return found


# --- The files ------------------------------------------------------------------------------------


def write_files(work: str, folder: Path) -> Path:
    """JPEGs in class folders."""
    mirror = Path(os.environ["GLASSNET_DATA"])
    if work == "cifar":
        with tarfile.open(mirror / "image_cifar10_jpg" / "cifar10_jpg.tar.gz") as archive:
            for member in archive:
                steps = member.name.split("/")
                if member.isreg() and steps[-3] == "test":
                    content = archive.extractfile(member)
                    assert content is not None
                    path = folder / steps[-2] / steps[-1]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())
        return folder
    import random

    from PIL import Image

    draw = random.Random(0)
    for path in sorted((mirror / "style_images").glob("*.[jp][pn]g")):
        with Image.open(path) as file:
            picture = file.convert("RGB")
        (folder / path.stem).mkdir(parents=True)
        for number in range(1500 // 7):
            width = draw.randint(256, 500)
            height = round(width * draw.uniform(0.7, 1.0))
            scale = max(1.0, width / picture.width, height / picture.height)
            whole = picture.resize((round(picture.width * scale), round(picture.height * scale)))
            left, top = draw.randint(0, whole.width - width), draw.randint(0, whole.height - height)
            crop = whole.crop((left, top, left + width, top + height))
            crop.save(folder / path.stem / f"{number}.jpg", quality=90)
    return folder


# --- One peer, in a process of its own ------------------------------------------------------------


def deliver(peer: str, work: str, data: Path) -> dict[str, Any]:
    """Seconds of each epoch, imports left out."""
    import torch

    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    epochs = _loader if peer.startswith("DataLoader") else _ours
    seconds, images = [], 0
    for inputs, began, is_last in epochs(peer, work, data):
        assert inputs.dtype == torch.uint8 and inputs.shape[1:] == (3, SIDE[work], SIDE[work])
        images += len(inputs)
        if is_last:
            seconds.append(time.perf_counter() - began)
    return {"seconds": seconds, "images": images // EPOCHS}


def _ours(peer: str, work: str, data: Path) -> Iterator[tuple[Any, float, bool]]:
    import torch

    from glassnet.data.images import open_images

    began = time.perf_counter()
    place: Any = "stream" if peer == "streamed" else "disk"
    source = open_images(data, size=SIDE[work], cache=place)
    everything = torch.arange(len(source))
    examples = source.examples(everything, source.facts(everything))
    for epoch in range(EPOCHS):
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(epoch))
        indices = order.split(BATCH)
        for number, batch in enumerate(examples.batches(indices)):
            yield batch.inputs, began, number + 1 == len(indices)
        began = time.perf_counter()


class Files:
    """What a person writes for a DataLoader: a list of files, Pillow, an array."""

    def __init__(self, root: Path, side: int) -> None:
        self.side = side
        classes = sorted(path.name for path in root.iterdir())
        self.files = [
            (str(file), label)
            for label, name in enumerate(classes)
            for file in sorted((root / name).iterdir())
        ]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """The tensor and the label of one file."""
        import numpy as np
        import torch
        from PIL import Image

        path, label = self.files[index]
        with Image.open(path) as file:
            image = file.convert("RGB")
        if image.size != (self.side, self.side):
            cut = min(image.size)
            left, top = (image.width - cut) // 2, (image.height - cut) // 2
            box = (left, top, left + cut, top + cut)
            image = image.resize((self.side, self.side), Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous(), label


def _loader(peer: str, work: str, data: Path) -> Iterator[tuple[Any, float, bool]]:
    from torch.utils.data import DataLoader

    workers = int(peer.split()[1])
    began = time.perf_counter()
    files: Any = Files(data, SIDE[work])
    loader = DataLoader(
        files, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    for _ in range(EPOCHS):
        for number, (inputs, _) in enumerate(loader):
            yield inputs, began, number + 1 == len(loader)
        began = time.perf_counter()


# --- The table ------------------------------------------------------------------------------------


def header() -> str:
    """Versions, processor and the head of the table."""
    import importlib.metadata

    packages = ("torch", "pillow", "simplejpeg")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next(line.split(":")[1].strip() for line in file if "model name" in line)
    columns = (
        "work", "peer", "first epoch, images/s", "second epoch, images/s",
        f"second, times {REFERENCE} (middle half)", "first, times it", "n",
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return (
        f"{time.strftime('%Y-%m-%d')}: {processor}, {cores} cores, load {os.getloadavg()[0]:.1f}; "
        f"{versions}\n\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    )


def rows(work: str, turns: list[dict[str, Any]]) -> Iterator[str]:
    """One line per peer."""
    for peer in PEERS:
        first = [turn[peer]["seconds"][0] for turn in turns]
        later = [statistics.mean(turn[peer]["seconds"][1:]) for turn in turns]
        bare = [turn[REFERENCE]["seconds"] for turn in turns]
        times = [statistics.mean(b[1:]) / mine for b, mine in zip(bare, later, strict=True)]
        at_first = [b[0] / mine for b, mine in zip(bare, first, strict=True)]
        low, middle, high = (
            statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
        )
        images = turns[0][peer]["images"]
        cells = (
            work, peer, f"{images / statistics.median(first):,.0f}",
            f"{images / statistics.median(later):,.0f}",
            f"**{middle:.1f}** ({low:.1f}–{high:.1f})", f"{statistics.median(at_first):.2f}",
            str(len(turns)),
        )  # fmt: skip
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    if "--peer" in sys.argv[1:2]:
        print(json.dumps(deliver(sys.argv[2], sys.argv[3], Path(sys.argv[4]))))
    else:
        main()
