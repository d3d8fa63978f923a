"""What looks like a victim that cannot be attacked, and is not."""

import json
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from torch import nn

from lightning_hash.attacks import HAG, AnchorCode, LInf, Noise, SignStep, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.functional import RankingOptions, average_precision
from lightning_hash.models import build_model
from lightning_hash.modules.chance import _error_of_mean, chance_of
from lightning_hash.modules.doubts import _of_map, doubts_after, share_of_way
from lightning_hash.modules.gradient_watch import GradientWatch
from lightning_hash.results.rows import ResultRow
from lightning_hash.victims.foreign import ForeignNetwork
from tests.conftest import Blobs, TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer
from tests.helpers.ball import Ball
from tests.helpers.one_for_all import OneForAll

FITS = {"step": lambda p: SignStep(p, 0.05), "epsilon": 0.3}


class Ends(nn.Module):
    """TinyNet with something behind its logits."""

    def __init__(self, end):
        super().__init__()
        self.network, self.end = TinyNet(), end

    def forward(self, inputs):
        return self.end(self.network(inputs))


class Rounded(nn.Module):
    def forward(self, logits):
        return logits + (logits * 0).round() - (logits - logits.detach())


def said(tmp_path, data, match, **options):
    """Return the scores of an attack that warns once before its first iteration."""
    with pytest.warns(UserWarning, match=f"doubtful: .*{match}") as caught:
        scores = attack(tmp_path, data, **{**FITS, **options})
    found = [str(w.message).removeprefix("doubtful: ") for w in caught]
    (text,) = [text for text in found if match in text]
    for row in scores.rows:  # clean queries, milestones, the end and the ceiling
        assert text in row["warnings"]
        assert ResultRow(**row).warnings == row["warnings"]
    return scores


def doubts(scores):
    return {text for row in scores.rows for text in row["warnings"] or ()}


def test_an_attack_that_works_has_none(tmp_path, blobs):
    scores = attack(tmp_path, blobs, **FITS)
    assert {row["warnings"] for row in scores.rows} == {None}
    (row,) = rows_of(scores, attack="hag", metric="map", iteration=6, quantized=False)
    size = scores.outcome().tensors["perturbation"].abs().mean() / 0.3
    assert row["budget_used"] == pytest.approx(size.item(), rel=1e-5)
    assert 0.5 < row["budget_used"] <= 1
    (start,) = rows_of(scores, attack="hag", metric="map", iteration=0)
    assert start["budget_used"] == 0
    assert {row["budget_used"] for row in rows_of(scores, attack="none")} == {None}


@pytest.mark.parametrize("objective", [HAG(), AnchorCode()])
def test_a_step_that_is_too_short(tmp_path, blobs, objective):
    short = {"objective": objective, "step": lambda p: SignStep(p, 0.0001), "epsilon": 0.3}
    with pytest.warns(UserWarning, match=r"used 0% of its budget .* leave model.step out"):
        scores = attack(tmp_path, blobs, **short)
    last = rows_of(scores, attack=scores.attack_name, iteration=6)
    assert all("too short to say anything" in row["warnings"][0] for row in last)
    size = scores.outcome().tensors["perturbation"].abs().mean() / 0.3
    assert last[0]["budget_used"] == pytest.approx(size.item(), rel=1e-5)
    assert {row["warnings"] for row in rows_of(scores, attack="none")} == {None}
    assert not doubts(attack(tmp_path, blobs, **{**FITS, "objective": objective}))


@pytest.mark.parametrize(
    ("used", "moved", "expected"),
    [(0.49, 0.49, 1), (0.51, 0.0, 0), (0.1, 0.51, 0), (None, 0.0, 0), (0.0, -0.2, 1)],
)
def test_half_of_the_budget_or_half_of_the_way(used, moved, expected):
    assert len(doubts_after(used, moved, 0.1, default_step=True)) == expected


