"""Surrogates make the perturbations, the victim is scored: as attack and then transfer do."""

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    APGD,
    HAG,
    L2,
    NES,
    PTA,
    SDHA,
    SSTUAA,
    AnchorCode,
    Box,
    CandidateAttack,
    CgAT,
    FeatureShift,
    Hinge,
    Noise,
    Oracle,
    Patch,
    RunStart,
    SignHunter,
    SignStep,
    Square,
    SurrogateStart,
    TargetChoice,
    Universal,
)
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.transfer import run_transfer
from lightning_hash.engine.callbacks import AttackCheckpoint, RunFolder
from lightning_hash.engine.callbacks.board import _settings
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.reports.transfers import transfer_grids
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import summary_line, summary_table
from lightning_hash.victims.functions import CodeFunction
from lightning_hash.victims.resolve import as_victim
from tests.conftest import BlobData, TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer


def net(bits, seed=None):
    """A network of other weights than the victim's, of a code length of its own."""
    network = TinyNet(bits)
    network.bits = bits
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
    return network


def sign_step(parameters):
    return SignStep(parameters, lr=0.01)


def apgd(parameters):
    return APGD(parameters)


def square(parameters):
    return Square(parameters, share=0.3)


ATTACKS = {
    "hag": {},
    "dhta": {"objective": AnchorCode, "step": sign_step},
    "apgd": {"objective": Hinge, "step": apgd},
    "l2": {"objective": HAG, "step": apgd, "budget": L2, "epsilon": 0.3},
    "cgat": {"objective": CgAT},
    "pta": {"objective": PTA, "step": sign_step},
    "sdha": {"objective": SDHA, "step": sign_step},
    "universal": {"perturbation": Universal, "step": sign_step},
    "ss-tuaa": {
        "objective": SSTUAA, "perturbation": Universal, "step": sign_step,
        "targets": lambda: TargetChoice(n_t=5, label=1),
    },
    "patch": {"perturbation": Patch, "budget": Box, "step": sign_step},
}  # fmt: skip


def options_of(name):
    given = dict(ATTACKS[name])
    for part in ("objective", "targets"):
        if part in given:
            given[part] = given[part]()
    return given


@pytest.mark.parametrize("name", ATTACKS)
def test_one_command_is_attack_and_then_transfer(tmp_path, name):
    """Bit for bit: the perturbations, what they reach there, and every row of the victim."""
    there = attack(
        tmp_path / "a", BlobData(batch_size=12), callbacks=[RunFolder(images=0)],
        victim=net(12, 5), **options_of(name),
    )  # fmt: skip
    folder = next((tmp_path / "a").rglob("perturbations.safetensors")).parent
    targets = folder / "targets.json"
    group = read_perturbations(folder), targets if targets.exists() else None
    data = BlobData(batch_size=12)
    rows = run_transfer(trainer(tmp_path / "t"), as_victim(TinyNet()), [group], data, 5)
    here = attack(
        tmp_path / "b", BlobData(batch_size=12), callbacks=[RunFolder(images=0)],
        surrogates=net(12, 5), **options_of(name),
    )  # fmt: skip
    tensors, wanted = here.outcome().tensors, there.outcome().tensors
    for key in ("perturbation", "adversarial_8bit"):
        assert torch.equal(tensors[key], wanted[key]), key
    assert tensors["perturbation"].abs().max() > 0
    assert torch.equal(tensors["made_codes"], wanted["codes"])
    made = read_perturbations(next((tmp_path / "b").rglob("perturbations.safetensors")).parent)
    assert torch.equal(made.reached, group[0].reached)
    assert made.victims == group[0].victims
    shown = ("metric", "value", "se", "n", "iteration", "transfer", "victim", "data", "ranking")
    last = [
        {key: row[key] for key in (*shown, "attack")} for row in here.rows
        if row["metric"].startswith(("map", "t_map", "precision", "hamming"))
        and (row["attack"] is None or row["attack"]["name"] == "anchor" or row["iteration"] == 6)
    ]  # fmt: skip
    assert len(last) > 4
    found = [{key: getattr(row, key) for key in (*shown, "attack")} for row in rows]
    for row in last:
        assert row in found, row["metric"]


