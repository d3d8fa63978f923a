"""A model as a user has it, and all that must come back as it was (promise 9)."""

import torch

from tests.conftest import TinyNet


def state_of(network):
    """All that must come back as it was (promise 9)."""
    return {
        "modes": [module.training for module in network.modules()],
        "parameters": [(p.data_ptr(), p.clone(), p.requires_grad) for p in network.parameters()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in network.parameters()],
        "buffers": [(b.data_ptr(), b.clone()) for b in network.buffers()],
        "strides": [p.stride() for p in network.parameters()],
        "hooks": [dict(module._forward_hooks) for module in network.modules()],
        "random": torch.get_rng_state(),
        "threads": torch.get_num_threads(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "precision": (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


class CountingNet(TinyNet):
    """Has a buffer that each pass changes, and drops values in training."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, inputs):
        self.passes += 1
        return self.drop(super().forward(inputs))


def lent():
    """Return a model in training, of which every part is in a state of its own."""
    network = CountingNet().train()
    network.linear.eval()
    network.convolution.weight.requires_grad_(requires_grad=False)
    network.linear.weight.grad = torch.ones_like(network.linear.weight)
    network.convolution.register_forward_hook(lambda *_: None)
    return network
