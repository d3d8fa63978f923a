"""The experiments of the papers: what they ask for, and that the program takes it."""

import inspect
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
from pytorch_lightning.cli import LightningCLI
from torch import nn

import lightning_hash
from lightning_hash import losses
from lightning_hash.__main__ import main
from lightning_hash.commands import audit, transfer
from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.cli import HashCLI
from lightning_hash.results.rows import read_results
from lightning_hash.sweeps import read_plan
from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.record import begin, complete, finished, made_by

ROOT = Path(lightning_hash.__file__).parent.parent
STUDIES = [Path("configs/studies/cifar10.yaml")]
FRAMES = [Path("configs/studies/frames.yaml")]
FAMILIES = [Path("configs/studies/attack_families.yaml")]
AUDITS = [Path("configs/studies/audits.yaml")]
LOSSES = [Path("configs/studies/losses.yaml")]
EXPERIMENTS = sorted(
    Path("configs/papers").joinpath(p.name) for p in ROOT.glob("configs/papers/*.yaml")
)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def attacks(name, scale="full"):
    """Return the attacks of an experiment, without the fits."""
    return [
        run
        for run in read_plan([Path(f"configs/papers/{name}.yaml")], scale)
        if run.verb == "attack"
    ]


def values(runs, option):
    return sorted({run.options[option] for run in runs})


def test_full_size_is_that_of_the_papers():
    assert len(attacks("hag_table1")) == 3 * 4
    assert {run.options["model.victim"].options["model.bits"] for run in attacks("hag_table1")} == {
        16, 32, 64, 128,
    }  # fmt: skip
    assert len(attacks("hag_table3")) == 2 * 4
    thresholds = values(attacks("hag_fig6"), "model.objective.init_args.threshold")
    assert thresholds == pytest.approx([number / 10 for number in range(11)])
    assert len(attacks("dhta_table1")) == 2 * 3 * 4
    assert values(attacks("dhta_table6"), "model.targets.init_args.n_t") == [5, 7, 9, 11]
    assert values(attacks("dhta_fig7"), "model.targets.init_args.n_t") == [1, 3, 5, 7, 9, 11, 13]
    assert values(attacks("dhta_table8"), "model.epsilon") == [0.01, 0.02, 0.03, 0.04, 0.05]
    options = {run.digest: run.configuration["options"] for run in attacks("dhta_table5")}
    assert {option["model"]["epsilon"] for option in options.values()} == {0.032}
    backbones = {
        run.options["model.victim"].options.get("model.backbone") for run in attacks("dhta_table5")
    }
    assert backbones == {"vgg11", None}  # None: that of configs/fit/dhta_video.yaml


def test_clips_are_attacked_as_in_the_paper():
    runs = attacks("dhta_table2")
    assert len(runs) == 2 * 3 * 4
    for run in runs:
        options = run.configuration["options"]
        assert options["model"]["alpha"]["init_args"] == {"values": [0.1], "starts": [0.0]}
        assert (options["trainer"]["max_epochs"], options["model"]["ranking"]["top_k"]) == (
            500,
            None,
        )
        assert (options["model"]["epsilon"], options["model"]["n_queries"]) == (0.032, 100)
        victim = run.options["model.victim"].configuration["options"]["model"]
        assert victim["loss"]["class_path"].endswith("DeepVideoLoss")
        assert victim["optimizer"]["init_args"] == {
            "lr": 0.05, "momentum": 0.9, "weight_decay": 0.0001,
        }  # fmt: skip
    splits = {run.configs[-1]: run.configuration["options"]["data"]["init_args"] for run in runs}
    jhmdb, ucf = (splits[f"configs/data/{name}.yaml"] for name in ("jhmdb", "ucf101"))
    assert (jhmdb["frames"], jhmdb["query"]) == (40, "10 per class from all")
    assert (ucf["frames"], ucf["stride"], ucf["query"]) == (40, 3, "30 per class from all")


def test_the_study_of_frames_is_taken():
    for scale in ("full", "demo"):
        runs = [run for run in read_plan(FRAMES, scale) if run.verb == "attack"]
        given = [run.configuration["options"]["model"].get("perturbation") for run in runs]
        counts = [None if each is None else each["init_args"]["count"] for each in given]
        assert counts.count(None) == 2  # all frames, as in the paper
        assert len(counts) == 2 * len(set(counts))
        paper = {run.digest for run in attacks("dhta_table2", scale)}
        assert {r.digest for r, count in zip(runs, counts, strict=True) if not count} <= paper


