"""Checkpoints that are of another verb, version or shape: named before any of them is loaded."""

import re

import pytest
import torch

from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.fit import run_fit
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.victims.checkpoints import check_shapes
from lightning_hash.victims.victim import load_victim
from tests.conftest import BlobData
from tests.helpers.attacks import make
from tests.helpers.attacks import trainer as attack_trainer
from tests.helpers.training import module, trainer


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A checkpoint of a training and one of an attack."""
    folder = tmp_path_factory.mktemp("kept")
    blobs = BlobData(batch_size=12, eval_batch_size=32)
    run = trainer(folder, 1)
    run.fit(module(), datamodule=blobs)
    run.save_checkpoint(folder / "fit.ckpt")
    options = {"callbacks": [AttackCheckpoint(2)], "enable_checkpointing": True}
    run_attack(attack_trainer(folder, 4, **options), make(), blobs)
    return {"fit": folder / "fit.ckpt", "attack": folder / "checkpoints" / "last.ckpt"}


def other_version(content):
    content["lightning_hash"] |= {"version": 7, "program": "9.9"}


def without(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


def put(value, *path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def cut(*path):
    def change(content):
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = content[path[-1]][..., :-1].contiguous()

    return change


def spoilt(path, change, folder):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, folder / "spoilt.ckpt")
    return folder / "spoilt.ckpt"


VERSION = r"format version 7, saved by lightning_hash 9\.9; this is .*, which reads 1"
OURS, ROWS = "lightning_hash", ("lightning_hash", "queries", "rows")
FITS = [
    (other_version, VERSION),
    (without(OURS, "bits"), "has no bits: it was saved by another version"),
    (without("optimizer_states"), "has no optimizer_states: it was saved by another version"),
    (without("loops"), "has no loops: "),
    (put(None, "state_dict"), "is not a checkpoint of lightning_hash"),
    (put(torch.full((8,), torch.nan), "state_dict", "network.linear.bias"), "that are not finite"),
]


@pytest.mark.parametrize(("change", "message"), FITS)
def test_a_training_refuses_to_go_on(change, message, kept, tmp_path, blobs):
    path = spoilt(kept["fit"], change, tmp_path)
    model = module()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=rf"^ckpt_path: victim \S*spoilt\.ckpt .*{message}"):
        run_fit(trainer(tmp_path, 2), model, blobs, ckpt_path=str(path))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["cut", "more", "less"])
def test_weights_of_another_network(kind, kept, tmp_path, blobs, trusted):
    name = "network.linear.weight"
    change = {
        "cut": cut("state_dict", name), "more": put(torch.zeros(2), "state_dict", "network.more"),
        "less": without("state_dict", name),
    }[kind]  # fmt: skip
    message = {
        "cut": rf"{name} has the shape \(8, 23\), \(8, 24\) is needed",
        "more": r"network\.more of shape \(2,\) has no place there", "less": f"{name} is missing",
    }[kind]  # fmt: skip
    path, model = spoilt(kept["fit"], change, tmp_path), module()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"^ckpt_path: its weights do not fit .*: {message}"):
        run_fit(trainer(tmp_path, 2), model, blobs, ckpt_path=str(path))
    assert all(torch.equal(before[n], value) for n, value in model.state_dict().items())
    message = message.replace("network.", "").replace(r"network\.", "")
    with pytest.raises(ValueError, match=rf"^victim .*: its weights do not fit .*: {message}"):
        load_victim(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_version, VERSION),
        (without(OURS, "identity"), "has no identity: it was saved by another version"),
        (without("epoch"), "has no epoch: it was saved by another version"),
        (cut(*ROWS, "parameter/delta"), r"parameter/delta has the shape \(.*7\), \(.*8\) is need"),
        (without(*ROWS, "parameter/delta"), "parameter/delta has the shape None"),
        (put(torch.zeros(3), *ROWS, "asked"), r"asked has the shape \(3,\), \(\d+,\) is needed"),
        (put(None, OURS, "queries"), "a perturbation that all queries share"),
    ],
)
def test_an_attack_refuses_to_go_on(change, message, kept, tmp_path, blobs):
    path = spoilt(kept["attack"], change, tmp_path)
    with pytest.raises(ValueError, match=f"^ckpt_path: .*{message}"):
        run_attack(attack_trainer(tmp_path, 4), make(), blobs, ckpt_path=str(path))


def test_of_another_verb(kept, tmp_path, blobs):
    wanted = "is a checkpoint of kind 'attack', not 'victim': the verb attack saved it, one of fit"
    with pytest.raises(ValueError, match=f"^ckpt_path: victim .*{wanted} is needed; make one"):
        run_fit(trainer(tmp_path, 2), module(), blobs, ckpt_path=str(kept["attack"]))
    with pytest.raises(ValueError, match=f"^victim .*{wanted}"):
        load_victim(kept["attack"])
    wanted = "is a checkpoint of kind 'victim', not 'attack': the verb fit saved it, one of attack"
    with pytest.raises(ValueError, match=f"^ckpt_path: attack .*{wanted} is needed; make one"):
        run_attack(attack_trainer(tmp_path, 6), make(), blobs, ckpt_path=str(kept["fit"]))


@pytest.mark.parametrize("size", [0, 4, 1000])
@pytest.mark.parametrize("kind", ["fit", "attack"])
def test_a_truncated_one_is_one_line(kind, size, kept, tmp_path):
    path = tmp_path / "torn.ckpt"
    path.write_bytes(kept[kind].read_bytes()[:size])
    with pytest.raises(ValueError, match=r"^victim .*torn\.ckpt is truncated or no") as error:
        load_victim(path)
    assert "\n" not in str(error.value)


def test_a_checkpoint_says_which_program_saved_it(kept):
    for path in kept.values():
        entry = torch.load(path, weights_only=True)[OURS]
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", entry["program"])


def test_shapes_are_compared_both_ways():
    own = {"a": torch.zeros(2, 3)}
    check_shapes({"a": torch.zeros(2, 3)}, own, "x")
    with pytest.raises(ValueError, match=r"^x: a has the shape int, \(2, 3\) is needed$"):
        check_shapes({"a": 3}, own, "x")
