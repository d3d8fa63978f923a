"""Which queries are attacked, and what is refused before any work."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.attacks import TargetChoice
from lightning_hash.codes.code_files import read_codes
from lightning_hash.data.queries import QueryData
from lightning_hash.modules.target_loader import check_targets

VICTIM = ["--trust", "--model.victim={source: tests.victims.test_foreign:make_small}"]
QUICK = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]


def test_n_queries_is_at_most(blobs, caplog):
    for wanted, count in ((5, 5), (13, 13), (14, 13), (100, 13), (None, 13)):
        caplog.clear()
        data = QueryData(blobs, wanted)
        data.setup("predict")
        assert len(data.queries) == count
        said = [record.getMessage() for record in caplog.records]
        many = wanted is not None and wanted > 13
        assert said == ([f"n_queries {wanted}: the query set has 13, all are taken"] * many)
    assert data.queries.indices == list(range(13))


def test_targets_are_checked_by_the_labels_alone(blobs):
    class Crowd:
        labels = torch.tensor([[1, 0, 0]] * 12 + [[0, 1, 0]] * 11, dtype=torch.uint8)

        def __len__(self):
            return 23

        def __getitem__(self, row):
            msg = "no image is looked at"
            raise AssertionError(msg)

    data = QueryData(blobs, None)
    data.setup("predict")
    blobs.database_set = Crowd()
    check_targets(data, TargetChoice(n_t=10), "database")
    with pytest.raises(ValueError, match=r"n_t = 11: .* occurs 11 times"):
        check_targets(data, TargetChoice(n_t=11), "database")


@pytest.fixture
def flat(tmp_path, monkeypatch):
    """A folder of twelve images without classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    Path("flat").mkdir()
    for number in range(12):
        pixels = random.integers(0, 256, (20, 20, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(Path("flat") / f"{number:02}.png")
    Path("lists").mkdir()
    for name in ("train", "query", "database"):
        Path("lists", f"{name}.txt").write_text("".join(f"{n:02}.png\n" for n in range(12)))
    return tmp_path


@pytest.mark.parametrize(
    "data",
    [
        ["--data=FolderDataModule", "--data.folder=flat"],
        ["--data=ListDataModule", "--data.folder=lists", "--data.root=flat"],
    ],
    ids=["folder", "list"],
)
def test_images_without_labels(flat, data, capsys):
    """Codes, their files and an attack on them; neither training nor MAP."""
    data = [*data, "--data.size=16"]
    assert main(["encode", *VICTIM, *data, *QUICK, "--output=codes.safetensors"]) == 0
    codes = read_codes(flat / "codes.safetensors")
    assert (len(codes), codes.labels.shape) == (12, (12, 0))
    assert [Path(path).name for path in codes.paths] == [f"{n:02}.png" for n in range(12)]
    attack = ["attack", *VICTIM, *data, *QUICK, "--model.kernels=float32", "--name=flat"]
    assert main([*attack, "--trainer.max_epochs=2", "--model.n_queries=5"]) == 0
    rows = json.loads((flat / "runs/attack/flat/version_0/results.json").read_text())
    assert {row["metric"] for row in rows} == {"hamming_to_clean", "perceptibility", "linf"}
    assert {row["data"]["n_unlabelled"]["query"] for row in rows} == {12}
    assert max(row["value"] for row in rows if row["metric"] == "hamming_to_clean") > 0
    assert {row["data"]["n_leaked"] for row in rows} == {12}
    said = {text for row in rows for text in row["warnings"] or ()}
    assert not [text for text in said if "in the database" in text]  # nothing is ranked
    capsys.readouterr()
    for line, message in (
        (["fit", *data, *QUICK], "has no labels, which training and MAP need"),
        (["test", *data, *QUICK, "--ckpt_path=null"], "has no labels, which training and MAP need"),
        ([*attack, "--codes=codes.safetensors"], "has no labels, so nothing is ranked"),
    ):
        assert main(line) == 1
        assert message in capsys.readouterr().err
    assert main(["check-data", *data]) == 0
    assert "no labels: encode and attack work" in capsys.readouterr().out
