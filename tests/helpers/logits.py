"""Batches for losses."""

import torch


def batch(rows, bits, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, bits, generator=generator, dtype=torch.float64)
    labels = (torch.rand(rows, classes, generator=generator) < 0.4).to(torch.uint8)
    return logits, labels
