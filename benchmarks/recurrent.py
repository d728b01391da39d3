"""First weights, pooling and speed of the recurrent networks; results are in docs/log.md.

    OMP_NUM_THREADS=1 GLASSNET_DATA=… python benchmarks/recurrent.py weights lstm 1e-3

weights: both first weights on four problems, over seeds. pooling: the three ways on two problems.
speed: one training step beside a bare loop of torch.nn.LSTM.
"""

import os
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from glassnet.data import ragged, tokens
from glassnet.network import find
from glassnet.networks._recurrent import Layers, initialize

DATA = Path(os.environ["GLASSNET_DATA"])
SEEDS = range(5)
EPOCHS = 2
SLIM = {"width": 64, "hidden": 64}


def main() -> None:
    """Run what was asked for."""
    torch.set_num_threads(1)
    what, *rest = sys.argv[1:]
    if what == "speed":
        return speed()
    name, rate = rest[0], float(rest[1])
    ways = ("orthogonal", "torch") if what == "weights" else ("mean", "max", "last")
    for problem in PROBLEMS[what]:
        knob = "initialization" if what == "weights" else "pooling"
        for way in ways:
            scores = [problem(name, rate, seed, **{knob: way}) for seed in SEEDS]
            mean, spread = statistics.mean(scores), statistics.stdev(scores)
            print(f"{problem.__name__:12} {name} {rate:g} {way:10} {mean:.4f} ± {spread:.4f}  "
                  + " ".join(f"{s:.4f}" for s in scores), flush=True)  # fmt: skip


def sentences(name: str, rate: float, seed: int, **knobs: str) -> float:
    """SST-2: accuracy on the published development part after two epochs."""
    parts = [(DATA / "text_sst2" / f"{part}.tsv").read_text() for part in ("train", "dev")]
    rows = [[line.rsplit("\t", 1) for line in part.splitlines()] for part in parts]
    return classified(name, rate, seed, rows, "words", knobs)


def splices(name: str, rate: float, seed: int, **knobs: str) -> float:
    """Splice junctions: accuracy on every fifth sequence of 60 letters after two epochs."""
    lines = (DATA / "dna_splice" / "splice.data").read_text().splitlines()
    rows = [(cells[2].strip(), cells[0]) for cells in (line.split(",") for line in lines)]
    parts = [[r for n, r in enumerate(rows) if (n % 5 == 0) == dev] for dev in (False, True)]
    return classified(name, rate, seed, parts, "characters", knobs)


