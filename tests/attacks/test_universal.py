"""A perturbation and a patch that all images share, and the objective that looks at one alone."""

import math
import re

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    HAG,
    L2,
    SSTUAA,
    Box,
    Budget,
    LInf,
    MomentumSignStep,
    Patch,
    PerQuery,
    Queries,
    RateDecay,
    Universal,
    iterate,
)
from lightning_hash.attacks.attack import attack
from lightning_hash.attacks.layers import LayerConsistency
from tests.conftest import TinyNet
from tests.reference.attacks import hag_loss
from tests.reference.universal import patched, resized, ss_tuaa_loss, universal_steps

ALL = slice(None)
EPSILON, STEP = 4 / 255, 1 / 255


def images(count=6, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *(shape or (3, 8, 8)), generator=generator)


def frozen(victim=None):
    return (victim or TinyNet()).eval().requires_grad_(requires_grad=False)


def hag(logits, clean):
    """HAG Eq. 6 of one image by torch, equal to the loop over its bits."""
    loss = HAG()(logits[None], clean[None], 1.0)[0]
    expected = hag_loss(logits.tolist(), clean.tolist(), 1.0, 0.5)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    return loss


@pytest.mark.parametrize(("side", "shape"), [(None, (3, 8, 8)), (12, (3, 8, 8)), (5, (3, 8, 10))])
def test_steps_are_those_of_the_loops(side, shape):
    """Li et al.'s rule; of the images' own size, resized from a larger and from a smaller one."""
    victim, batches = frozen(), [images(4, *shape, seed=n) for n in range(5)]
    made = Universal(batches[0], LInf(EPSILON), size=side)
    rule = MomentumSignStep(made.parameters(), lr=STEP, momentum=1.0)
    wanted = universal_steps(victim, batches, side or 8, EPSILON, STEP, 1.0, hag)
    for batch, expected in zip(batches, wanted, strict=True):
        queries = Queries.untargeted(batch, victim(batch))
        iterate(lambda x, rows: victim(x), HAG(), made, rule, queries, 1.0)
        torch.testing.assert_close(made.delta.detach()[0], expected, rtol=0, atol=1e-6)
    assert (made.delta.abs() == torch.tensor(EPSILON)).float().mean() > 0.3  # the ball binds
    added = resized(wanted[-1], *shape[1:])
    perturbed = torch.stack([(image + added).clamp(0, 1) for image in batches[0]])
    torch.testing.assert_close(made(batches[0]).detach(), perturbed, rtol=0, atol=1e-6)
    torch.testing.assert_close(made.values(batches[0]), perturbed - batches[0], rtol=0, atol=1e-6)


def test_steps_that_decay_are_those_of_the_loops():
    """Li et al.: a pass later the step is e^-.01 of itself; here it shrinks so that one sees it."""
    victim, batch = frozen(), images(4)
    made = Universal(batch, LInf(EPSILON))
    rule = MomentumSignStep(made.parameters(), lr=STEP, momentum=1.0)
    queries = Queries.untargeted(batch, victim(batch))
    attack(victim, HAG(), made, rule, queries, 5, rate=RateDecay(0.3))
    wanted = universal_steps(victim, [batch] * 5, 8, EPSILON, STEP, 1.0, hag, decay=0.3)
    torch.testing.assert_close(made.delta.detach()[0], wanted[-1], rtol=0, atol=1e-6)
    assert rule.param_groups[0]["lr"] == STEP
    assert RateDecay()(0, 100) == 1.0
    assert RateDecay().decay == 0.01


def test_the_budget_holds_what_is_added_however_it_is_resized():
    made = Universal(images(), LInf(EPSILON), size=5)
    made.delta.data = torch.where(torch.rand(made.delta.shape) > 0.5, 1.0, -1.0)
    made.project(images())
    assert made.delta.abs().max() == torch.tensor(EPSILON)
    for shape in ((3, 8, 8), (3, 5, 5), (3, 224, 31)):
        grey = torch.full((2, *shape), 0.5)
        assert made.values(grey).abs().max() <= EPSILON + 1e-7


