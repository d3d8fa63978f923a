import json
import re

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

import lightning_hash
import lightning_hash.commands.encode
from lightning_hash.__main__ import main
from lightning_hash.codes.code_files import read_codes, write_codes
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.encode import run_encode
from lightning_hash.commands.test import run_test
from lightning_hash.data import SamplePhotos
from lightning_hash.functional import RankingOptions, sign_code
from lightning_hash.modules import AttackModule, Encoder, HashModule
from tests.conftest import TinyNet
from tests.helpers.attacks import make, rows_of, trainer
from tests.helpers.commands import SMALL_ATTACK, SMALL_DATA
from tests.helpers.lent import lent, same, state_of


def encode(tmp_path, data, victim=None, **options):
    encoder = Encoder(victim or TinyNet())
    return run_encode(
        trainer(tmp_path), encoder, data, output=str(tmp_path / "a.safetensors"), **options
    )


@pytest.mark.parametrize(("split", "count"), [("database", 90), ("query", 13), ("train", 60)])
def test_codes_are_the_victims(tmp_path, blobs, split, count):
    found = read_codes(encode(tmp_path, blobs, split=split))
    items = blobs.dataset(split)
    images = torch.stack([items[i][0] for i in range(count)])
    assert torch.equal(found.codes, sign_code(TinyNet()(images)).to(torch.int8))
    assert torch.equal(found.labels, items.labels)
    assert found.made_with["split"] == split
    assert found.made_with["list_sha256"] == blobs.fingerprints()[split]


def test_unknown_split(tmp_path, blobs):
    with pytest.raises(ValueError, match="split must be one of train, query, database, got 'test'"):
        encode(tmp_path, blobs, split="test")


class Broken(TinyNet):
    """Fails for one image of the database."""

    def forward(self, inputs):
        logits = super().forward(inputs).clone()
        logits[inputs.mean(dim=(1, 2, 3)) > 0.473] = torch.nan
        return logits


def test_logits_that_are_not_finite(tmp_path, blobs):
    with pytest.raises(ValueError, match=r"not finite for \d+ items of the database split, first"):
        encode(tmp_path, blobs, Broken())


def test_reused_codes_give_the_same_numbers_without_encoding(tmp_path, blobs, monkeypatch):
    path = encode(tmp_path, blobs)
    before = run_attack(trainer(tmp_path), make(), blobs)

    def never(*_):
        pytest.fail("the database was encoded again")

    monkeypatch.setattr(Encoder, "predict_step", never)
    after = run_attack(trainer(tmp_path), make(), blobs, codes=str(path))
    for row in (*before.rows, *after.rows):
        del row["run"]["seconds"]
    assert before.rows == after.rows
    assert len(before.rows) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: {"victim": _shifted()}, "victim_sha256 is "),
        (lambda data: data.__dict__.update(name="other") or {}, None),
        (lambda data: setattr(type(data), "fingerprints", _others) or {}, "list_sha256 is 2"),
    ],
)
def test_codes_of_something_else_are_refused(tmp_path, blobs, monkeypatch, change, message):
    path = encode(tmp_path, blobs)
    monkeypatch.setattr(
        type(blobs), "fingerprints", type(blobs).fingerprints
    )  # put back at the end
    module = make(**change(blobs))
    if message is None:  # the name is not what codes depend on
        run_attack(trainer(tmp_path, 1), module, blobs, codes=str(path))
        return
    with pytest.raises(ValueError, match=message):
        run_attack(trainer(tmp_path, 1), module, blobs, codes=str(path))


def _shifted():
    network = TinyNet()
    network.linear.bias.data += 1
    return network


def _others(self):
    return {"train": "0", "query": "1", "database": "3"}


def test_precision_is_part_of_what_codes_depend_on(tmp_path, blobs):
    path = encode(tmp_path, blobs)
    double = trainer(tmp_path, 1, precision="bf16-mixed")
    with pytest.raises(ValueError, match="precision is 32-true, this run's bf16-mixed"):
        run_attack(double, make(), blobs, codes=str(path))


@pytest.mark.parametrize("name", ["others_code.txt", "others_code.npy"])
def test_codes_of_another_program(tmp_path, blobs, name):
    """A database whose model we do not have: flipped codes turn the ranking round."""
    found = read_codes(encode(tmp_path, blobs))
    write_codes(tmp_path / name, type(found)(-found.codes, found.labels, found.index))
    plain = run_attack(trainer(tmp_path, 1), make(), blobs)
    with pytest.warns(UserWarning, match="do not say which model they are of"):
        flipped = run_attack(trainer(tmp_path, 1), make(), blobs, codes=str(tmp_path / name))
    assert {row["data"]["database_codes"] for row in flipped.rows} == {name}
    clean = [rows_of(s, attack="none", metric="map")[0]["value"] for s in (plain, flipped)]
    assert clean[0] > clean[1] + 0.2


