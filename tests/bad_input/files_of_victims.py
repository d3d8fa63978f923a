"""Checkpoints and state dicts that are damaged or contradict themselves, for several verbs."""

from pathlib import Path

import torch

from tests.bad_input.made import spoil

KEY = "lightning_hash"
DAMAGE = "empty half last random nul text folder"


def checkpoints(folder: Path, source: Path) -> None:
    """Write checkpoints like one, each with one thing changed, to ``CKPT/NAME.ckpt``."""

    def write(name: str, change) -> None:
        content = torch.load(source, weights_only=True)
        change(content)
        torch.save(content, folder / f"{name}.ckpt")

    folder.mkdir()
    spoil(source, folder, DAMAGE)
    write("no_entry", lambda content: content.pop(KEY))
    write("entry_list", lambda content: content.update({KEY: []}))
    write("no_weights", lambda content: content.pop("state_dict"))
    write("kind", lambda content: content[KEY].update(kind="other"))
    write("version", lambda content: content[KEY].update(version=99))
    torch.save([1, 2], folder / "list.ckpt")
    torch.save(torch.nn.Linear(2, 2), folder / "module.ckpt")
    if content_of_fit(source):
        write("no_bits", lambda content: content[KEY].pop("bits"))
        write("bits", lambda content: content[KEY].update(bits=16))
        write("bits_text", lambda content: content[KEY].update(bits="x"))
        write("backbone", lambda content: content[KEY].update(backbone="resnett"))
        write("backbone_number", lambda content: content[KEY].update(backbone=3))
        write("nan", lambda content: _first(content["state_dict"]).fill_(float("nan")))
        write("shape", lambda content: _replace(content["state_dict"], lambda v: v[:1]))
        write("lost", lambda content: content["state_dict"].pop(next(iter(content["state_dict"]))))
        write("more", lambda content: content["state_dict"].update({"network.more": torch.ones(2)}))
        strange = {"inputs": {"size": "64", "interpolation": None}}
        write("inputs", lambda content: content[KEY].update(strange))
        write("inputs_size", lambda content: content[KEY].update(inputs={"size": 10**7}))
        write("number", lambda content: _replace(content["state_dict"], lambda v: 3))


def state_dicts(folder: Path, source: Path) -> None:
    """Write state dicts of convnet with 8 bits, each with one thing changed."""
    folder.mkdir()
    weights = torch.load(source, weights_only=True)["state_dict"]
    state = {k.removeprefix("network."): v for k, v in weights.items() if k.startswith("network.")}
    torch.save(state, folder / "good.pth")
    spoil(folder / "good.pth", folder, DAMAGE)
    first = next(name for name, value in state.items() if value.dim() > 1)
    torch.save({k: v for k, v in state.items() if k != first}, folder / "lost.pth")
    torch.save({**state, first: state[first][:1]}, folder / "shape.pth")
    torch.save({}, folder / "none.pth")
    torch.save([1], folder / "list.pth")
    torch.save({"a": state, "b": state}, folder / "two.pth")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pth")


def content_of_fit(source: Path) -> bool:
    return bool(torch.load(source, weights_only=True)[KEY]["kind"] == "victim")


def _first(state):
    return next(value for value in state.values() if value.is_floating_point())


def _replace(state, change) -> None:
    name = next(iter(state))
    state[name] = change(state[name])


# Words that the line about each of these holds, after the file's name.
OF_ANY = {
    "no_entry": "is not a checkpoint of lightning_hash",
    "entry_list": "is not a checkpoint of",
    "no_weights": "is not a checkpoint of lightning_hash",
    "kind": "of kind 'other'",
    "version": "has format version 99",
    "list": "is not a checkpoint of lightning_hash",
    "module": "holds more than tensors and plain values",
}
OF_FIT = {
    "no_bits": "has no bits",
    "nan": "not finite",
    "shape": "has the shape",
    "lost": "is missing",
    "more": "has no place there",
    "bits": "weights do not fit",
    "bits_text": "bits",
    "backbone": "resnett",
    "backbone_number": "backbone",
    "number": "has the shape int",
    "inputs": "inputs cannot be",
    "inputs_size": "an input of size 10000000 would take",
}
OF_STATES = {
    "empty/good": "truncated or no state dict",
    "half/good": "truncated or no state dict",
    "last/good": "truncated or no state dict",
    "random/good": "so it was not loaded",
    "nul/good": "truncated or no state dict",
    "folder/good": "is a folder",
    "lost": "tensors",
    "shape": "1 of another shape",
    "none": "is no state dict",
    "list": "is no state dict",
    "two": "holds 2 state dicts",
    "module": "holds more than tensors",
}
