"""Labelled sequences of DNA: layouts, letters, splits, answers, motifs, and mistakes."""

from __future__ import annotations

import dataclasses
import gzip
import os
import random
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from glassnet import api, catalog, inspection, splits
from glassnet.data import dna, dnaletters, planted, sources
from glassnet.dna import baselines, motifs, regression, tells
from glassnet.errors import UserError
from glassnet.networks._series import present
from glassnet.networks._strands import BothStrands, reverse_complement
from glassnet.networks.dnacnn import DnaCNN
from glassnet.recipe import Split
from glassnet.task import Batch

pytestmark = pytest.mark.usefixtures("in_tmp")
DATA = os.environ.get("GLASSNET_DATA", "")
real = pytest.mark.skipif(not Path(DATA, "dna_splice").is_dir(), reason="GLASSNET_DATA is not set")


def sequences(count: int, seed: int = 0, low: int = 30, high: int = 40) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("ACGT", k=draw.randint(low, high))) for _ in range(count)]


def fasta(path: Path, headers: list[str], found: list[str], width: int = 11) -> Path:
    """Records with sequences cut into lines."""
    lines = []
    for header, one in zip(headers, found, strict=True):
        lines += [f">{header}", *(one[at : at + width] for at in range(0, len(one), width))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


# --- Layouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["n{n}|{label}", "n{n} {label}", "n{n} class={label} len=40", "gene_{n}_{label}"]
)
def test_labels_stand_in_headers(form: str) -> None:
    found = sequences(20)
    labels = ["exon", "intron"] * 10
    headers = [form.format(n=n, label=label) for n, label in enumerate(labels)]
    source = dna.open_dna(fasta(Path("a.fa"), headers, found))
    assert source.sequences == found
    assert source.labels == labels
    assert sources.look("a.fa").kind == "dna"


def test_the_last_field_of_a_header_may_be_the_part() -> None:
    headers = [f"n{n}|{n % 2}|{'testing' if n > 13 else 'training'}" for n in range(20)]
    source = dna.open_dna(fasta(Path("a.fasta"), headers, sequences(20)))
    assert source.classes == ["0", "1"]
    assert source.parts is not None and list(source.parts).count("test") == 6


@pytest.mark.parametrize(
    "names",
    [
        ("set/promoter.fa", "set/other.fa"),
        ("set/promoter/a.fna", "set/other/a.fna"),
        ("set/promoter.txt", "set/other.txt"),
    ],
)
def test_each_class_has_a_file_or_a_folder(names: tuple[str, str]) -> None:
    for number, name in enumerate(names):
        found = sequences(6, number)
        if name.endswith(".txt"):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text("\n".join(found))
        else:
            fasta(Path(name), [f"s{n}" for n in range(6)], found)
    source = dna.open_dna("set")
    assert sorted(source.classes) == ["other", "promoter"]
    assert len(source) == 12
    assert sources.look("set").kind == "dna"


def test_parts_lie_in_folders_with_one_text_file_for_each_sequence() -> None:
    for part, count in (("train", 8), ("test", 4)):
        for number, label in enumerate(("negative", "positive")):
            folder = Path("set", part, label)
            folder.mkdir(parents=True)
            for n, one in enumerate(sequences(count, 10 * number + len(part))):
                (folder / f"{n}.txt").write_text(f"{one[:20]}\n{one[20:]}\n")
    source = dna.open_dna("set")
    assert len(source) == 24
    assert source.parts is not None and list(source.parts).count("test") == 8
    assert source.classes == ["negative", "positive"]
    assert min(map(len, source.sequences)) >= 30