def test_codes_of_another_program_in_another_order(tmp_path, blobs):
    found = read_codes(encode(tmp_path, blobs))
    turned = type(found)(found.codes.flip(0), found.labels.flip(0), found.index)
    write_codes(tmp_path / "a.txt", turned)
    message = r"the labels of 60 items are not those of blobs, first in row 1"
    with pytest.raises(ValueError, match=message):
        run_attack(trainer(tmp_path, 1), make(), blobs, codes=str(tmp_path / "a.txt"))


def test_codes_of_other_bits(tmp_path, blobs):
    found = read_codes(encode(tmp_path, blobs))
    write_codes(tmp_path / "a.txt", type(found)(found.codes[:, :6], found.labels, found.index))
    message = r"database's codes have 6 bits, the victim .*TinyNet makes 8"
    with (
        pytest.raises(ValueError, match=message),
        pytest.warns(UserWarning, match="do not say which"),
    ):
        run_attack(trainer(tmp_path, 1), make(), blobs, codes=str(tmp_path / "a.txt"))


@pytest.mark.usefixtures("trusted")
def test_test_with_codes(tmp_path, blobs, monkeypatch):
    backbone = {"class_path": "tests.conftest.TinyNet"}
    module = HashModule(backbone, bits=8, ranking=RankingOptions(20))
    values = trainer(tmp_path).test(module, datamodule=blobs, verbose=False)[0]
    path = encode(tmp_path, blobs, module)
    monkeypatch.setattr(blobs, "test_dataloader", lambda: pytest.fail("the database was encoded"))
    again = run_test(trainer(tmp_path), module, blobs, codes=str(path))
    assert again["test/map"] == values["test/map"]
    other = HashModule(backbone, bits=8)
    other.network.linear.bias.data += 1
    with pytest.raises(ValueError, match=r"a\.safetensors were made with something else: victim"):
        run_test(trainer(tmp_path), other, blobs, codes=str(path))


