"""The built-in perturbations that images share, under the Trainer, by one process."""

import json
import math
import re
from functools import partial

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DistributedSampler
from torchvision.transforms.functional import pil_to_tensor

import lightning_hash
from lightning_hash.attacks import (
    APGD,
    SSTUAA,
    AlphaSchedule,
    AnchorCode,
    Box,
    MomentumSignStep,
    Noise,
    Patch,
    RateDecay,
    Square,
    TargetChoice,
    Universal,
)
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import RunFolder
from lightning_hash.functional import mean_average_precision, sign_code
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.reports.overview import overview_grids
from lightning_hash.results.rows import ResultRow
from tests.conftest import BlobData, Blobs, TinyNet
from tests.helpers.attacks import attack, make, rows_of, trainer
from tests.helpers.own_parts import GLOBAL_BATCH, built_in, killed, patch, run, sgd, told
from tests.reference.universal import resized, ss_tuaa_loss

MAKERS = {"built-in": built_in, "patch": patch}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """Each attack, run to its end."""
    found = {}
    for name, maker in MAKERS.items():
        module = maker()
        found[name] = module, run(tmp_path_factory.mktemp(name), module)
    return found


def frozen():
    return TinyNet().eval().requires_grad_(requires_grad=False)


def tensors(items, rows):
    return torch.stack([items[int(i)][0] for i in rows])


def test_ss_tuaa_learns_as_a_loop_does(learned):
    """Six passes in three batches: masked loss, feature consistency, one anchor code for all."""
    module, _ = learned["built-in"]
    items, victim = Blobs(60, 0), frozen()
    images, anchor = tensors(items, range(60)), module.batches[0].targets.anchor_codes[0].float()
    delta, alpha = nn.Parameter(torch.zeros(3, 11, 11)), AlphaSchedule()
    optimizer = sgd([delta])
    sampler = DistributedSampler(items, num_replicas=1, rank=0, shuffle=True, seed=0)
    first = True
    for iteration in range(6):
        sampler.set_epoch(iteration)
        for batch in torch.tensor(list(sampler)).split(GLOBAL_BATCH):
            optimizer.zero_grad()
            added = nn.functional.interpolate(delta[None], (8, 8), mode="bilinear")
            if first:
                torch.testing.assert_close(added[0], resized(delta.detach(), 8, 8))
            perturbed = (images[batch] + added).clamp(0, 1)
            activation = torch.tanh(alpha(iteration, 6) * victim(perturbed))
            mask = (anchor - activation).abs() > 0.3
            product, kept = (mask * anchor * activation).sum(dim=1), mask.sum(dim=1)
            masked = torch.where(kept > 0, 1 - product / kept.clamp(min=1), 0.0)
            seen, alone = (victim.convolution(x - 0.5).flatten(1) for x in (perturbed, added))
            apart = 1 - torch.cosine_similarity(seen, alone)
            if first:
                expected = ss_tuaa_loss(
                    victim(perturbed)[0].tolist(), anchor.tolist(), alpha(0, 6), 0.3,
                    [seen[0].tolist()], [alone[0].tolist()], 1.0,
                )  # fmt: skip
                assert float((masked + apart)[0].detach()) == pytest.approx(expected, abs=1e-6)
            first = False
            (masked + apart).mean().backward()
            optimizer.step()
            with torch.no_grad():
                delta.clamp_(-10 / 255, 10 / 255)
    (found,) = module.perturbations.parameters()
    assert found.detach().abs().max() > 0.01
    torch.testing.assert_close(found.detach()[0], delta.detach(), rtol=0, atol=1e-6)


