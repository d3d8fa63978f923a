"""Attacks on clips: padding changes nothing, and only the chosen frames change."""

import pytest
import torch
from lightning_hash.victims.frozen import FrozenNetwork
from torch.utils.data import TensorDataset

import lightning_hash
from lightning_hash.attacks import (
    HAG,
    AnchorCode,
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
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.models import VideoNetwork
from lightning_hash.modules import AttackModule
from lightning_hash.victims.kernels import choose_kernels
from lightning_hash.victims.victim import freeze

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


def attacked(tmp_path, victim=None, iterations=4, ckpt_path=None, **options):
    module = AttackModule(
        victim or network(),
        **{
            "step": lambda p: SignStep(p, 1 / 255), "epsilon": "4/255", "n_queries": None,
            "batch_size": 3, "top_k": None, "tune": False, "targets": TargetChoice(n_t=2),
            **options,
        },
    )  # fmt: skip
    trainer = HashTrainer(
        max_epochs=iterations, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    run_attack(trainer, module, ClipData(), ckpt_path=ckpt_path)
    return module, trainer


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
        "iterations": 5, "epsilon": "6/255", "tune": False, "accelerator": "cpu",
    }  # fmt: skip
    together = lightning_hash.attack(model, inputs.double(), lengths=lengths, **options)
    for row, length in enumerate(LENGTHS):
        alone = lightning_hash.attack(model, inputs[row : row + 1, :length].double(), **options)
        assert torch.equal(together.codes[row], alone.codes[0])
        torch.testing.assert_close(together.perturbation[row, :length], alone.perturbation[0])
        assert (together.perturbation[row, length:] == 0).all()
        assert alone.perturbation.abs().max() > 1e-4


def test_the_whole_attack_with_lengths(tmp_path):
    module, _ = attacked(tmp_path, objective=HAG())
    tensors, rows = module.outcome().tensors, module.rows
    inputs, lengths = clips()
    assert torch.equal(tensors["length"], lengths)
    assert tensors["perturbation"].abs().max() <= 4 / 255 + 1e-7
    values = {
        row["metric"]: row["value"]
        for row in rows
        if row["attack"] == "hag" and row["iteration"] == 4 and not row["quantized"]
    }
    by_hand = [
        tensors["perturbation"][row, :length].double().square().mean().sqrt()
        for row, length in enumerate(LENGTHS)
    ]
    assert values["perceptibility"] == pytest.approx(float(sum(by_hand) / 6), rel=1e-5)
    assert {row["input_shape"] for row in rows} == {"7x3x16x16"}
    with torch.no_grad():
        sent = (inputs + tensors["perturbation"]).clamp(0, 1)
        codes = FrozenNetwork(freeze(network()))(sent, lengths) > 0
    assert torch.equal(codes, tensors["codes"] > 0)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_only_the_frames_of_the_largest_gradient_change(count, tmp_path):
    module, _ = attacked(tmp_path, objective=HAG(), frames=count)
    change = module.outcome().tensors["perturbation"].flatten(2).abs().sum(dim=2)
    victim, (inputs, lengths) = network().eval(), clips()
    inputs.requires_grad_()
    logits = victim(inputs, lengths)
    HAG()(logits, logits.detach(), 0.1).sum().backward()
    norms = inputs.grad.flatten(2).norm(dim=2)
    for row, length in enumerate(LENGTHS):
        expected = set(norms[row, :length].topk(min(count, length)).indices.tolist())
        assert set(change[row].nonzero().flatten().tolist()) == expected
    assert {row["frames"] for row in module.rows} == {count}


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
        "objective": HAG(), "step": lambda p: SignStep(p, 1 / 255), "iterations": 5, "frames": 2,
        "epsilon": "6/255", "tune": False, "accelerator": "cpu", "batch_size": 4,
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
    whole, _ = attacked(tmp_path, objective=HAG(), frames=2)
    module = Interrupted(
        network(), HAG(), step=lambda p: SignStep(p, 1 / 255), epsilon="4/255", n_queries=None,
        batch_size=3, top_k=None, tune=False, frames=2, targets=TargetChoice(n_t=2),
    )  # fmt: skip
    trainer = HashTrainer(
        max_epochs=4, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        callbacks=[AttackCheckpoint(2)], enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    with pytest.raises(HaltError):
        run_attack(trainer, module, ClipData())
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    again, _ = attacked(tmp_path, objective=HAG(), frames=2, batch_size=batch_size,
                        ckpt_path=tmp_path / "half.ckpt")  # fmt: skip
    found, expected = (m.outcome().tensors["perturbation"] for m in (again, whole))
    assert torch.equal(found.flatten(2).any(dim=2), expected.flatten(2).any(dim=2))
    if batch_size == 3:
        assert torch.equal(found, expected)


@pytest.mark.parametrize("stop_finished", [False, True])
def test_a_random_start_is_in_the_chosen_frames_alone(stop_finished, tmp_path):
    module, _ = attacked(tmp_path, objective=HAG(threshold=0.0), frames=2, start_seed=1,
                         stop_finished=stop_finished, evaluate_at=[0])  # fmt: skip
    changed = module.outcome().tensors["perturbation"].flatten(2).any(dim=2).sum(dim=1)
    assert (changed <= 2).all()
    sizes = [r["value"] for r in module.rows if r["metric"] == "perceptibility"]
    assert sizes[0] < 4 / 255 * 0.8  # at iteration 0, over all frames: uniform noise in two


def test_targets_features_noise_and_diverse_inputs(tmp_path):
    """Everything that passes clips passes their lengths."""
    found, _ = attacked(tmp_path, objective=AnchorCode(), stop_finished=True,
                        targets=TargetChoice(n_t=1))  # fmt: skip
    assert any(row["metric"] == "t_map" for row in found.rows)
    for options in (
        {"objective": TargetFeatures()},
        {"objective": HAG(), "inputs": DiverseInputs(1.0, 0.7)},
    ):
        module, _ = attacked(tmp_path, **options)
        change = module.outcome().tensors["perturbation"]
        for row, length in enumerate(LENGTHS):
            assert (change[row, length:] == 0).all()
            assert (change[row, :length].flatten(1).abs().max(dim=1).values > 3 / 255).all()
    noise, _ = attacked(tmp_path, objective=Noise())
    change = noise.outcome().tensors["perturbation"]
    for row, length in enumerate(LENGTHS):
        assert (change[row, length:] == 0).all()
        assert (change[row, :length].flatten(1).abs().max(dim=1).values > 3 / 255).all()


def test_two_victims_of_clips(tmp_path):
    other = network(bits=5, hidden=4)
    module, _ = attacked(tmp_path, victim=[network(), other], objective=HAG())
    assert {row["bits"] for row in module.rows} == {8, 5}


def test_tuned_kernels_fold_the_network_of_a_frame():
    model, (inputs, lengths) = network().eval(), clips()
    folded = FrozenNetwork(freeze(model), folded=True)
    assert not any("BatchNorm" in type(m).__name__ for m in folded.network.modules())
    assert any("BatchNorm" in type(m).__name__ for m in model.modules())
    torch.testing.assert_close(
        folded(inputs, lengths), model(inputs, lengths), atol=1e-5, rtol=1e-5
    )


def test_a_choice_of_kernels_leaves_the_victim_alone():
    """The candidates shorten and fold copies, of the parts that cannot be traced too."""
    victim, (inputs, lengths) = freeze(network()), clips()
    with torch.no_grad():
        before = victim.network(inputs, lengths)
    loss = lambda candidate, x: candidate(x, lengths[: len(x)]).square().sum()  # noqa: E731
    choose_kernels(victim, inputs, loss)
    assert {p.dtype for p in victim.network.parameters()} == {torch.float32}
    with torch.no_grad():
        assert torch.equal(victim.network(inputs, lengths), before)


class TakesNone(torch.nn.Module):
    def forward(self, inputs, scale=1.0):
        return scale * inputs.mean(dim=(1, 3, 4))


def test_wrong_use(tmp_path):
    with pytest.raises(ValueError, match=r"TakesNone takes no lengths.*short: repeat"):
        attacked(tmp_path, victim=TakesNone(), objective=HAG())
    with pytest.raises(ValueError, match="frames must be at least 1 or null, got 0"):
        AttackModule(network(), frames=0)
    with pytest.raises(ValueError, match=r"frames = 8 chooses .* inputs \(7, 3, 16, 16\)"):
        attacked(tmp_path, objective=HAG(), frames=8)
    with pytest.raises(ValueError, match=r"frames = 2 chooses frames of clips .* objective noise"):
        attacked(tmp_path, objective=Noise(), frames=2)
    inputs, lengths = clips()
    for wrong in (lengths[:3], lengths * 0, lengths + 9, lengths - 0.5):
        with pytest.raises(ValueError, match=r"lengths must be \(Q,\) whole numbers in \[1, T\]"):
            lightning_hash.attack(network(), inputs, lengths=wrong)
    with pytest.raises(ValueError, match="frames = 2 chooses frames"):
        lightning_hash.attack(TakesNone(), torch.rand(2, 3, 8, 8), frames=2)
