import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch.optim import SGD

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    AnchorCode,
    CgAT,
    DiverseInputs,
    FeatureShift,
    HAGCode,
    LInf,
    MomentumSignStep,
    NesterovSignStep,
    Noise,
    NormalizedStep,
    PerQuery,
    SignStep,
    TargetChoice,
    TargetFeatures,
)
from lightning_hash.commands.attack import run_attack
from lightning_hash.functional import (
    RankingOptions,
    center_code,
    mean_average_precision,
    sign_code,
)
from lightning_hash.models import build_model
from lightning_hash.modules.preparation import check_precision
from tests.conftest import TinyNet
from tests.helpers.attacks import (
    StopAt,
    attack,
    far_step,
    make,
    rows_of,
    small_step,
    trainer,
)
from tests.helpers.lent import lent, same, state_of
from tests.reference.attacks import project


@pytest.mark.parametrize("objective", [HAG(), AnchorCode()])
def test_is_the_bare_loop(tmp_path, blobs, objective):
    """Six iterations under the Trainer equal a loop of forward, gradient, step and projection."""
    module = attack(tmp_path, blobs, objective=objective, batch_size=13)
    victim = TinyNet().eval().requires_grad_(requires_grad=False)
    clean, _, _ = (
        torch.stack([torch.as_tensor(v) for v in c]) for c in zip(*blobs.query_set, strict=False)
    )
    reference = victim(clean)
    if objective.reference.targeted:
        reference = module.outcome().targets.anchor_codes.float()
    delta = torch.nn.Parameter(torch.zeros_like(clean))
    optimizer, alpha = small_step([delta]), AlphaSchedule()
    for iteration in range(6):
        optimizer.zero_grad()
        objective(victim(clean + delta), reference, alpha(iteration, 6)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            delta.copy_(project(delta, clean, 10 / 255))
    assert torch.equal(module.outcome().tensors["perturbation"], delta.detach())
    assert delta.abs().max() > 1e-4


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_victim_is_given_back_as_it_came(tmp_path, blobs, fails, precision):
    """Promise 9, also after an exception in the midst of the attack."""
    network = lent()
    before = state_of(network)
    module, callbacks = make(network), [StopAt(3)] if fails else []
    run = trainer(tmp_path, 6, callbacks=callbacks, precision=precision)
    if fails:
        with pytest.raises(KeyError, match="killed"):
            run_attack(run, module, blobs)
    else:
        scores = run_attack(run, module, blobs)
        assert rows_of(scores, attack="hag", metric="linf", iteration=6)[0]["value"] > 0.005
    after = state_of(network)
    for name, value in before.items():
        assert same(value, after[name]), name


def test_only_perturbations_are_optimised(tmp_path, blobs, tiny):
    module = make(tiny)
    run_attack(trainer(tmp_path), module, blobs)
    groups = [group for rule in module.configure_optimizers() for group in rule.param_groups]
    optimised = {p for group in groups for p in group["params"]}
    assert optimised == {perturbation.delta for perturbation in module.perturbations}


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_a_query_is_attacked_the_same_in_any_batch(tmp_path, blobs, batch_size):
    """Promise 1. In float64, where rounding cannot hide a mean over the batch."""
    results = []
    for size in (13, batch_size):
        module = make(TinyNet().double(), batch_size=size)
        data = DoubleBlobs(blobs)
        scores = run_attack(trainer(tmp_path, 6, precision="64-true"), module, data)
        results.append(scores.outcome().tensors["perturbation"])
    assert results[0].dtype == torch.float64
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


def DoubleBlobs(data):  # noqa: N802 - stands for a class
    data.setup("predict")
    for name in ("query_set", "database_set"):
        split = getattr(data, name)
        split.__class__ = type("Double", (type(split),), {"__getitem__": _double_item})
    data.setup = lambda stage: None
    return data


def _double_item(self, index):
    return self.images[index].double() / 255, self.labels[index], index


def test_a_mean_over_the_batch_would_fail_that_test(tmp_path, blobs):
    class MeanHAG(HAG):
        def forward(self, logits, reference, alpha):
            return super().forward(logits, reference, alpha) / len(logits)

    results = [
        attack(tmp_path, blobs, objective=MeanHAG(), batch_size=size)
        .outcome().tensors["perturbation"]
        for size in (13, 4)
    ]  # fmt: skip
    assert (results[0] - results[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("epsilon", "space", "start_seed"),
    [("10/255", "pixel", None), (0.032, "normalized", None), (0.05, "pixel", 0)],
)
def test_budget_and_box_hold_after_every_step(tmp_path, blobs, epsilon, space, start_seed):
    """Promise 4."""
    seen = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            clean, delta = module.batches[batch_idx].inputs, module.perturbations[batch_idx].delta
            image = clean + module.recipe.budget.in_pixels(delta)
            seen.append((delta.abs().max(), image.min(), image.max()))

    module = attack(
        tmp_path, blobs, epsilon=epsilon, epsilon_space=space, start_seed=start_seed,
        step=lambda p: SGD(p, lr=50.0), callbacks=[Watch()],
    )  # fmt: skip
    assert len(seen) == 6 * 3
    largest, low, high = (torch.stack(column) for column in zip(*seen, strict=True))
    assert largest.max() <= torch.tensor(module.budget.epsilon)
    assert largest.max() > 0.9 * module.budget.epsilon
    slack = 0 if space == "pixel" else 1e-7
    assert low.min() >= -slack
    assert high.max() <= 1 + slack
    sent = module.outcome().tensors["adversarial_8bit"].double()
    clean = blobs.query_set.images.double()
    scale = 1.0 if space == "pixel" else TinyNet().std.view(3, 1, 1).double()
    assert ((sent - clean).abs() / 255 <= module.budget.epsilon * scale + 1e-6).all()


@pytest.mark.parametrize("step", [small_step, lambda p: torch.optim.Adam(p, lr=0.01)])
@pytest.mark.parametrize("batch_size", [5, 13])
def test_killed_and_resumed_ends_where_the_uninterrupted_attack_ends(
    tmp_path, blobs, step, batch_size
):
    """Promise 2. The resumed run has other batches only where the second parameter says so."""
    whole = attack(tmp_path, blobs, iterations=12, step=step)
    saver = ModelCheckpoint(
        tmp_path / "c", filename="last", every_n_epochs=4, save_on_train_epoch_end=True
    )
    interrupted = make(step=step)
    with pytest.raises(KeyError, match="killed"):
        run_attack(
            trainer(tmp_path, 12, callbacks=[saver, StopAt(9)], enable_checkpointing=True),
            interrupted,
            blobs,
        )
    resumed = attack(
        tmp_path, blobs, iterations=12, step=step, batch_size=batch_size,
        ckpt_path=str(tmp_path / "c" / "last.ckpt"),
    )  # fmt: skip
    expected, got = (m.outcome().tensors["perturbation"] for m in (whole, resumed))
    if batch_size == 5:
        assert torch.equal(got, expected)
    else:
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5)
    iterations = [row["iteration"] for row in rows_of(resumed, metric="map", attack="hag")]
    assert iterations == [0, 3, 12, 12]


def test_checkpoint_holds_no_victim_and_loads_without_unpickling(tmp_path, blobs):
    """Promise 5."""
    saver = ModelCheckpoint(
        tmp_path, filename="last", every_n_epochs=3, save_on_train_epoch_end=True
    )
    module = make()
    run_attack(trainer(tmp_path, 6, callbacks=[saver], enable_checkpointing=True), module, blobs)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"] == {}
    packed = checkpoint["lightning_hash"]["queries"]
    assert packed["index"].tolist() == list(range(13))
    assert packed["rows"]["parameter/delta"].shape == (13, 3, 8, 8)
    assert packed["rows"]["state/delta/momentum_buffer"].shape == (13, 3, 8, 8)
    assert packed["rows"]["asked"].tolist() == [6] * 13


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epsilon": 0.02}, r"its attack.budget.epsilon is 0.039\d+, this run's is 0.02"),
        ({"objective": AnchorCode()}, "its attack.name is 'hag', this run's is 'dhta'"),
        ({"objective": HAGCode(beta=50.0)}, "its attack.objective.beta is 1.0, this run's is 50.0"),
        (
            {"step": lambda p: SGD(p, lr=0.02, momentum=0.9)},
            "its attack.step.lr is 0.01, this run's is 0.02",
        ),
        (
            {"step": lambda p: SGD(p, lr=0.01, momentum=0.9, nesterov=True)},
            "its attack.step.nesterov is False, this run's is True",
        ),
        ({"targets": TargetChoice(n_t=5, seed=1)}, "its attack.targets.seed is 0, this run's is 1"),
        ({"inputs": DiverseInputs(seed=1)}, "its attack.inputs is None, this run's is"),
        ({"n_queries": 4}, "its data.n_query is 13, this run's is 4"),
        ({"alpha": AlphaSchedule([1.0], [0.0])}, "its attack.alpha.values"),
        ({"ranking": RankingOptions(top_k=10)}, "its ranking.top_k is 20, this run's is 10"),
    ],
)
def test_a_checkpoint_of_another_attack_is_refused(tmp_path, blobs, changed, message):
    saver = ModelCheckpoint(
        tmp_path, filename="last", every_n_epochs=3, save_on_train_epoch_end=True
    )
    first = {"objective": HAGCode()} if "beta" in message else {}
    run = trainer(tmp_path, 6, callbacks=[saver], enable_checkpointing=True)
    run_attack(run, make(**first), blobs)
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, ckpt_path=str(tmp_path / "last.ckpt"), **changed)