def losses_of(networks, objective, references, perturbed):
    """The ensemble by a loop: each surrogate's loss of its own code, summed."""
    total = 0.0
    for network, reference in zip(networks, references, strict=True):
        total = total + objective(network(perturbed), reference, 1.0)
    return total


def test_an_ensemble_follows_the_sum_of_its_members_losses(tmp_path, blobs):
    """Two surrogates of other code lengths, by a loop over queries, networks and iterations."""
    networks = [net(12, 5), net(6, 6)]
    scores = attack(
        tmp_path, blobs, iterations=4, surrogates=networks, objective=Hinge(), step=sign_step,
        epsilon=0.1, n_queries=3, evaluate_at=[],
    )  # fmt: skip
    tensors = scores.outcome().tensors
    for row, index in enumerate(tensors["index"].tolist()):
        clean = blobs.query_set[index][0][None]
        references = [network(clean).detach() for network in networks]
        delta = torch.zeros_like(clean)
        for _ in range(4):
            asked = (clean + delta).requires_grad_()
            loss = losses_of(networks, Hinge(), references, asked).sum()
            (gradient,) = torch.autograd.grad(loss, asked)
            delta = (delta - 0.01 * gradient.sign()).clamp(-0.1, 0.1)
            delta = (clean + delta).clamp(0, 1) - clean
        assert torch.allclose(tensors["perturbation"][row], delta[0], atol=1e-6)
    (row,) = rows_of(scores, metric="map", attack="hinge", quantized=False)
    assert row["transfer"]["combination"] == "joint"
    assert row["transfer"]["sources"].count("+") == 1
    assert row["victim"]["bits"] == 8
    assert [r["transfer"] for r in rows_of(scores, metric="map", attack="none")] == [None]
    assert tensors["made_codes"].shape == (3, 18)


def test_milestones_are_of_the_victim_and_clean_codes_its_own(tmp_path, blobs):
    victim, surrogate = TinyNet(), net(12, 5)
    scores = attack(tmp_path, blobs, victim=victim, surrogates=surrogate, evaluate_at=[0, 3])
    assert {row["victim"]["bits"] for row in scores.rows} == {8}
    first, *_ = rows_of(scores, metric="map", attack="hag", iteration=0)
    (clean,) = rows_of(scores, metric="map", attack="none")
    assert first["value"] == clean["value"]
    (start,) = rows_of(scores, metric="hamming_to_clean", iteration=0)
    assert start["value"] == 0
    assert scores.outcome().tensors["clean_codes"].shape[1] == 8


def test_tables_board_and_report_say_what_was_made_on_what(tmp_path, blobs):
    scores = attack(tmp_path, blobs, surrogates=net(12, 5), evaluate_at=[3])
    rows = [ResultRow(**row) for row in scores.rows]
    name = "tests.conftest.TinyNet-12"
    assert summary_line(rows).startswith(f"hag made on {name}: MAP ")
    assert f"hag made on {name}, scored on 8 bits: " in str(summary_table(rows).title)
    settings = _settings(scores)
    assert settings["verb"] == "attack"
    assert settings["transfer"]["sources"] == name
    assert settings["victim"]["bits"] == 8
    grid, *_ = transfer_grids(rows)
    assert grid.columns == ("TinyNet-8",)
    assert [line.label for line in grid.lines] == ["None", "TinyNet-12 (r1), ε 10/255"]


def test_candidates_are_made_on_surrogates_too(tmp_path, blobs):
    scores = attack(
        tmp_path, blobs, surrogates=net(12, 5), side="candidate", objective=CandidateAttack(),
        step=sign_step, n_queries=5, targets=TargetChoice(n_t=3), evaluate_at=[],
        ranking=RankingOptions(precision_n=10),
    )  # fmt: skip
    (row,) = rows_of(scores, metric="rank_percentile", quantized=False, iteration=6)
    assert row["transfer"]["sources"] == "tests.conftest.TinyNet-12"
    assert row["victim"]["bits"] == 8