def test_the_l2_ball_holds_the_whole_of_delta():
    made = Universal(images(), L2(0.5))
    made.delta.data.fill_(1.0)
    made.project(images())
    assert float(made.delta.detach().norm()) == pytest.approx(0.5, abs=1e-5)
    assert (made.values(images()).flatten(1).norm(dim=1) <= 0.5).all()


def test_normalized_space_is_left_by_the_victims_std():
    budget = LInf(0.1, "normalized")
    budget.bind(TinyNet())
    made = Universal(torch.full((2, 3, 4, 4), 0.5), budget)
    made.delta.data.fill_(1.0)
    made.project(made.delta)
    changes = made(torch.full((2, 3, 4, 4), 0.5))[0, :, 0, 0] - 0.5
    torch.testing.assert_close(changes.detach(), 0.1 * torch.tensor([0.25, 0.2, 0.5]))
    torch.testing.assert_close(
        made.values(torch.full((1, 3, 4, 4), 0.5)), torch.full((1, 3, 4, 4), 0.1)
    )


def test_each_frame_of_a_clip_gets_the_same_delta():
    clips = images(2, 4, 3, 6, 6) * 0.5 + 0.25
    made = Universal(clips, LInf(EPSILON), size=3)
    assert made.delta.shape == (1, 3, 3, 3)
    made.delta.data.uniform_(-EPSILON, EPSILON)
    added = made.values(clips)
    expected = resized(made.delta.detach()[0], 6, 6).expand(2, 4, 3, 6, 6)
    torch.testing.assert_close(added, expected, rtol=0, atol=1e-6)


class Foreign(Budget):
    """A budget of somebody who has written no ball."""

    def project(self, perturbation, clean):
        pass

    def draw(self, shape, index, seed):
        return torch.zeros(len(index), *shape)

    def round_to_8bit(self, adversarial, clean):
        return adversarial


@pytest.mark.parametrize(
    ("inputs", "budget", "options", "message"),
    [
        ((2, 4, 3, 6, 6), L2(0.5), {}, "budget L2 bounds the change of a whole input, and delta is "
         "added to each frame of a clip; give LInf"),
        ((2, 3, 6, 6), L2(0.5), {"size": 8}, "images after resizing from size 8; give LInf, or "),
        ((2, 3, 6, 6), LInf(0.1), {"size": 0}, "size must be a side of at least 1 pixel .* got 0"),
        ((2, 7), LInf(0.1), {"size": 4}, r"size must .* for images .* got 4 for inputs \(7,\)"),
    ],
)  # fmt: skip
def test_what_a_universal_perturbation_cannot_be(inputs, budget, options, message):
    with pytest.raises(ValueError, match=message):
        Universal(torch.rand(inputs), budget, **options)


def test_a_universal_perturbation_of_one_pixel_changes_all_by_one_colour():
    clean = images() * 0.5 + 0.25
    made = Universal(clean, LInf(EPSILON), size=1)
    made.delta.data = torch.tensor([0.01, -0.01, 0.002]).view(1, 3, 1, 1)
    torch.testing.assert_close(made.values(clean), made.delta.detach().expand(6, 3, 8, 8))


def test_a_parameter_that_the_loss_does_not_see_is_left_alone():
    class Two(Universal):
        def __init__(self, *options):
            super().__init__(*options)
            self.unseen = nn.Parameter(torch.ones(1))

    victim, clean = frozen(), images()
    made = Two(clean, LInf(EPSILON))
    rule = MomentumSignStep(made.parameters(), lr=STEP)
    queries = Queries.untargeted(clean, victim(clean))
    iterate(
        lambda x, rows: victim(x), HAG(), made, rule, queries, 1.0, backward=lambda x: x.backward()
    )
    assert made.unseen.tolist() == [1.0]
    assert made.delta.abs().max().item() == pytest.approx(STEP)


def test_a_budget_without_a_ball_says_so():
    made = Universal(images(), Foreign(0.1))
    with pytest.raises(ValueError, match="budget Foreign has no ball for one perturbation of all"):
        made.project(images())


def test_a_random_start_is_one_draw_for_all():
    made, other = (Universal(images(n), LInf(EPSILON)) for n in (6, 1))
    made.draw(images(6), torch.arange(6), 3)
    other.draw(images(1), torch.tensor([5]), 3)
    assert torch.equal(made.delta, other.delta)
    assert 0 < made.delta.abs().max() <= EPSILON
    other.draw(images(1), torch.tensor([5]), 4)
    assert not torch.equal(made.delta, other.delta)