def test_the_default_step_is_not_its_own_remedy(tmp_path, blobs):
    """Weak gradients leave it short of its budget too."""
    weak = Ends(lambda logits: logits * 1e-5)
    with pytest.warns(UserWarning, match=r"too short to say .*; give a step that does not depend"):
        found = doubts(attack(tmp_path, blobs, victim=weak, step=None))
    assert not any("leave model.step out" in text for text in found)


def test_few_queries_of_a_good_victim_are_not_at_chance():
    """The standard error of a few may be as large as their mean."""
    labels = torch.eye(4, dtype=torch.int64)
    near = torch.tensor([[1, 1, 1, 1], [1, -1, -1, 1], [-1, 1, -1, 1], [-1, -1, 1, 1]])
    database = near.repeat(5, 1), labels.repeat(5, 1)
    codes = torch.stack([near[0], near[0]])
    codes[1, 3] = -1  # the second query finds its items with others
    for few in (2, 3, 4):
        queries = torch.cat([codes, near[2:]])[:few]
        queries_labels = labels[[0, 1, 2, 3]][:few]
        assert not _of_map(queries, database[0], queries_labels, database[1], RankingOptions())


def test_the_way_of_the_codes():
    clean = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1]])
    goal = torch.tensor([[-1, -1, -1, -1], [-1, 1, 1, -1]])
    codes = torch.tensor([[-1, -1, 1, 1], [-1, 1, 1, 1]])
    assert share_of_way(codes, clean, clean, targeted=False) == 3 / 8
    assert share_of_way(codes, clean, goal, targeted=True) == 0.5
    assert share_of_way(clean, clean, goal, targeted=True) == 0
    assert share_of_way(-clean, clean, clean, targeted=True) == -3  # it was there already


def test_a_budget_says_what_is_used():
    size = torch.tensor([[[0.1, 0.3]], [[0.2, 0.0]]])[:, :, None, None]  # two clips of two frames
    clips = size.permute(0, 4, 1, 2, 3).expand(2, 2, 3, 4, 4)
    assert LInf(0.4).used(clips).tolist() == pytest.approx([0.5, 0.25])
    live = torch.tensor([[True, False], [True, True]])
    assert LInf(0.4).used(clips, live).tolist() == pytest.approx([0.25, 0.25])
    assert LInf(2.0, "normalized").used(-clips).tolist() == pytest.approx([0.1, 0.05])


def test_other_budgets_say_it_themselves_or_are_not_judged(tmp_path, blobs):
    options = {"step": lambda p: SignStep(p, 0.0001), "epsilon": 0.5}
    with pytest.warns(UserWarning, match="too short"):
        scores = attack(tmp_path, blobs, budget=Ball, **options)
    norm = scores.outcome().tensors["perturbation"].flatten(1).norm(dim=1).mean() / 0.5
    (row,) = rows_of(scores, attack="hag", metric="map", iteration=6, quantized=False)
    assert row["budget_used"] == pytest.approx(norm.item(), rel=1e-4)

    class Silent(Ball):
        def used(self, perturbation, live=None):
            return None

    scores = attack(tmp_path, blobs, budget=Silent, **options)
    assert not doubts(scores)
    assert {row["budget_used"] for row in scores.rows} == {None}


def test_noise_has_no_step_to_be_short(tmp_path, blobs):
    scores = attack(tmp_path, blobs, objective=Noise(), step=None)
    assert not doubts(scores)
    (row,) = rows_of(scores, attack="noise", metric="map", quantized=False)
    assert row["budget_used"] == pytest.approx(0.5, abs=0.02)


def test_a_perturbation_that_is_zero(tmp_path, blobs):
    with pytest.warns(UserWarning, match="perturbations are exactly zero"):
        attack(tmp_path, blobs, step=partial(torch.optim.SGD, lr=0.0), epsilon=0.1)


