"""Victims that answer with codes alone: functions of 8-bit images, without torch or a gradient."""

import numpy as np
import pytest
import torch

from lightning_hash.attacks import APGD, HAG, AnchorCode, Hinge, Noise, Oracle, SignStep, Square
from lightning_hash.commands.attack import run_attack
from lightning_hash.victims import CodeFunction, Victim, as_victim, load_foreign
from tests.helpers.attacks import attack, make, rows_of, trainer

# Whoever searches codes alone sees most proposals change nothing.
FAR = {"objective": Hinge(), "step": Square, "epsilon": 0.5, "n_queries": 6}


class Quadrants:
    """Is each quadrant of each channel brighter than the image's mean? Twelve bits."""

    def __init__(self, kind="bool"):
        self.kind, self.given = kind, []

    def __call__(self, images):
        self.given.append(images)
        half = images.shape[1] // 2
        parts = [images[:, y : y + half, x : x + half] for y in (0, half) for x in (0, half)]
        means = np.concatenate([part.mean(axis=(1, 2)) for part in parts], axis=1)
        codes = means > images.mean(axis=(1, 2, 3))[:, None]
        return {
            "bool": codes,
            "bits": codes.astype(np.uint8),
            "signs": np.where(codes, 1, -1),
            "list": codes.tolist(),
            "float": codes.astype(np.float64),
        }[self.kind]


def quadrants(images):
    return Quadrants()(images)


@pytest.mark.parametrize("kind", ["bool", "bits", "signs", "list", "float"])
def test_codes_of_every_kind_become_signs(kind):
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    function = Quadrants(kind)
    found = CodeFunction(function)(images)
    levels = (images * 255).round()
    halves = levels.unflatten(2, (2, 4)).unflatten(4, (2, 4)).mean(dim=(3, 5))  # (B, C, 2, 2)
    expected = halves.flatten(2).transpose(1, 2).flatten(1) > levels.flatten(1).mean(1)[:, None]
    assert torch.equal(found, torch.where(expected, 1.0, -1.0))
    (given,) = function.given
    assert (given.dtype, given.shape) == (np.uint8, (5, 8, 8, 3))
    assert given.flags.c_contiguous
    assert np.array_equal(given[2, 5, 1], levels[2, :, 5, 1].numpy())


def test_images_are_rounded_to_the_nearest_level():
    function = Quadrants()
    CodeFunction(function)(torch.tensor([0.0, 0.4, 0.6, 1.49, 254.6, 255.0]).view(6, 1, 1, 1) / 255)
    assert function.given[0].flatten().tolist() == [0, 0, 1, 1, 255, 255]


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros(4), r"codes of the shape \(2, K\), got float64 of the shape \(4,\)"),
        (np.zeros((3, 4)), r"codes of the shape \(2, K\), got float64 of the shape"),
        (
            np.full((2, 4), 0.3),
            r"codes of 0 and 1, or of -1 and \+1.*with 0\.3, \.\.\.; logits are",
        ),
        (np.array([[-1, 0, 1, 1]] * 2), r"codes of 0 and 1, or of -1 and \+1.* with -1, 0, 1, "),
        (np.zeros((2, 0)), r"codes of the shape \(2, K\), got float64 of the shape \(2, 0\)"),
        ([[1, 0], [1]], r"codes of the shape \(2, K\), got list that is no NumPy array \("),
        (np.array([["a"] * 4] * 2), r"codes of the shape \(2, K\), got <U1 of the sha"),
    ],
)
def test_what_is_no_code(codes, message):
    with pytest.raises(ValueError, match=f"victim mine must return {message}"):
        CodeFunction(lambda images: codes, "mine")(torch.rand(2, 3, 4, 4))


def fails(images):
    return {}["hash of\nthe image"]


def fails_elsewhere(images):
    return np.zeros(2).reshape(3)


def makes_no_network():
    return {}["x"]


@pytest.mark.parametrize(
    "function", [fails, fails_elsewhere, type("C", (), {"__call__": lambda self, i: fails(i)})()]
)
def test_a_function_that_fails_is_named_with_its_line(function):
    with pytest.raises(ValueError, match=r"^victim mine failed: ") as raised:
        CodeFunction(function, "mine")(torch.rand(2, 3, 4, 4))
    said = str(raised.value)
    assert "\n" not in said
    line = (fails_elsewhere if function is fails_elsewhere else fails).__code__.co_firstlineno + 1
    assert f"{__file__}:{line}; mend it, --verbose shows the traceback" in said
    assert raised.value.__cause__ is not None
    if function is fails:
        assert "KeyError: 'hash of\\nthe image', " in said


