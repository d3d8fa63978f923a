"""Attacks on clips: padding changes nothing, and only the chosen frames change."""

import pytest
import torch
from torch.utils.data import TensorDataset

import lightning_hash
from lightning_hash.attacks import (
    HAG,
    AnchorCode,
    ChosenFrames,
    DiverseInputs,
    Noise,
    NormalizedStep,
    SignStep,
    TargetChoice,
    TargetFeatures,
)
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import HashDataModule
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.functional import RankingOptions
from lightning_hash.models import VideoNetwork
from lightning_hash.modules import AttackModule
from lightning_hash.victims.kernel_choice import choose_kernels, rule_kernels
from lightning_hash.victims.kernels import Kernels
from lightning_hash.victims.victim import Victim
from tests.helpers.attacks import rows_of, trainer

LENGTHS = (4, 7, 2, 5, 7, 3)


def network(bits=8, **options):
    torch.manual_seed(0)
    return VideoNetwork(bits, **{"frames": "convnet", "hidden": 6, **options})


def clips(lengths=LENGTHS, frames=7):
    """Return clips (N, T, 3, 16, 16) with noise behind their ends, on the 8-bit grid."""
    generator = torch.Generator().manual_seed(3)
    found = torch.randint(0, 256, (len(lengths), frames, 3, 16, 16), generator=generator) / 255
    return found, torch.tensor(lengths)


class ClipData(HashDataModule):
    """Six queries of six lengths, and as many items of the database; two classes."""

    name = "few-clips"

    def setup(self, stage):
        self.class_names = ["even", "odd"]
        inputs, lengths = clips()
        for number, length in enumerate(lengths):
            inputs[number, length:] = 0
        labels = torch.eye(2, dtype=torch.uint8).repeat(3, 1)
        items = TensorDataset(inputs, labels, torch.arange(6), lengths)
        items.labels = labels
        self.train_set = self.query_set = self.database_set = items

    def fingerprints(self):
        return {"train": "0", "query": "1", "database": "2"}


def chosen(count):
    return lambda *given: ChosenFrames(*given, count=count)


OPTIONS = {
    "step": lambda p: SignStep(p, 1 / 255), "epsilon": "4/255", "n_queries": None, "batch_size": 3,
    "ranking": RankingOptions(top_k=None), "kernels": "float32", "targets": TargetChoice(n_t=2),
}  # fmt: skip


def attacked(tmp_path, victim=None, iterations=4, ckpt_path=None, **options):
    """Run an attack and return its scores, with rows and outcome."""
    module = AttackModule(victim or network(), **{**OPTIONS, **options})
    return run_attack(trainer(tmp_path, iterations), module, ClipData(), ckpt_path=ckpt_path)


def test_a_padded_clip_has_the_code_of_the_clip_alone():
    """Whatever stands behind the end, by the pass with lengths and by that without."""
    model, (inputs, lengths) = network().double().eval(), clips()
    found = model(inputs.double(), lengths)
    for row, length in enumerate(LENGTHS):
        alone = model(inputs[row : row + 1, :length].double())
        torch.testing.assert_close(found[row : row + 1], alone)


