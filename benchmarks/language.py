"""nanoGPT's CPU setting: `glassnet train tiny-shakespeare-gpt` against nanoGPT's own train.py.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/language.py nanoGPT --seeds 3 --threads 1 --out language.jsonl
    python benchmarks/language.py --report language.jsonl

The setting is that of nanoGPT's README ("I only have a macbook"): 4 layers, 4 heads, 128 wide,
context 64, batch 12, 2000 steps. Both are run as a user would, as a whole process, in turns;
nothing of either is turned off: nanoGPT evaluates 2 × 20 batches every 250 steps, glassnet all
validation blocks three times, and writes its report. The recipe's learning rate is 0.003, nanoGPT's
0.001. nanoGPT's seed is written in its train.py, and is changed in a copy. Both results are
measured alike afterwards, outside of the times: mean loss per character over the whole validation
part, in blocks of 64 that lie end to end.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from glassnet.data import sources

README = (
    *("--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1"),
    *("--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128"),
    *("--max_iters=2000", "--lr_decay_iters=2000", "--dropout=0.0"),
)
PROGRAMS = ("train.py", "model.py", "configurator.py", "config/train_shakespeare_char.py")
STEPS = 2000

MEASURE = """
import pickle, sys, numpy as np, torch
from model import GPT, GPTConfig
held = torch.load("out-shakespeare-char/ckpt.pt", map_location="cpu")
model = GPT(GPTConfig(**held["model_args"]))
model.load_state_dict(held["model"])
model.eval()
tokens = torch.from_numpy(np.fromfile("data/shakespeare_char/val.bin", np.uint16).astype(np.int64))
blocks = list(zip(tokens[:-1].split(64), tokens[1:].split(64)))
total = count = 0
with torch.no_grad():
    for x, y in blocks:
        total += model(x[None], y[None])[1].item() * len(y)
        count += len(y)
print("LOSS", total / count)
"""


def main() -> None:
    """Run all turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("nanogpt", nargs="?", help="a checkout of nanoGPT, or its git directory")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default="language.jsonl", help="one line for each training")
    parser.add_argument("--report", metavar="FILE", help="only print the table of a file")
    options = parser.parse_args()
    if options.report is None:
        for seed in range(options.seeds):
            for peer in ("nanoGPT", "glassnet")[:: 1 if seed % 2 == 0 else -1]:
                with tempfile.TemporaryDirectory() as folder:
                    run = PEERS[peer]
                    found = run(Path(folder), options.nanogpt, seed, options.threads)
                row = {"peer": peer, "seed": seed, "threads": options.threads, **found}
                with Path(options.out).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                sys.stderr.write(f"{row}\n")
    lines = Path(options.report or options.out).read_text(encoding="utf-8").splitlines()
    sys.stdout.write(table([json.loads(line) for line in lines]))


def nanogpt(folder: Path, where: str, seed: int, threads: int) -> dict[str, float]:
    """One training by nanoGPT; the text is prepared beforehand, outside of the time."""
    for name in PROGRAMS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(source(Path(where), name), encoding="utf-8")
    program = (folder / "train.py").read_text(encoding="utf-8")
    assert "manual_seed(1337 " in program
    program = program.replace("manual_seed(1337 ", f"manual_seed({1337 + seed} ")
    (folder / "train.py").write_text(program, encoding="utf-8")
    prepare(folder / "data" / "shakespeare_char")
    command = [sys.executable, "train.py", "config/train_shakespeare_char.py", *README]
    seconds, cpu, said = timed(command, folder, threads)
    steps = [float(ms) for ms in re.findall(r"time ([\d.]+)ms", said)]
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=folder, capture_output=True, text=True, check=True
    )
    loss = float(measured.stdout.split("LOSS ")[1])
    reported = [float(value) for value in re.findall(r"val loss ([\d.]+)", said)]
    return {"seconds": seconds, "cpu": cpu, "ms": median(steps), "loss": loss,
            "own": min(reported)}  # fmt: skip


def glassnet(folder: Path, _: str, seed: int, threads: int) -> dict[str, float]:
    """One training by glassnet, with evaluation and report."""
    command = [sys.executable, "-m", "glassnet", "train", "tiny-shakespeare-gpt", "--name", "run"]
    command += ["--fit.seed", str(seed), "--fit.threads", str(threads)]
    seconds, cpu, said = timed(command, folder, threads)
    spent = re.search(r"after step (\d+), ([\d.]+) s", said)
    assert spent is not None and int(spent[1]) == STEPS, said
    found = json.loads((folder / "runs/run/evaluation.json").read_text(encoding="utf-8"))
    loss = found["metrics"]["loss"]["value"]
    return {"seconds": seconds, "cpu": cpu, "ms": 1000 * float(spent[2]) / STEPS, "loss": loss,
            "own": loss}  # fmt: skip


PEERS = {"nanoGPT": nanogpt, "glassnet": glassnet}


def source(where: Path, name: str) -> str:
    """A program of nanoGPT, from its working tree or from its git directory."""
    if (where / name).is_file():
        return (where / name).read_text(encoding="utf-8")
    return subprocess.run(
        ["git", "-C", str(where), "show", f"HEAD:{name}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def prepare(folder: Path) -> None:
    """Write what nanoGPT's prepare.py writes."""
    text = Path(sources.locate("tiny-shakespeare")).read_text(encoding="utf-8")
    signs = sorted(set(text))
    number = {sign: place for place, sign in enumerate(signs)}
    tokens = np.array([number[sign] for sign in text], np.uint16)
    cut = int(len(tokens) * 0.9)
    folder.mkdir(parents=True)
    tokens[:cut].tofile(folder / "train.bin")
    tokens[cut:].tofile(folder / "val.bin")
    about = {"vocab_size": len(signs), "stoi": number, "itos": dict(enumerate(signs))}
    (folder / "meta.pkl").write_bytes(pickle.dumps(about))


def timed(command: list[str], folder: Path, threads: int) -> tuple[float, float, str]:
    """Seconds, seconds of the processor, and what was said."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, done.stdout + done.stderr


def table(rows: list[dict[str, Any]]) -> str:
    """A row for each peer and number of threads; the ratio is between runs of one turn."""
    lines = [
        "| peer | threads | whole, s | time / nanoGPT | CPU s | CPU / nanoGPT | ms/step "
        "| validation loss (each seed) | n |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for threads in sorted({row["threads"] for row in rows}):
        by = {(r["peer"], r["seed"]): r for r in rows if r["threads"] == threads}
        for peer in PEERS:
            mine = [row for (name, _), row in by.items() if name == peer]
            pairs = [(r, by["nanoGPT", r["seed"]]) for r in mine if ("nanoGPT", r["seed"]) in by]
            if not pairs:
                continue
            ratio = median(a["seconds"] / b["seconds"] for a, b in pairs)
            busy = median(a["cpu"] / b["cpu"] for a, b in pairs)
            losses = ", ".join(f"{row['loss']:.4f}" for row in mine)
            middle = {k: median(row[k] for row in mine) for k in ("seconds", "cpu", "ms")}
            lines.append(
                f"| {peer} | {threads} | {middle['seconds']:.0f} | **{ratio:.2f}** "
                f"| {middle['cpu']:.0f} | {busy:.2f} | {middle['ms']:.1f} "
                f"| {mean(row['loss'] for row in mine):.4f} ({losses}) | {len(mine)} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