def test_files_are_parts_and_may_be_packed() -> None:
    for part, seed in (("train", 1), ("test", 2)):
        headers = [f"n{n} {'ab'[n % 2]}" for n in range(12)]
        path = fasta(Path("set") / f"{part}.fa", headers, sequences(12, seed))
        Path(f"{path}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    source = dna.open_dna("set")
    assert source.parts == ["train"] * 12 + ["test"] * 12
    assert source.classes == ["a", "b"]


def test_a_table_with_a_column_of_sequences_is_no_table_of_texts() -> None:
    rows = [f"{one.lower()},{'ab'[n % 2]},chr{n % 5}" for n, one in enumerate(sequences(30))]
    Path("a.csv").write_text("\n".join(["seq,label,chromosome", *rows]))
    assert sources.look("a.csv").kind == "dna"
    assert catalog.resolve("a.csv", {})[1].task == "dna-classification"
    assert any("chromosome" in problem.where for problem in dna.open_dna("a.csv").problems)


def test_short_words_of_these_letters_are_no_sequences() -> None:
    rows = [f"{word},{'ab'[n % 2]}" for n, word in enumerate(["cat", "act", "tag", "hand"] * 8)]
    Path("a.csv").write_text("\n".join(["word,label", *rows]))
    assert sources.look("a.csv", target="label").kind != "dna"


@real
@pytest.mark.parametrize(
    ("name", "counts"), [("promoters", [53, 53]), ("splice", [767, 768, 1655])]
)
def test_the_layouts_of_uci_are_read(name: str, counts: list[int]) -> None:
    source = dna.open_dna(sources.locate(name))
    facts = source.facts(torch.arange(len(source)))
    assert facts.class_counts == counts
    assert facts.aligned and not facts.both_strands
    assert facts.shortest == facts.most == {"promoters": 57, "splice": 60}[name]


# --- Letters --------------------------------------------------------------------------------------


def test_ambiguous_letters_are_probabilities() -> None:
    found = dnaletters.encode("aRnB-u", "dna") / dnaletters.WHOLE
    assert found[0].tolist() == [1, 0, 0, 0]
    assert found[1].tolist() == [0.5, 0, 0.5, 0]
    assert found[2].tolist() == found[4].tolist() == [0.25] * 4
    assert found[3] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3])
    assert found[5].tolist() == [0, 0, 0, 1]


def test_proteins_are_told_by_their_letters() -> None:
    draw = random.Random(0)
    found = ["".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=30)) for _ in range(20)]
    path = fasta(Path("a.faa"), [f"p{n}|{n % 2}" for n in range(20)], [one + "*" for one in found])
    source = dna.open_dna(path)
    assert source.alphabet == "protein"
    batch = source.examples(torch.arange(3), source.facts(torch.arange(20))).batch(torch.arange(3))
    assert batch.inputs.shape == (3, 20, 30)


def test_equal_sequences_fall_on_one_side_also_from_the_other_strand() -> None:
    found = sequences(40)
    twins = [dnaletters.reverse_complement(one).lower() for one in found[:20]]
    headers = [f"n{n}|{'ab'[n % 2]}" for n in range(60)]
    source = dna.open_dna(fasta(Path("a.fa"), headers, found + twins))
    drawn = splits.draw(source, Split())
    assert any("20 of 60 sequences repeat" in problem.what for problem in source.problems)
    sides = [set(rows.tolist()) for rows in (drawn.train, drawn.validation, drawn.test)]
    for row in range(20):
        assert len([side for side in sides if {row, 40 + row} & side]) == 1


def test_places_have_a_meaning_where_letters_depend_on_them() -> None:
    Path("a.csv").write_text(planted.as_csv())
    source = dna.open_dna("a.csv")
    assert source.facts(torch.arange(300)).aligned
    free = dna.open_dna(
        fasta(Path("b.fa"), [f"n{n}|{n % 2}" for n in range(300)], sequences(300, 1, 40, 40))
    )
    assert not free.facts(torch.arange(300)).aligned
    assert free.facts(torch.arange(300)).both_strands
    assert not free.facts(torch.arange(90)).both_strands