def test_a_lack_of_memory_in_it_stays_one():
    def full(images):
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        CodeFunction(full)(torch.rand(2, 3, 4, 4))


def test_what_is_no_function(tmp_path, monkeypatch):
    with pytest.raises(TypeError, match="victim int must be a function from images to codes, got"):
        CodeFunction(3)
    with pytest.raises(TypeError, match="victim 'os:sep' must be a function, got str"):
        load_foreign("os:sep", output="codes", trust=True)
    with pytest.raises(
        ValueError, match=r"^victim '.*makes_no_network' failed: KeyError: 'x', .*:"
    ):
        load_foreign(f"{__name__}:makes_no_network", trust=True)
    (tmp_path / "broken_victim.py").write_text("\nundefined_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    place = r"\(NameError: name 'undefined_name' is not defined, .*broken_victim.py:2\); mend it"
    with pytest.raises(ValueError, match=rf"broken_victim:f' cannot be imported {place}"):
        load_foreign("broken_victim:f", output="codes", trust=True)


@pytest.mark.parametrize("shows", [None, "codes", "distances", "ids"])
def test_a_search_attacks_it(shows, tmp_path, blobs):
    oracle = None if shows is None else Oracle(shows, top=10)
    function = Quadrants()
    module = make(CodeFunction(function), oracle=oracle, evaluate_at=[0], **FAR)
    scores = run_attack(trainer(tmp_path, 60), module, blobs)
    clean, *_, end = rows_of(scores, metric="hamming_to_clean", attack="hinge", quantized=False)
    assert clean["value"] == 0 < end["value"]
    assert end["attack"]["oracle"]["shows"] == (shows or "codes")
    assert not [text for text in end["warnings"] or () if "read as logits" in text]
    assert end["queries"] == 60
    outcome = scores.outcome().tensors
    images = outcome["adversarial_8bit"].movedim(1, -1).numpy()
    assert np.array_equal(Quadrants()(images), outcome["codes_8bit"].numpy() > 0)


def test_towards_a_code(tmp_path, blobs):
    options = {**FAR, "objective": AnchorCode()}
    scores = attack(tmp_path, blobs, 80, victim=CodeFunction(Quadrants()), **options)
    first, *_, last = rows_of(scores, metric="hamming_to_anchor", attack="dhta", quantized=False)
    assert last["value"] < first["value"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"step": SignStep, "objective": HAG()},
            "step SignStep takes the gradient, which a victim",
        ),
        ({"step": APGD, "objective": HAG()}, "step APGD takes the gradient, which a victim that"),
        ({"oracle": Oracle()}, "oracle: the victim gives codes alone; let the oracle show codes"),
    ],
)
def test_what_it_cannot_answer(options, message, tmp_path, blobs):
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, 2, victim=CodeFunction(Quadrants()), **{**FAR, **options})


def test_noise_needs_nothing_of_it(tmp_path, blobs):
    scores = attack(
        tmp_path, blobs, 1, victim=CodeFunction(Quadrants()), objective=Noise(), epsilon=0.5,
        n_queries=6, step=None,
    )  # fmt: skip
    *_, last = rows_of(scores, metric="hamming_to_clean", attack="noise")
    assert last["value"] > 0


def test_from_a_config():
    source = f"{__name__}:quadrants"
    with pytest.raises(ValueError, match=r"is a function, which is run.*--trust"):
        load_foreign(source, output="codes")
    victim = as_victim({"source": source, "output": "codes", "bits": 12}, trust=True)
    assert victim.gives_codes
    assert victim(torch.rand(2, 3, 8, 8)).shape == (2, 12)
    assert not as_victim(torch.nn.Flatten()).gives_codes
    same = as_victim({"source": source, "output": "codes"}, trust=True)
    assert same.sha256 == victim.sha256
    assert Victim(CodeFunction(Quadrants())).sha256 != victim.sha256
    with pytest.raises(ValueError, match=r"bits = 8, but the network .* returns 12 logits"):
        as_victim({"source": source, "output": "codes", "bits": 8}, trust=True)(
            torch.rand(1, 3, 8, 8)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "a.pt2"}, "output: codes goes with a function, module:function"),
        ({"backbone": "alexnet"}, "backbone does not go with output: codes, whose function is"),
        (
            {"preprocess": {"mean": [0.5], "std": [0.5]}},
            "preprocess does not go with output: codes",
        ),
    ],
)
def test_options_that_it_does_not_take(options, message):
    given = {"source": f"{__name__}:quadrants", "output": "codes", **options}
    with pytest.raises(ValueError, match=message):
        load_foreign(**given, trust=True)