def test_a_gradient_that_is_zero_and_a_run_that_goes_on(tmp_path, blobs):
    options = {**FITS, "start_seed": 3}  # noise hides that nothing moves
    match = "gradient of 13 of 13 perturbations is exactly zero"
    keep = ModelCheckpoint(tmp_path, filename="last", every_n_epochs=3)
    run = trainer(tmp_path, 6, callbacks=[keep, StopAt(5)], enable_checkpointing=True)
    with pytest.warns(UserWarning, match=match), pytest.raises(KeyError, match="killed"):
        run_attack(run, make(Ends(Rounded()), **options), blobs)
    last = str(tmp_path / "last.ckpt")
    resumed = attack(tmp_path, blobs, victim=Ends(Rounded()), ckpt_path=last, **options)
    whole = attack(tmp_path, blobs, victim=Ends(Rounded()), **options)
    assert [row["warnings"] for row in resumed.rows] == [row["warnings"] for row in whole.rows]
    assert any(match in text for text in doubts(resumed))


def flat(*scores):
    return [text for each in scores for text in doubts(each) if "gradient of" in text]


def test_a_gradient_that_comes_back_is_no_doubt(tmp_path, blobs):
    """A loss may be flat where the perturbations begin, and not beside it."""

    class Away(HAG):
        def forward(self, logits, reference, alpha):
            return -(logits - reference).square().mean(dim=1)  # flat at the clean query

    class Drifts(SignStep):
        def step(self, closure=None):
            answer = super().step(closure)
            for parameter in self.param_groups[0]["params"]:
                parameter.data += 0.01
            return answer

    moves = {**FITS, "step": lambda p: Drifts(p, 0.05), "objective": Away()}
    assert not flat(attack(tmp_path, blobs, **moves))
    with pytest.warns(UserWarning, match="no slope where they begin .start_seed begins elsewhere"):
        found = flat(attack(tmp_path, blobs, **{**FITS, "objective": Away()}))
    assert found[0].startswith("the gradient of 13 of 13 perturbations is exactly zero in the fi")
    assert not flat(attack(tmp_path, blobs, **FITS, objective=Away(), start_seed=1))


def test_queries_at_their_optimum_have_no_gradient_and_are_no_doubt(tmp_path, blobs):
    """Their codes are the target's, by logits that are saturated; the others' are not."""
    own = {str(i): {"target": Blobs(13, 1).labels[0].tolist()} for i in range(13)}
    file = tmp_path / "targets.json"
    file.write_text(json.dumps(own))
    blobs.setup("test")
    blobs.setup = lambda stage: None
    blobs.query_set.images = blobs.query_set.images[:1].expand(13, -1, -1, -1).clone()
    blobs.database_set.images[:] = blobs.query_set.images[0]
    victim = Ends(lambda logits: logits * 1e6)
    targets = TargetChoice(n_t=5, file=str(file))
    options = {**FITS, "victim": victim, "objective": AnchorCode(), "targets": targets}
    assert not flat(attack(tmp_path, blobs, **options))


def test_few_queries_without_a_gradient_are_counted_once(tmp_path, blobs):
    class Deaf(TinyNet):
        def forward(self, inputs):
            logits = super().forward(inputs)
            red = inputs.detach()[:, 0].mean(dim=(1, 2)) > 0.5
            return torch.where(red[:, None], logits.detach(), logits)

    scores = attack(tmp_path, blobs, victim=Deaf(), **FITS)
    (text,) = flat(scores)
    assert text.startswith("the gradient of 5 of 13 perturbations")  # those of class 0
    assert "in the first 2 iterations" in text
    one = flat(attack(tmp_path, blobs, iterations=1, victim=Deaf(), **FITS))
    assert "in the first iteration:" in one[0]


def test_dropped_logits_have_a_gradient_now_and_then(tmp_path, blobs):
    class Halves(TinyNet):
        """Of each query no logit passes at all, every other time."""

        passes = 0

        def forward(self, inputs):
            logits = super().forward(inputs)
            if torch.is_grad_enabled():
                self.passes += 1
            return logits if self.passes % 2 == 0 else logits.detach() + 0 * logits

    assert not flat(attack(tmp_path, blobs, victim=Halves(), batch_size=13, **FITS))


