"""Exported programs, and networks that make tensors while they run.

Run as a program it writes one with branches, whose export asks for a driver where torch sees a GPU.
"""

import io
import json
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn
from torch.export.pt2_archive._package import PT2ArchiveWriter

MODEL, INPUTS = "models/model.json", "data/sample_inputs/model.pt"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
JSON = (MODEL, WEIGHTS, CONSTANTS)


class Maker(nn.Module):
    """Positions, zeros, a first state of an LSTM, a constant, a part without gradients.

    Args:
        branches: a part that depends on values, too.
        side: of the images.
    """

    def __init__(self, branches=False, side=4):
        super().__init__()
        self.width = 3 * side**2
        self.positions = nn.Embedding(self.width, self.width)
        self.lstm = nn.LSTM(self.width // 3, 8, batch_first=True)
        self.last, self.branches = nn.Linear(8, 8), branches

    def forward(self, x):
        x = x.flatten(1)
        x = x + self.positions(torch.arange(self.width, device=x.device)).mean(0)
        x = (
            x
            + torch.zeros(x.shape[0], self.width, device=x.device)
            + torch.tensor([0.5]).to(x.device)
        )
        hidden, _ = self.lstm(x.view(x.shape[0], 3, -1))
        with torch.no_grad():
            ones = torch.ones(8, device=x.device)
        x = self.last(hidden[:, -1]) + ones
        if not self.branches:
            return x
        return torch.cond(x.sum() > 0, more, less, (x,))


def more(x):
    return x + torch.ones(8, device=x.device)


def less(x):
    return x - torch.ones(8, device=x.device)


def export(net, path, side=4):
    """Write a network of square images, for batches of any size; return the path."""
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.rand(2, 3, side, side),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return str(path)


def records_of(path):
    """The records of an honest file."""
    reader = torch._C.PyTorchFileReader(str(Path(path)))
    names = reader.get_all_records()
    return {n: reader.get_record(n) for n in names if n.startswith(("data/", "models/"))}


def write(path, records):
    with PT2ArchiveWriter(str(path)) as writer:
        for name, content in records.items():
            writer.write_bytes(name, content)
    return str(path)


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def on_cuda(records):
    """A file as it is written where the network is exported on a GPU."""
    text = json.dumps({"type": "cpu", "index": None}), json.dumps({"type": "cuda", "index": 0})
    found = {n: r.decode().replace(*text).encode() if n in JSON else r for n, r in records.items()}
    tag = torch.serialization.location_tag
    torch.serialization.location_tag = lambda storage: "cuda:0"
    try:
        found[INPUTS] = saved(((torch.rand(2, 3, 4, 4),), {}))
    finally:
        torch.serialization.location_tag = tag
    return found


if __name__ == "__main__":
    export(Maker(branches=True).eval(), sys.argv[1])


class Disguised:
    """Is read as a mapping whose methods are the file's: weights_only lets it carry attributes.

    Args:
        content: what it really holds.
        methods: by name, classes that ``weights_only`` knows.
    """

    def __init__(self, content, **methods):
        self.content, self.methods = content, methods

    def __reduce__(self):
        return OrderedDict, (), self.methods, None, iter(self.content.items())
