"""Slow oracles of perturbations that images share, written from the formulas by loops."""

import math

import torch


def resized(delta, height, width):
    """Resize ``(C, h, w)`` bilinearly: pixel centres at (i + .5) h / H - .5, borders repeated."""
    channels, rows, columns = delta.shape
    found = torch.zeros(channels, height, width, dtype=delta.dtype)
    for i in range(height):
        for j in range(width):
            y = max((i + 0.5) * rows / height - 0.5, 0.0)
            x = max((j + 0.5) * columns / width - 0.5, 0.0)
            top, left = min(math.floor(y), rows - 1), min(math.floor(x), columns - 1)
            below, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            v, u = y - top, x - left
            found[:, i, j] = (
                (1 - v) * ((1 - u) * delta[:, top, left] + u * delta[:, top, right])
                + v * ((1 - u) * delta[:, below, left] + u * delta[:, below, right])
            )  # fmt: skip
    return found


def universal_steps(victim, batches, side, epsilon, lr, momentum, loss, decay=0.0):
    """Li et al. (ICCV 2019) by loops: one delta, momentum on L1-normalised gradients, sign steps.

    Args:
        victim: ``(B, C, H, W)`` to logits.
        batches: images ``(B, C, H, W)``, a step each.
        side: of delta.
        epsilon: radius of the L-infinity ball.
        lr: of a step.
        momentum: 1 in the paper.
        loss: ``(logits, clean logits) -> float tensor`` of one image.
        decay: the step of pass i is that of pass i - 1 times e^-decay; each batch is a pass.

    Returns:
        delta ``(C, side, side)`` after each step.
    """
    channels = batches[0].shape[1]
    delta = torch.zeros(channels, side, side)
    velocity = torch.zeros_like(delta)
    found = []
    for number, images in enumerate(batches):
        if number:
            lr *= math.e**-decay
        total = torch.zeros_like(delta)
        for image in images:  # the mean of the images' gradients, one at a time
            leaf = delta.clone().requires_grad_()
            perturbed = (image + resized(leaf, *image.shape[1:])).clamp(0, 1)
            value = loss(victim(perturbed[None])[0], victim(image[None])[0].detach())
            (gradient,) = torch.autograd.grad(value, leaf)
            total += gradient / len(images)
        velocity = momentum * velocity + total / total.abs().sum()
        for place in range(delta.numel()):
            moved = delta.view(-1)[place] - lr * velocity.view(-1)[place].sign()
            delta.view(-1)[place] = min(max(float(moved), -epsilon), epsilon)
        found.append(delta.clone())
    return found


def patched(image, patch, top, left):
    """Put a patch ``(C, s, s)`` on an image ``(C, H, W)``, pixel by pixel."""
    found = image.clone()
    for channel in range(image.shape[0]):
        for row in range(patch.shape[1]):
            for column in range(patch.shape[2]):
                found[channel, top + row, left + column] = patch[channel, row, column]
    return found


def ss_tuaa_loss(logits, anchor, alpha, margin, of_image, of_delta, weight):
    """SS-TUAA (ICASSP 2024) of one image, in plain Python.

    Args:
        logits: K numbers, H(x + delta).
        anchor: K of -1/+1.
        alpha: slope of the tanh.
        margin: bits nearer to the anchor's than that are left alone.
        of_image: each Conv2d's outputs of x + delta, a list of numbers each.
        of_delta: the same of delta alone.
        weight: of the feature consistency.
    """
    product, kept = 0.0, 0
    for value, bit in zip(logits, anchor, strict=True):
        activation = math.tanh(alpha * value)
        if abs(bit - activation) > margin:
            product += bit * activation
            kept += 1
    masked = 1 - product / kept if kept else 0.0
    terms = []
    for image, delta in zip(of_image, of_delta, strict=True):
        inner = sum(a * b for a, b in zip(image, delta, strict=True))
        lengths = math.sqrt(sum(a * a for a in image)) * math.sqrt(sum(b * b for b in delta))
        terms.append(1 - inner / lengths)
    return masked + weight * sum(terms) / len(terms) if terms else masked
