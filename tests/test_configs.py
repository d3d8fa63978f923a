"""Trainer recipes: their options are known, and the strategy follows from them."""

from pathlib import Path

import pytest
import yaml
from pytorch_lightning.cli import LightningCLI

import lightning_hash
from lightning_hash.cli import HashCLI
from lightning_hash.strategies import QueryParallelStrategy

RECIPES = sorted((Path(lightning_hash.__file__).parent.parent / "configs/trainer").glob("*.yaml"))


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
