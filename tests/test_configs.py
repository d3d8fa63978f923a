"""Trainer recipes and attack presets: the program takes them and does what they say."""

from pathlib import Path

import pytest
import yaml
from pytorch_lightning.cli import LightningCLI

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands.cli import HashCLI
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.results.rows import read_results

CONFIGS = Path(lightning_hash.__file__).parent.parent / "configs"
RECIPES = sorted(CONFIGS.glob("trainer/*.yaml"))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("verb", ["fit", "attack"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes(recipe, verb, monkeypatch, tmp_path):
    """The GPUs that a recipe asks for may be missing: look at what the Trainer would be given."""
    monkeypatch.chdir(tmp_path)
    given = {}

    def construct(self, **options):
        given.update({**self._get(self.config_init, "trainer"), **options})
        raise StoppedError

    monkeypatch.setattr(LightningCLI, "instantiate_trainer", construct)
    victim = ["--model.victim={source: tests.models.test_foreign:make_small}"]
    arguments = [verb, "--config", str(recipe), *(victim if verb == "attack" else [])]
    with pytest.raises(StoppedError):
        HashCLI(arguments[0], arguments[1:])
    for name, value in yaml.safe_load(recipe.read_text())["trainer"].items():
        assert given[name] == value
    several = recipe.stem in ("ddp", "slurm")
    assert isinstance(given["strategy"], QueryParallelStrategy) == (several and verb == "attack")


def test_recipes_are_all_there():
    assert [path.stem for path in RECIPES] == ["cpu", "ddp", "gpu", "slurm"]


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    small = ["--data.n_train=60", "--data.n_query=10", "--data.n_database=100"]
    arguments = ["fit", "--trainer.max_epochs=1", "--model.bits=8", *small]
    folders = ["--runs", str(folder / "runs"), "--checkpoints", str(folder / "checkpoints")]
    assert main([*arguments, *folders, "--trainer.logger=false"]) == 0
    return folder / "checkpoints" / "demo" / "best.ckpt"


HAG, PGD, SIGN = ("SGD", 500 / 255**2, 0.9), ("SGD", 1.0, 0.0), ("SignStep", 1 / 255, 0.0)
PRESETS = {  # the attack, epsilon, and the step's rule, rate and momentum
    "hag": ("hag", 10 / 255, HAG),
    "hag_star": ("hag-star", 10 / 255, HAG),
    "hag_code": ("hag-code", 10 / 255, ("SGD", 100 / 255**2, 0.0)),
    "dhta": ("dhta", 0.032, PGD),
    "dhta_code": ("dhta-code", 0.032, ("NormalizedStep", 1.0, 0.0)),
    "p2p": ("p2p", 0.032, PGD),
    "feature": ("feature", 0.032, SIGN),
    "noise": ("noise", 0.032, (None, None, None)),
    "cgat": ("cgat", 8 / 255, SIGN),
    "cgat_targeted": ("cgat-targeted", 8 / 255, SIGN),
    "saat": ("saat", 8 / 255, SIGN),
    "saat_targeted": ("saat-targeted", 8 / 255, SIGN),
}
FRAGMENTS = {  # the preset below, what becomes of epsilon and of the step, and of the inputs
    "suite": ("dhta", 8 / 255, SIGN, None),
    "transferable": ("hag", 10 / 255, ("MomentumSignStep", 1 / 255, 1.0), "diverse p=0.5 from 0.9"),
    "quick/sgd": ("hag_star", 10 / 255, ("SGD", 10_000 / 255**2, 0.9), None),
    "quick/sign": ("p2p", 0.032, SIGN, None),
}
CLIPS = ("demo_video", "video")  # go with a victim of clips: see tests/data/test_sample_clips.py
RUNS = [([name], *expected, None) for name, expected in PRESETS.items()]
RUNS += [
    ([below, name], PRESETS[below][0], *expected) for name, (below, *expected) in FRAGMENTS.items()
]


@pytest.mark.parametrize(("presets", "attack", "epsilon", "step", "inputs"), RUNS)
def test_attack_presets_run(presets, attack, epsilon, step, inputs, victim, tmp_path):
    """Each preset and each fragment over one of them, for two iterations."""
    small = ["--data.n_train=60", "--data.n_query=10", "--data.n_database=100"]
    configs = [f"--config={CONFIGS / 'attack' / name}.yaml" for name in presets]
    arguments = ["attack", *configs, f"--model.victim={victim}", *small]
    if attack != "noise":
        arguments.append("--trainer.max_epochs=2")
    arguments += [
        "--model.n_queries=4",
        "--model.tune=false",
        "--trainer.enable_progress_bar=false",
    ]
    assert main([*arguments, "--runs", str(tmp_path), "--name", "x"]) == 0
    (found,) = tmp_path.rglob("results.json")
    rows = read_results(found)
    assert {row.attack for row in rows} == {attack, "none", "anchor"}
    (used,) = {row.epsilon for row in rows}
    assert used == pytest.approx(epsilon)
    assert {(row.step_rule, row.momentum) for row in rows} == {(step[0], step[2])}
    assert rows[0].lr == pytest.approx(step[1])
    assert {row.inputs for row in rows} == {inputs}
    ceilings = [row.metric for row in rows if row.attack == "anchor"]
    assert ceilings == ["t_map", "hamming_to_anchor"]


def test_a_run_without_a_logger_leaves_its_config_among_the_runs(victim):
    folder = victim.parent.parent.parent
    assert {path.name for path in folder.iterdir()} == {"runs", "checkpoints"}
    assert (folder / "runs" / "fit" / "demo" / "config.yaml").is_file()
    assert not Path("config.yaml").exists()


def test_attack_presets_are_all_run():
    found = {path.relative_to(CONFIGS / "attack") for path in CONFIGS.glob("attack/**/*.yaml")}
    assert {str(path.with_suffix("")) for path in found} == {*PRESETS, *FRAGMENTS, *CLIPS}
