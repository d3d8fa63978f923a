"""A universal perturbation, written as a user of the package writes one."""

import torch
from torch import nn

from lightning_hash.attacks import Perturbation


class OneForAll(Perturbation):
    """One perturbation for all images.

    Args:
        inputs: a batch ``(B, C, H, W)``, whose shape counts.
        budget: the set it must stay in.
        lengths: of clips; not used.
        gain: factor of what is added; an option that result rows must name.
    """

    shared = True

    def __init__(self, inputs, budget, lengths=None, gain=1.0):
        super().__init__(inputs, budget, lengths)
        self.gain, self.delta = gain, nn.Parameter(torch.zeros(1, *inputs.shape[1:]))

    def forward(self, inputs, rows=slice(None)):
        return (inputs[rows] + self.gain * self.budget.in_pixels(self.delta)).clamp(0, 1)

    @torch.no_grad()
    def project(self, inputs):
        limit = self.budget.epsilon / self.gain
        self.delta.clamp_(-limit, limit)

    def values(self, inputs):
        return (self(inputs) - inputs).detach()
