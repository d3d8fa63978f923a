"""Type information for users: their code, and that of every page, passes mypy --strict."""

import ast
import re
import subprocess
import sys

import pytest

import lightning_hash
from tests.docs.pages import PAGES, ROOT, read_blocks

USER = '''
"""A user's script: each public name with the type that its page says."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from typing_extensions import assert_type

import lightning_hash
from lightning_hash import AttackModule, HashModule, HashTrainer, load_victim
from lightning_hash.attacks import AnchorCode, SignStep
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import FolderDataModule, SamplePhotos
from lightning_hash.functional import mean_average_precision
from lightning_hash.victims import Victim


def attacked(model: nn.Module, images: Tensor) -> float:
    found = lightning_hash.attack(model, images, iterations=10, epsilon="8/255")
    assert_type(found, lightning_hash.Attacked)
    assert_type(found.adversarial, Tensor)
    assert_type(found.rows, list[dict[str, Any]])
    assert_type(lightning_hash.__version__, str)
    return float(found.codes.float().mean())


def trained(folder: Path) -> HashTrainer:
    data = FolderDataModule(str(folder), size=64)
    model = HashModule("convnet", 32)
    is_module: LightningModule = model
    trainer = HashTrainer(max_epochs=2, logger=False)
    is_trainer: Trainer = trainer
    is_trainer.fit(is_module, datamodule=data)
    return trainer


def over_data(checkpoint: Path) -> Tensor:
    victim = load_victim(checkpoint)
    assert_type(victim, Victim)
    module = AttackModule(victim, AnchorCode(), step=lambda p: SignStep(p, 1 / 255))
    scores = run_attack(HashTrainer(max_epochs=1), module, SamplePhotos())
    codes, labels = torch.ones(3, 8), torch.ones(3, 2)
    assert_type(mean_average_precision(codes, codes, labels, labels), Tensor)
    tensor: Tensor = scores.outcome().tensors["adversarial_8bit"]
    return tensor
'''
WRONG = """
import torch

import lightning_hash

lightning_hash.attack(torch.nn.Linear(1, 1), [1, 2])
lightning_hash.attack(torch.nn.Linear(1, 1), torch.rand(1)).adversarials
lightning_hash.atack
"""


def in_function(code: str) -> str:
    """Put the statements of a snippet into a function, and its imports before it."""
    tree = ast.parse(code)
    kinds = (ast.Import, ast.ImportFrom)
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, kinds)]
    others = [ast.unparse(node) for node in tree.body if not isinstance(node, kinds)]
    body = "\n".join(others or ["pass"]).replace("\n", "\n    ")
    return "\n".join([*imports, "def page() -> None:", f"    {body}", ""])


def mypy(installed, folder, *files):
    """Run mypy as a user does, who has the wheel installed."""
    return subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache",
            "--python-executable", str(installed.python), *files,
        ],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_code_of_users_and_pages_passes_mypy_strict(installed, tmp_path):
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "wrong.py").write_text(WRONG)
    names = []
    for page in PAGES:
        blocks = [block for block in read_blocks(page) if block.language == "python"]
        for block in blocks:
            if block.file:
                assert not (tmp_path / block.file).exists(), block.place
                (tmp_path / block.file).write_text(block.code)
                names.append(block.file)
        snippets = "\n".join(block.code for block in blocks if not block.file)
        if snippets:
            name = re.sub(r"\W", "_", str(page.relative_to(ROOT))) + ".py"
            # torchvision has no types: that is no fault of ours, nor of a user.
            code = snippets.replace("import torchvision\n", "import torchvision  # type: ignore\n")
            (tmp_path / name).write_text(code)
            (tmp_path / f"in_function_{name}").write_text(
                "# mypy: disable-error-code=import-untyped\n" + in_function(snippets)
            )
            names += [name, f"in_function_{name}"]
    assert len(names) >= 12
    answer = mypy(installed, tmp_path, "user.py", *names)
    assert answer.stdout.startswith("Success: no issues found"), answer.stdout + answer.stderr
    said = mypy(installed, tmp_path, "wrong.py").stdout
    assert re.findall(r"wrong\.py:(\d+): error: .*\[([\w-]+)\]", said) == [
        ("6", "arg-type"), ("7", "attr-defined"), ("8", "attr-defined")
    ]  # fmt: skip


def test_types_and_places_name_the_same():
    """What type checkers read, what __getattr__ finds and what __all__ lists."""
    tree = ast.parse((ROOT / "lightning_hash" / "__init__.py").read_text())
    tests = [n for n in tree.body if isinstance(n, ast.If) and isinstance(n.test, ast.Name)]
    (block,) = tests  # `if TYPE_CHECKING`; `__getattr__` is behind its opposite
    typed = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == lightning_hash._PLACES
    assert set(lightning_hash.__all__) == {"__version__", *typed}