def test_scores_are_those_of_the_functions(tmp_path, blobs):
    module = attack(tmp_path, blobs, objective=AnchorCode(), step=lambda p: SignStep(p, 0.005))
    outcome = module.outcome()
    codes = module.databases.database.codes
    for key, labels, metric, iteration, quantized in (
        ("codes", "labels", "map", 6, False),
        ("codes", "target_labels", "t_map", 6, False),
        ("codes_8bit", "target_labels", "t_map", 6, True),
        ("clean_codes", "labels", "map", 0, False),
    ):
        expected = mean_average_precision(
            outcome.tensors[key],
            codes,
            outcome.tensors[labels],
            module.databases.database.labels,
            top_k=20,
        )
        found = rows_of(
            module, metric=metric, iteration=iteration, quantized=quantized, attack="dhta"
        )
        assert [row["value"] for row in found] == [float(expected)], metric
    ceiling = mean_average_precision(
        outcome.targets.anchor_codes,
        codes,
        outcome.targets.labels,
        module.databases.database.labels,
        top_k=20,
    )
    assert rows_of(module, attack="anchor", metric="t_map")[0]["value"] == float(ceiling)
    distance = (outcome.tensors["codes"] != outcome.targets.anchor_codes).sum(dim=1)
    row = rows_of(module, metric="hamming_to_anchor", iteration=6, quantized=False)[0]
    assert row["value"] == pytest.approx(distance.double().mean().item())
    adversarial = (blobs.query_set.images.float() / 255 + outcome.tensors["perturbation"]).clamp(
        0, 1
    )
    change = (adversarial - blobs.query_set.images.float() / 255).double()
    row = rows_of(module, metric="perceptibility", iteration=6, quantized=False)[0]
    assert row["value"] == pytest.approx(change.flatten(1).square().mean(1).sqrt().mean().item())


