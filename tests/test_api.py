import pytest
import torch

import lightning_hash
from lightning_hash.attacks import AnchorCode, SignStep, TargetChoice
from lightning_hash.functional import RankingOptions, mean_average_precision, sign_code
from tests.conftest import TinyNet
from tests.helpers.attacks import rows_of


@pytest.fixture(scope="module")
def images():
    return torch.rand(7, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def sign_step(parameters):
    return SignStep(parameters, 1 / 255)


def test_without_a_database(images):
    found = lightning_hash.attack(
        TinyNet(), images, iterations=20, epsilon="64/255", step=sign_step, accelerator="cpu"
    )
    victim = TinyNet().eval()
    sent = found.adversarial.float() / 255
    assert (sent - images).abs().max() <= 64 / 255 + 1e-6
    assert torch.equal(found.codes, sign_code(victim(sent)).to(found.codes))
    assert torch.equal(found.clean_codes, sign_code(victim(images)).to(found.codes))
    assert (found.codes != found.clean_codes).sum() > 10
    assert found.perturbation.shape == images.shape
    metrics = {row["metric"] for row in found.rows}
    assert metrics == {"hamming_to_clean", "perceptibility", "linf"}
    flipped = (found.codes != found.clean_codes).sum(1).float().mean().item()
    (row,) = (row for row in found.rows if row["metric"] == "hamming_to_clean" and row["quantized"])
    assert row["value"] == pytest.approx(flipped)
    assert row["data"]["n_database"] == 0


def test_with_a_database(images):
    generator = torch.Generator().manual_seed(1)
    codes = torch.where(torch.rand(40, 8, generator=generator) < 0.5, 1, -1)
    labels = torch.eye(4, dtype=torch.int64).repeat(10, 1)
    found = lightning_hash.attack(
        TinyNet(), images, labels[:7], database_codes=codes, database_labels=labels,
        objective=AnchorCode(), targets=TargetChoice(n_t=3), iterations=5, step=sign_step,
        ranking=RankingOptions(top_k=20), accelerator="cpu", batch_size=3,
    )  # fmt: skip
    (row,) = rows_of(found, attack="dhta", metric="map", quantized=True)
    expected = mean_average_precision(found.codes, codes, labels[:7], labels, top_k=20)
    assert row["value"] == pytest.approx(expected.item(), abs=1e-9)
    assert all(rows_of(found, attack=name) for name in ("none", "anchor", "dhta"))
    assert {row["attack"]["name"] for row in found.rows if row["attack"]} == {"anchor", "dhta"}


def test_the_images_are_left_alone(images):
    before = images.clone()
    lightning_hash.attack(TinyNet(), images, iterations=2, accelerator="cpu")
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.full((2, 3, 8, 8), 1.5)}, r"images must be in \[0, 1\], got \[1.5"),
        ({"images": torch.full((2, 3, 8, 8), torch.nan)}, r"images must be in \[0, 1\]"),
        ({"images": torch.zeros(2, 3, 8, 8, dtype=torch.uint8)}, "must be floating"),
        ({"images": torch.zeros(0, 3, 8, 8)}, "at least one"),
        ({"labels": torch.ones(7, 2)}, "give all three or none"),
        ({"labels": torch.ones(6, 2), "database_codes": torch.ones(4, 8),
          "database_labels": torch.ones(4, 2)}, "labels must be"),
        ({"labels": torch.ones(7, 2), "database_codes": torch.zeros(4, 8),
          "database_labels": torch.ones(4, 2)}, "database_codes"),
        ({"objective": AnchorCode()}, "objective dhta needs a database"),
        ({"epsilon": 3}, "epsilon must be in"),
        ({"iterations": 1.5}, "iterations must be a whole number, got 1.5"),
    ],
)  # fmt: skip
def test_bad_input(images, change, message):
    options = {"images": images, "iterations": 1, "accelerator": "cpu", **change}
    with pytest.raises(ValueError, match=message):
        lightning_hash.attack(TinyNet(), **options)


def test_arrays_of_numpy_are_named(images):
    labels, codes = torch.ones(7, 2), torch.ones(7, 8)
    database = {"database_codes": codes, "database_labels": labels}
    asked = [
        lambda: lightning_hash.attack(TinyNet(), images.numpy()),
        lambda: lightning_hash.attack(TinyNet(), images, labels.numpy(), **database),
        lambda: lightning_hash.smallest(TinyNet(), images.numpy(), stop_at=1),
        lambda: lightning_hash.audit(TinyNet(), (images, labels.numpy()), (images, labels)),
        lambda: lightning_hash.audit(TinyNet(), (images, labels), (images.numpy(), labels)),
    ]
    for ask in asked:
        with pytest.raises(
            TypeError, match=r"must be a torch tensor, got ndarray; give torch.from"
        ):
            ask()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 3.0}, "levels must be a whole number, got 3.0"),
        ({"iterations": 1.5}, "iterations must be a whole number, got 1.5"),
        ({"stop_at": 2.5}, "stop_at must be a whole number, got 2.5"),
    ],
)
def test_smallest_takes_whole_numbers(images, options, message):
    with pytest.raises(ValueError, match=message):
        lightning_hash.smallest(
            TinyNet(), images, **{"stop_at": 2, "accelerator": "cpu", **options}
        )


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'atack'"):
        lightning_hash.atack  # noqa: B018


class BreaksAfter(TinyNet):
    """Returns NaN for what requires a gradient, from the second pass on."""

    calls = 0

    def forward(self, inputs):
        self.calls += inputs.requires_grad
        return super().forward(inputs) * (torch.nan if self.calls > 1 else 1)


def test_losses_that_are_not_finite_leave_no_files(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"the loss is not finite since iteration 1 for queries"):
        lightning_hash.attack(BreaksAfter(), images, iterations=3, accelerator="cpu")
    assert list(tmp_path.iterdir()) == []
