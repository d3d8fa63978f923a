"""Trainer recipes and attack presets: the program takes them and does what they say."""

from pathlib import Path

import pytest
import yaml
from pytorch_lightning.cli import LightningCLI

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.cli import HashCLI
from lightning_hash.reports.results import read_results
from lightning_hash.strategies import QueryParallelStrategy

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
        HashCLI(arguments)
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


PRESETS = {
    "hag": "hag", "hag_star": "hag-star", "hag_code": "hag-code", "dhta": "dhta",
    "dhta_code": "dhta-code", "p2p": "p2p", "feature": "feature", "noise": "noise",
    "cgat": "cgat", "cgat_targeted": "cgat-targeted",
    "saat": "saat", "saat_targeted": "saat-targeted",
}  # fmt: skip
FRAGMENTS = {
    "suite": ["dhta"], "transferable": ["hag"], "quick/sgd": ["hag_star"], "quick/sign": ["p2p"],
}  # fmt: skip
RUNS = [[name] for name in PRESETS]
RUNS += [[*below, fragment] for fragment, below in FRAGMENTS.items()]


@pytest.mark.parametrize("presets", RUNS, ids="+".join)
def test_attack_presets_run(presets, victim, tmp_path):
    """Each preset and each fragment over one of them, for two iterations."""
    small = ["--data.n_train=60", "--data.n_query=10", "--data.n_database=100"]
    configs = [f"--config={CONFIGS / 'attack' / name}.yaml" for name in presets]
    arguments = ["attack", *configs, f"--model.victim={victim}", "--trainer.max_epochs=2", *small]
    arguments += [
        "--model.n_queries=4",
        "--model.tune=false",
        "--trainer.enable_progress_bar=false",
    ]
    assert main([*arguments, "--runs", str(tmp_path), "--name", "x"]) == 0
    (found,) = tmp_path.rglob("results.json")
    rows = [row for row in read_results(found) if row.quantized]
    assert {row.attack for row in rows} == {PRESETS[presets[0]]}
    ceilings = [row for row in read_results(found) if row.attack == "anchor"]
    assert [row.metric for row in ceilings] == ["t_map", "hamming_to_anchor"]
    if "transferable" in presets:
        assert (rows[0].step_rule, rows[0].inputs) == (
            "MomentumSignStep",
            "diverse p=0.5 from 0.9",
        )
    if "suite" in presets:
        assert (rows[0].epsilon, rows[0].lr) == (pytest.approx(8 / 255), pytest.approx(1 / 255))


def test_attack_presets_are_all_run():
    found = {path.relative_to(CONFIGS / "attack") for path in CONFIGS.glob("attack/**/*.yaml")}
    assert {str(path.with_suffix("")) for path in found} == {*PRESETS, *FRAGMENTS}
