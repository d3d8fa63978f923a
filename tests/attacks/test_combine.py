import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from lightning_hash.attacks.combine import agreed, combine
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.transfer import read_perturbations

INDEX = torch.tensor([2, 5])
VICTIM = {"backbone": "convnet", "bits": 32, "sha256": "aaaaaaaa"}
ATTACK = {"name": "hag", "iterations": 100, "seed": 0}


def protocol(attack=None, victim=None, epsilon=0.1, space="pixel"):
    budget = {"epsilon": epsilon, "space": space}
    return {
        "attack": {**ATTACK, "budget": budget, **(attack or {})},
        "victims": [{**VICTIM, **(victim or {})}],
        "data": {"n_query": 2, "target_database": None},
        "ranking": dataclasses.asdict(RankingOptions()),
    }  # fmt: skip


def write(folder, values, index=INDEX, scale=None, reached=(0.5, 0.5), **given):
    folder.mkdir()
    metadata = {"protocol": json.dumps(protocol(**given))}
    if scale is not None:
        metadata["scale"] = json.dumps(scale)
    tensors = {"index": index, "perturbation": torch.tensor(values)}
    tensors["reached"] = torch.tensor(reached)
    save_file(tensors, folder / "perturbations.safetensors", metadata)
    return read_perturbations(folder)


@pytest.fixture
def parts(tmp_path):
    first = write(tmp_path / "a", [[0.1, -0.05], [0.02, 0.0]])
    second = write(
        tmp_path / "b",
        [[0.05, -0.1], [-0.03, 0.1]],
        victim={"bits": 64},
        attack={"iterations": 200},
    )
    return [first, second]


@pytest.mark.parametrize(
    ("combination", "values", "epsilon"),
    [
        ("sum", [[0.15, -0.15], [-0.01, 0.1]], 0.2),
        ("clipped", [[0.1, -0.1], [-0.01, 0.1]], 0.1),
        ("average", [[0.075, -0.075], [-0.005, 0.05]], 0.1),
    ],
)
def test_by_hand(parts, combination, values, epsilon):
    found = combine(parts, combination)
    torch.testing.assert_close(found.values, torch.tensor(values))
    assert found.epsilon == pytest.approx(epsilon)
    assert (found.sources, found.combination) == ("convnet-32+convnet-64", combination)
    assert found.attack["name"] == "hag"
    assert "iterations" not in found.attack  # they differ
    assert found.attack["seed"] == 0
    assert found.attack["budget"] == {"epsilon": 0.1, "space": "pixel"}


def test_the_best_of_each_query(tmp_path):
    runs = [
        write(tmp_path / str(seed), [[a], [b]], reached=reached, attack={"start_seed": seed})
        for seed, (a, b, reached) in enumerate(
            [(0.1, 0.2, (0.5, 0.25)), (0.3, 0.4, (0.5, 0.75)), (0.5, 0.6, (0.25, 0.5))]
        )
    ]
    found = combine(runs, "best")
    assert found.values.flatten().tolist() == pytest.approx([0.1, 0.4])  # the first of equal ones
    assert (found.sources, found.restarts, found.epsilon) == ("convnet-32", 3, 0.1)
    assert "start_seed" not in found.attack
    old = write(tmp_path / "old", [[0.1], [0.2]], attack={"name": "old"})
    old = dataclasses.replace(old, reached=None)
    assert combine([*runs, old], "sum").values.flatten().tolist() == pytest.approx([1.0, 1.4])
    with pytest.raises(ValueError, match="of old on convnet-32 do not say how far each got"):
        combine([*runs, old], "best")


def test_normalised_perturbations_come_out_in_pixels(tmp_path):
    values = [[[[1.0]], [[-0.5]], [[0.25]]]] * 2
    found = write(tmp_path / "n", values, scale=[0.2, 0.4, 0.1], epsilon=1.0, space="normalized")
    assert found.values[0].flatten().tolist() == pytest.approx([0.2, -0.2, 0.025])
    assert found.epsilon == pytest.approx(0.4)  # the largest change that some channel allows
    with pytest.raises(ValueError, match="does not say the victim's std"):
        write(tmp_path / "m", values, space="normalized")