def test_a_shared_perturbation_is_one(tmp_path, blobs):
    class Grey(TinyNet):
        def forward(self, inputs):
            return super().forward(inputs[:, :1].expand(-1, 3, -1, -1))

    shared = {**FITS, "perturbation": OneForAll}
    assert not flat(attack(tmp_path, blobs, victim=Grey(), **shared))
    found = flat(attack(tmp_path, blobs, victim=Ends(Rounded()), **shared))
    assert found[0].startswith("the gradient of 1 of 1 perturbations")


def test_one_of_several_victims_without_a_gradient(tmp_path, blobs):
    from lightning_hash.victims import Victim

    def two(end):
        return [Victim(TinyNet(), bits=8), Victim(Ends(end), bits=8, backbone="other")]

    for end in (torch.round, torch.Tensor.detach):
        victim = two(lambda logits, end=end: end(logits) + 0.25)
        with pytest.warns(UserWarning, match="no gradient of victim other-8 reaches 4 of 4 quer"):
            attack(tmp_path, blobs, victim=victim, **FITS)
    said = doubts(attack(tmp_path, blobs, victim=two(lambda logits: logits * -1), **FITS))
    assert not [text for text in said if "no gradient of victim" in text]


def test_saturated_logits_have_no_gradient(tmp_path, blobs):
    victim = Ends(lambda logits: logits * 1e6)
    with pytest.warns(UserWarning, match="its logits are saturated"):
        attack(tmp_path, blobs, victim=victim, **FITS)


def test_outputs_of_tanh_read_as_logits(tmp_path, blobs):
    said(tmp_path, blobs, "are read as logits", victim=Ends(nn.Tanh()))
    for victim in (
        ForeignNetwork(Ends(nn.Tanh()), output="tanh"),
        Ends(lambda logits: logits * 10),
        build_model("convnet", 8),  # its hash layer is its last
    ):
        assert not [text for text in doubts(attack(tmp_path, blobs, victim=victim, **FITS))
                    if "read as logits" in text]  # fmt: skip
    foreign = ForeignNetwork(Ends(nn.Tanh()))
    said(tmp_path, blobs, "are read as logits", victim=foreign)


def test_outputs_of_a_sigmoid_are_refused(tmp_path, blobs):
    with pytest.raises(ValueError, match="so that all bits would be 1; probabilities are output"):
        attack(tmp_path, blobs, victim=Ends(nn.Sigmoid()))


def test_a_victim_that_has_collapsed(tmp_path, blobs):
    victim = Ends(lambda logits: logits * 1e-3 + torch.tensor([1, -1] * 4))
    scores = said(tmp_path, blobs, "one code for 100% of the queries", victim=victim)
    value = rows_of(scores, attack="none", metric="map")[0]["value"]
    wanted = f"clean MAP is {value:.4f}, at chance ({value:.4f}"
    assert any(text.startswith(wanted) for text in doubts(scores))
    assert not scores.evaluation.rows[0]["warnings"][0].startswith("victim")  # one victim


class OneKind(Blobs):
    def __init__(self, count, seed):
        super().__init__(count, seed)
        self.images = self.images[:1].expand(count, -1, -1, -1)
        self.labels = self.labels[:1].expand(count, -1)


def test_one_label_for_all_is_no_collapse(tmp_path, blobs):
    blobs.setup("test")
    blobs.setup = lambda stage: None
    blobs.query_set, blobs.database_set = OneKind(13, 1), OneKind(30, 1)
    with pytest.warns(UserWarning, match=r"clean MAP is 1.0000, at chance \(1.0000"):
        scores = attack(tmp_path, blobs, **FITS)
    assert not any("collapsed" in text for text in doubts(scores))


def test_a_clean_map_at_chance(tmp_path, blobs):
    blobs.setup("test")
    blobs.setup = lambda stage: None
    blobs.database_set.labels = blobs.database_set.labels[
        torch.randperm(90, generator=torch.Generator().manual_seed(0))
    ]
    said(tmp_path, blobs, "at chance")