@pytest.mark.slow
def test_commands(with_victim, capsys):
    tmp_path, cpu = with_victim, ["--trainer.accelerator=cpu"]
    assert main(["encode", *SMALL_DATA, *cpu]) == 0
    assert main(["encode", *SMALL_DATA, *cpu, "--split=query", "--output=q.txt"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "q.txt", "runs"]
    assert main(["test", *SMALL_DATA, *cpu]) == 0
    direct = re.search(r"test/map\s+│\s+(0\.\d{4})", capsys.readouterr().out).group(1)
    codes = "--codes=runs/codes/database.safetensors"
    assert main(["test", *SMALL_DATA, *cpu, codes]) == 0
    assert re.search(rf"test/map\s+│\s+{direct}", capsys.readouterr().out)
    database = "--database=runs/codes/database.safetensors"
    assert main(["score", "--query=q.txt", database]) == 0
    assert re.search(rf"MAP\s+│\s+{direct}", capsys.readouterr().out)
    attack = ["attack", *SMALL_ATTACK, "--trainer.max_epochs=2"]
    assert main([*attack, codes, "--name=with"]) == 0
    assert main([*attack, "--name=without"]) == 0
    rows = [
        json.loads((tmp_path / f"runs/attack/{name}/version_0/results.json").read_text())
        for name in ("with", "without")
    ]
    assert [r["value"] for r in rows[0]] == [r["value"] for r in rows[1]]
    assert main([*attack, codes, "--data.seed=5"]) == 1
    assert "list_sha256 is" in capsys.readouterr().err


def test_any_victim_can_be_encoded(tmp_path, blobs):
    victim = AttackModule(TinyNet()).victim
    assert read_codes(encode(tmp_path, blobs, victim)).bits == 8


@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
@pytest.mark.parametrize("fails", [False, True])
def test_a_model_in_training_is_encoded_and_given_back(tmp_path, blobs, fails, precision):
    """Promise 9: its codes are those of eval mode, and it comes back as it was."""
    network, path = lent(), tmp_path / "a.safetensors"
    before = state_of(network)
    runner = trainer(tmp_path, precision=precision, callbacks=[Stop()] if fails else [])
    options = {"output": str(path), "split": "query", "compare": 5}
    if fails:
        with pytest.raises(KeyError, match="stopped"):
            run_encode(runner, Encoder(network), blobs, **options)
    else:
        run_encode(runner, Encoder(network), blobs, **options)
    after = state_of(network)
    for name, value in before.items():
        assert same(value, after[name]), name
    if not fails and precision == "32-true":
        images = torch.stack([blobs.query_set[i][0] for i in range(13)])
        assert torch.equal(read_codes(path).codes, sign_code(TinyNet()(images)).to(torch.int8))


class Stop(Callback):
    def on_predict_batch_end(self, *_):
        raise KeyError("stopped")


def test_the_python_call_gives_the_model_back(blobs):
    network = lent()
    before = state_of(network)
    found = lightning_hash.encode(network, blobs, "query", accelerator="cpu")
    assert all(same(value, state_of(network)[name]) for name, value in before.items())
    images = torch.stack([blobs.query_set[i][0] for i in range(13)])
    assert torch.equal(found.codes, sign_code(TinyNet()(images)).to(torch.int8))


@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_codes_of_8_bit_images(tmp_path, precision):
    data = SamplePhotos(n_train=2, n_query=3, n_database=70, size=16, eval_batch_size=32)
    path = tmp_path / "a.safetensors"
    run_encode(trainer(tmp_path, precision=precision), Encoder(TinyNet()), data, output=str(path))
    found = read_codes(path)
    images = torch.stack([data.database_set[i][0] for i in range(70)])
    victim = TinyNet()
    if precision == "64-true":
        victim, images = victim.double(), images.double()
    assert torch.equal(found.codes, sign_code(victim(images)).to(torch.int8))
    assert found.codes.unique(dim=0).shape[0] > 5
    assert torch.equal(found.labels, data.database_set.labels)


class Results(Callback):
    """Keep what the predict step returned."""

    def __init__(self):
        self.shared = []

    def on_predict_batch_end(self, trainer, module, outputs, batch, batch_idx, loader=0):
        assert batch[1].is_shared()
        self.shared.append(any(part.is_shared() for part in outputs))


def test_results_hold_no_memory_of_the_workers(tmp_path, blobs):
    """Each shared tensor is an open file, of which a process may have 1024 on many systems."""
    blobs.num_workers, results = 1, Results()
    codes = run_encode(
        trainer(tmp_path, callbacks=[results]),
        Encoder(TinyNet()),
        blobs,
        output=str(tmp_path / "a.safetensors"),
    )
    assert results.shared == [False] * 3
    assert len(read_codes(codes)) == 90


def test_results_of_several_loaders_are_kept_apart_and_once(tmp_path, blobs):
    encoder, runner = Encoder(TinyNet()), trainer(tmp_path)
    for _ in range(2):  # a second run does not add to the first
        runner.predict(encoder, [blobs_loader(blobs, s) for s in ("query", "database")])
        query, database = encoder.predicted(0), encoder.predicted(1)
        assert query[0][2].tolist() == list(range(13))
        assert database[0][2].tolist() == list(range(90))
        assert encoder.predicted(1) == []


def blobs_loader(blobs, split):
    blobs.setup("predict")
    return blobs.split_loader(split)


class Threshold(nn.Module):
    """The mean of an image minus a threshold that bf16 cannot hold."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, 1, bias=True)
        self.linear.weight.data.fill_(1 / 192)
        self.linear.bias.data.fill_(-0.4715)

    def forward(self, inputs):
        return self.linear(inputs.flatten(1))


def said(monkeypatch):
    lines = []
    monkeypatch.setattr(lightning_hash.commands.encode, "rank_zero_info", lines.append)
    return lines


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_flipped_bits_are_counted(tmp_path, blobs, monkeypatch, precision):
    lines = said(monkeypatch)
    path = tmp_path / "a.safetensors"
    runner = trainer(tmp_path, precision=precision)
    run_encode(runner, Encoder(Threshold()), blobs, output=str(path), compare=40)
    found = read_codes(path)
    images = torch.stack([blobs.database_set[i][0] for i in range(40)])
    flipped = int((found.codes[:40] != sign_code(Threshold()(images))).sum())
    assert flipped > 0
    assert lines[-1] == f"{precision}: {flipped} of 40 bits of 40 items differ from float32"
    assert found.made_with["precision"] == precision


def test_float32_flips_nothing(tmp_path, blobs, monkeypatch):
    lines = said(monkeypatch)
    encode(tmp_path, blobs, split="query", compare=1000)
    assert lines[-1] == "32-true: 0 of 104 bits of 13 items differ from float32"
    encode(tmp_path, blobs, split="query")
    assert sum("differ" in line for line in lines) == 1  # of the first
    with pytest.raises(ValueError, match="compare must not be negative, got -1"):
        encode(tmp_path, blobs, compare=-1)
