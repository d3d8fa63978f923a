"""Pillow's resizing as two dense matrices, by its filters (src/libImaging/Resample.c)."""

import math

import numpy as np


def triangle(x):
    return max(0.0, 1 - abs(x))


def cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


FILTERS = {"bilinear": (triangle, 1.0), "bicubic": (cubic, 2.0)}


def matrix(size, wanted, interpolation):
    """Return ``(wanted, size)``: each output is the weighted mean of the inputs near its centre."""
    weight, support = FILTERS[interpolation]
    scale = size / wanted
    wide = max(scale, 1.0)
    found = np.zeros((wanted, size))
    for row in range(wanted):
        centre = (row + 0.5) * scale
        first = max(0, int(centre - support * wide + 0.5))
        last = min(size, int(centre + support * wide + 0.5))
        for column in range(first, last):
            found[row, column] = weight((column - centre + 0.5) / wide)
        found[row] /= found[row].sum()
    return found


def sides(high, wide, size, *, keep_aspect):
    """Return height and width of the resized image."""
    if not keep_aspect:
        return size, size
    if high <= wide:
        return size, math.floor(size * wide / high)
    return math.floor(size * high / wide), size


def resize_and_crop(image, size, resize, interpolation, *, keep_aspect):
    """Resize one channel ``(H, W)`` in [0, 1], cut to [0, 1] after each pass, and crop."""
    high, wide = sides(*image.shape, resize, keep_aspect=keep_aspect)
    image = np.clip(image @ matrix(image.shape[1], wide, interpolation).T, 0, 1)
    image = np.clip(matrix(image.shape[0], high, interpolation) @ image, 0, 1)
    top, left = round((high - size) / 2), round((wide - size) / 2)
    return image[top : top + size, left : left + size]