def test_queries_of_one_code_are_one_draw():
    values = torch.tensor([0.1, 0.3, 0.2, 0.6], dtype=torch.float64)
    each = torch.eye(4) * 2 - 1
    assert _error_of_mean(values, each) == pytest.approx(values.std().item() / 2)
    # Two groups with means 0.2 and 0.4 of 2 queries each: deviation 0.1 sqrt 2, error 0.1.
    pairs = each[[0, 0, 1, 1]]
    assert _error_of_mean(values, pairs) == pytest.approx(0.1)
    assert _error_of_mean(values, each[[0] * 4]) is None
    assert _error_of_mean(values * 0, each[[0] * 4]) == 0


@pytest.mark.parametrize("normalizer", ["retrieved", "relevant"])
@pytest.mark.parametrize("top_k", [None, 5])
def test_chance_is_the_mean_over_rankings_at_random(top_k, normalizer):
    generator = torch.Generator().manual_seed(0)
    labels = torch.eye(3)[torch.arange(20) % 3].long()
    own = torch.eye(3)[:2].long()
    found = chance_of(own, labels, RankingOptions(top_k=top_k, normalizer=normalizer))
    drawn = []
    for _ in range(4000):
        order = torch.randperm(20, generator=generator)
        value = average_precision(
            torch.ones(2, 20), 1 - 2 * torch.ones(20, 20).triu().T[order.argsort()], own, labels,
            top_k=top_k, normalizer=normalizer,
        )  # fmt: skip
        drawn.append(value.nan_to_num(0.0))
    drawn = torch.stack(drawn)
    error = drawn.std(dim=0) / len(drawn) ** 0.5
    assert ((drawn.mean(dim=0) - found).abs() < 4 * error).all()


def test_queries_without_anything_relevant(tmp_path, blobs):
    blobs.setup("test")
    blobs.setup = lambda stage: None
    blobs.class_names = [*"abcd"]
    for items in (blobs.query_set, blobs.database_set):
        items.labels = nn.functional.pad(items.labels, (0, 1))
    blobs.query_set.labels = torch.eye(4, dtype=torch.uint8)[[3] * 13]
    said(tmp_path, blobs, "no query has a relevant item in the database")


def test_where_all_queries_are_left_out_there_is_no_map(tmp_path, blobs):
    """NaN is no number of a row, and the others are not lost."""
    ranking = RankingOptions(top_k=1, empty="skip")
    strong = {"step": lambda p: SignStep(p, 0.2), "epsilon": 1.0, "ranking": ranking}
    with pytest.warns(UserWarning, match=r"map is not measured at iteration 20: all 13"):
        scores = attack(tmp_path, blobs, iterations=20, evaluate_at=[0], **strong)
    rows = [ResultRow(**row) for row in scores.rows]
    metrics = {row.metric for row in rows if row.name == "hag" and row.iteration == 20}
    assert "hamming_to_clean" in metrics
    assert "map" not in metrics
    assert [row.value for row in rows if row.metric == "map" and row.name == "none"] == [1.0]


class Drops(TinyNet):
    """Drops in eval mode too, as a forgotten F.dropout does."""

    def forward(self, inputs):
        return nn.functional.dropout(super().forward(inputs), 0.3)


def test_outputs_at_random(tmp_path, blobs):
    said(tmp_path, blobs, "other outputs for the same queries", victim=Drops())
    trained = TinyNet().train()
    trained.linear = nn.Sequential(trained.linear, nn.Dropout(0.5))  # off in eval mode
    assert not doubts(attack(tmp_path, blobs, victim=trained, **FITS))


class Centred(TinyNet):
    """Takes the mean of the batch, as a batch norm without running statistics does."""

    def forward(self, inputs):
        logits = super().forward(inputs)
        return logits - logits.mean(dim=0)


def test_outputs_that_depend_on_the_batch(tmp_path, blobs):
    said(tmp_path, blobs, "depend on the other queries of its batch", victim=Centred())


