"""Clips under several processes: cached features, and attacks on some frames."""

import json

import numpy as np
import pytest
import torch.distributed as dist
import yaml

from tests.helpers.clips import write_classes
from tests.helpers.processes import finish, run, same, start, values

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
CONFIG = {
    "model": {
        "backbone": {
            "class_path": "lightning_hash.models.VideoNetwork",
            "init_args": {"frames": "convnet", "hidden": 8},
        },
        "bits": 8, "ranking": {"top_k": None},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp_clips")
    write_classes(folder / "clips")
    splits = {"train": "4 per class from all", "query": "3 per class from all"}
    data = {"folder": str(folder / "clips"), **splits, "frames": 6, "size": 24, "batch_size": 4,
            "eval_batch_size": 2}  # fmt: skip
    data = {"data": {"class_path": "FolderDataModule", "init_args": data}}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
    (folder / "fit.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def test_two_processes_keep_the_features_of_one(folder):
    fit = ["fit", "--config=fit.yaml", "--config=data.yaml", "--trainer.max_epochs=1"]
    for devices in (1, 2):
        options = [f"--model.feature_cache=cache{devices}", f"--trainer.devices={devices}"]
        finish(start(folder, *fit, *options, "--name=v", "--trainer.accelerator=cpu"))
    found = [sorted((folder / f"cache{devices}").iterdir()) for devices in (1, 2)]
    assert [path.name for path in found[0]] == [path.name for path in found[1]]
    assert len(found[0]) == 2
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(np.load(one / "features.npy"), np.load(two / "features.npy"),
                                   atol=1e-5)  # fmt: skip
        np.testing.assert_array_equal(np.load(one / "lengths.npy"), np.load(two / "lengths.npy"))
        assert json.loads((one / "made_with.json").read_text())["split"] in one.name


def test_all_processes_stop_where_features_are_missing(folder):
    """Only rank 0 looks at the files; the other must not wait for it."""
    fit = ["fit", "--config=fit.yaml", "--config=data.yaml", "--trainer.max_epochs=1"]
    options = ["--model.feature_cache=short", "--trainer.limit_predict_batches=1"]
    options += ["--trainer.devices=2", "--trainer.accelerator=cpu", "--name=short"]
    output = finish(start(folder, *fit, *options), status=1)
    assert output.count("items were not passed; train without limit_predict_batches") == 2
    assert list((folder / "short").iterdir()) == []


@pytest.mark.parametrize("devices", [2, 3])
def test_processes_change_the_frames_that_one_changes(folder, devices):
    """Nine queries in batches of four; of three processes one has a batch of one."""
    victim = folder / "checkpoints" / "v" / "best.ckpt"
    attack = [
        "attack", "--config=data.yaml", f"--model.victim={victim}", "--model.n_queries=9",
        "--model.batch_size=4", "--trainer.accelerator=cpu", "--model.targets.n_t=2",
        "--model.evaluate_at=[2]", "--model.objective=AnchorCode",
        "--model.perturbation=lightning_hash.attacks.ChosenFrames", "--model.perturbation.count=2",
        "--model.step=lightning_hash.attacks.SignStep", "--model.step.lr=0.004",
        "--model.kernels=float32", "--model.ranking.top_k=null", "--trainer.max_epochs=4",
    ]  # fmt: skip
    if not run(folder, "one").exists():
        finish(start(folder, *attack, "--name=one"))
    name = f"by_{devices}"
    options = [f"--name={name}", f"--trainer.devices={devices}", "--checkpoint_every=2"]
    finish(start(folder, *attack, *options))
    same(run(folder, name), run(folder, "one"))
    attacks = [attack for attack, *_ in values(run(folder, name)) if attack]
    counts = [a["perturbation"]["count"] for a in attacks if a["name"] != "anchor"]
    assert set(counts) == {2}