def test_all_images_have_one_target(learned):
    module, scores = learned["built-in"]
    targets = [queries.targets for queries in module.batches]
    assert len(torch.unique(torch.cat([each.labels for each in targets]), dim=0)) == 1
    assert len(torch.unique(torch.cat([each.anchor_index for each in targets]), dim=0)) == 1
    (row,) = rows_of(scores, "ss-tuaa", metric="t_map", quantized=False, iteration=6)
    assert row["attack"]["targets"]["label"] == "drawn"
    assert row["attack"]["perturbation"] == {
        "class": "lightning_hash.attacks.Universal", "size": 11,
    }  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_train_map_is_that_of_as_many_training_items_as_queries(learned, name):
    module, scores = learned[name]
    items, database, victim = Blobs(60, 0), Blobs(90, 2), frozen()
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:13].sort().values
    images, (made,) = tensors(items, rows), module.perturbations
    made.expect(rows, 6)
    with torch.no_grad():
        perturbed = made(images).clamp(0, 1)
        budget = module.recipe.budget
        eight_bit = budget.round_to_8bit(perturbed, images).float() / 255
        ranked = sign_code(victim(database.images.float() / 255)), database.labels
        expected = [
            float(mean_average_precision(sign_code(victim(x)), ranked[0], items.labels[rows],
                                         ranked[1], top_k=20))
            for x in (perturbed, eight_bit, images)
        ]  # fmt: skip
    found = [row for row in scores.rows if row["metric"] == "train_map"]
    assert [row["value"] for row in found] == pytest.approx(expected, abs=1e-6)
    assert [row["quantized"] for row in found] == [False, True, False]
    assert [row["n"] for row in found] == [13, 13, 13]
    assert [row["iteration"] for row in found] == [6, 6, 0]
    assert (found[0]["attack"], found[2]["attack"]) == (module.settings(), None)
    targeted = [row["metric"] for row in scores.rows if row["metric"] == "train_t_map"]
    assert len(targeted) == (3 if name == "built-in" else 0)
    [ResultRow(**row) for row in scores.rows]
    logged = scores.trainer.callback_metrics
    assert float(logged["final/train_map"]) == pytest.approx(expected[0], abs=1e-6)
    assert float(logged["final_8bit/train_map"]) == pytest.approx(expected[1], abs=1e-6)


def test_few_training_items_are_all_scored(tmp_path):
    class Few(BlobData):
        def setup(self, stage):
            super().setup(stage)
            self.train_set = Blobs(7, 0)

    scores = run_attack(trainer(tmp_path, 1), make(perturbation=Universal), Few())
    assert {row["n"] for row in scores.rows if row["metric"] == "train_map"} == {7}


def test_a_perturbation_for_each_query_has_no_train_map(tmp_path, blobs):
    scores = attack(tmp_path, blobs, 1)
    assert not [row for row in scores.rows if row["metric"].startswith("train")]


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("at", [(3, 0), (5, 1)])
def test_a_killed_one_goes_on(learned, tmp_path, name, at):
    path = killed(tmp_path, MAKERS[name](), at)
    resumed = MAKERS[name]()
    scores = run(tmp_path, resumed, ckpt_path=path)
    for found, expected in zip(resumed.parameters(), learned[name][0].parameters(), strict=True):
        assert torch.equal(found, expected)
    assert told(scores.rows) == told(learned[name][1].rows)


@pytest.mark.parametrize(
    ("maker", "words"),
    [
        (partial(patch, perturbation=partial(Patch, side=3, place="random", seed=5)),
         "its attack.perturbation.seed is 4, this run's is 5"),
        (partial(patch, perturbation=partial(Patch, side=3, top=0, seed=4)),
         "its attack.perturbation.place is 'random', this run's is 'fixed'"),
    ],
)  # fmt: skip
def test_a_patch_of_other_settings_is_refused(tmp_path, maker, words):
    path = killed(tmp_path, patch(), (3, 0))
    with pytest.raises(ValueError, match=re.escape(words)):
        run(tmp_path, maker(), ckpt_path=path)


def test_the_batches_of_the_queries_change_no_place(learned, tmp_path):
    scores = run(tmp_path, patch(batch_size=13))
    name, expected = "perturbation", learned["patch"][1].outcome().tensors
    torch.testing.assert_close(scores.outcome().tensors[name], expected[name], rtol=0, atol=1e-7)