def classified(name: str, rate: float, seed: int, rows: list, unit: str, knobs: dict) -> float:
    """Accuracy on the second of two parts after training on the first."""
    vocabulary = tokens.learn([text for text, _ in rows[0]], unit)
    classes = sorted({label for _, label in rows[0]})
    train, dev = (examples(part, vocabulary, classes) for part in rows)
    torch.manual_seed(seed)
    network = find(name)((60,), len(classes), vocabulary=len(vocabulary), **SLIM, **knobs)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(EPOCHS):
        for index in ragged.by_length(train.lengths, torch.randperm(len(train)), len(train) // 50):
            batch = train.batch(index)
            step(optimizer, F.cross_entropy(network(batch.inputs), batch.targets), network)
    network.eval()
    with torch.no_grad():
        batches = list(dev.batches(ragged.sorted_batches(dev.lengths, 5000)))
        right = sum(int((network(b.inputs).argmax(1) == b.targets).sum()) for b in batches)
    return right / len(dev)


def examples(rows: list, vocabulary: tokens.Vocabulary, classes: list) -> ragged.RaggedExamples:
    """Texts and labels as tokens and numbers of classes."""
    flat, starts = ragged.joined(vocabulary.encode([text for text, _ in rows]))
    targets = torch.tensor([classes.index(label) for _, label in rows])
    return ragged.RaggedExamples(torch.arange(len(rows)), flat, starts, targets)


def characters(name: str, rate: float, seed: int, **knobs: str) -> float:
    """Tiny Shakespeare: nats per character of the last tenth, after 300 steps of 32 × 64."""
    text = (DATA / "lm_tinyshakespeare" / "input.txt").read_text()
    vocabulary = tokens.learn([text], "characters")
    stream = torch.from_numpy(vocabulary.encode([text])[0]).long()
    train, dev = stream[: len(stream) * 9 // 10], stream[len(stream) * 9 // 10 :]
    torch.manual_seed(seed)
    size = len(vocabulary)
    network = find(name)((64,), size, vocabulary=size, reads="stream", dropout=0.0, **SLIM, **knobs)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    for _ in range(300):
        cut = train[torch.randint(len(train) - 65, (32, 1)) + torch.arange(65)]
        step(optimizer, F.cross_entropy(network(cut[:, :-1]).mT, cut[:, 1:]), network)
    with torch.no_grad():
        cut = dev[torch.arange(0, len(dev) - 65, 257)[:, None] + torch.arange(65)]
        return F.cross_entropy(network(cut[:, :-1]).mT, cut[:, 1:]).item()


def adding(name: str, rate: float, seed: int, initialization: str) -> float:
    """Hochreiter's adding problem, 60 steps: mean squared error after 600 steps (blind: 0.167)."""
    torch.manual_seed(seed)
    layers = Layers(find(name).layer, 2, 64, 1)
    network = nn.ModuleDict({"layers": layers, "output": nn.Linear(64, 1)})
    initialize(network, initialization)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    late = []
    for number in range(600):
        x_BTD, sum_B = two_numbers(64, 60)
        lengths_B = torch.full((64,), 60)
        features_BTH, _ = layers(x_BTD, lengths_B)
        loss = F.mse_loss(network["output"](layers.last(features_BTH, lengths_B))[:, 0], sum_B)
        step(optimizer, loss, network)
        late += [loss.item()] if number >= 550 else []
    return statistics.mean(late)


def two_numbers(examples: int, length: int) -> tuple[Tensor, Tensor]:
    """Random numbers of which two are marked, one in each half; and the sum of these."""
    values, marks = torch.rand(examples, length), torch.zeros(examples, length)
    for first in (0, length // 2):
        marks.scatter_(1, torch.randint(first, first + length // 2, (examples, 1)), 1.0)
    return torch.stack((values, marks), 2), (values * marks).sum(1)


def step(optimizer: torch.optim.Optimizer, loss: Tensor, network: nn.Module) -> None:
    """One change of the weights."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def speed() -> None:
    """LSTM 64 on 64 steps of 8 numbers, batch 64: processor ms a step, interleaved."""
    bare, ours = nn.LSTM(8, 64, batch_first=True), Layers(find("lstm").layer, 8, 64, 1)
    output = nn.Linear(64, 3)
    x_BTD, targets_B = torch.randn(64, 64, 8), torch.randint(3, (64,))
    lengths_B = torch.full((64,), 64)
    explicit = Layers(find("lstm").layer, 8, 64, 1)
    for module in explicit.modules():
        module.explicit = True
    features = {
        "bare": lambda: bare(x_BTD)[0][:, -1],
        "ours": lambda: ours.last(ours(x_BTD, lengths_B)[0], lengths_B),
        "explicit": lambda: explicit.last(explicit(x_BTD, lengths_B)[0], lengths_B),
    }
    owners = {"bare": bare, "ours": ours, "explicit": explicit}
    optimizers = {
        way: torch.optim.Adam([*owner.parameters(), *output.parameters()])
        for way, owner in owners.items()
    }
    seconds: dict[str, list[float]] = {way: [] for way in features}
    for _ in range(60):
        for way, make in features.items():
            begin = time.process_time()
            optimizers[way].zero_grad()
            F.cross_entropy(output(make()), targets_B).backward()
            optimizers[way].step()
            seconds[way].append(time.process_time() - begin)
    medians = {way: statistics.median(values[10:]) * 1e3 for way, values in seconds.items()}
    print({way: f"{ms:.2f} ms, {ms / medians['bare']:.2f}" for way, ms in medians.items()})


PROBLEMS = {
    "weights": (characters, adding, sentences, splices),
    "pooling": (sentences, splices),
}

if __name__ == "__main__":
    main()
