"""Victims, pictures and outputs of encode."""

import shutil
from pathlib import Path

from tests.bad_input import Case
from tests.bad_input.files_of_victims import DAMAGE, OF_FIT, OF_STATES, checkpoints, state_dicts
from tests.bad_input.made import QUIET, WITH_DATA, spoil

ENCODE = f"encode {WITH_DATA} --output {{tmp}}/o.npy --model.victim"
GOOD = f"encode {WITH_DATA} --model.victim {{tmp}}/v.ckpt"
STATE = "{{source: {{tmp}}/states/{}.pth, backbone: convnet, bits: 8}}"

GOOD_STATE = "source: {tmp}/states/good.pth, backbone: convnet, bits: 8"
SOURCES = {
    "{source: {tmp}/absent.onnx}": ("victim {tmp}/absent.onnx does not exist",),
    "{source: {tmp}/states, layout: NHWC}": ("layout goes with an ONNX file (.onnx)", "leave it"),
    "{source: {tmp}/a.onnx, layout: CHW}": ("layout must be one of NCHW, NHWC", "'CHW'"),
    "{source: {tmp}/a.onnx, backbone: convnet}": ("backbone convnet goes with a state dict",),
    "{source: {tmp}/a.onnx, head: 3}": ("victim.head must be a text, got 3",),
    "{source: {tmp}/a.onnx, output: codes}": ("output: codes goes with a function",),
    f"{{{GOOD_STATE}, head: a.safetensors}}": ("head goes with an ONNX file (.onnx)",),
    f"{{{GOOD_STATE}, preprocess: {{mean: [0], std: [1], channels: GBR}}}}": (
        "channels must be one of RGB, BGR",
        "'GBR'",
    ),
    '{source: "hf-hub:small"}': ("a repository of the hub is owner/name, got", "small"),
    '{source: "hf-hub:a/b@"}': ("behind @ stands a branch, a tag or a commit",),
    '{source: "hf-hub:a/b", backbone: convnet}': ("backbone goes with models of others",),
}


def prepare(folder: Path) -> None:
    checkpoints(folder / "ckpt", folder / "v.ckpt")
    state_dicts(folder / "states", folder / "v.ckpt")
    for kind in ("empty", "half", "random"):
        shutil.copytree(folder / "data", folder / f"picture_{kind}")
        spoil(folder / "data/images/query3.png", folder / "pictures", kind)
        shutil.copy(folder / "pictures" / kind / "query3.png", folder / f"picture_{kind}/images")


CASES: list[Case] = [
    *(
        (f"{ENCODE} {{tmp}}/ckpt/{kind}/v.ckpt", 1, (f"victim {{tmp}}/ckpt/{kind}/v.ckpt",))
        for kind in DAMAGE.split()
    ),
    *((f"{ENCODE} {{tmp}}/ckpt/{name}.ckpt", 1, (words,)) for name, words in OF_FIT.items()),
    *(
        (f"{ENCODE} '{STATE.format(name)}'", 1, (f"states/{name}.pth", words))
        for name, words in OF_STATES.items()
    ),
    *((f"{ENCODE} '{options}'", 1, words) for options, words in SOURCES.items()),
    (f"{ENCODE} {{tmp}}/attack.ckpt", 1, ("kind 'attack', not 'victim'",)),
    (f"{ENCODE} {{tmp}}/absent.ckpt", 1, ("victim {tmp}/absent.ckpt does not exist",)),
    *(
        (
            f"encode {QUIET} --data ListDataModule --data.size 16 --model.victim {{tmp}}/v.ckpt "
            f"--data.folder {{tmp}}/picture_{kind} --split query --output {{tmp}}/o.npy",
            1,
            (f"picture_{kind}/query.txt:4", "query3.png cannot be read", "on_bad_image: skip"),
        )
        for kind in ("empty", "half", "random")
    ),
    (f"{GOOD} --output {{tmp}}/codes.xyz", 1, ("a code file ends in", "'.xyz'")),
    (f"{GOOD} --output {{tmp}}/data.yaml/codes.npy", 1, ("data.yaml is a file", "--output")),
    (f"{GOOD} --output {{tmp}}/data", 1, ("a code file ends in", "''")),
    (
        f"{GOOD} --output {{tmp}}/o.npy --split absent",
        1,
        ("split must be one of train, query", "'absent'"),
    ),
    (f"{GOOD} --output {{tmp}}/o.npy --split open_set", 1, ("split must be one of", "'open_set'")),
    (f"{GOOD} --output {{tmp}}/o.npy --form signs", 1, ("form signs is one of a .txt",)),
    (f"{GOOD} --output {{tmp}}/o.npy --compare=-1", 1, ("compare must not be negative, got -1",)),
]
