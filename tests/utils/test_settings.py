import functools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    CgAT,
    DiverseInputs,
    HAGCode,
    LInf,
    MomentumSignStep,
    NormalizedStep,
    SignStep,
    TargetChoice,
)
from lightning_hash.utils.settings import Part, public_name, settings_of


class Outer(Part):
    def __init__(self, inner, *, gain=2.0, names=(), **more):
        self.inner, self.more = inner, more


class Longer(Outer):
    def __init__(self, inner, length):
        super().__init__(inner, gain=length)


def weight(value):
    return value


def test_a_part_returns_the_arguments_of_its_own_constructor():
    part = Outer(AlphaSchedule([1.0], [0.0]), gain=3, names=["a"], extra=None)
    found = part.settings()
    assert found.pop("class").endswith("test_settings.Outer")
    assert found == {
        "inner": AlphaSchedule([1.0], [0.0]).settings(), "gain": 3, "names": ["a"], "extra": None,
    }  # fmt: skip
    longer = Longer(None, 5).settings()
    assert (longer["length"], "gain" in longer) == (5, False)


def test_settings_are_those_of_the_construction():
    values = [0.5]
    schedule = AlphaSchedule(values, [0.0])
    values.append(0.7)
    assert schedule.settings()["values"] == [0.5]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (HAG(0.5), HAG(0.3)),
        (HAGCode(beta=1.0), HAGCode(beta=50.0)),
        (CgAT(targeted=True), CgAT(targeted=False)),
        (TargetChoice(seed=0), TargetChoice(seed=1)),
        (DiverseInputs(seed=0), DiverseInputs(seed=1)),
        (DiverseInputs(smallest=0.9), DiverseInputs(smallest=0.8)),
        (LInf(0.1), LInf(0.2)),
        (LInf(0.1), LInf(0.1, "normalized")),
        (AlphaSchedule(), AlphaSchedule([1.0], [0.0])),
    ],
)
def test_parts_that_differ_have_other_settings(first, second):
    assert first.settings() != second.settings()
    assert first.settings() == settings_of(first)


def rules(*makers):
    return [settings_of(make([torch.zeros(1, 1)])) for make in makers]


def test_rules_that_differ_have_other_settings():
    sgd, adam = torch.optim.SGD, torch.optim.Adam
    found = rules(
        lambda p: SignStep(p, 0.1), lambda p: SignStep(p, 0.2),
        lambda p: MomentumSignStep(p, 0.1), lambda p: MomentumSignStep(p, 0.1, momentum=0.5),
        lambda p: NormalizedStep(p, 0.1), lambda p: NormalizedStep(p, 0.1, reference_size=12),
        lambda p: sgd(p, 0.1, momentum=0.9), lambda p: sgd(p, 0.1, momentum=0.9, nesterov=True),
        lambda p: adam(p, 0.1), lambda p: adam(p, 0.1, betas=(0.5, 0.9)),
    )  # fmt: skip
    assert len({str(each) for each in found}) == 10
    assert found[9]["betas"] == [0.5, 0.9]
    assert found[6]["class"] == "torch.optim.SGD"


def test_the_same_epsilon_is_the_same_setting_however_it_is_written():
    assert LInf("10/255").settings() == LInf(10 / 255).settings()


@dataclass
class Options:
    top: int = 3


def test_values_that_are_no_json():
    one, other = settings_of(torch.zeros(3)), settings_of(torch.ones(3))
    assert one["class"] == "torch.Tensor"
    assert one["sha256"] != other["sha256"]
    torch.manual_seed(0)
    network = nn.Linear(2, 2)
    before = settings_of(network)
    assert before["class"] == "torch.nn.Linear"
    network.bias.data += 1
    assert settings_of(network)["sha256"] != before["sha256"]
    assert settings_of(Options())["top"] == 3
    assert settings_of(Options())["class"].endswith("test_settings.Options")
    assert settings_of(weight).endswith("test_settings.weight")
    given = settings_of(functools.partial(weight, value=2))
    assert (given["call"], given["value"]) == (settings_of(weight), 2)
    assert settings_of({"a": (1, None)}) == {"a": [1, None]}


def test_modules_without_weights_are_told_apart():
    assert settings_of(nn.LeakyReLU(0.1)) != settings_of(nn.LeakyReLU(0.9))
    assert settings_of(nn.AvgPool2d(2)) == settings_of(nn.AvgPool2d(2))


@pytest.mark.parametrize(
    "nameless",
    [lambda value: value, object(), functools.partial(lambda: 0), AlphaSchedule().settings],
)
def test_what_has_no_name_is_refused(nameless):
    with pytest.raises(TypeError, match="which has no name to stand in result rows"):
        Outer(nameless).settings()


def test_numbers_are_finite():
    with pytest.raises(ValueError, match="settings must be finite, got nan"):
        settings_of(math.nan)


def test_wrong_arguments_are_python_s_own_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'thresold'"):
        HAG(thresold=0.5)


def test_the_public_name_is_the_shortest_path():
    assert public_name(torch.optim.Adam) == "torch.optim.Adam"
    assert public_name(HAG) == "lightning_hash.attacks.HAG"
    assert public_name(Outer) == f"{Outer.__module__}.Outer"