def test_a_strand_is_noticed() -> None:
    draw = random.Random(0)
    found = ["".join(draw.choices("ACGT", (3, 1, 2, 2), k=50 + n % 9)) for n in range(240)]
    source = dna.open_dna(fasta(Path("a.fa"), [f"n{n}|{n % 2}" for n in range(240)], found))
    assert not source.facts(torch.arange(240)).both_strands


# --- Mistakes -------------------------------------------------------------------------------------


def test_letters_outside_the_alphabet_are_told_by_row_and_letter() -> None:
    found = sequences(20)
    found[3] = "ACGTQACGT!" + found[3]
    found[5] = "MKVLAAGIVPWERTYHKLMNPQ"
    source = dna.open_dna(fasta(Path("a.fa"), [f"n{n}|{n % 2}" for n in range(20)], found))
    assert len(source) == 18
    told = next(p.what for p in source.problems if "no nucleotides" in p.what)
    assert "record 4 (n3): '!' at 10, 'Q' at 5" in told
    assert "n5" in told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ACGT\nACGT\n", r"a\.fa, line 1: expected a header that begins with '>'"),
        ("@r1\nACGT\n+\nIIII\n", "is FASTQ"),
        (">a\nACGTACGT\n>b\nACGTTTTT\n", "no label was found in the headers"),
        ("", "holds no sequence"),
        (">a|x\nACGT\n>b|x\nACGG\n>c|x\nAAAA\n", "the label is 'x' in every header"),
    ],
)
def test_damaged_files_are_refused_with_what_was_expected(text: str, said: str) -> None:
    Path("a.fa").write_text(text)
    with pytest.raises(UserError, match=said):
        dna.open_dna("a.fa")


def test_empty_sequences_and_missing_labels_are_left_out_and_told() -> None:
    rows = [f"n{n},{one},{'ab'[n % 2]}" for n, one in enumerate(sequences(20))]
    rows += ["n20,,a", f"n21,{sequences(1, 9)[0]},", f"n21,{sequences(1, 8)[0]},b"]
    Path("a.csv").write_text("\n".join(["name,sequence,class", *rows]))
    source = dna.open_dna("a.csv")
    assert len(source) == 21
    told = " ".join(problem.what for problem in source.problems)
    assert "1 of 23 sequences are empty (row 21)" in told
    assert "1 of 23 sequences have no label (row 22)" in told


def test_one_class_and_other_alphabets_are_refused() -> None:
    rows = [f"{one},a" for one in sequences(10)]
    Path("a.csv").write_text("\n".join(["sequence,class", *rows]))
    with pytest.raises(UserError, match="'a' for every sequence"):
        dna.open_dna("a.csv")
    fasta(Path("b.fa"), [f"n{n}|{n % 2}" for n in range(10)], ["HELLO2WORLD!"] * 10)
    with pytest.raises(UserError, match="outside of ACDEFGHIKLMNPQRSTVWY.*--task text-class"):
        dna.open_dna("b.fa")


def test_names_that_stand_twice_are_told() -> None:
    found = sequences(12)
    source = dna.open_dna(
        fasta(Path("a.fa"), [f"n{n // 2} {'ab'[n % 2]}" for n in range(12)], found)
    )
    assert any("6 names stand above several sequences" in p.what for p in source.problems)


# --- Networks and answers -------------------------------------------------------------------------


def batch_of(found: list[str]) -> Tensor:
    codes = [torch.from_numpy(dnaletters.encode(one, "dna")) / 60 for one in found]
    padded = torch.nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=torch.nan)
    return padded.transpose(1, 2)


def test_the_other_strand_of_a_padded_batch_is_that_of_each_sequence() -> None:
    found = sequences(5)
    expected = batch_of([dnaletters.reverse_complement(one) for one in found])
    assert torch.equal(reverse_complement(batch_of(found)).nan_to_num(9), expected.nan_to_num(9))
    network = BothStrands(DnaCNN((4, 40), 2)).eval()
    assert torch.allclose(network(batch_of(found)), network(expected), atol=1e-6)


