"""Data, checkpoints and weights of a training."""

import shutil
from pathlib import Path

import torch

from tests.bad_input import Case
from tests.bad_input.files_of_victims import DAMAGE, OF_ANY, OF_FIT, checkpoints
from tests.bad_input.made import QUIET, WITH_DATA

PLACES = "--runs {tmp}/o --checkpoints {tmp}/o"
FIT = f"fit {WITH_DATA} {PLACES} --model.bits 8 --trainer.max_epochs 1"
DATA = f"fit {QUIET} {PLACES} --data ListDataModule --data.size 16"
WEIGHTS = {
    "half": "truncated or no state dict",
    "module": "holds more than tensors",
    "list": "no state dict",
}


def prepare(folder: Path) -> None:
    checkpoints(folder / "ckpt", folder / "v.ckpt")
    whole = (folder / "v.ckpt").read_bytes()
    (folder / "half.pth").write_bytes(whole[: len(whole) // 2])
    torch.save(torch.nn.Linear(2, 2), folder / "module.pth")
    torch.save([1], folder / "list.pth")
    lines = (folder / "data/train.txt").read_text().splitlines(keepends=True)
    for name, kept in {
        "one": lines[:1],
        "two": lines[:2],
        "paths": [li.split()[0] + "\n" for li in lines],
    }.items():
        shutil.copytree(folder / "data", folder / name)
        for split in ("train", "query", "database") if name == "paths" else ("train",):
            (folder / name / f"{split}.txt").write_text("".join(kept))
    shutil.copytree(folder / "data", folder / "torn")
    picture = folder / "torn/images/train0.png"
    picture.write_bytes(picture.read_bytes()[:100])


CASES: list[Case] = [
    *(
        (
            f"{FIT} --ckpt_path {{tmp}}/ckpt/{kind}/v.ckpt",
            1,
            ("ckpt_path: victim", f"{kind}/v.ckpt"),
        )
        for kind in DAMAGE.split()
    ),
    *(
        (f"{FIT} --ckpt_path {{tmp}}/ckpt/{name}.ckpt", 1, (f"ckpt/{name}.ckpt", words))
        for name, words in OF_ANY.items()
    ),
    *(
        (f"{FIT} --ckpt_path {{tmp}}/ckpt/{name}.ckpt", 1, ("ckpt_path", OF_FIT[name]))
        for name in ("no_bits", "nan")
    ),
    (
        f"{FIT} --ckpt_path {{tmp}}/absent.ckpt",
        1,
        ("ckpt_path: victim {tmp}/absent.ckpt does not",),
    ),
    (
        f"{FIT} --ckpt_path {{tmp}}/attack.ckpt",
        1,
        ("kind 'attack', not 'victim'", "attack saved it"),
    ),
    (
        f"{FIT} --ckpt_path {{tmp}}/v.ckpt --model.backbone alexnet",
        1,
        ('model.backbone is "convnet"',),
    ),
    *(
        (
            f"fit {WITH_DATA} --runs {{tmp}}/o --checkpoints {{tmp}}/o --model.backbone resnet18 "
            f"--model.weights {{tmp}}/{name}.pth",
            1,
            (f"{name}.pth", words),
        )
        for name, words in WEIGHTS.items()
    ),
    (
        f"{DATA} --data.folder {{tmp}}/one",
        1,
        ("n_validation", "1 training items", "more training items"),
    ),
    (f"{DATA} --data.folder {{tmp}}/two", 1, ("n_validation", "2 training items")),
    (f"{DATA} --data.folder {{tmp}}/paths", 1, ("has no labels", "class folders or label columns")),
    (f"{DATA} --data.folder {{tmp}}/absent", 1, ("absent: no list for 'train'",)),
    (
        f"{DATA} --data.folder {{tmp}}/torn --data.selected_on test",
        1,
        ("train.txt:1", "train0.png cannot"),
    ),
    (f"{FIT} --checkpoints {{tmp}}/data.yaml", 1, ("{tmp}/data.yaml", "--checkpoints")),
    (f"{FIT} --runs {{tmp}}/data.yaml", 1, ("run folder {tmp}/data.yaml", "--runs")),
]