def test_nuswide_of_dhta_is_ranked_to_5000():
    depths = {
        (
            run.configs[-1],
            run.options["model.ranking.top_k"],
            run.options["model.victim"].options["model.ranking.top_k"],
        )
        for run in attacks("dhta_table1")
    }
    assert depths == {
        ("configs/data/imagenet100_dhta.yaml", 1000, 1000),
        ("configs/data/nuswide_dhta.yaml", 5000, 5000),
    }


def test_an_open_set_attack_is_on_the_victim_of_the_closed_set():
    closed = {run.options["model.victim"].digest for run in attacks("dhta_table3")}
    assert {run.options["model.victim"].digest for run in attacks("dhta_table6")} == closed


@pytest.mark.parametrize("scale", ["full", "demo"])
def test_experiments_share_runs(scale):
    single = [run.digest for path in EXPERIMENTS for run in read_plan([path], scale)]
    together = read_plan(EXPERIMENTS, scale)
    assert len(together) == len(set(single)) < 0.6 * len(single)
    assert len({str(run.configuration) for run in together}) == len(together)
    for name in ("hag_table2", "hag_fig2", "hag_fig3", "hag_fig4", "hag_fig5"):
        table1 = {run.digest for run in attacks("hag_table1", scale)}
        assert {run.digest for run in attacks(name, scale)} <= table1
    table2 = {run.digest for run in attacks("dhta_table2", scale)}
    for name in ("dhta_table4", "dhta_fig5", "dhta_fig9"):
        assert {run.digest for run in attacks(name, scale)} <= table2


def test_the_study_is_taken():
    runs = read_plan(STUDIES, "full")
    assert sorted({run.options["model.bits"] for run in runs if run.verb == "fit"}) == [
        16, 32, 48, 64,
    ]  # fmt: skip
    assert len([run for run in runs if run.verb == "transfer"]) == 4
    joint = [run for run in runs if run.title.startswith("joint_hag")]
    assert [len(run.options["model.victim"]) for run in joint] == [3]


def test_the_study_of_families_is_paired():
    """Each objective and epsilon with each step rule, on one victim at one alpha."""
    runs = [run for run in read_plan(FAMILIES, "full") if run.verb == "attack"]
    assert len({run.options["model.victim"].digest for run in runs}) == 1
    cells, rates = {}, set()
    for run in runs:
        model = run.configuration["options"]["model"]
        assert model["alpha"]["init_args"] == {"values": [1.0], "starts": [0.0]}
        if run.title.split()[0] in ("search", "universal"):
            continue
        assert run.configuration["options"]["trainer"]["max_epochs"] == 100
        step = model["step"]["class_path"].rpartition(".")[2]
        cells.setdefault(step, set()).add((json.dumps(model["objective"]), model["epsilon"]))
        if step in ("SignStep", "MomentumSignStep"):
            rates.add(Fraction(model["epsilon"]) / Fraction(model["step"]["init_args"]["lr"]))
    assert set(cells) == {"SGD", "SignStep", "MomentumSignStep", "APGD"}
    assert len({frozenset(each) for each in cells.values()}) == 1
    assert len(cells["APGD"]) == 7 * 3
    assert rates == {8}
    shown = [run.options["model.oracle.shows"] for run in runs if run.title.startswith("search")]
    assert shown == ["logits", "codes", "distances", "ids", *["logits", "codes"] * 2]
    epsilons = [run.options["model.epsilon"] for run in runs if run.title.startswith("universal")]
    assert epsilons == ["4/255", "8/255", "10/255", "16/255"]


class StoppedError(Exception):
    pass


def one_of_each(scale):
    """Return a run for each set of configs and each name."""
    runs = read_plan(EXPERIMENTS, scale)
    kinds = {
        (run.title.split()[0], run.configs, len(run.options.get("perturbations", ()))): run
        for run in runs
    }
    return list(kinds.values())