@pytest.mark.parametrize("places", [False, True])
@pytest.mark.parametrize("kmer", [1, 3])
def test_what_comes_after_the_end_changes_no_answer(places: bool, kmer: int) -> None:
    torch.manual_seed(0)
    network = DnaCNN((4, 40), 3, places=places, kmer=kmer, members=2)
    torch.nn.init.normal_(network.linear.weight)  # type: ignore[union-attr]
    found = [one[:40] for one in sequences(3)]
    longer = torch.nn.functional.pad(batch_of(found), (0, 7), value=torch.nan)
    network.eval()
    assert torch.allclose(network(batch_of(found)), network(longer), atol=1e-5)
    alone = torch.cat([network(batch_of([one])) for one in found])
    assert torch.allclose(network(batch_of(found)), alone, atol=1e-5)


def test_every_parameter_of_the_network_learns() -> None:
    network = DnaCNN((4, 40), 3, places=True)
    network.train()
    outputs = network(batch_of([one[:40] for one in sequences(16)]))
    assert outputs.shape == (16, network.members, 3)
    outputs.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_planted_motifs_are_learned_found_and_answered() -> None:
    run = api.train("planted-motifs", epochs=24, threads=1, show=False)
    measured = run.evaluate()
    assert measured.metrics["accuracy"].value >= 0.9
    assert set(measured.baselines) == {"k-mer logistic regression", "logistic regression of places"}
    source = dna.open_dna(sources.locate("planted-motifs"))
    examples: Batch = source.examples(torch.arange(len(source)), run.facts)  # type: ignore[assignment]
    found = motifs.find(run.network, examples, run.facts)  # type: ignore[arg-type]
    told = " ".join(
        motif.consensus for motif in found if run.facts.classes[motif.enriched] == "promoter"
    )
    assert "TTGAC" in told or "TGACA" in told
    assert re.search("AT[AW]AT|TAT[AW]A|TAWAA", told), told
    planted_one = source.sequences[0]
    good, short, odd = run.predict([planted_one, "ACGT", planted_one[:-1] + "J"])
    assert good.answer == "promoter"
    assert "has 4 letters; those of the training are aligned" in short.details["error"]
    assert "'J' at 50" in odd.details["error"]


def test_places_are_refused_for_several_lengths() -> None:
    headers = [f"n{n}|{n % 2}" for n in range(30)]
    path = fasta(Path("a.fa"), headers, sequences(30))
    with pytest.raises(UserError, match=r"network\.places=true needs sequences of one length"):
        api.train(str(path), show=False, epochs=1, **{"network.places": True})


# --- What the doctor says, and what places tell ---------------------------------------------------


def test_the_doctor_tells_of_copies_across_parts_and_of_labels_that_contradict() -> None:
    found = sequences(60)
    found[45], found[46] = dnaletters.reverse_complement(found[3]), found[4].lower()
    found[8] = found[9]  # of another class
    headers = [f"n{n}|{n % 2}|{'test' if n >= 40 else 'train'}" for n in range(60)]
    look = inspection.inspect(fasta(Path("a.fa"), headers, found))
    kinds = {problem.kind: problem for problem in look.problems}
    assert kinds["copies across parts"].rows == ((45, 3), (46, 4))
    assert kinds["label conflicts"].rows == ((8, 9),)
    assert "3 of 60 sequences repeat" in kinds["duplicates"].what


def test_the_doctor_tells_of_classes_that_lengths_give_away() -> None:
    found = [*sequences(30, 0, 30, 40), *sequences(30, 1, 60, 70)]
    found[0] = "NNNNN" + found[0][5:]
    look = inspection.inspect(fasta(Path("a.fa"), [f"n{n}|{n // 30}" for n in range(60)], found))
    told = [problem.what for problem in look.problems]
    assert any("the length alone tells it from the others" in one for one in told), told
    assert any("1 sequence with more than 10% of letters that stand for several" in o for o in told)