def test_a_victim_of_codes_alone_is_attacked_by_the_gradient_of_another(tmp_path, blobs):
    def codes(images):
        return images.reshape(len(images), -1)[:, :16] > 128

    scores = attack(
        tmp_path, blobs, victim=as_victim(CodeFunction(codes)), surrogates=net(12, 5), epsilon=0.3,
        step=sign_step, evaluate_at=[],
    )  # fmt: skip
    (row,) = rows_of(scores, metric="hamming_to_clean", quantized=False)
    assert row["victim"]["bits"] == 16
    assert row["transfer"]["sources"] == "tests.conftest.TinyNet-12"


START = {"surrogates": net(12, 5), "epsilon": 0.1, "objective": Hinge()}


def from_surrogates(**options):
    return {**START, "start": SurrogateStart(step=sign_step, iterations=3, **options)}


def start_alone(tmp_path, **options):
    """What an attack on the surrogate alone comes to, of the same length."""
    return attack(
        tmp_path, BlobData(batch_size=12), iterations=3, **{**START, "step": sign_step, **options}
    ).outcome().tensors  # fmt: skip


def nes(parameters):
    return NES(parameters, lr=0.02, pairs=2)


SEARCHES = {"square": square, "signhunter": SignHunter, "nes": nes}


@pytest.mark.parametrize("shows", ["logits", "codes"])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_begins_where_the_surrogates_end_and_gets_no_worse(tmp_path, blobs, name, shows):
    """By what the oracle sees; the first question is about the start."""
    wanted = start_alone(tmp_path / "a")
    options = {"step": SEARCHES[name], "oracle": Oracle(shows), "evaluate_at": [0]}
    scores = attack(tmp_path / "b", blobs, iterations=1, **from_surrogates(), **options)
    tensors = scores.outcome().tensors
    (begun,) = rows_of(scores, metric="hamming_to_clean", iteration=0)
    away = (wanted["codes"] != wanted["clean_codes"]).sum(dim=1).float()
    assert begun["value"] == pytest.approx(float(away.mean()))
    asked = {"square": 1, "signhunter": 1, "nes": 6}[name]
    assert rows_of(scores, metric="map", iteration=1)[0]["queries"] == asked
    if name != "nes":  # one question, about the start
        assert torch.equal(tensors["perturbation"], wanted["perturbation"])
    longer = attack(
        tmp_path / "c", BlobData(batch_size=12), iterations=30, **from_surrogates(), **options
    ).outcome().tensors  # fmt: skip
    if shows == "codes":
        after = (longer["codes"] != longer["clean_codes"]).sum(dim=1)
        assert (after >= away).all()
        assert after.sum() > away.sum()
        return
    victim = TinyNet()
    losses = [
        Hinge()(victim(blobs_of(longer["index"]) + each["perturbation"]), clean, 1.0)
        for each in (longer, wanted) for clean in [victim(blobs_of(longer["index"]))]
    ]  # fmt: skip
    if name == "nes":  # whose best is by success
        after = (longer["codes"] != longer["clean_codes"]).sum(dim=1)
        assert (after >= away).all()
    else:
        assert (losses[0] <= losses[1] + 1e-6).all()


def blobs_of(index):
    data = BlobData()
    data.setup("predict")
    return torch.stack([data.query_set[int(i)][0] for i in index])


def test_the_victim_is_asked_about_nothing_while_surrogates_are_followed(tmp_path, blobs):
    """The counter stands in the victim: clean passes, the milestone, the questions, the scores."""
    asked = []

    class Counted(TinyNet):
        def forward(self, inputs):
            asked.append(len(inputs))
            return super().forward(inputs)

    counts = []
    for iterations in (1, 40):
        asked.clear()
        start = SurrogateStart(step=sign_step, iterations=iterations)
        options = {**START, "start": start, "step": square, "evaluate_at": []}
        attack(tmp_path, blobs, iterations=5, victim=Counted(), **options)
        counts.append(sum(asked))
    assert counts[0] == counts[1]


