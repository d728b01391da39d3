"""Compare `glassnet train` with bare torch loops, Lightning, skorch and Keras on JAX.

    python benchmarks/training.py [--quick] [--works table lenet resnet] [--threads default 1]
                                     [--repeats 5] [--out FILE]

Each training runs in a process of its own. Peers take turns, in an order that is turned round every
other time, and every ratio is between two runs of the same turn; what is printed is their median
and the middle half. So a neighbour on the machine troubles all peers alike.

- time: from the end of the first epoch to the end of the last, with its validation, metrics and
  (glassnet) checkpoints. The first epoch is left out because JAX compiles in it; what it takes
  above the others is counted as start-up.
- start-up: from the start of the process to the first step, imports and compilation included.
- memory: the process's peak, report included.
- CPU: processor time of all threads of the process (of worker processes not). A neighbour lengthens
  it less than the time, but it hides that one peer may use two cores where another uses one.
- of peak: arithmetic per second, of what a float32 matrix product reaches with as many threads.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = ("torch", "lightning", "skorch", "keras", "jax", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Group:
    """Peers that are compared with the first of them, with the same number of threads."""

    work: str
    threads: str
    """A number, or 'default': what glassnet chooses by itself."""
    peers: tuple[str, ...]
    busy: bool = False
    """Whether a neighbour uses all cores meanwhile."""


TORCH = ("bare", "glassnet", "bare-tuned", "dataloader", "lightning", "skorch")
GROUPS = (
    Group("table", "default", (*TORCH, "dataloader-2", "keras-jax")),
    Group("lenet", "1", (*TORCH, "dataloader-2", "glassnet-bfloat16")),
    Group("lenet", "default", ("bare", "glassnet", "lightning")),
    Group("resnet", "1", (*TORCH, "glassnet-bfloat16")),
    Group("resnet", "default", ("bare", "glassnet", "lightning")),
    Group("table", "default", ("bare", "glassnet"), busy=True),
)


@dataclass(frozen=True)
class Timing:
    """One training."""

    step_ms: float
    cpu_ms: float
    """Processor time of all threads per step; workers not counted."""
    startup: float
    memory: float
    accuracy: float
    others: float
    """Share of the processors that other processes took."""


def main() -> None:
    """Run everything, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one turn of the table work only")
    parser.add_argument("--works", nargs="+", default=["table", "lenet", "resnet"])
    parser.add_argument("--threads", nargs="+", default=["default", "1"], help="which groups")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where each training is noted as a JSON line")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.works, arguments.repeats = ["table"], 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        facts = {work: _ask("prepare", work, str(folder)) for work in arguments.works}
        groups = [g for g in GROUPS if g.work in facts and g.threads in arguments.threads]
        found = {g: _group(g, facts[g.work], folder, arguments) for g in groups}
    print(header())
    for group, timings in found.items():
        for line in rows(group, timings, facts[group.work]):
            print(line)
    print(help_time())


# --- Running --------------------------------------------------------------------------------------


def _group(
    group: Group, facts: dict[str, Any], folder: Path, arguments: argparse.Namespace
) -> dict[str, list[Timing]]:
    """All turns of one group."""
    number = facts["threads"] if group.threads == "default" else int(group.threads)
    timings: dict[str, list[Timing]] = {peer: [] for peer in group.peers}
    with neighbour() if group.busy else _nobody():
        for turn in range(arguments.repeats):
            for peer in group.peers[:: -1 if turn % 2 else 1]:
                ours = peer.startswith("glassnet")
                threads = "default" if ours and group.threads == "default" else str(number)
                timing = train(group.work, peer, folder, threads, number, facts)
                timings[peer].append(timing)
                note = {"group": vars(group), "peer": peer, "turn": turn, **vars(timing)}
                print(json.dumps(note), file=sys.stderr)
                if arguments.out:
                    with arguments.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(note) + "\n")
    return timings


def train(
    work: str, peer: str, folder: Path, threads: str, number: int, facts: dict[str, Any]
) -> Timing:
    """One training in a process of its own."""
    began, busy, own = time.monotonic(), _busy_seconds(), _children_seconds()
    found = _ask("train", work, str(folder), peer, threads, number=number)
    took = time.monotonic() - began
    others = _busy_seconds() - busy - (_children_seconds() - own)
    if found.get("threads", number) != number:
        raise SystemExit(f"{peer} took {found['threads']} threads on {work}, expected {number}")
    first, last = found["ends"][0], found["ends"][-1]
    epoch = (last - first) / (len(found["ends"]) - 1)
    return Timing(
        step_ms=1000 * epoch / facts["steps"],
        cpu_ms=1000 * found["used"] / (len(found["ends"]) - 1) / facts["steps"],
        startup=first - epoch - began,
        memory=found["memory"],
        accuracy=found["accuracy"],
        others=others / took / (os.cpu_count() or 1),
    )


