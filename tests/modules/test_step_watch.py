import pytest
import torch
from torch import nn
from torch.optim import SGD

from lightning_hash.modules.step_watch import StepWatch

VALUES = {
    "even": torch.rand(2, 3, 4, 4), "odd": torch.rand(1, 3, 5, 5),
    "double": torch.rand(3, 5).double(), "short": torch.rand(3, 5).bfloat16(),
    "channels last": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
def test_the_last_bit_of_the_last_value_counts(kind):
    held = nn.ParameterList([nn.Parameter(VALUES[kind].clone())])
    optimizer, watch = SGD(held.parameters(), lr=1), StepWatch()
    watch.end(0, held, optimizer)
    watch.begin(0, held, optimizer)
    watch.check(["Somebody"])
    with torch.no_grad():
        last = held[0].select(0, -1).flatten()[-1]
        nearest = torch.nextafter(last, torch.full_like(last, 2))
        held[0][(-1,) * held[0].dim()] = nearest
    watch.begin(0, held, optimizer)
    with pytest.raises(ValueError, match=r"changed between two steps, .*: Somebody"):
        watch.check(["Somebody"])
