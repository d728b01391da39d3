"""The splits: disjoint, complete, stratified, repeatable; and nobody looks at the test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glassnet.data.examples import TensorExamples
from glassnet.errors import UserError
from glassnet.recipe import Split
from glassnet.splits import divide, draw


@dataclass
class Rows:
    """A source of bare rows, which notes what is asked for."""

    num: int
    strata: Sequence[Any] | None = None
    parts: Sequence[str] | None = None
    groups: Sequence[Any] | None = None
    unreadable: frozenset[int] = frozenset()
    fingerprint: str = "rows"
    problems: list[Any] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    encoded: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.num

    def name(self, row: int, /) -> str:
        return f"row {row}"

    def facts(self, rows: Tensor, /) -> Any:
        self.learned += rows.tolist()
        return "facts"

    def examples(self, rows: Tensor, facts: Any, /) -> TensorExamples:
        self.encoded += rows.tolist()
        kept = torch.tensor([r for r in rows.tolist() if r not in self.unreadable])
        return TensorExamples(kept, kept.float(), kept)


def classes(max_size: int = 200) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from("aaaabbc"), min_size=10, max_size=max_size)


def listed(tensor: Tensor) -> list[int]:
    return tensor.tolist()  # type: ignore[no-any-return]


shares = st.sampled_from([0.1, 0.2, 1 / 3, 0.5])


@given(classes(), shares, shares, st.integers(0, 5), st.sampled_from(["fixed", "redrawn", "kfold"]))
@settings(deadline=None)
def test_every_row_is_in_exactly_one_part(
    labels: list[str], test: float, validation: float, seed: int, mode: Any
) -> None:
    knobs = Split(test=test, validation=validation, seed=seed, mode=mode, folds=3)
    splits = draw(Rows(len(labels), labels), knobs)
    parts = [listed(splits.train), listed(splits.validation), listed(splits.test)]
    assert sorted(sum(parts, [])) == list(range(len(labels)))


@given(classes(), shares, st.integers(0, 5))
@settings(deadline=None)
def test_each_class_has_its_share_of_the_test_within_rounding(
    labels: list[str], test: float, seed: int
) -> None:
    splits = draw(Rows(len(labels), labels), Split(test=test, seed=seed))
    found = Counter(labels[row] for row in listed(splits.test))
    for label, count in Counter(labels).items():
        if count > 1:
            assert abs(found[label] - test * count) <= 1.5, label


@given(classes(60), st.integers(0, 20))
@settings(deadline=None)
def test_a_class_with_one_example_is_kept_for_training(labels: list[str], seed: int) -> None:
    labels = [*labels, "lonely"]
    splits = draw(Rows(len(labels), labels), Split(test=0.5, validation=0.5, seed=seed))
    assert len(labels) - 1 in listed(splits.train)


def test_sizes_are_the_shares_that_were_asked_for() -> None:
    splits = draw(Rows(1000), Split(test=0.2, validation=0.25))
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [600, 200, 200]


def test_a_test_of_no_rows_is_none() -> None:
    assert len(draw(Rows(50), Split(test=0)).test) == 0


def test_parts_that_the_data_bring_are_respected() -> None:
    parts = ["test" if row % 5 == 0 else "train" for row in range(50)]
    splits = draw(Rows(50, parts=parts), Split(test=0.7, validation=0.25))
    assert listed(splits.test) == list(range(0, 50, 5))
    assert len(splits.validation) == 10


def test_all_three_parts_that_the_data_bring_are_respected() -> None:
    parts = ["train", "validation", "test"] * 10
    splits = draw(Rows(30, parts=parts), Split())
    for number, part in enumerate([splits.train, splits.validation, splits.test]):
        assert listed(part) == list(range(number, 30, 3))


def test_the_same_seed_draws_the_same_and_another_seed_another_split() -> None:
    labels = list("ab" * 50)
    one, same, other = (draw(Rows(100, labels), Split(seed=s)) for s in (3, 3, 4))
    assert all(
        torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values(), strict=True)
    )
    assert listed(one.test) != listed(other.test)


def test_the_test_rows_do_not_depend_on_how_validation_is_done() -> None:
    labels = list("ab" * 50)
    modes: list[Any] = ["fixed", "redrawn", "kfold"]
    tests = [draw(Rows(100, labels), Split(mode=mode)).test for mode in modes]
    tests.append(draw(Rows(100, labels), Split(validation=0.5)).test)
    assert all(torch.equal(test, tests[0]) for test in tests)


@given(classes(), st.integers(2, 5), st.integers(0, 3))
@settings(deadline=None)
def test_folds_partition_the_pool_evenly_and_in_like_mixture(
    labels: list[str], folds: int, seed: int
) -> None:
    source = Rows(len(labels), labels)
    knobs = [
        Split(mode="kfold", folds=folds, fold=fold + 1, seed=seed, test=0.2)
        for fold in range(folds)
    ]
    drawn = [draw(source, one) for one in knobs]
    pool = sorted(set(range(len(labels))) - set(listed(drawn[0].test)))
    assert sorted(sum((listed(d.validation) for d in drawn), [])) == pool
    sizes = [len(d.validation) for d in drawn]
    assert max(sizes) - min(sizes) <= 1
    in_pool = Counter(labels[row] for row in pool)
    for split in drawn:
        found = Counter(labels[row] for row in listed(split.validation))
        for label, count in in_pool.items():
            assert abs(found[label] - count / folds) < 1.01


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(UserError, match=r"split\.folds=9 needs at least as many rows, found 8"):
        draw(Rows(10), Split(mode="kfold", folds=9))


def test_no_row_to_train_on_is_refused() -> None:
    with pytest.raises(UserError, match="No row is left to train on: 4 rows"):
        divide(Rows(4, parts=["test"] * 4), Split())


@pytest.mark.parametrize("mode", ["fixed", "redrawn", "kfold"])
def test_dividing_asks_for_no_test_row(mode: Any) -> None:
    source = Rows(100, list("ab" * 50))
    data = divide(source, Split(mode=mode, folds=4))
    sealed = set(listed(data.splits.test))
    assert len(sealed) == 20
    assert not sealed & {*source.learned, *source.encoded}
    expected = data.splits.train if mode == "fixed" else data.pool.rows
    assert sorted(source.learned) == sorted(listed(expected))


def test_redrawn_validation_differs_each_epoch_and_is_a_function_of_the_epoch() -> None:
    data = divide(Rows(100, list("ab" * 50)), Split(mode="redrawn"))
    again = divide(Rows(100, list("ab" * 50)), Split(mode="redrawn"))
    seen = set()
    for epoch in (3, 0, 1, 2):
        train, validation = data.positions(epoch)
        assert sorted([*listed(train), *listed(validation)]) == list(range(80))
        assert len(validation) == 16
        assert torch.equal(validation, again.positions(epoch)[1])
        seen.add(tuple(listed(validation)))
    assert len(seen) == 4


def test_fixed_validation_is_the_same_each_epoch() -> None:
    data = divide(Rows(100), Split())
    train, validation = data.positions(0)
    assert torch.equal(data.positions(7)[1], validation)
    assert listed(data.pool.rows[validation]) == listed(data.splits.validation)
    assert listed(data.pool.rows[train]) == listed(data.splits.train)


@pytest.mark.parametrize("mode", ["fixed", "redrawn"])
def test_rows_that_cannot_be_read_shift_no_others(mode: Any) -> None:
    plain = divide(Rows(100), Split(mode=mode))
    lost = frozenset(listed(plain.splits.train)[:3] + listed(plain.splits.validation)[:1])
    data = divide(Rows(100, unreadable=lost), Split(mode=mode))
    train, validation = data.positions(0)
    rows = {*listed(data.pool.rows[train]), *listed(data.pool.rows[validation])}
    assert rows == set(range(100)) - set(listed(plain.splits.test)) - lost
    if mode == "fixed":
        kept = set(listed(plain.splits.validation)) - lost
        assert set(listed(data.pool.rows[validation])) == kept


def test_networks_of_all_folds_agree_on_the_facts() -> None:
    learned = []
    for fold in (1, 2, 3):
        source = Rows(60)
        divide(source, Split(mode="kfold", folds=3, fold=fold))
        learned.append(sorted(source.learned))
    assert learned[0] == learned[1] == learned[2]


@pytest.mark.parametrize("num", [2, 3, 4, 5])
def test_a_handful_of_rows_leaves_some_for_training_and_validation(num: int) -> None:
    splits = draw(Rows(num), Split())
    assert len(splits.train) >= 1
    assert len(splits.validation) >= 1


@given(
    st.lists(st.sampled_from(["train", "train", "validation", "test"]), min_size=30, max_size=120),
    shares,
)
def test_whatever_parts_the_data_bring_no_row_is_in_two(parts: list[str], test: float) -> None:
    for left_out in (set(), {"test"}, {"validation"}, {"test", "validation"}):
        kept = [part for part in parts if part not in left_out]
        if kept.count("train") < 5:
            continue
        found = draw(Rows(len(kept), parts=kept), Split(test=test))
        rows = [row for part in vars(found).values() for row in listed(part)]
        assert sorted(rows) == list(range(len(kept)))
        given = {part: [i for i, p in enumerate(kept) if p == part] for part in set(kept)}
        if "validation" in given:
            assert listed(found.validation) == given["validation"]
        if "test" in given:
            assert listed(found.test) == given["test"]


def test_rows_of_a_group_are_never_parted() -> None:
    groups = [row % 7 for row in range(70)]
    for mode in ("fixed", "kfold"):
        splits = draw(Rows(70, groups=groups), Split(mode=mode, folds=3, test=0.3))
        held = [{groups[row] for row in listed(part)} for part in vars(splits).values()]
        assert all(held)
        assert sum(map(len, held)) == 7


def test_groups_of_one_class_each_are_drawn_in_the_share_of_their_class() -> None:
    strata = ["rare" if row < 20 else "common" for row in range(100)]
    source = Rows(100, groups=[row // 2 for row in range(100)], strata=strata)
    for seed in range(5):
        splits = draw(source, Split(test=0.2, validation=0.25, seed=seed))
        assert sum(strata[row] == "rare" for row in listed(splits.test)) == 4
        assert sum(strata[row] == "rare" for row in listed(splits.validation)) == 4


def test_too_few_groups_for_the_folds_are_told() -> None:
    with pytest.raises(UserError, match="folds=5 needs at least as many groups"):
        draw(Rows(30, groups=[row % 3 for row in range(30)]), Split(mode="kfold", test=0))