def test_equal_names_are_told_apart_by_the_weights(tmp_path):
    first = write(tmp_path / "a", [[0.1], [0.1]])
    second = write(tmp_path / "b", [[0.1], [0.1]], victim={"sha256": "bbbbbbbb"})
    assert combine([first, second], "sum").sources == "convnet-32-aaaaaa+convnet-32-bbbbbb"


def test_what_does_not_go_together(parts, tmp_path):
    other = write(tmp_path / "c", [[0.0, 0.0], [0.0, 0.0]], index=torch.tensor([2, 6]))
    with pytest.raises(ValueError, match="are of different queries"):
        combine([parts[0], other], "sum")
    other = write(tmp_path / "d", [[0.0], [0.0]])
    with pytest.raises(ValueError, match=r"the shapes \(2, 2\) and \(2, 1\)"):
        combine([parts[0], other], "sum")
    other = write(tmp_path / "e", [[0.0, 0.0], [0.0, 0.0]], epsilon=0.2)
    with pytest.raises(ValueError, match=r"epsilon is 0.1 on convnet-32 and 0.2"):
        combine([parts[0], other], "clipped")
    with pytest.raises(ValueError, match="at least two perturbations, got 1"):
        combine(parts[:1], "average")
    with pytest.raises(ValueError, match="one of single, sum, clipped, average, best, got 'mean'"):
        combine(parts, "mean")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="give the run folder of a finished attack"):
        read_perturbations(tmp_path)
    (tmp_path / "perturbations.safetensors").write_bytes(b"abc")
    with pytest.raises(ValueError, match="no file of perturbations of this version, or"):
        read_perturbations(tmp_path)


@pytest.mark.parametrize(
    ("combination", "values", "radius"),
    [
        ("sum", [0.3, -0.4, 0.1], [0.2, 0.4, 0.1]),
        ("clipped", [0.1, -0.2, 0.05], [0.1, 0.2, 0.05]),
        ("average", [0.15, -0.2, 0.05], [0.1, 0.2, 0.05]),
    ],
)
def test_each_channel_of_normalised_space_has_its_own_budget(combination, values, radius, tmp_path):
    """An epsilon of 0.5 in normalised space is 0.1, 0.2 and 0.05 of [0, 1]."""
    scale, space = [0.2, 0.4, 0.1], {"epsilon": 0.5, "space": "normalized"}
    deltas = [[[[0.5]], [[-0.5]], [[0.5]]]] * 2, [[[[1.0]], [[-0.5]], [[0.5]]]] * 2
    parts = [
        write(tmp_path / str(number), delta, scale=scale, **space)
        for number, delta in enumerate(deltas)
    ]
    found = combine(parts, combination)
    assert found.values[0].flatten().tolist() == pytest.approx(values)
    assert found.radius.flatten().tolist() == pytest.approx(radius)
    assert found.epsilon == pytest.approx(max(radius))


def test_budgets_of_different_channels_are_not_one(tmp_path):
    delta, space = [[[[0.1]], [[0.1]], [[0.1]]]] * 2, {"epsilon": 0.5, "space": "normalized"}
    first = write(tmp_path / "a", delta, scale=[0.2, 0.4, 0.1], **space)
    second = write(tmp_path / "b", delta, scale=[0.2, 0.4, 0.3], **space)
    with pytest.raises(ValueError, match=r"epsilon is 0.1, 0.2, 0.05 on .* and 0.1, 0.2, 0.15"):
        combine([first, second], "clipped")
    limits = combine([first, second], "best").radius.flatten().tolist()
    assert limits == pytest.approx([0.1, 0.2, 0.15])
    pixels = write(tmp_path / "c", delta, epsilon=0.2)
    with pytest.raises(ValueError, match=r"epsilon is 0.1, 0.2, 0.05 on .* and 0.2 on"):
        combine([first, pixels], "clipped")


@pytest.mark.parametrize("combination", ["sum", "clipped", "average", "best"])
def test_the_shortest_attack_says_the_iterations(parts, combination):
    early, late = (
        dataclasses.replace(part, iteration=iteration)
        for part, iteration in zip(parts, (40, 100), strict=True)
    )
    assert combine([early, late], combination).iteration == 40
    assert combine([late, early], combination).iteration == 40


def test_one_part_agrees_with_itself():
    assert agreed([{"seed": 0, "step": {"name": "sign", "alpha": 1.0}}]) == {
        "seed": 0, "step": {"name": "sign", "alpha": 1.0},
    }  # fmt: skip