def test_pictures():
    made = Universal(images(), LInf(EPSILON))
    assert torch.equal(made.picture(), torch.full((3, 8, 8), 0.5))
    made.delta.data[0, :, 0, 0] = torch.tensor([EPSILON, -EPSILON, EPSILON / 2])
    torch.testing.assert_close(made.picture()[:, 0, 0], torch.tensor([1.0, 0.0, 0.75]))
    assert Universal(torch.rand(2, 7), LInf(0.1)).picture() is None
    patch = Patch(images(), Box(), side=3, top=0, left=0)
    patch.patch.data = torch.rand(1, 3, 3, 3)
    assert torch.equal(patch.picture(), patch.patch[0])
    assert PerQuery(images(), LInf(0.1)).picture() is None


# ---- patches


@pytest.mark.parametrize(
    ("shape", "options", "side", "top", "left"),
    [
        ((224, 224), {}, 50, 150, 150),  # AdvHash: rows and columns 150 to 199
        ((32, 32), {}, 7, 21, 21),
        ((20, 30), {"area": 0.06, "top": 0.5, "left": "1/3"}, 6, 10, 10),
        ((20, 30), {"side": 4, "top": 16, "left": 26}, 4, 16, 26),
        ((20, 30), {"side": 1, "top": 1, "left": 0.0}, 1, 1, 0),
    ],
)
def test_a_patch_stands_where_the_loops_put_it(shape, options, side, top, left):
    clean = images(3, 3, *shape)
    made = Patch(clean, Box(), **options)
    assert made.patch.shape == (1, 3, side, side)
    assert made.settings()["share_of_area"] == pytest.approx(
        side**2 / shape[0] / shape[1], abs=1e-6
    )
    made.patch.data = torch.rand(made.patch.shape)
    expected = torch.stack([patched(image, made.patch.detach()[0], top, left) for image in clean])
    assert torch.equal(made(clean), expected)
    assert torch.equal(made(clean, torch.tensor([2, 0])), expected[[2, 0]])
    assert torch.equal(made.values(clean), expected - clean)


def test_random_places_follow_seed_index_and_iteration_alone():
    clean = images(64, 3, 9, 12)
    made = Patch(clean, Box(), side=4, place="random")
    made.patch.data.fill_(2.0)  # what no pixel has

    def places(index, iteration, seed=0, rows=ALL):
        made.seed = seed
        made.expect(index, iteration)
        found = (made(clean[: len(index)], rows) == 2.0).all(dim=1)
        assert (found.flatten(1).sum(dim=1) == 16).all()
        return [tuple(each.nonzero()[0].tolist()) for each in found]

    index = torch.arange(64)
    first = places(index, 0)
    assert {row for row, _ in first} == set(range(6))  # the last row and column too
    assert {column for _, column in first} == set(range(9))
    backwards = places(index.flip(0), 0)
    assert backwards == first[::-1]
    assert places(index[5:8], 0) == first[5:8]
    assert places(index, 0, rows=torch.tensor([3, 1])) == [first[3], first[1]]
    assert places(index, 1) != first
    assert places(index, 0, seed=1) != first


def test_random_places_need_to_know_whose_images_come():
    made = Patch(images(), Box(), side=2, place="random")
    with pytest.raises(ValueError, match=r"its places are random, .* call expect"):
        made(images())
    with torch.no_grad():
        model = frozen()
        queries = Queries.untargeted(images(), model(images()))
    rule = MomentumSignStep(made.parameters(), lr=0.1)
    found = attack(model, HAG(), made, rule, queries, 3)
    assert (found != images()).any(dim=1).flatten(1).sum(dim=1).tolist() == [4] * 6
    made.expect(queries.index, 3)  # where the places of the next iteration would be
    assert torch.equal(found, made(images()).detach())


