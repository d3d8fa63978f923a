"""What a network sees of images in their own size."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from lightning_hash.data.images import image_transform
from lightning_hash.data.views import ResizeAndCrop, View, after_jpeg
from tests.reference.resize import resize_and_crop

CASES = [
    (size, resize, aspect, kind)
    for size, resize, aspect in ((9, None, False), (8, 11, False), (8, 11, True))
    for kind in ("bilinear", "bicubic", "nearest")
]
SHAPES = [(20, 31), (31, 20), (24, 23), (6, 7), (40, 40)]


def view_of(size, resize, aspect, kind):
    return ResizeAndCrop(image_transform(size, resize, aspect, kind))


def levels(shape, count=2):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, 256, (count, 3, *shape), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_it_is_what_pillow_does_but_for_the_rounding_of_two_passes(case, shape):
    view, images = view_of(*case), levels(shape)
    files = view.of_files(images)
    pictures = [view.transform(to_pil_image(image)) for image in images]
    assert torch.equal(files, torch.stack(pictures))
    assert torch.equal(files, view.of_clean(images.float() / 255))
    apart = (view(images.float() / 255) - files).abs() * 255
    if case[-1] == "bicubic":  # Pillow 13 may begin with the height, and both passes are cut
        assert apart.quantile(0.99) < 1.2
        assert apart.mean() < 0.4
    else:
        assert apart.max() < (1e-3 if case[-1] == "nearest" else 1.001)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", [case for case in CASES if case[-1] != "nearest"])
def test_values_and_gradients_are_those_of_the_filters(case, shape):
    size, resize, aspect, kind = case
    view, images = view_of(*case), (levels(shape).double() / 255).requires_grad_()

    def slow(channel):
        first = resize or size
        return resize_and_crop(channel, size, first, kind, keep_aspect=aspect)

    seen = view(images)
    wanted = np.array([[slow(channel) for channel in image] for image in images.detach().numpy()])
    assert seen.shape == wanted.shape
    np.testing.assert_allclose(seen.detach().numpy(), wanted, atol=1e-6)
    (gradient,) = torch.autograd.grad(seen[0, 1].square().sum(), images)
    place, step = (0, 1, shape[0] // 2, shape[1] // 2), 1e-4
    channel = images.detach()[0, 1].numpy()
    ends = []
    for sign in (1, -1):
        moved = channel.copy()
        moved[place[2:]] += sign * step
        ends.append((slow(moved) ** 2).sum())
    assert float(gradient[place]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-4)
    assert not gradient[1].any()
    assert not gradient[0, [0, 2]].any()


def test_what_the_crop_leaves_out_has_no_gradient():
    images = torch.rand(1, 3, 20, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(view_of(8, 8, True, "bilinear")(images).sum(), images)
    reached = gradient[0, 0].abs().sum(dim=0) > 0
    assert reached[10:30].all()
    assert not reached[:8].any()
    assert not reached[32:].any()


def test_no_images_have_no_inputs():
    view = view_of(8, None, False, "bilinear")
    assert view.of_files(levels((12, 10))[:0]).shape == (0, 3, 8, 8)
    assert view(torch.rand(0, 3, 12, 10)).shape == (0, 3, 8, 8)
    assert after_jpeg(levels((12, 10))[:0], 90).shape == (0, 3, 12, 10)


def test_a_plain_view_changes_nothing_but_the_scale_of_files():
    inputs, images = torch.rand(2, 5), levels((4, 4))
    view = View()
    assert view(inputs) is inputs
    assert view.of_clean(inputs) is inputs
    assert torch.equal(view.of_files(images), images.float() / 255)
    assert view.of_files(images, torch.float64).dtype == torch.float64


@pytest.mark.parametrize("quality", [1, 75, 100])
def test_jpeg_is_that_of_a_file(quality, tmp_path):
    images = levels((18, 23))
    for image, found in zip(images, after_jpeg(images, quality), strict=True):
        Image.fromarray(image.movedim(0, -1).numpy()).save(tmp_path / "a.jpg", quality=quality)
        with Image.open(io.BytesIO((tmp_path / "a.jpg").read_bytes())) as picture:
            wanted = torch.from_numpy(np.array(picture)).movedim(-1, 0)
        assert torch.equal(found, wanted)
    assert not torch.equal(after_jpeg(images, 20), after_jpeg(images, 90))