@pytest.mark.filterwarnings("ignore:LightningCLI's args parameter is intended")
def test_full_size_runs_are_taken_by_the_program(tmp_path, monkeypatch):
    """Their data are not here: look at what is made of the command lines."""

    def stop(self):
        raise StoppedError

    monkeypatch.setattr(LightningCLI, "instantiate_classes", stop)
    for run in [*one_of_each("full"), *read_plan(FAMILIES, "full")[::5]]:
        arguments = command_of(run, tmp_path)[3:]
        if run.verb == "transfer":
            taken = transfer.make_parser().parse_args(arguments[1:])
            assert (len(taken.perturbations), len(taken.victims)) in ((4, 6), (2, 6), (1, 6))
            assert set(taken.combination) <= {"single", "sum", "clipped"}
            continue
        with pytest.raises(StoppedError):
            HashCLI(arguments[0], arguments[1:])


def test_the_audits_are_of_two_networks_four_losses_and_two_lengths(tmp_path):
    runs = read_plan(AUDITS, "full")
    audits = [run for run in runs if run.verb == "audit"]
    victims = [run.options["model.victim"].configuration["options"]["model"] for run in audits]
    assert len(audits) == 8
    assert len({run.digest for run in runs}) == 16
    for option, count in (("backbone", 2), ("bits", 2), ("loss", 4)):
        assert len({str(victim[option]) for victim in victims}) == count
    parser = audit.make_parser()
    for run in audits:
        with checked_class_paths():
            taken = parser.parse_args(command_of(run, tmp_path)[4:])
        assert taken.data.class_path == "lightning_hash.data.FolderDataModule"
        assert taken.threats == ["linf-8"]
        assert not taken.quick


@pytest.mark.parametrize("scale", ["full", "demo"])
def test_the_study_of_losses_has_every_loss_at_one_budget(scale):
    runs = read_plan(LOSSES, scale)
    fits = [run.configuration["options"] for run in runs if run.verb == "fit"]
    concrete = {
        name for name, each in vars(losses).items()
        if isinstance(each, type) and issubclass(each, nn.Module) and not inspect.isabstract(each)
    }  # fmt: skip
    found = Counter(str(each["model"]["loss"]).rpartition(".")[2] for each in fits)
    assert found == {name: 6 if name == "OrthoHashLoss" else 3 for name in concrete}
    assert {each["seed_everything"] for each in fits} == {0, 1, 2}
    assert {str(each.get("trainer")) for each in fits} == {
        "{'max_epochs': 30}" if scale == "full" else "None"
    }
    scored = [run.options["model.victim"].digest for run in runs if run.verb == "attack"]
    assert sorted(scored) == sorted(run.digest for run in runs if run.verb == "fit")


SMALL = """
trainer: {max_epochs: 2, accelerator: cpu}
data:
  class_path: lightning_hash.data.SamplePhotos
  init_args: {n_train: 100, n_query: 20, n_database: 200}
"""
FEW = "model: {n_queries: 5, kernels: float32}"


@pytest.mark.slow
def test_demo_runs_run(tmp_path):
    small = {}
    for kind, data in (("", SMALL), ("video_", SMALL.replace("SamplePhotos", "SampleClips"))):
        for verb, model in (("fit", ""), ("attack", FEW)):
            small[kind + verb] = tmp_path / f"{kind}{verb}.yaml"
            small[kind + verb].write_text(data + model)
    wanted = {each.digest: each for run in one_of_each("demo") for each in run.in_order()}
    for run in wanted.values():
        begin(run, tmp_path)
        kind = "video_" if run.title.startswith("video_") else ""
        assert main(command_of(run, tmp_path, small.get(kind + run.verb))[3:]) == 0
        complete(run, tmp_path)
        assert finished(run, tmp_path)
    rows = {
        run.title.split()[0]: read_results(made_by(run, tmp_path) / "results.json")
        for run in wanted.values()
        if run.verb == "attack"
    }

    def seen(rows, path):
        return {json.dumps(row.get(path)) for row in rows if row.is_attack}

    assert seen(rows["hag_star"], "attack.alpha.values") == {"[1.0]"}
    assert seen(rows["open_dhta"], "data.target_database") == {'"open_set"'}
    (objective,) = seen(rows["feature"], "attack.objective.class")
    assert objective.endswith('.TargetFeatures"')
    transfers = [run for run in wanted.values() if run.verb == "transfer"]
    found = [
        row for run in transfers for row in read_results(made_by(run, tmp_path) / "results.json")
    ]
    assert {row.get("transfer.combination") for row in found} >= {"single", "sum", "joint"}
    assert {row.get("victim.bits") for row in found} == {16, 32}
    assert seen(rows["dhta"], "data.target_database") == {'"database"'}
