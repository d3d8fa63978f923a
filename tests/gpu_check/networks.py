"""Networks of others on the GPU, and a training twice."""

import torch
from torch import nn

from lightning_hash.commands.fit import run_fit
from lightning_hash.modules import HashModule
from lightning_hash.victims import Victim, borrowed, load_foreign
from tests.gpu_check.frame import Check
from tests.gpu_check.small import photos, trainer
from tests.helpers.exported import Maker, export

SIDE, CLOSE = 16, 1e-4


class Layers(nn.Module):
    """Two layers of an LSTM, with dropout between them, over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.layers = nn.LSTM(SIDE, 8, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x):
        states, _ = self.layers(x.flatten(1, 2))
        return states[:, -1]


def exported(place):
    return load_foreign(export(Maker(side=SIDE).eval(), place.folder / "maker.pt2", SIDE))


def traced(place):
    path = str(place.folder / "layers.ts")
    torch.jit.trace(Layers().eval(), torch.rand(2, 3, SIDE, SIDE)).save(path)
    return load_foreign(path, preprocess="none", trust=True)


def check_network(make):
    """Logits and gradients in eval mode are the CPU's."""

    def run(place):
        torch.manual_seed(0)
        victim, found = make(place), []
        with borrowed(victim.network):
            for device in ("cpu", place.device):
                images = torch.rand(6, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
                images = images.to(device).requires_grad_()
                logits = victim.to(device)(images)
                (gradient,) = torch.autograd.grad(logits.square().sum(), images)
                found.append((logits.detach().cpu(), gradient.cpu()))
        apart = [float((a - b).norm() / a.norm()) for a, b in zip(*found, strict=True)]
        seen = "logits and gradients differ by {:.1e} and {:.1e}".format(*apart)
        assert max(apart) < CLOSE, seen
        return seen

    return run


def check_fit_twice(place):
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        model = HashModule("convnet", 16)
        run = trainer(place, 3, limit_val_batches=0, limit_test_batches=0)
        run_fit(run, model, photos(batch_size=25))
        found.append([weights.detach().cpu() for weights in model.parameters()])
    apart = max(float((a - b).abs().max()) for a, b in zip(*found, strict=True))
    assert apart == 0, f"weights differ by {apart:.1e}"
    return "the same bits"


CHECKS = [
    Check("f fit twice", check_fit_twice, 60),
    *(
        Check(f"l {name}", check_network(make), 30)
        for name, make in {
            "exported program": exported,
            "traced script": traced,
            "LSTM with dropout": lambda place: Victim(Layers().eval()),
        }.items()
    ),
]
