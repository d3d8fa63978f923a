import json
import re

import pytest
import torch

from lightning_hash.__main__ import main
from lightning_hash.data.code_files import read_codes, write_codes
from lightning_hash.functional import sign_code
from lightning_hash.modules import AttackModule, Encoder, HashModule
from tests.conftest import TinyNet
from tests.modules.test_attack_module import make, trainer
from tests.test_cli import SMALL_ATTACK, SMALL_DATA


def encode(tmp_path, data, victim=None, **options):
    encoder = Encoder(victim or TinyNet())
    return trainer(tmp_path).encode(
        encoder, data, output=str(tmp_path / "a.safetensors"), **options
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
    before, after = make(), make()
    trainer(tmp_path).attack(before, blobs)

    def never(*_):
        pytest.fail("the database was encoded again")

    monkeypatch.setattr(Encoder, "predict_step", never)
    trainer(tmp_path).attack(after, blobs, codes=str(path))
    drop = ("seconds",)
    rows = [
        [{k: v for k, v in row.items() if k not in drop} for row in module.rows]
        for module in (before, after)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) > 10


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
        trainer(tmp_path, 1).attack(module, blobs, codes=str(path))
        return
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, 1).attack(module, blobs, codes=str(path))


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
        double.attack(make(), blobs, codes=str(path))


@pytest.mark.parametrize("name", ["others_code.txt", "others_code.npy"])
def test_codes_of_another_program(tmp_path, blobs, name):
    """A database whose model we do not have: flipped codes turn the ranking round."""
    found = read_codes(encode(tmp_path, blobs))
    write_codes(tmp_path / name, type(found)(-found.codes, found.labels, found.index))
    module, plain = make(), make()
    trainer(tmp_path, 1).attack(plain, blobs)
    with pytest.warns(UserWarning, match="do not say which model they are of"):
        trainer(tmp_path, 1).attack(module, blobs, codes=str(tmp_path / name))
    assert {row["database_codes"] for row in module.rows} == {name}
    clean = [
        next(r["value"] for r in m.rows if r["attack"] == "none" and r["metric"] == "map")
        for m in (plain, module)
    ]
    assert clean[0] > clean[1] + 0.2


def test_codes_of_another_program_in_another_order(tmp_path, blobs):
    found = read_codes(encode(tmp_path, blobs))
    turned = type(found)(found.codes.flip(0), found.labels.flip(0), found.index)
    write_codes(tmp_path / "a.txt", turned)
    message = r"the labels of 60 items are not those of blobs, first in row 1"
    with pytest.raises(ValueError, match=message):
        trainer(tmp_path, 1).attack(make(), blobs, codes=str(tmp_path / "a.txt"))


def test_codes_of_other_bits(tmp_path, blobs):
    found = read_codes(encode(tmp_path, blobs))
    write_codes(tmp_path / "a.txt", type(found)(found.codes[:, :6], found.labels, found.index))
    message = r"database's codes have 6 bits, the victim .*TinyNet makes 8"
    with (
        pytest.raises(ValueError, match=message),
        pytest.warns(UserWarning, match="do not say which"),
    ):
        trainer(tmp_path, 1).attack(make(), blobs, codes=str(tmp_path / "a.txt"))


def test_test_with_codes(tmp_path, blobs, monkeypatch):
    backbone = {"class_path": "tests.conftest.TinyNet"}
    module = HashModule(backbone, bits=8, top_k=20)
    values = trainer(tmp_path).test(module, datamodule=blobs, verbose=False)[0]
    path = encode(tmp_path, blobs, module)
    monkeypatch.setattr(blobs, "test_dataloader", lambda: pytest.fail("the database was encoded"))
    again = trainer(tmp_path).test(module, datamodule=blobs, codes=str(path), verbose=False)[0]
    assert again["test/map"] == values["test/map"]
    other = HashModule(backbone, bits=8)
    other.network.linear.bias.data += 1
    with pytest.raises(ValueError, match=r"a\.safetensors were made with something else: victim"):
        trainer(tmp_path).test(other, datamodule=blobs, codes=str(path), verbose=False)


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cpu = ["--trainer.accelerator=cpu"]
    assert main(["fit", *SMALL_DATA, *cpu, "--trainer.max_epochs=1"]) == 0
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
