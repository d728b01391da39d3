"""Schedules against ``torch.optim.lr_scheduler``, over whole trainings."""

import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.optim import lr_scheduler

from glassnet.schedules import (
    Constant,
    Cosine,
    Exponential,
    OneCycle,
    ScheduleKnobs,
    Step,
    factor,
)

EPOCHS, PER_EPOCH = 10, 17
TOTAL = EPOCHS * PER_EPOCH


def torchs(make, every=1, total=TOTAL):
    """The learning rates of a scheduler of torch over ``total`` steps, moved every so many."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler, rates = make(optimizer), []
    for step in range(1, total + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % every == 0 and step < total:
            scheduler.step()
    return rates


def ours(knobs, total=TOTAL):
    return [factor(knobs, step, PER_EPOCH, total) for step in range(total)]


CASES = [
    (Constant(), lambda o: lr_scheduler.ConstantLR(o, factor=1.0), 1),
    (Step(step_size=3, gamma=0.3), lambda o: lr_scheduler.StepLR(o, 3, 0.3), PER_EPOCH),
    (Exponential(gamma=0.7), lambda o: lr_scheduler.ExponentialLR(o, 0.7), PER_EPOCH),
    (Cosine(), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL), 1),
    (Cosine(eta_min=0.1), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, 0.1), 1),
    (
        OneCycle(),
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, TOTAL, cycle_momentum=False),
        1,
    ),
    (
        OneCycle(pct_start=0.15, div_factor=10, final_div_factor=50, anneal="linear"),
        lambda o: lr_scheduler.OneCycleLR(
            o, 1.0, TOTAL, pct_start=0.15, div_factor=10, final_div_factor=50,
            anneal_strategy="linear", cycle_momentum=False,
        ),
        1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("knobs", "make", "every"), CASES)
def test_a_schedule_equals_torchs_over_a_whole_training(knobs, make, every):
    assert ours(knobs) == pytest.approx(torchs(make, every), rel=0, abs=1e-12)


@pytest.mark.parametrize("epochs", [0.5, 2])
def test_warmup_then_cosine_equals_torchs_sequence(epochs):
    warmup = round(epochs * PER_EPOCH)

    def make(optimizer):
        rise = lr_scheduler.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - warmup, 0.1)
        return lr_scheduler.SequentialLR(optimizer, [rise, fall], [warmup])

    knobs = Cosine(eta_min=0.1, warmup=epochs)
    assert ours(knobs) == pytest.approx(torchs(make), rel=0, abs=1e-12)


@pytest.mark.parametrize("knobs", [Constant(), Step(), Exponential(), Cosine(), OneCycle()])
@pytest.mark.parametrize("total", [1, 2, 3, 4, 100])
def test_trainings_of_any_length_get_rates_between_0_and_1(knobs, total):
    assert all(0 <= rate <= 1 for rate in ours(knobs, total))


def test_a_warmup_longer_than_the_training_only_rises():
    rates = ours(Cosine(warmup=5), total=20)
    assert rates == sorted(rates)
    assert 0 < rates[0] < rates[-1] < 1


def test_a_step_beyond_the_plan_keeps_the_last_rate():
    assert factor(Cosine(eta_min=0.2), 500, 10, 100) == pytest.approx(0.2)
    assert factor(OneCycle(), 500, 10, 100) == pytest.approx(1 / 25 / 1e4)


@pytest.mark.parametrize(
    "bad",
    [{"name": "cosin"}, {"name": "cosine", "eta": 1}, {"name": "step", "step_size": 0}],
)
def test_a_bad_knob_is_refused(bad):
    with pytest.raises(ValidationError):
        TypeAdapter(ScheduleKnobs).validate_python(bad)


def test_every_knob_has_a_help_text():
    for model in (Constant, Step, Exponential, Cosine, OneCycle):
        fields = model.model_fields.items()
        assert [name for name, field in fields if not field.description] == ["name"]


def test_the_knobs_are_read_without_torch():
    code = "import sys, glassnet.schedules; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