def test_the_values_of_a_patch_learn_and_stay_in_the_box():
    victim, clean = frozen(), images()
    made = Patch(clean, Box(), side=4, top=2, left=2)
    queries = Queries.untargeted(clean, victim(clean))
    rule = MomentumSignStep(made.parameters(), lr=0.2, momentum=0.0)
    leaf = torch.full((3, 4, 4), 0.5, requires_grad=True)
    seen = victim(torch.stack([patched(image, leaf, 2, 2) for image in clean]))
    (gradient,) = torch.autograd.grad(HAG()(seen, queries.reference, 1.0).mean(), leaf)
    iterate(lambda x, rows: victim(x), HAG(), made, rule, queries, 1.0)
    expected = 0.5 - 0.2 * gradient.sign()
    torch.testing.assert_close(made.patch.detach()[0], expected, rtol=0, atol=1e-6)
    for _ in range(5):
        iterate(lambda x, rows: victim(x), HAG(), made, rule, queries, 1.0)
    assert (made.patch.min(), made.patch.max()) == (0, 1)
    made.patch.data[0, 0, 0, :2] = torch.tensor([-0.5, 1.5])
    assert (made.picture().min(), made.picture().max()) == (0, 1)


def test_the_frames_of_a_clip_have_the_patch_at_one_place():
    clips = images(2, 4, 3, 6, 7)
    made = Patch(clips, Box(), side=2, place="random")
    made.patch.data = torch.rand(1, 3, 2, 2)
    made.expect(torch.tensor([8, 3]), 5)
    changed = (made(clips) != clips).any(dim=2)
    assert (changed.flatten(2).sum(dim=2) == 4).all()
    assert torch.equal(changed, changed[:, :1].expand(2, 4, 6, 7))
    assert not torch.equal(changed[0], changed[1])
    top, left = changed[0, 0].nonzero()[0].tolist()
    expected = patched(clips[0, 2], made.patch.detach()[0], top, left)
    assert torch.equal(made(clips)[0, 2], expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 9}, "Patch is larger than the image of 8 x 10: got side 9; give less"),
        ({"area": 1}, "Patch is larger than the image of 8 x 10: got area 1, a side of 9; give"),
        ({"area": 0}, r"area must be in \(0, 1\], .* got 0"),
        ({"area": 1.5}, r"area must be in \(0, 1\], .* got 1.5"),
        ({"area": float("nan")}, r"area must be in \(0, 1\], .* got nan"),
        ({"area": 1e-4}, "a side of at least 1 pixel, got area 0.0001, less than one pixel"),
        ({"side": 0}, "a side of at least 1 pixel, got side 0"),
        ({"side": 4, "top": 5}, "top: a patch of 4 pixels from pixel 5 on leaves the image of 8; "),
        ({"side": 4, "top": 0, "left": 0.8}, "left: a patch of 4 pixels from pixel 8 on leaves"),
        ({"side": 4, "top": -1}, "top: .* from pixel -1 on leaves the image of 8; .* most 4, got"),
        ({"side": 4, "top": "half"}, "top must be pixels or a share such as '150/224', got 'half'"),
        ({"side": 4, "left": "1/0", "top": 0}, "left must be pixels or a share .* got '1/0'"),
        ({"place": "middle"}, "place must be 'fixed' or 'random', got 'middle'"),
        ({"seed": -1}, "seed must be"),
    ],
)  # fmt: skip
def test_what_a_patch_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        Patch(images(2, 3, 8, 10), Box(), **options)


def test_a_patch_needs_images_and_the_whole_box():
    with pytest.raises(ValueError, match=r"no ball around the image: give budget Box, got LInf"):
        Patch(images(), LInf("8/255"))
    with pytest.raises(ValueError, match=r"Patch covers pixels of images .* got inputs \(7,\)"):
        Patch(torch.rand(2, 7), Box())
    with pytest.raises(ValueError, match=r"budget Box is in .* of pixels; leave it out, got 'no"):
        Box(1, "normalized")


def test_epsilon_does_not_bind_the_box():
    budget = Box("8/255")
    assert budget.settings()["epsilon"] == 1.0
    change, clean = torch.tensor([[0.9, -0.9]]), torch.tensor([[0.2, 0.95]])
    budget.project(change, clean)
    torch.testing.assert_close(change, torch.tensor([[0.8, -0.9]]))
    assert budget.used(change) is None
    assert budget.round_to_8bit(torch.tensor([[1.0]]), torch.tensor([[0.0]])).tolist() == [[255]]


# ---- SS-TUAA


