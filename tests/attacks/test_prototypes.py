"""THA: the circle loss, the network that learns codes of labels, and attacks that go on."""

import math
from functools import partial

import pytest
import torch

from lightning_hash.attacks import THA, Known, PrototypeCodes, SignStep, TargetChoice
from lightning_hash.attacks.draws import query_generator
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.functional import circle_loss
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer
from tests.reference import losses as reference

CLASSES, BITS, ITEMS = 4, 12, 80


def items(seed=0, flipped=0.1):
    """Codes around one of each class, and one class each."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.arange(ITEMS) % CLASSES
    centres = torch.where(torch.randn(CLASSES, BITS, generator=generator) > 0, 1, -1)
    flips = torch.where(torch.rand(ITEMS, BITS, generator=generator) < flipped, -1, 1)
    return (centres[number] * flips).to(torch.int8), torch.eye(CLASSES, dtype=torch.uint8)[number]


def known(targets, *, train=None, seed=0):
    database = items(seed)
    return Known(
        torch.zeros(len(targets), BITS), target_labels=targets, database=database,
        voters=database, train=train,
    )  # fmt: skip


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_circle_loss_is_the_loop_over_pairs(gamma):
    generator = torch.Generator().manual_seed(1)
    similarity = (torch.rand(3, 7, generator=generator).double() * 2 - 1).requires_grad_()
    shared = torch.rand(3, 7, generator=generator) > 0.6
    loss = circle_loss(similarity, shared, gamma)
    pairs = similarity.tolist(), shared.tolist(), gamma
    assert loss.item() == pytest.approx(reference.circle_loss(*pairs), rel=1e-9)
    loss.backward()
    expected = torch.tensor(reference.circle_gradient(*pairs), dtype=torch.float64)
    torch.testing.assert_close(similarity.grad, expected)


@pytest.mark.parametrize("same", [True, False])
def test_circle_loss_of_one_kind_of_pair_is_nothing(same):
    similarity = torch.rand(2, 3).requires_grad_()
    loss = circle_loss(similarity, torch.full((2, 3), same))
    loss.backward()
    assert loss.item() == 0
    assert (similarity.grad == 0).all()


def test_prototypes_are_near_their_own_class_and_far_from_others():
    targets = torch.eye(CLASSES, dtype=torch.uint8)
    codes, labels = items()
    made = PrototypeCodes(steps=30)(known(targets))
    assert set(made.unique().tolist()) == {-1.0, 1.0}
    mean = torch.stack([codes[labels[:, c] > 0].float().mean(dim=0) for c in range(CLASSES)])
    agreement = made @ mean.T / BITS
    own = agreement.diagonal()
    others = agreement.masked_fill(torch.eye(CLASSES, dtype=torch.bool), -1).max(dim=1).values
    assert (own > 0.6).all()
    assert (own > others + 0.3).all()


def test_a_network_is_a_function_of_the_seed_and_learnt_once(monkeypatch):
    targets = torch.eye(CLASSES, dtype=torch.uint8)
    state = known(targets)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = PrototypeCodes(steps=3)
    found = first(state)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(PrototypeCodes(steps=3)(state), found)
    assert not torch.equal(PrototypeCodes(steps=3, seed=1)(state), found)
    assert not torch.equal(PrototypeCodes("train", steps=3)(known(targets, train=items(9))), found)
    codes, labels = state.voters
    for other in ((codes, labels.roll(1, 0)), (-codes, labels)):  # either is other voters
        assert not torch.equal(first(Known(**{**vars(state), "voters": other})), found)
    monkeypatch.setattr(PrototypeCodes, "_train", None)  # another batch of the same attack
    few = Known(
        **{**vars(state), "clean_logits": torch.zeros(2, BITS), "target_labels": targets[:2]}
    )
    assert torch.equal(first(few), found[:2])


def test_the_training_is_the_papers_step_by_step():
    """Adam by hand over the loss by loops: three steps, at rates of 1, 0.1 and 0.01 of 1e-4."""
    targets = torch.eye(CLASSES, dtype=torch.uint8)
    state, made = known(targets), PrototypeCodes(steps=3)
    made(state)
    ((codes, labels, network),) = made._learned
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [torch.nn.Linear(*shape) for shape in ((CLASSES, 4096), (4096, 512), (512, BITS))]
    weights = [p.detach().clone().requires_grad_() for layer in layers for p in layer.parameters()]
    drawn = torch.randint(CLASSES, (3, 32), generator=query_generator("0/prototypes"))
    vectors = targets.unique(dim=0).float()
    means = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    for step, rows in enumerate(drawn):
        h = vectors[rows]
        for number in range(3):
            weight, bias = weights[2 * number : 2 * number + 2]
            h = h @ weight.T + bias
            h = (h.relu(), h, h.tanh())[number]
        similarity, shared = h @ codes.float().T / BITS, vectors[rows] @ labels.float().T > 0
        pull = sum(math.exp(-(2 - s) * s) for s in similarity[shared].tolist())
        push = sum(math.exp((2 + s) * s) for s in similarity[~shared].tolist())
        loss = circle_loss(similarity, shared)
        assert loss.item() == pytest.approx(math.log(1 + pull * push), rel=1e-4)
        away = sum((abs(value) - 1) ** 2 for value in h.flatten().tolist())
        quantization = (h.sign() - h).square().sum()
        assert quantization.item() == pytest.approx(away, rel=1e-4)
        gradients = torch.autograd.grad((loss + 1e-4 * quantization) / 32, weights)
        rate = 1e-4 * 0.1 ** sum(step >= place for place in (1, 2))
        for weight, gradient, (first, second) in zip(weights, gradients, means, strict=True):
            first.mul_(0.5).add_(gradient, alpha=0.5)
            second.mul_(0.999).add_(gradient.square(), alpha=0.001)
            with torch.no_grad():
                unbiased = (second / (1 - 0.999 ** (step + 1))).sqrt()
                weight -= rate * first / (1 - 0.5 ** (step + 1)) / (unbiased + 1e-8)
    before = [p for layer in layers for p in layer.parameters()]
    for found, expected, began in zip(network.parameters(), weights, before, strict=True):
        change = expected - began
        assert (found - expected).norm() < 1e-2 * change.norm()


@pytest.mark.slow
def test_many_labels_are_learnt_as_few_are():
    """Where there are more label vectors than a step draws these alone are passed."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.cat([(torch.rand(60, 7, generator=generator) > 0.6).byte(), torch.eye(7).byte()])
    meaning = torch.randn(7, BITS, generator=generator)
    codes = torch.where(labels.float() @ meaning > 0, 1, -1)
    assert len(labels.unique(dim=0)) > 32
    state = Known(
        torch.zeros(7, BITS), target_labels=torch.eye(7).byte(), database=(codes, labels),
        voters=(codes, labels),
    )  # fmt: skip
    made = PrototypeCodes(steps=40)(state)
    own = torch.stack([codes[labels[:, c] > 0].float().mean(dim=0) for c in range(7)])
    assert ((made * own).mean(dim=1) > 0.1).all()