def test_signhunter_flips_the_signs_of_a_start_and_leaves_the_rest(tmp_path, blobs):
    """Its first proposal flips all signs, the second and third those of a half."""
    wanted = start_alone(tmp_path / "a")
    seen = []

    class Seen(TinyNet):
        def forward(self, inputs):
            seen.append(inputs.detach().clone())
            return super().forward(inputs)

    class Never(Hinge):
        """Nothing is better than the start."""

        def forward(self, logits, reference, alpha):
            self.calls = getattr(self, "calls", 0) + 1
            return logits.sum(dim=1) * 0 + self.calls

    options = {**from_surrogates(objective=Hinge()), "objective": Never(), "step": SignHunter}
    attack(
        tmp_path / "b", blobs, iterations=4, victim=Seen(), evaluate_at=[], batch_size=13, **options
    )
    clean = blobs_of(wanted["index"])
    delta = wanted["perturbation"]
    flips = torch.where(delta < 0, 0.1, -0.1)
    half = clean[0].numel() // 2
    for part in (slice(None), slice(0, half), slice(half, None)):
        flat = delta.flatten(1).clone()
        flat[:, part] = flips.flatten(1)[:, part]
        expected = (clean + flat.view_as(clean)).clamp(0, 1)
        assert any(s.shape == expected.shape and torch.allclose(s, expected) for s in seen), part


def test_a_run_is_a_start(tmp_path, blobs):
    """Of the same queries, whatever step follows; what it reached is at iteration 0."""
    made = attack(tmp_path / "a", blobs, callbacks=[RunFolder(images=0)], epsilon=0.1)
    folder = next((tmp_path / "a").rglob("perturbations.safetensors")).parent
    reached = rows_of(made, metric="hamming_to_clean", iteration=6, quantized=False)[0]["value"]
    for options in ({"step": square}, {"step": sign_step, "surrogates": net(12, 5)}):
        given = {"epsilon": 0.1, "start": RunStart(str(folder)), "evaluate_at": [0], **options}
        scores = attack(tmp_path / "b", BlobData(batch_size=12), iterations=2, **given)
        (row,) = rows_of(scores, metric="hamming_to_clean", iteration=0)
        assert row["value"] == pytest.approx(reached)
        assert len(row["attack"]["start"]["sha256"]) == 64
    narrow = {"epsilon": 0.02, "start": RunStart(str(folder)), "step": square, "evaluate_at": []}
    scores = attack(tmp_path / "c", BlobData(batch_size=12), iterations=1, **narrow)
    assert scores.outcome().tensors["perturbation"].abs().max() <= 0.02 + 1e-6
    with pytest.raises(ValueError, match="are of other data: their n_query is 13"):
        attack(tmp_path / "d", BlobData(batch_size=12), **{**narrow, "n_queries": 4})


def killed(tmp_path, *callbacks, **options):
    """Run until somebody stops it; returns the last checkpoint."""
    every = [AttackCheckpoint(every=1), *callbacks]
    run = trainer(tmp_path, callbacks=every, enable_checkpointing=True)
    if callbacks:
        with pytest.raises(KeyError):
            run_attack(run, make(**options), BlobData(batch_size=12))
    else:
        run_attack(run, make(**options), BlobData(batch_size=12))
    (path,) = tmp_path.rglob("last.ckpt")
    return str(path)


RESUMED = {
    "transfer": {"surrogates": lambda: [net(12, 5), net(6, 6)]},
    "search": {"surrogates": lambda: net(12, 5), "step": square, "objective": Hinge},
}


@pytest.mark.parametrize("kind", RESUMED)
def test_a_killed_run_ends_where_the_uninterrupted_one_ends(tmp_path, kind):
    def options():
        given = {**RESUMED[kind], "surrogates": RESUMED[kind]["surrogates"]()}
        if kind == "search":
            given["objective"] = Hinge()
            given["start"] = SurrogateStart(step=sign_step, iterations=3)
        return given

    whole = attack(tmp_path / "a", BlobData(batch_size=12), **options())
    path = killed(tmp_path / "b", StopAt(4, 1), **options())
    for batch_size in (5, 3):
        again = attack(
            tmp_path / "c", BlobData(batch_size=12), ckpt_path=path,
            **{**options(), "batch_size": batch_size},
        )  # fmt: skip
        same = torch.equal if batch_size == 5 else torch.allclose
        found, wanted = (each.outcome().tensors["perturbation"] for each in (again, whole))
        assert same(found, wanted)
    others = {
        "transfer": {"surrogates": net(12, 5)},
        "search": {"start": SurrogateStart(step=sign_step, iterations=4)},
    }[kind]
    with pytest.raises(ValueError, match="belongs to another attack"):
        attack(tmp_path / "d", BlobData(batch_size=12), ckpt_path=path, **{**options(), **others})