class LostAtTheEnd(TinyNet):
    """Has logits of a query in every iteration, and none of what it has become."""

    def __init__(self, clean):
        super().__init__()
        self.clean = clean.flatten(1)

    def forward(self, inputs):
        logits = super().forward(inputs)
        if torch.is_grad_enabled():
            return logits
        known = torch.cdist(inputs.flatten(1), self.clean).amin(dim=1, keepdim=True) < 1e-2
        return torch.where(known, logits, torch.nan)


@pytest.mark.parametrize(("evaluate_at", "when"), [([], ""), ([2], " at iteration 2")])
def test_a_perturbed_query_without_logits_has_no_code(tmp_path, blobs, evaluate_at, when):
    """The bits of NaN are -1: its MAP would be that of one code."""
    blobs.setup("test")
    clean = torch.stack([item[0] for part in (blobs.query_set, blobs.database_set)
                         for item in part])  # fmt: skip
    message = rf"not finite for the perturbed queries \[0, 1, .*\]{when}, which have .* lower"
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, victim=LostAtTheEnd(clean), evaluate_at=evaluate_at, **FITS)


class Meddles(Callback):
    """Changes what is attacked, behind an iteration."""

    def __init__(self, change):
        self.change = change

    def on_train_epoch_end(self, trainer, pl_module):
        self.change(pl_module)


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.victim.network.linear.weight.mul_(-1.0),
        lambda module: module.batches[0].inputs.mul_(0.5),
    ],
)
def test_a_victim_or_queries_that_others_change(tmp_path, blobs, change):
    """Clean and perturbed queries would be those of another victim than the database's."""
    with pytest.raises(ValueError, match="not those that the attack began with"):
        attack(tmp_path, blobs, iterations=5, callbacks=[Meddles(torch.no_grad()(change))], **FITS)


def test_targets_that_say_little(tmp_path, blobs):
    own = {str(i): {"target": Blobs(13, 1).labels[i].tolist()} for i in range(13)}
    file = tmp_path / "targets.json"
    file.write_text(json.dumps(own))
    targets = TargetChoice(n_t=5, file=str(file))
    said(tmp_path, blobs, "target of 13 of 13 queries is their own label", targets=targets)
    file.write_text(json.dumps({i: {"target": [0, 1, 0]} for i in own}))
    scores = said(tmp_path, blobs, "all 13 queries have one target", targets=targets)
    assert any("target of 4 of 13 queries is their own" in text for text in doubts(scores))


def test_queries_that_are_in_the_database(tmp_path, blobs):
    blobs.n_leaked = 5
    said(tmp_path, blobs, "5 queries of the query set are in the database")


def test_each_of_several_victims_is_looked_at(tmp_path, blobs):
    from lightning_hash.victims import Victim

    collapsed = Ends(lambda logits: logits * 1e-3 + 1)
    victims = [Victim(TinyNet(), bits=8), Victim(collapsed, bits=8)]
    scores = said(tmp_path, blobs, "one code for 100% of the database", victim=victims)
    named = [text for text in doubts(scores) if "one code" in text]
    assert all(text.startswith("victim tests.modules.test_doubts.Ends: ") for text in named)


def test_one_of_several_parameters_reaches_a_query():
    """A query is reached where the gradient of any of its perturbation's parameters is."""
    parameters = [torch.nn.Parameter(torch.zeros(3, 2)) for _ in range(2)]
    parameters[0].grad = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    parameters[1].grad = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    batch = SimpleNamespace(index=torch.arange(3), sloped=torch.zeros(3, dtype=torch.bool))
    perturbation = SimpleNamespace(parameters=lambda: parameters)
    module = SimpleNamespace(shared=False, batches=[batch], perturbation=lambda _: perturbation)
    watch = GradientWatch([].append)
    watch.on_train_batch_end(SimpleNamespace(current_epoch=0), module, None, None, 0)
    assert batch.sloped.tolist() == [True, True, False]