def _ask(what: str, work: str, folder: str, *more: str, number: int | None = None) -> Any:
    """Run one job in a process of its own; it answers with a line of JSON."""
    script = [str(HERE / "peers.py"), work, more[0], folder, more[1]] if more else [
        "-c", _PREPARE, work, folder
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(HERE), **_threads(number)}
    done = subprocess.run(
        [sys.executable, *script], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{what} {work} {more} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


_PREPARE = """
import json, sys
from pathlib import Path
from works import WORKS, prepare
print(json.dumps(prepare(WORKS[sys.argv[1]], Path(sys.argv[2]))))
"""


def _threads(number: int | None) -> dict[str, str]:
    """Variables by which OpenMP, MKL and JAX are told their number of threads."""
    if number is None:
        return {}
    flags = "--xla_cpu_multi_thread_eigen=false" if number == 1 else ""
    return {"MKL_NUM_THREADS": str(number), "NPROC": str(number), "XLA_FLAGS": flags}


@contextmanager
def neighbour() -> Iterator[None]:
    """Keep every core busy with somebody else's work."""
    idlers = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for idler in idlers:
            idler.kill()
            idler.wait()


@contextmanager
def _nobody() -> Iterator[None]:
    yield


def _busy_seconds() -> float:
    """What all processes together have had of the processors."""
    with open("/proc/stat", encoding="utf-8") as file:
        user, nice, system, _, _, irq, soft, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# --- The table ------------------------------------------------------------------------------------


def header() -> str:
    """Versions, processor and the head of the table."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next(line.split(":")[1].strip() for line in file if "model name" in line)
    columns = (
        "work", "peer", "threads", "precision", "time / bare (middle half)", "ms/step",
        "CPU ms/step (/ bare)",
        "samples/s", "of peak", "memory MB (/ bare)", "start-up s", "accuracy",
        "CPU of others", "n",
    )  # fmt: skip
    machine = f"{processor}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"{time.strftime('%Y-%m-%d')}: {machine}; {versions}\n\n"
        f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    )


def rows(group: Group, timings: dict[str, list[Timing]], facts: dict[str, Any]) -> Iterator[str]:
    """One line per peer."""
    number = facts["threads"] if group.threads == "default" else int(group.threads)
    bare = timings["bare"]
    for peer, runs in timings.items():
        step = _median(run.step_ms for run in runs)
        ratios = [run.step_ms / other.step_ms for run, other in zip(runs, bare, strict=True)]
        processor = [run.cpu_ms / other.cpu_ms for run, other in zip(runs, bare, strict=True)]
        memory = _median(run.memory for run in runs)
        more = memory / _median(run.memory for run in bare)
        low, middle, high = _quartiles(ratios)
        cells = (
            facts["title"] + (", busy neighbour" if group.busy else ""),
            peer.removesuffix("-bfloat16"),
            str(number),
            "bfloat16" if peer.endswith("bfloat16") else "float32",
            f"**{middle:.2f}** ({low:.2f}–{high:.2f})",
            f"{step:.3g}",
            f"{_median(run.cpu_ms for run in runs):.3g} ({_median(processor):.2f})",
            f"{1000 * facts['rows'] / facts['steps'] / step:,.0f}",
            f"{facts['flops'] / (step / 1000) / facts['peak'][str(number)]:.0%}",
            f"{memory:.0f} ({more:.2f})",
            f"{_median(run.startup for run in runs):.1f}",
            f"{_median(run.accuracy for run in runs):.3f}",
            f"{_median(run.others for run in runs):.0%}",
            str(len(runs)),
        )
        yield f"| {' | '.join(cells)} |"


def help_time(repeats: int = 15) -> str:
    """`glassnet --help` beside the bare interpreter."""
    glassnet = str(Path(sys.executable).with_name("glassnet"))
    commands = {"pass": [sys.executable, "-c", "pass"], "help": [glassnet, "--help"]}
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            began = time.monotonic()
            subprocess.run(command, capture_output=True, check=True)
            found[name].append(1000 * (time.monotonic() - began))
    nothing, ours = (_median(times) for times in found.values())
    return (
        f"\n`glassnet --help`: {ours:.0f} ms; `python -c pass`: {nothing:.0f} ms; "
        f"goal: at most {3 * nothing + 150:.0f} ms (medians of {repeats})."
    )


def _median(values: Any) -> float:
    return statistics.median(list(values))


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "–"


if __name__ == "__main__":
    main()