def test_what_a_run_folder_holds(tmp_path):
    """The delta itself, its picture, and what it adds to each query, for transfer."""
    for maker in (built_in, patch):
        module = maker()
        runner = trainer(tmp_path / module.attack_name, 2, callbacks=[RunFolder()])
        scores = run_attack(runner, module, BlobData(batch_size=GLOBAL_BATCH))
        (made,) = module.perturbations
        ((name, parameter),) = made.named_parameters()
        kept = load_file(scores.run_folder / "perturbations.safetensors")
        assert torch.equal(kept[f"shared.{name}"], parameter.detach())
        with Image.open(scores.run_folder / "perturbation.png") as picture:
            pixels = pil_to_tensor(picture)
        assert torch.equal(pixels.float(), (made.picture() * 255).round())
        given = read_perturbations(scores.run_folder)
        assert torch.equal(given.values, scores.outcome().tensors["perturbation"])
        assert json.loads((scores.run_folder / "results.json").read_text())


def test_the_report_shows_the_gap(learned):
    _, scores = learned["built-in"]
    rows = [ResultRow(**row) for row in scores.rows]
    (grid,) = overview_grids(rows)
    value = {
        metric: next(r.value for r in rows if r.metric == metric and r.is_attack and
                     r.iteration == 6 and not r.quantized)
        for metric in ("map", "train_map", "t_map", "train_t_map")
    }  # fmt: skip
    assert {"MAP", "train MAP", "t-MAP", "train t-MAP"} <= set(grid.columns)
    (line,) = [line for line in grid.lines if line.label == "ss-tuaa"]
    cells = dict(zip(grid.columns, line.cells, strict=True))
    assert cells["train MAP"].mean == value["train_map"]
    gap = value["t_map"] - value["train_t_map"]
    said = (
        f"ss-tuaa: t-MAP {value['train_t_map']:.4f} on training images, {value['t_map']:.4f} on "
        f"queries, a gap of {gap:+.4f}."
    )
    assert said in grid.notes
    others = overview_grids([row for row in rows if "train" not in row.metric])[0]
    assert not [name for name in others.columns if "train" in name]


def test_noise_for_all_is_drawn_and_learns_nothing(tmp_path, blobs):
    scores = attack(tmp_path, blobs, 1, objective=Noise(), perturbation=Universal)
    added = scores.outcome().tensors["perturbation"]
    assert added.abs().max() <= 10 / 255 + 1e-6
    assert "learned_on" not in scores.attack
    assert not [row for row in scores.rows if row["metric"].startswith("train")]


class NoTraining(BlobData):
    """Queries and a database."""

    name = "two splits"

    def setup(self, stage):
        super().setup(stage)
        del self.train_set

    @property
    def input_shape(self):
        return (3, 8, 8)


@pytest.mark.parametrize("count", [None, 0, 1])
def test_one_for_all_needs_a_training_split(tmp_path, count):
    class Without(NoTraining):
        def setup(self, stage):
            super().setup(stage)
            if count is not None:
                self.train_set = Blobs(count, 0)

    message = (
        f"perturbation: Universal is one for all images and learns on a training split, of which "
        f"two splits has {count or 0} items; give data with at least 2"
    )
    with pytest.raises(ValueError, match=message):
        run_attack(trainer(tmp_path, 1), make(perturbation=Universal), Without())


def test_images_in_memory_are_no_training_split():
    """They would be learnt on and scored."""
    with pytest.raises(ValueError, match=r"Patch is one for all .* of which tensors has 0 items"):
        lightning_hash.attack(
            TinyNet(), torch.rand(3, 3, 8, 8), iterations=1, perturbation=Patch, budget=Box,
            epsilon=1, accelerator="cpu",
        )  # fmt: skip