def test_padding_gets_no_gradient_and_costs_no_pass():
    model, (inputs, lengths) = network(chunk=3).eval(), clips()
    passed = []
    model.extractor.frames.register_forward_pre_hook(lambda _, given: passed.append(len(given[0])))
    inputs.requires_grad_()
    with torch.no_grad():
        model(inputs, lengths)
    assert sum(passed) == sum(LENGTHS)
    assert max(passed) == 3
    model(inputs, lengths).sum().backward()
    for row, length in enumerate(LENGTHS):
        assert (inputs.grad[row, length:] == 0).all()
        assert (inputs.grad[row, :length].flatten(1).abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("step", [SignStep, NormalizedStep])
def test_a_clip_alone_and_beside_longer_ones_gets_the_same_perturbation(step):
    """The padding test, in float64, where no gradient is near enough to 0 to lose its sign."""
    model, (inputs, lengths) = network().double(), clips()
    options = {
        "objective": HAG(), "step": lambda p: step(p, 1 / 255 if step is SignStep else 1.0),
        "iterations": 5, "epsilon": "6/255", "kernels": "float32", "accelerator": "cpu",
    }  # fmt: skip
    together = lightning_hash.attack(model, inputs.double(), lengths=lengths, **options)
    for row, length in enumerate(LENGTHS):
        alone = lightning_hash.attack(model, inputs[row : row + 1, :length].double(), **options)
        assert torch.equal(together.codes[row], alone.codes[0])
        torch.testing.assert_close(together.perturbation[row, :length], alone.perturbation[0])
        assert (together.perturbation[row, length:] == 0).all()
        assert alone.perturbation.abs().max() > 1e-4


def test_the_whole_attack_with_lengths(tmp_path):
    scores = attacked(tmp_path, objective=HAG())
    tensors = scores.outcome().tensors
    inputs, lengths = clips()
    assert torch.equal(tensors["length"], lengths)
    assert tensors["perturbation"].abs().max() <= 4 / 255 + 1e-7
    by_hand = [
        tensors["perturbation"][row, :length].double().square().mean().sqrt()
        for row, length in enumerate(LENGTHS)
    ]
    (row,) = rows_of(scores, "hag", metric="perceptibility", iteration=4, quantized=False)
    assert row["value"] == pytest.approx(float(sum(by_hand) / 6), rel=1e-5)
    assert all(row["data"]["input_shape"] == [7, 3, 16, 16] for row in scores.rows)
    with torch.no_grad():
        sent = (inputs + tensors["perturbation"]).clamp(0, 1)
        codes = Victim(network().eval())(sent, lengths) > 0
    assert torch.equal(codes, tensors["codes"] > 0)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_only_the_frames_of_the_largest_gradient_change(count, tmp_path):
    scores = attacked(tmp_path, objective=HAG(), perturbation=chosen(count))
    change = scores.outcome().tensors["perturbation"].flatten(2).abs().sum(dim=2)
    victim, (inputs, lengths) = network().eval(), clips()
    inputs.requires_grad_()
    logits = victim(inputs, lengths)
    HAG()(logits, logits.detach(), 0.1).sum().backward()
    norms = inputs.grad.flatten(2).norm(dim=2)
    for row, length in enumerate(LENGTHS):
        expected = set(norms[row, :length].topk(min(count, length)).indices.tolist())
        assert set(change[row].nonzero().flatten().tolist()) == expected
    described = {"class": "lightning_hash.attacks.ChosenFrames", "count": count}
    assert all(row["attack"]["perturbation"] == described for row in rows_of(scores, "hag"))


class Plain(torch.nn.Module):
    """A victim of clips that the attack knows no parts of."""

    def __init__(self, network):
        super().__init__()
        self.network, self.bits = network, network.bits

    def forward(self, inputs, lengths):
        return self.network(inputs, lengths)


def test_only_frames_that_change_are_passed():
    """The others' features are those of the clean clip: the same attack for k of T passes."""
    (inputs, lengths), found = clips(), []
    options = {
        "objective": HAG(), "step": lambda p: SignStep(p, 1 / 255), "iterations": 5,
        "perturbation": chosen(2), "epsilon": "6/255", "kernels": "float32", "accelerator": "cpu",
        "batch_size": 4,
    }  # fmt: skip
    for wrap in (lambda model: model, Plain):
        model, passed = network().double(), []
        model.extractor.frames.register_forward_pre_hook(
            lambda _, given, passed=passed: passed.append(len(given[0]))
        )
        attack = lightning_hash.attack(wrap(model), inputs.double(), lengths=lengths, **options)
        found.append((attack.perturbation, sum(passed)))
    (sparse, few), (whole, many) = found
    torch.testing.assert_close(sparse, whole)
    assert whole.abs().max() == pytest.approx(5 / 255)
    frames, live = sum(LENGTHS), 2 * len(LENGTHS)
    assert many - few == 5 * (frames - live) - frames  # and each frame once for what is known


class HaltError(Exception):
    pass


class Interrupted(AttackModule):
    def on_train_epoch_end(self):
        super().on_train_epoch_end()
        if self.current_epoch == 1:
            raise HaltError


@pytest.mark.parametrize("batch_size", [3, 2])
def test_frames_go_on_from_a_checkpoint(batch_size, tmp_path):
    """Killed after two iterations and resumed, the same frames change to the same values."""
    options = {"objective": HAG(), "perturbation": chosen(2)}
    whole = attacked(tmp_path, **options)
    saving = trainer(tmp_path, 4, callbacks=[AttackCheckpoint(2)], enable_checkpointing=True)
    with pytest.raises(HaltError):
        run_attack(saving, Interrupted(network(), **OPTIONS, **options), ClipData())
    saving.save_checkpoint(tmp_path / "half.ckpt")
    again = attacked(tmp_path, batch_size=batch_size, ckpt_path=tmp_path / "half.ckpt", **options)
    found, expected = (scores.outcome().tensors["perturbation"] for scores in (again, whole))
    assert torch.equal(found.flatten(2).any(dim=2), expected.flatten(2).any(dim=2))
    if batch_size == 3:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("stop_finished", [False, True])
def test_a_random_start_is_in_the_chosen_frames_alone(stop_finished, tmp_path):
    scores = attacked(
        tmp_path, objective=HAG(threshold=0.0), perturbation=chosen(2), start_seed=1,
        stop_finished=stop_finished, evaluate_at=[0],
    )  # fmt: skip
    changed = scores.outcome().tensors["perturbation"].flatten(2).any(dim=2).sum(dim=1)
    assert (changed <= 2).all()
    sizes = [r["value"] for r in scores.rows if r["metric"] == "perceptibility"]
    assert sizes[0] < 4 / 255 * 0.8  # at iteration 0, over all frames: uniform noise in two


def test_targets_features_noise_and_diverse_inputs(tmp_path):
    """Everything that passes clips passes their lengths."""
    found = attacked(
        tmp_path, objective=AnchorCode(), stop_finished=True, targets=TargetChoice(n_t=1)
    )
    assert any(row["metric"] == "t_map" for row in found.rows)
    for options in (
        {"objective": TargetFeatures()},
        {"objective": HAG(), "inputs": DiverseInputs(1.0, 0.7)},
    ):
        change = attacked(tmp_path, **options).outcome().tensors["perturbation"]
        for row, length in enumerate(LENGTHS):
            assert (change[row, length:] == 0).all()
            assert (change[row, :length].flatten(1).abs().max(dim=1).values > 3 / 255).all()
    change = attacked(tmp_path, objective=Noise()).outcome().tensors["perturbation"]
    for row, length in enumerate(LENGTHS):
        assert (change[row, length:] == 0).all()
        assert (change[row, :length].flatten(1).abs().max(dim=1).values > 3 / 255).all()


def test_two_victims_of_clips(tmp_path):
    other = network(bits=5, hidden=4)
    scores = attacked(tmp_path, victim=[network(), other], objective=HAG())
    assert {row["victim"]["bits"] for row in scores.rows} == {8, 5}


def test_tuned_kernels_fold_the_network_of_a_frame():
    model, (inputs, lengths) = network().eval(), clips()
    folded = Kernels(folded=True).of(Victim(model))
    assert not any("BatchNorm" in type(m).__name__ for m in folded.modules())
    assert any("BatchNorm" in type(m).__name__ for m in model.modules())
    torch.testing.assert_close(
        folded(inputs, lengths), model(inputs, lengths), atol=1e-5, rtol=1e-5
    )


def test_a_choice_of_kernels_leaves_the_victim_alone():
    """The candidates shorten and fold copies, of the parts that cannot be traced too."""
    victim, (inputs, lengths) = Victim(network().eval()), clips()
    with torch.no_grad():
        before = victim(inputs, lengths)
    loss = lambda candidate, x: candidate(x, lengths[: len(x)]).square().sum()  # noqa: E731
    choose_kernels(victim, inputs, loss)
    assert {p.dtype for p in victim.parameters()} == {torch.float32}
    with torch.no_grad():
        assert torch.equal(victim(inputs, lengths), before)
    assert rule_kernels(victim, inputs, lengths) == Kernels(folded=True)


class TakesNone(torch.nn.Module):
    def forward(self, inputs, scale=1.0):
        return scale * inputs.mean(dim=(1, 3, 4))


def test_wrong_use(tmp_path):
    with pytest.raises(ValueError, match=r"TakesNone takes no lengths.*short: repeat"):
        attacked(tmp_path, victim=TakesNone(), objective=HAG())
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        attacked(tmp_path, objective=HAG(), perturbation=chosen(0))
    with pytest.raises(ValueError, match=r"count 8 chooses .* got inputs \(7, 3, 16, 16\)"):
        attacked(tmp_path, objective=HAG(), perturbation=chosen(8))
    with pytest.raises(ValueError, match=r"ChosenFrames chooses frames .* objective noise has"):
        attacked(tmp_path, objective=Noise(), perturbation=chosen(2))
    inputs, lengths = clips()
    for wrong in (lengths[:3], lengths * 0, lengths + 9, lengths - 0.5):
        with pytest.raises(ValueError, match=r"lengths must be \(Q,\) whole numbers in \[1, T\]"):
            lightning_hash.attack(network(), inputs, lengths=wrong)
    with pytest.raises(ValueError, match="count 2 chooses frames"):
        lightning_hash.attack(TakesNone(), torch.rand(2, 3, 8, 8), perturbation=chosen(2))