def test_options_out_of_range():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        THA(steps=0)
    with pytest.raises(ValueError, match="voters must be 'train' or 'database', got 'query'"):
        THA("query")


def test_an_attack_that_goes_on_has_the_same_prototypes(tmp_path, blobs):
    def options():
        return {
            "objective": THA(voters="train", steps=2), "step": partial(SignStep, lr=0.02),
            "targets": TargetChoice(n_t=1), "epsilon": 0.1,
        }  # fmt: skip

    whole = attack(tmp_path / "whole", blobs, **options()).outcome().tensors
    callbacks = [AttackCheckpoint(2), StopAt(4)]
    run = trainer(tmp_path / "part", callbacks=callbacks, enable_checkpointing=True)
    with pytest.raises(KeyError, match="killed"):
        run_attack(run, make(**options()), blobs)
    path = tmp_path / "part" / "checkpoints" / "last.ckpt"
    scores = attack(tmp_path / "on", blobs, ckpt_path=path, **options())
    assert torch.equal(scores.outcome().tensors["perturbation"], whole["perturbation"])
    (row, *_) = rows_of(scores, metric="t_map", iteration=6)
    assert row["attack"]["reference"] == {
        "class": "lightning_hash.attacks.PrototypeCodes", "voters": "train", "steps": 2, "seed": 0,
    }  # fmt: skip
    for queries in scores.batches:
        assert torch.equal(queries.goal, queries.reference)  # success is the way to the prototype
