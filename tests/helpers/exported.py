"""Exported programs, and networks that make tensors while they run."""

import io
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
    """

    def __init__(self, branches=False):
        super().__init__()
        self.positions = nn.Embedding(48, 48)
        self.lstm = nn.LSTM(16, 8, batch_first=True)
        self.last, self.branches = nn.Linear(8, 8), branches

    def forward(self, x):
        x = x.flatten(1)
        x = x + self.positions(torch.arange(48, device=x.device)).mean(0)
        x = x + torch.zeros(x.shape[0], 48, device=x.device) + torch.tensor([0.5]).to(x.device)
        hidden, _ = self.lstm(x.view(x.shape[0], 3, 16))
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


def export(net, path):
    """Write a network of 4x4 images, for batches of any size; return the path."""
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(net, (torch.rand(2, 3, 4, 4),), dynamic_shapes=shapes)
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