def of_bits(bits):
    network = TinyNet(bits)
    network.bits = bits
    return network


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernels": "float32 folded"}, "kernels float32 folded: objective ss-tuaa compares the n"),
        ({"perturbation": None}, "PerQuery does not add the same to all images; give Universal"),
        ({"perturbation": partial(Patch, side=3), "budget": Box}, "Patch does not add the same to"),
        ({"victim": [of_bits(8), of_bits(9)]}, "ss-tuaa compares the layers of one victim, got 2"),
        ({"step": APGD}, "APGD keeps a best point for each query: Universal must have"),
    ],
)
def test_what_does_not_go_with_ss_tuaa(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, built_in(**options))


@pytest.mark.slow
def test_without_the_consistency_ss_tuaa_takes_any_victim(tmp_path):
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 8))

        def forward(self, inputs):
            return self.body(inputs - 0.5)

    torch.manual_seed(0)
    victim = Flat()
    with pytest.raises(ValueError, match=r"compares Conv2d outputs, and .*Flat has none"):
        run(tmp_path, built_in(victim=victim))
    scores = run(tmp_path, built_in(victim=victim, objective=SSTUAA(weight=0)))
    assert scores.outcome().tensors["perturbation"].abs().max() > 0


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (7, "label must be one of 3 classes, from 0 on, got 7"),
        (-1, "label must be the number of a class, 'drawn' or null, got -1"),
        ("cat", "label must be the number of a class, 'drawn' or null, got 'cat'"),
        (True, "label must be the number of a class, 'drawn' or null, got True"),
    ],
)
def test_labels_that_are_none(tmp_path, blobs, label, message):
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, objective=AnchorCode(), targets=TargetChoice(label=label))


def test_as_many_targets_as_images_are_doubted(tmp_path, blobs):
    said = "each image has a target of its own, and Universal is one for all"
    with pytest.warns(UserWarning, match=said):
        scores = attack(tmp_path, blobs, 1, objective=AnchorCode(), perturbation=Universal)
    assert [row for row in scores.rows if any(said in each for each in row["warnings"] or ())]


def test_a_label_of_too_few_items_or_beside_a_file(tmp_path, blobs):
    with pytest.raises(ValueError, match="label 1: 30 items of the database have it, n_t is 31"):
        attack(tmp_path, blobs, objective=AnchorCode(), targets=TargetChoice(31, label=1))
    with pytest.raises(ValueError, match=r"label 1 is one target for all, and file x\.json has"):
        TargetChoice(label=1, file="x.json")


def test_a_class_may_be_the_target_of_all(tmp_path, blobs):
    scores = attack(
        tmp_path, blobs, 2, objective=AnchorCode(), targets=TargetChoice(n_t=5, label=1),
        perturbation=Universal,
    )  # fmt: skip
    assert scores.outcome().targets.labels.tolist() == [[0, 1, 0]] * 13
    assert "label" not in TargetChoice().settings()  # rows of other attacks are as they were


def test_a_rate_that_decays_under_the_trainer(tmp_path, blobs):
    """Sign steps of one pass each: none goes further than the sum of the steps, some do."""
    options = {"perturbation": Universal, "step": partial(MomentumSignStep, lr=0.01)}
    steps = 4
    most = 0.01 * sum(math.exp(-0.7 * number) for number in range(steps))
    scores = attack(tmp_path, blobs, steps, **options, rate=RateDecay(0.7), epsilon=0.5)
    moved = scores.outcome().tensors["perturbation"].abs().max()
    per_pass = -(-len(blobs.train_set) // blobs.batch_size)
    assert 0 < moved <= per_pass * most + 1e-6
    assert moved > 0.6 * most
    row = rows_of(scores, iteration=steps)[0]
    assert row["attack"]["rate"] == {"class": "lightning_hash.attacks.RateDecay", "decay": 0.7}
    plain = attack(tmp_path, blobs, 1, **options, epsilon=0.5)
    assert "rate" not in rows_of(plain, iteration=1)[0]["attack"]
    with pytest.raises(ValueError, match="rate: Square has no rate lr that could decay"):
        attack(tmp_path, blobs, 1, step=Square, rate=RateDecay())
