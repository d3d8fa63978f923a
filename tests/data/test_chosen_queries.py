"""Queries by index: which are attacked, in which order, and who notices another choice."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from safetensors.torch import load_file

from lightning_hash.__main__ import main
from lightning_hash.commands.attack import run_attack
from lightning_hash.data.queries import QueryData
from lightning_hash.results.rows import read_results
from lightning_hash.sweeps import Run
from lightning_hash.sweeps.record import begin, finished
from lightning_hash.utils.whole_file import write_whole
from tests.helpers.attacks import attack, make, rows_of, trainer
from tests.helpers.commands import SMALL_DATA

CHOSEN = [9, 2, 12, 0]


def test_order_is_kept_and_batches_follow_it(blobs):
    data = QueryData(blobs, batch_size=3, query_index=CHOSEN)
    data.setup("predict")
    assert data.queries.indices == CHOSEN
    assert [data.load_batch(number)[2].tolist() for number in (0, 1)] == [[9, 2, 12], [0]]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: np.savetxt(path.with_suffix(".txt"), np.array(CHOSEN)),  # 9.000...e+00
        lambda path: path.with_suffix(".txt").write_text("9\n2\r\n\n12\n0\n"),
        lambda path: path.with_suffix(".csv").write_text("9,2,12,0\n"),
        lambda path: np.save(path.with_suffix(".npy"), np.array(CHOSEN)),
        lambda path: torch.save(torch.tensor(CHOSEN), path.with_suffix(".pt")),
    ],
)
def test_a_file_of_indices(blobs, tmp_path, write):
    write(tmp_path / "index")
    (file,) = tmp_path.iterdir()
    data = QueryData(blobs, query_index=str(file))
    data.setup("predict")
    assert data.queries.indices == CHOSEN
    assert data.fingerprint == QueryData(blobs, query_index=CHOSEN).fingerprint


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([3, 1, 3], r"query_index: index 3 is there 2 times; name each once"),
        ([3, 13], r"query_index: 13 is none of the 13 queries of blobs, which count from 0"),
        ([3, -1], r"query_index: an index must be a whole number from 0 on, got -1"),
        ([3, 1.5], r"query_index: an index must be a whole number from 0 on, got 1.5"),
        ([], r"query_index must hold indices, got"),
        ("none.txt", r"none\.txt does not exist"),
    ],
)
def test_what_is_no_choice_is_refused(blobs, index, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        QueryData(blobs, query_index=index).setup("predict")


def test_another_number_than_is_asked_for_is_refused(blobs):
    with pytest.raises(ValueError, match=r"n_queries 3: query_index names 4; leave n_queries out"):
        QueryData(blobs, 3, query_index=CHOSEN)
    assert QueryData(blobs, 4, query_index=CHOSEN).chosen == CHOSEN


def test_a_chosen_query_is_attacked_as_a_drawn_one(tmp_path, blobs):
    drawn, chosen = (attack(tmp_path, blobs, query_index=i).outcome() for i in (None, CHOSEN))
    assert chosen.tensors["index"].tolist() == CHOSEN
    for name in ("labels", "clean_codes", "codes", "target_labels", "anchor_codes"):
        assert torch.equal(chosen.tensors[name], drawn.tensors[name][CHOSEN]), name
    torch.testing.assert_close(
        chosen.tensors["perturbation"], drawn.tensors["perturbation"][CHOSEN], rtol=0, atol=1e-6
    )


def test_rows_say_which_and_a_resumption_notices(tmp_path, blobs):
    saver = ModelCheckpoint(
        tmp_path, filename="last", every_n_epochs=3, save_on_train_epoch_end=True
    )
    run = trainer(tmp_path, 6, callbacks=[saver], enable_checkpointing=True)
    scores = run_attack(run, make(query_index=CHOSEN), blobs)
    fingerprint = QueryData(blobs, query_index=CHOSEN).fingerprint
    assert all(row["data"]["query_index"] == fingerprint for row in scores.rows)
    assert rows_of(attack(tmp_path, blobs, 1))[0]["data"]["query_index"] is None
    last = str(tmp_path / "last.ckpt")
    for other in ([9, 2, 12, 1], [2, 9, 12, 0], None):
        n_queries = 4 if other is None else None
        with pytest.raises(ValueError, match=r"its data\.query_index.* is .*, this run's is"):
            attack(tmp_path, blobs, ckpt_path=last, query_index=other, n_queries=n_queries)
    again = attack(tmp_path, blobs, ckpt_path=last, query_index=CHOSEN).outcome().tensors
    assert again["index"].tolist() == CHOSEN
    assert torch.equal(again["perturbation"], scores.outcome().tensors["perturbation"])


def test_a_sweep_notices_another_content_of_the_file(tmp_path):
    file = tmp_path / "index.txt"
    file.write_text("1\n2\n")
    run = Run("a", "attack", (), {"model.query_index": str(file)})
    begin(run, tmp_path)
    record = tmp_path / "sweep" / f"{run.digest}.json"
    write_whole(tmp_path / "made", b"result")
    known = json.loads(record.read_text())
    sha = "f6a214f7a5fcda0c2cee9660b7fc29f5649e3c68aad48e20e950137c98913a68"  # of "result"
    record.write_text(json.dumps({**known, "outputs": {"made": sha}}))
    assert finished(run, tmp_path)
    file.write_text("1\n3\n")
    assert not finished(run, tmp_path)


@pytest.mark.slow
def test_run_folder_and_transfer(with_victim):
    np.savetxt("attack_query_index.txt", np.array([7, 3, 11]))
    common = [*SMALL_DATA, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    options = ["--model.query_index=attack_query_index.txt", "--trainer.max_epochs=3"]
    assert main(["attack", "--name=chosen", *common, *options, "--model.kernels=float32"]) == 0
    folder = Path("runs/attack/chosen/version_0")
    assert (folder / "query_index.txt").read_text() == "7\n3\n11\n"
    assert load_file(folder / "codes.safetensors")["index"].tolist() == [7, 3, 11]
    arguments = ["--victims=checkpoints/demo/best.ckpt", "--accelerator=cpu"]
    assert main(["transfer", f"--perturbations={folder}", *arguments]) == 0
    (path,) = Path("runs/transfer").rglob("results.json")
    wanted = {"metric": "map", "quantized": False, "name": "hag"}
    here, there = (
        [r for r in read_results(file) if all(getattr(r, k) == v for k, v in wanted.items())][-1]
        for file in (path, folder / "results.json")
    )
    assert here.value == pytest.approx(there.value, abs=1e-6)
    assert here.data["query_index"] == there.data["query_index"] is not None