def test_a_white_box_checkpoint_is_not_gone_on_from_by_surrogates(tmp_path):
    path = killed(tmp_path)
    with pytest.raises(ValueError, match="belongs to another attack: its attack"):
        attack(tmp_path / "b", BlobData(batch_size=12), ckpt_path=path, surrogates=net(12, 5))


def blind(parameters):
    return Square(parameters)


REFUSED = {
    "surrogates: Square asks the victim and follows no gradient; give start": {"step": blind},
    "start: SurrogateStart follows the gradient of surrogates; give surrogates too": {
        "step": blind, "surrogates": None, "start": SurrogateStart(),
    },
    "start: SurrogateStart is where a search begins, and SGD follows a gradient": {
        "start": SurrogateStart(),
    },
    "surrogates: objective noise is not iterated; leave surrogates out": {"objective": Noise()},
    "surrogates: lightning_hash.victims.CodeFunction gives codes alone": {
        "surrogates": as_victim(CodeFunction(lambda images: images[:, 0, :8, 0] > 9)),
    },
    "surrogates must be at least one model, got []": {"surrogates": []},
    "surrogates: two victims of the list have the same weights": {
        "surrogates": [net(8, 1), net(8, 1)],
    },
    "surrogates: nowhere.ckpt does not exist": {"surrogates": "nowhere.ckpt"},
    "start.step: SurrogateStart follows a gradient": {
        "step": blind, "objective": Hinge(), "start": SurrogateStart(step=blind),
    },
    "start.objective: dhta is targeted, the search's untargeted; give one that is untarget": {
        "step": blind, "objective": Hinge(), "start": SurrogateStart(objective=AnchorCode()),
    },
    "feature-shift has a gradient of 0 at the clean query": {
        "step": blind, "objective": Hinge(), "start": SurrogateStart(objective=FeatureShift()),
    },
    "iterations must be at least 1, got 0": {"start": lambda: SurrogateStart(iterations=0)},
    "run /none: perturbations.safetensors is not in it": {"start": lambda: RunStart("/none")},
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_go_together_is_refused(message):
    options = {"surrogates": net(12, 5), **REFUSED[message]}
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        make(**{key: value() if _late(value) else value for key, value in options.items()})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def _late(value):
    return getattr(value, "__name__", "") == "<lambda>"


def test_a_surrogate_of_other_inputs_is_found_before_anything_is_encoded(tmp_path, blobs):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8))
    module = make(surrogates=linear)
    with pytest.raises(ValueError, match=r"surrogates: torch.nn.Sequential: the network fails on"):
        run_attack(trainer(tmp_path), module, blobs)


class Rounds(TinyNet):
    """A network whose codes are whole numbers, so that there is no gradient."""

    def forward(self, inputs):
        return super().forward(inputs).detach().sign()


@pytest.mark.parametrize("several", [False, True])
def test_a_surrogate_without_a_gradient_is_found_before_anything_is_encoded(
    tmp_path, blobs, several
):
    blind = Rounds()
    blind.bits = 8
    module = make(surrogates=[net(12, 5), blind] if several else blind)
    with pytest.raises(ValueError, match=r"surrogates: tests\S+Rounds: no gradient reaches its in"):
        run_attack(trainer(tmp_path), module, blobs)


def test_networks_are_given_back_as_they_came(tmp_path, blobs):
    surrogate = net(12, 5).train()
    attack(tmp_path, blobs, iterations=2, surrogates=surrogate)
    assert surrogate.training
    assert all(parameter.requires_grad for parameter in surrogate.parameters())