def test_attack_succeeds_on_the_codes_of_saved_images(tmp_path, blobs):
    module = attack(
        tmp_path, blobs, iterations=40, objective=AnchorCode(), epsilon=0.3,
        step=lambda p: SignStep(p, 0.02),
    )  # fmt: skip
    images = module.outcome().tensors["adversarial_8bit"].float() / 255
    codes = sign_code(TinyNet()(images))
    assert torch.equal(codes, module.outcome().tensors["codes_8bit"])
    clean = rows_of(module, metric="t_map", attack="none")[0]["value"]
    final = rows_of(module, metric="t_map", iteration=40, quantized=True)[0]["value"]
    assert final > clean + 0.3


def test_milestone_is_taken_before_the_step(tmp_path, blobs):
    module = attack(tmp_path, blobs, evaluate_at=[0, 2])
    assert rows_of(module, metric="linf", iteration=0, attack="hag")[0]["value"] == 0.0
    two = attack(tmp_path, blobs, iterations=2, alpha=AlphaSchedule([0.1], [0.0]))
    longer = attack(
        tmp_path, blobs, iterations=6, alpha=AlphaSchedule([0.1], [0.0]), evaluate_at=[2]
    )
    values = [
        rows_of(m, metric="perceptibility", iteration=2, quantized=False)[0]["value"]
        for m in (two, longer)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_noise_is_scored_without_optimisation(tmp_path, blobs):
    module = attack(tmp_path, blobs, objective=Noise(), epsilon=0.1)
    perturbation = module.outcome().tensors["perturbation"]
    assert 0.09 < perturbation.abs().max() <= 0.1
    assert {row["iteration"] for row in module.rows} == {0}
    assert rows_of(module, attack="noise")[0]["attack"]["step"] is None


def test_epsilon_in_normalised_space_reaches_each_channel_by_its_std(tmp_path, blobs):
    module = attack(
        tmp_path, blobs, epsilon=0.032, epsilon_space="normalized",
        step=lambda p: NormalizedStep(p, 10.0, reference_size=None),
    )  # fmt: skip
    change = module.outcome().tensors["perturbation"] * TinyNet().std.view(3, 1, 1)
    largest = change.abs().amax(dim=(0, 2, 3)).tolist()
    assert largest == pytest.approx([0.008, 0.0064, 0.016], rel=1e-5)


def test_same_numbers_twice(tmp_path, blobs):
    first, second = (attack(tmp_path, blobs, objective=AnchorCode()).rows for _ in range(2))
    for row in (*first, *second):
        row["run"].pop("seconds")
    assert first == second


class BrokenNet(TinyNet):
    """Returns NaN for image 3 once it has been changed, from the third iteration on."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, inputs):
        logits = super().forward(inputs)
        if inputs.requires_grad:
            self.calls += 1
            if self.calls > 2 * 3 and len(inputs) == 5:
                mask = torch.zeros(len(inputs), 1)
                mask[3] = torch.nan
                logits = logits + mask
        return logits


def test_nan_stops_saves_and_names_the_queries(tmp_path, blobs):
    module = make(BrokenNet())
    run = trainer(tmp_path, 8, logger=None, enable_checkpointing=False, log_every_n_steps=4)
    with pytest.raises(ValueError, match=r"since iteration 2 for queries \[3, 8\]; .* saved in"):
        run_attack(run, module, blobs)
    saved = next(tmp_path.rglob("not_finite.ckpt"))
    queries = torch.load(saved, weights_only=True)["lightning_hash"]["queries"]
    assert torch.isfinite(queries["rows"]["parameter/delta"]).all()
    assert queries["rows"]["parameter/delta"][0].abs().max() > 0


def test_bad_inputs(tmp_path, blobs):
    with pytest.raises(ValueError, match=r"max_epochs \(the iterations\) must be at least 1"):
        attack(tmp_path, blobs, iterations=0)
    with pytest.raises(ValueError, match=r"n_t = 40: .* occurs 30 times"):
        attack(tmp_path, blobs, objective=AnchorCode(), targets=TargetChoice(n_t=40))
    with pytest.warns(UserWarning, match="t-MAP is not measured: n_t = 40"):
        attack(tmp_path, blobs, targets=TargetChoice(n_t=40))
    with pytest.raises(ValueError, match="top_k must be a positive whole number"):
        make(ranking=RankingOptions(top_k=0))
    with pytest.raises(ValueError, match="evaluate_at must hold iterations from 0 on"):
        make(evaluate_at=[-1])
    with pytest.raises(ValueError, match="needs a victim with a tensor attribute `std`"):
        make(torch.nn.Flatten(), epsilon_space="normalized")
    with pytest.raises(TypeError, match="victim must be the path"):
        make(victim=3)


def test_rows_are_json_with_the_whole_protocol(tmp_path, blobs):
    from lightning_hash.results.rows import ResultRow, read_results, write_results

    module = attack(tmp_path, blobs)
    rows = [ResultRow(**row) for row in module.rows]
    write_results(tmp_path / "results.json", rows)
    assert read_results(tmp_path / "results.json") == rows
    row = json.loads((tmp_path / "results.json").read_text())[0]
    attack_settings, data = row["attack"], row["data"]
    assert attack_settings["objective"] == {"class": "lightning_hash.attacks.HAG", "threshold": 0.5}
    assert attack_settings["step"]["class"] == "torch.optim.SGD"
    assert (attack_settings["step"]["lr"], attack_settings["iterations"]) == (0.01, 6)
    assert (data["n_query"], data["n_database"], row["ranking"]["top_k"]) == (13, 90, 20)
    assert (row["victim"]["backbone"], row["victim"]["bits"]) == ("tests.conftest.TinyNet", 8)
    assert row["n"] == 13


def test_an_objective_that_sees_features_pulls_them_to_the_anchor_sets(tmp_path, blobs):
    victim = build_model("convnet", bits=8).eval().requires_grad_(requires_grad=False)
    step = partial(SGD, lr=1000, momentum=0.9)  # the features of an untrained network are small
    module = make(
        victim, objective=TargetFeatures(), targets=TargetChoice(n_t=2), step=step,
        kernels="float32",
    )  # fmt: skip
    before = {key: value.clone() for key, value in victim.state_dict().items()}
    scores = run_attack(trainer(tmp_path, 4), module, blobs)
    outcome = scores.outcome()
    anchors = [
        torch.stack([torch.as_tensor(blobs.database_set[int(i)][0]) for i in items])
        for items in outcome.targets.anchor_index
    ]
    wanted = torch.stack([victim.features(items).mean(dim=0) for items in anchors])
    clean = torch.stack([torch.as_tensor(item[0]) for item in blobs.query_set])
    delta = torch.nn.Parameter(torch.zeros_like(clean))
    optimizer = step([delta])
    for _ in range(4):
        optimizer.zero_grad()
        distance = (victim.features(clean + delta) - wanted).square().mean(dim=1)
        distance.sum().backward()
        optimizer.step()
        with torch.no_grad():
            delta.copy_(project(delta, clean, 10 / 255))
    torch.testing.assert_close(
        outcome.tensors["perturbation"], delta.detach(), rtol=1e-3, atol=1e-6
    )
    assert delta.abs().mean() > 1e-4  # a hundred times the tolerance
    assert outcome.tensors["codes"].shape == (13, 8)  # codes are those of the logits alone
    assert all(torch.equal(value, before[key]) for key, value in victim.state_dict().items())
    assert rows_of(scores, attack="feature", metric="t_map", quantized=True)


@pytest.mark.parametrize("batch_size", [4, 13])
def test_feature_shift_pushes_features_from_those_of_the_clean_queries(tmp_path, blobs, batch_size):
    victim = build_model("convnet", bits=8).eval().requires_grad_(requires_grad=False)
    step = partial(SGD, lr=0.1)
    module = make(
        victim, objective=FeatureShift(), step=step, kernels="float32", start_seed=3,
        batch_size=batch_size,
    )  # fmt: skip
    outcome = run_attack(trainer(tmp_path, 4), module, blobs).outcome()
    clean = torch.stack([torch.as_tensor(item[0]) for item in blobs.query_set])
    features = victim.features(clean)
    made = PerQuery(clean, LInf("10/255"))
    made.draw(clean, torch.arange(13), 3)
    (delta,) = made.parameters()
    far = [(victim.features(clean + delta) - features).square().mean(dim=1)]
    optimizer = step([delta])
    for _ in range(4):
        optimizer.zero_grad()
        distance = (victim.features(clean + delta) - features).square().mean(dim=1)
        (-distance / features.square().mean(dim=1)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            delta.copy_(project(delta, clean, 10 / 255))
    torch.testing.assert_close(
        outcome.tensors["perturbation"], delta.detach(), rtol=1e-3, atol=1e-6
    )
    far.append((victim.features(clean + delta) - features).square().mean(dim=1))
    assert (far[1] > 1.5 * far[0]).all()


def test_feature_shift_needs_a_start(tmp_path, blobs):
    victim = build_model("convnet", bits=8).eval().requires_grad_(requires_grad=False)
    options = {"victim": victim, "objective": FeatureShift()}
    with pytest.raises(ValueError, match="feature-shift has a gradient of 0 at the clean query"):
        attack(tmp_path, blobs, **options)
    diverse = DiverseInputs(probability=1.0)  # what the victim sees is then elsewhere
    for more in ({"start_seed": 0}, {"inputs": diverse}):
        found = attack(tmp_path, blobs, 2, **options, **more)
        assert rows_of(found, attack="feature-shift", metric="map")
    assert not found.rows[-1]["warnings"] or "exactly zero" not in found.rows[-1]["warnings"]


def test_features_of_a_foreign_network_are_not_known(blobs):
    for objective in (TargetFeatures(), FeatureShift()):
        with pytest.raises(ValueError, match="give a victim of a named backbone"):
            make(objective=objective)


def test_label_codes_come_from_the_database(tmp_path, blobs):
    module = attack(
        tmp_path, blobs, objective=CgAT(targeted=True), iterations=20, step=far_step, epsilon=0.5
    )
    database, targets = module.databases.database, module.outcome().targets
    expected = center_code(targets.labels, database.codes, database.labels)
    reference = torch.cat([batch.reference for batch in module.batches])
    assert torch.equal(reference.to(torch.int8), expected)
    (row,) = rows_of(module, metric="t_map", attack="cgat-targeted", quantized=False, iteration=20)
    (clean,) = rows_of(module, metric="t_map", attack="none")
    assert row["value"] > clean["value"]


@pytest.mark.parametrize("batch_size", [4, 13])
def test_finished_queries_are_stepped_and_passed_no_more(tmp_path, blobs, batch_size):
    """The perturbation of a finished query is the first whose code is the anchor code."""
    passed = []
    module = make(
        objective=AnchorCode(), step=far_step, epsilon=0.5, stop_finished=True,
        batch_size=batch_size, evaluate_at=[0, 3, 20],
    )  # fmt: skip
    module.victim.register_forward_hook(lambda _, inputs, __: passed.append(len(inputs[0])))
    scores = run_attack(trainer(tmp_path, 40), module, blobs)
    outcome = scores.outcome()
    done = (outcome.tensors["codes"] == outcome.targets.anchor_codes).all(dim=1)
    assert 3 <= done.sum() < 13
    counts = [row["n_finished"] for row in rows_of(scores, attack="dhta", metric="t_map")]
    assert counts == sorted(counts)
    assert counts[-1] == done.sum()
    assert sum(passed) < 0.9 * 40 * 13
    assert rows_of(scores, attack="none", metric="map")[0]["n_finished"] is None

    plain = make(
        objective=AnchorCode(), step=far_step, epsilon=0.5, batch_size=batch_size,
    )  # fmt: skip
    reached = torch.zeros(13, dtype=torch.bool)
    found = torch.zeros_like(outcome.tensors["perturbation"])

    class Keep(Callback):
        def on_train_epoch_start(self, trainer, module):
            for number, each in enumerate(module.batches):
                codes = module.clean.logits(module.perturbed(number)) > 0
                same = (codes == (each.reference > 0)).all(dim=1)
                new = same & ~reached[each.index]
                found[each.index[new]] = module.perturbations[number].delta.detach()[new]
                reached[each.index[new]] = True

    run_attack(trainer(tmp_path, 40, callbacks=[Keep()]), plain, blobs)
    assert torch.equal(reached, done)
    torch.testing.assert_close(
        outcome.tensors["perturbation"][done], found[done], rtol=1e-4, atol=1e-5
    )


def test_stopping_goes_on_after_a_resume(tmp_path, blobs):
    options = {
        "objective": AnchorCode(), "step": far_step, "epsilon": 0.5, "stop_finished": True,
    }  # fmt: skip
    whole = attack(tmp_path, blobs, iterations=30, **options)
    saver = ModelCheckpoint(tmp_path, filename="half", every_n_epochs=15, save_top_k=-1)
    runner = trainer(tmp_path, 30, callbacks=[saver], enable_checkpointing=True)
    run_attack(runner, make(**options), blobs)
    resumed = attack(
        tmp_path, blobs, iterations=30, ckpt_path=str(tmp_path / "half.ckpt"), **options
    )
    torch.testing.assert_close(
        resumed.outcome().tensors["perturbation"], whole.outcome().tensors["perturbation"],
        rtol=1e-3, atol=1e-5,
    )  # fmt: skip


@pytest.mark.parametrize("options", [{"inputs": DiverseInputs()}, {"step": NesterovSignStep}])
def test_stopping_needs_the_codes_of_the_perturbed_queries(tmp_path, blobs, options):
    with pytest.raises(ValueError, match="leave one of them out"):
        attack(tmp_path, blobs, stop_finished=True, **options)


@pytest.mark.parametrize(
    "options", [{"inputs": DiverseInputs(1.0, 0.5)}, {"step": NesterovSignStep}]
)
def test_milestones_score_the_perturbed_queries_themselves(tmp_path, blobs, options):
    """Not what the victim saw: changed at random, or ahead of the step."""
    codes = []

    class Watch(Callback):
        def on_train_epoch_start(self, trainer, module):
            if module.current_epoch == 3:
                clean = torch.cat([batch.clean_codes for batch in module.batches])
                logits = [module.clean.logits(module.perturbed(i)) for i in range(3)]
                codes.append((sign_code(torch.cat(logits)) != clean).sum(dim=1))

    module = attack(tmp_path, blobs, callbacks=[Watch()], **options)
    (row,) = rows_of(module, metric="hamming_to_clean", iteration=3)
    assert row["value"] == pytest.approx(codes[0].double().mean().item())
    inputs = options["inputs"].settings() if "inputs" in options else None
    assert row["attack"]["inputs"] == inputs


@pytest.mark.parametrize("batch_size", [1, 7])
def test_transferable_steps_treat_every_query_by_itself(tmp_path, blobs, batch_size):
    results = []
    for size in (13, batch_size):
        module = make(
            TinyNet().double(), batch_size=size, step=MomentumSignStep,
            inputs=DiverseInputs(0.7, 0.5),
        )  # fmt: skip
        scores = run_attack(trainer(tmp_path, 6, precision="64-true"), module, DoubleBlobs(blobs))
        results.append(scores.outcome().tensors["perturbation"])
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


class CutNet(TinyNet):
    def forward(self, inputs):
        return super().forward(inputs).detach()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"victim": CutNet()}, "no gradient of the loss reaches the input"),
        ({"step": torch.optim.LBFGS}, "LBFGS needs one loss for all queries"),
    ],
)
def test_what_cannot_be_attacked_by_gradient_says_so(tmp_path, blobs, options, message):
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, **options)


def test_what_is_finished_is_known_after_a_resumption(tmp_path, blobs):
    options = {
        "objective": AnchorCode(), "step": far_step, "epsilon": 0.5, "stop_finished": True,
    }  # fmt: skip
    saver = ModelCheckpoint(
        tmp_path, filename="last", every_n_epochs=30, save_on_train_epoch_end=True
    )
    run = trainer(tmp_path, 30, callbacks=[saver], enable_checkpointing=True)
    whole = run_attack(run, make(**options), blobs)
    ended = attack(tmp_path, blobs, iterations=30, ckpt_path=str(tmp_path / "last.ckpt"), **options)
    expected, found = (rows_of(each, attack="dhta", quantized=True) for each in (whole, ended))
    assert expected[0]["n_finished"] > 0
    assert [row["n_finished"] for row in found] == [row["n_finished"] for row in expected]


def test_one_module_run_twice_has_rows_of_its_own(tmp_path, blobs):
    module = make()
    first = run_attack(trainer(tmp_path), module, blobs).rows
    second = run_attack(trainer(tmp_path), module, blobs).rows
    assert len(first) == len(second)


def test_another_precision_is_another_attack(tmp_path, blobs):
    saver = ModelCheckpoint(
        tmp_path, filename="last", every_n_epochs=3, save_on_train_epoch_end=True
    )
    run_attack(trainer(tmp_path, callbacks=[saver], enable_checkpointing=True), make(), blobs)
    with pytest.raises(ValueError, match="its precision is '32-true', this run's is 'bf16-mixed'"):
        run_attack(
            trainer(tmp_path, precision="bf16-mixed"), make(), blobs,
            ckpt_path=str(tmp_path / "last.ckpt"),
        )  # fmt: skip
    with pytest.raises(ValueError, match="bf16-mixed has float32's range"):
        check_precision(SimpleNamespace(precision="16-mixed"))  # Lightning has none on a CPU


def test_a_target_files_content_is_a_setting(tmp_path):
    file = tmp_path / "targets.json"
    file.write_text('{"0": {"target": [1, 0]}}')
    before = TargetChoice(file=str(file)).settings()
    file.write_text('{"0": {"target": [0, 1]}}')
    assert TargetChoice(file=str(file)).settings() != before
