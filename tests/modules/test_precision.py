"""What may change speed and rounding, and must not change what an attack finds."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from lightning_hash.attacks import HAG, AnchorCode, SignStep
from lightning_hash.commands.attack import run_attack
from lightning_hash.models import build_model
from lightning_hash.modules.preparation import check_precision
from lightning_hash.victims.kernels import Kernels
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet
from tests.helpers.attacks import make, rows_of, small_step, trainer

# Measured: 0 here; docs/cluster.md has the demo's.
TOLERANCE = 0.01


def attacked(tmp_path, blobs, precision="32-true", victim=None, **options):
    """Return the module and its scores."""
    module = make(victim or TinyNet(), **options)
    return module, run_attack(trainer(tmp_path, 20, precision=precision), module, blobs)


def final(scores, metric):
    rows = rows_of(scores, metric=metric, attack=scores.attack_name, iteration=20)
    return [row["value"] for row in rows]


@pytest.mark.parametrize(
    ("precision", "options"),
    [
        ("bf16-mixed", {}),
        ("32-true", {"kernels": "channels_last"}),
        ("bf16-mixed", {"kernels": "channels_last"}),
        pytest.param("32-true", {"kernels": "compile"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "attack",
    [
        {"objective": HAG(), "step": small_step},
        {"objective": AnchorCode(), "step": lambda p: SignStep(p, 0.005)},
    ],
    ids=["hag", "dhta"],
)
@pytest.mark.filterwarnings("ignore")
def test_other_kernels_find_the_same(tmp_path, blobs, precision, options, attack):
    _, plain = attacked(tmp_path, blobs, **attack)
    module, scores = attacked(tmp_path, blobs, precision, **options, **attack)
    assert scores.outcome().tensors["perturbation"].dtype == torch.float32
    assert all(each.victim.logits.dtype == torch.float32 for each in module.attacks)
    for metric in ("map", "t_map"):
        assert final(scores, metric) == pytest.approx(final(plain, metric), abs=TOLERANCE), metric
    assert {row["run"]["precision"] for row in scores.rows} == {precision}
    assert final(plain, "linf")[0] == pytest.approx(final(scores, "linf")[0])


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_short_perturbations_are_refused(tmp_path, blobs, precision):
    with pytest.raises(ValueError, match="would lose most of their bits; bf16-mixed keeps them"):
        attacked(tmp_path, blobs, precision)


def test_float16_is_refused_for_its_range():
    with pytest.raises(
        ValueError, match=r"16-mixed: .* in float16; bf16-mixed has float32's range"
    ):
        check_precision(SimpleNamespace(precision="16-mixed"))  # no Trainer of a CPU is made so


def test_a_victim_on_kernels():
    network = Kernels(channels_last=True).of(Victim(build_model("convnet", 12)))
    images = network.lay_out(torch.rand(3, 3, 32, 32))
    assert images.is_contiguous(memory_format=torch.channels_last)
    network.train()
    assert not any(module.training for module in network.modules())
    torch.testing.assert_close(network(images), build_like(network)(images), rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(images).dtype == torch.float32
    empty = images[:0].requires_grad_()
    assert network(empty).shape == (0, 12)
    network(empty).sum().backward()
    assert empty.grad.shape == (0, 3, 32, 32)


def build_like(victim):
    plain = build_model("convnet", 12)
    plain.load_state_dict(victim.network.state_dict())
    return plain.eval()


def test_a_network_of_another_shape():
    network = Victim(torch.nn.Identity())
    with pytest.raises(ValueError, match=r"logits of shape \(2, K\), got \(2, 3, 4, 4\)"):
        network(torch.rand(2, 3, 4, 4))


class Gradients(Callback):
    """Keep the gradient of each query."""

    def __init__(self):
        self.of = {}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        gradients = module.perturbations[batch_idx].delta.grad.clone()
        index = module.batches[batch_idx].index.tolist()
        self.of.update(zip(index, gradients, strict=True))


@pytest.mark.parametrize("objective", [HAG(), AnchorCode()], ids=["hag", "dhta"])
def test_gradients_of_the_first_iteration_in_any_batch(tmp_path, blobs, objective):
    """float32; a mean over the batch fails the same comparison."""
    found = {}
    for size in (16, 7, 1):
        module, kept = make(objective=objective, batch_size=size, step=small_step), Gradients()
        run_attack(trainer(tmp_path, 1, callbacks=[kept]), module, blobs)
        logits = torch.cat([attack.victim.logits for attack in module.attacks])
        found[size] = torch.stack([kept.of[i] for i in range(13)]), logits
    for size in (7, 1):
        for one, other in zip(found[16], found[size], strict=True):
            assert (one - other).abs().max() <= 1e-6 * one.abs().max()
        mean = found[size][0] * size / 13
        assert (found[16][0] - mean).abs().max() > 1e-2 * found[16][0].abs().max()


def test_a_whole_attack_in_any_batch(tmp_path, blobs):
    """MAP and t-MAP over 60 iterations in float32; measured: equal to the last digit here."""
    values = {}
    for size in (16, 7, 1):
        module = make(
            objective=AnchorCode(), batch_size=size, step=lambda p: torch.optim.SGD(p, lr=0.02)
        )
        scores = run_attack(trainer(tmp_path, 60), module, blobs)
        values[size] = [row["value"] for row in scores.rows if row["metric"] in ("map", "t_map")]
    for size in (7, 1):
        assert values[size] == pytest.approx(values[16], abs=TOLERANCE)
    averaged = make(
        objective=AnchorCode(), batch_size=16, step=lambda p: torch.optim.SGD(p, lr=0.02 / 13)
    )
    scores = run_attack(trainer(tmp_path, 60), averaged, blobs)
    mean = [row["value"] for row in scores.rows if row["metric"] in ("map", "t_map")]
    assert max(abs(a - b) for a, b in zip(mean, values[16], strict=True)) > 5 * TOLERANCE