class TwoLayers(nn.Module):
    """Two convolutions, the first followed by a ReLU in place."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3))

    def forward(self, inputs):
        return self.body(inputs - 0.4).mean(dim=(2, 3)) * 9


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_ss_tuaa_is_that_of_the_loops(weight):
    """Values to 1e-6; the layers' values before an activation in place changes them."""
    network, clean = frozen(TwoLayers()), images()
    anchor = torch.where(
        torch.rand(6, 6, generator=torch.Generator().manual_seed(5)) > 0.5, 1.0, -1
    )
    made = Universal(clean, LInf(0.5))
    made.delta.data = images(1, seed=3) - 0.5
    logits, seen = LayerConsistency(network, "x")(network, made(clean), made.alone(clean))
    assert torch.equal(logits, network(made(clean)))
    found = SSTUAA(weight=weight)(seen, anchor, 0.7)
    before = (
        nn.Sequential(*network.body[:1]),
        nn.Sequential(network.body[0], nn.ReLU(), network.body[2]),
    )

    def outputs(image):
        return [part(image - 0.4).flatten().tolist() for part in before]

    of_delta = outputs(made.delta.detach())
    expected = [
        ss_tuaa_loss(row.tolist(), bits.tolist(), 0.7, 0.3, outputs(image[None]), of_delta, weight)
        for row, bits, image in zip(logits, anchor, made(clean).detach(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-6)
    assert 0.1 < float(seen[:, -1].mean()) < 1.9


def test_the_gradient_of_ss_tuaa_runs_through_both_passes():
    """It is that of a difference quotient, in double."""
    network, clean = frozen(TwoLayers()).double(), images().double()
    anchor = torch.ones(6, 6).double()
    made = Universal(clean, LInf(0.5))
    made.delta.data = (images(1, seed=3).double() - 0.5) * 0.3
    compare = LayerConsistency(network, "x")

    def loss():
        _, seen = compare(network, made(clean), made.alone(clean))
        return SSTUAA(margin=0.0)(seen, anchor, 1.0).mean()

    (gradient,) = torch.autograd.grad(loss(), made.delta)
    for place in (0, 17, 100, 191):
        with torch.no_grad():
            flat, step = made.delta.view(-1), 1e-6
            flat[place] += step
            above = float(loss())
            flat[place] -= 2 * step
            below = float(loss())
            flat[place] += step
        quotient = (above - below) / (2 * step)
        assert float(gradient.view(-1)[place]) == pytest.approx(quotient, rel=1e-4, abs=1e-8)


def test_bits_that_are_there_are_left_alone():
    objective = SSTUAA()
    anchor = torch.tensor([[1.0, -1.0, 1.0, 1.0]])
    logits = torch.tensor([[9.0, -9.0, 0.1, -2.0]], requires_grad=True)
    objective(logits, anchor, 1.0).sum().backward()
    assert (logits.grad != 0).tolist() == [[False, False, True, True]]
    assert objective(logits, torch.tensor([[1.0, -1.0, 1.0, -1.0]]), 1.0) > 0
    one = torch.tensor([[9.0, -9.0, 9.0, -2.0]])
    assert objective(one, anchor, 1.0).item() == pytest.approx(1 + math.tanh(2), abs=1e-6)
    there = torch.tensor([[9.0, -9.0, 9.0, 9.0]])
    assert objective(there, anchor, 1.0).tolist() == [0.0]
    assert objective(torch.full((1, 4), torch.nan), anchor, 1.0).isnan().all()
    assert objective.finished(there, anchor).tolist() == [True]
    zero = torch.tensor([[9.0, 0.0, 9.0, 9.0]])  # a bit of -1 (HAG Eq. 1)
    assert objective.finished(zero, anchor).tolist() == [True]
    assert objective.finished(-zero, -anchor).tolist() == [False]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"margin": 2}, r"margin must be in \[0, 2\), got 2"), ({"weight": -1}, "weight must")],
)
def test_what_ss_tuaa_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        SSTUAA(**options)


def test_a_network_without_convolutions_is_named():
    message = re.escape("it compares Conv2d outputs, and mlp has none that can be looked at; give")
    with pytest.raises(ValueError, match=message):
        LayerConsistency(nn.Linear(3, 2), "mlp")