def test_what_places_tell_adds_up_to_the_answer() -> None:
    torch.manual_seed(0)
    network = DnaCNN((4, 40), 3, places=True, members=2).eval()
    signals = list(batch_of([one[:40] for one in sequences(4, 0, 40, 40)]))
    facts = SimpleNamespace(most=40, letters="ACGT", frequencies=[0.25] * 4)
    added_TC = tells.adds(network, signals, facts, 1)

    def odds(batch_BCT: Tensor) -> float:
        shares = network(batch_BCT).detach().softmax(1)[:, 1]
        return float((shares / (1 - shares)).log().mean())

    plain = torch.full((1, 4, 40), 0.25)
    expected = odds(torch.stack(signals)) - odds(plain)
    assert float(added_TC.sum()) == pytest.approx(expected, abs=0.02)


def test_half_of_a_network_begins_with_the_regression_where_words_tell_much() -> None:
    draw = random.Random(0)
    found = ["".join(draw.choices("ACGT", (4, 1, 2, 1 + 5 * (n % 3)), k=90)) for n in range(120)]
    source = dna.open_dna(fasta(Path("a.fa"), [f"n{n}|c{n % 3}" for n in range(120)], found))
    facts = source.facts(torch.arange(120))
    pool = source.examples(torch.arange(120), facts)
    network = DnaCNN((4, 90), 3, members=3)
    data = SimpleNamespace(pool=pool, positions=lambda fold: (torch.arange(90),))
    told = regression.start(None, network, data)  # type: ignore[arg-type]
    assert "half of the members begin" in told[0]
    assert network.linear is not None and not network.linear.weight[1].any()
    asked = pool.batch(torch.arange(90, 120))
    known = network.linear(asked.inputs.nan_to_num(0.0), present(asked.inputs))
    learned, others = (source.examples(rows, facts) for rows in torch.arange(120).split(90))
    plain = baselines.kmers(None, learned, others, facts)
    for member in (0, 2):
        ours = known[:, member].detach().log_softmax(1)
        assert torch.allclose(ours, plain.outputs, atol=1e-3)
    mixed = pool.targets[torch.randperm(120, generator=torch.manual_seed(0))]
    data.pool = dataclasses.replace(pool, targets=mixed)
    assert regression.start(None, DnaCNN((4, 90), 3), data) == ()  # type: ignore[arg-type]


def test_tables_of_sequences_are_repaired_and_fasta_is_not() -> None:
    rows = [f"{one},{'ab'[n % 2]}" for n, one in enumerate(sequences(30))]
    Path("a.csv").write_text("\n".join(["sequence,class", *rows, rows[0], "ACGTACGTACGT,"]) + "\n")
    repairs = inspection.fix(inspection.inspect("a.csv"), None, "b.csv")
    assert sorted(repairs.summary.values()) == [1, 1]
    assert Path("b.csv").read_text().split() == ["sequence,class", *rows]
    path = fasta(Path("a.fa"), [f"n{n}|{n % 2}" for n in range(30)], sequences(30))
    with pytest.raises(UserError, match="tables of them are"):
        inspection.fix(inspection.inspect(path), None, "b.fa")


def test_a_sequence_far_from_the_lengths_that_were_learned_is_told() -> None:
    from glassnet.data import rawdna

    facts = dna.DnaFacts(
        alphabet="dna", shortest=100, most=120, longest=120, aligned=False, both_strands=False,
        frequencies=[0.25] * 4, classes=["a", "b"], class_counts=[1, 1],
    )  # fmt: skip
    told = rawdna.unusual([("short", "ACG"), ("usual", "ACGT" * 26)], facts)
    assert len(told) == 1
    assert "short (3)" in told[0].what
    assert "usual" not in told[0].what


def test_coordinates_in_headers_are_no_class(tmp_path: Path) -> None:
    path = tmp_path / "peaks.fa"
    path.write_text(">chr1:100-200\nACGT\n>chr2:100-200\nACGA\n")
    with pytest.raises(UserError, match="no label was found in the headers"):
        dna.open_dna(path)
