"""Numbers under harmless transforms: by hand, by the verb, and for victims without gradient."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lightning_hash.__main__ import main
from lightning_hash.data import FolderDataModule, SamplePhotos
from lightning_hash.data.harmless import TRANSFORMS
from lightning_hash.data.tensor_data import TensorData
from lightning_hash.engine.robustness import measure_robustness
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.functional import RankingOptions
from lightning_hash.functional.thresholds import default_threshold, random_match_rate
from lightning_hash.reports.robustness_picture import robustness_figure, robustness_table
from lightning_hash.victims import CodeFunction, Victim
from tests.conftest import TinyNet
from tests.helpers.commands import SMALL_DATA
from tests.helpers.photos import photo_data, read_photo, write_photos
from tests.reference.harmless import binomial_false_positives, random_matches, statistics


def left_brighter(images):
    """Four bits, one for each row: whether its left pixel is brighter than its right one."""
    return images[:, :, 0, 0].astype(int) > images[:, :, 1, 0].astype(int)


def measure(victim, data, **options):
    with quiet_trainer(accelerator="cpu") as trainer:
        return measure_robustness(trainer, victim, data, **options)


@pytest.fixture
def rows_of_two():
    """Two queries and three items of 4 x 2 pixels, with labels."""
    pixels = torch.zeros(5, 3, 4, 2)
    brighter = torch.tensor(
        [[1, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    )  # which rows are brighter on the left
    pixels[..., 0] = brighter[:, None].float()
    pixels[..., 1] = 1 - brighter[:, None].float()
    labels = torch.tensor([0, 1, 0, 1, 0])
    return TensorData((pixels[:2], labels[:2]), (pixels[2:], labels[2:]))


def test_files_are_transformed_in_their_own_size(tmp_path):
    data, network = photo_data(write_photos(tmp_path / "photos")), TinyNet(64)
    found = measure(Victim(network), data, transforms=["jpeg"], resolution="original")
    distances = []
    for row in range(len(data.query_set)):
        path = data.query_set.path(row)
        if path.suffix == ".jpg":  # lies on its side
            continue
        with Image.open(path) as picture:
            picture.save(tmp_path / "again.jpg", quality=10)
        with torch.no_grad():
            clean, sent = (network(read_photo(p)[None]) > 0 for p in (path, tmp_path / "again.jpg"))
        distances.append(int((clean != sent).sum()))
    last = dict(found.rows[-1].distances)
    assert (found.rows[-1].strength, found.data["resolution"]) == (10, "original")
    for distance in set(distances):
        assert last[distance] >= distances.count(distance)
    assert sum(last.values()) == len(distances) + 1
    assert found.rows[0].distance == 0 < found.rows[-1].distance
    small = measure(Victim(network), data, transforms=["jpeg"])
    assert small.rows[-1].distances != found.rows[-1].distances


def test_numbers_by_hand(rows_of_two):
    victim = Victim(CodeFunction(left_brighter))
    found = measure(victim, rows_of_two, transforms=["flip"], threshold=2,
                    ranking=RankingOptions(top_k=None))  # fmt: skip
    none, horizontal, vertical = found.rows
    assert (none.transform, none.strength, none.distance, none.detection_rate) == (
        "none", None, 0.0, 1.0
    )  # fmt: skip
    # Mirrored, every bit changes.
    assert (horizontal.distance, horizontal.bit_flip_rate) == (4.0, 1.0)
    assert (horizontal.detection_rate, horizontal.distances) == (0.0, [(4, 2)])
    # Upside down 1100 is 0011, four bits away, and 0001 is 1000, two bits away.
    assert (vertical.distance, vertical.distance_se) == (3.0, 1.0)
    assert (vertical.detection_rate, vertical.distances) == (0.5, [(2, 1), (4, 1)])
    # Items 1100, 1110, 0000 of the labels 0, 1, 0: the queries 1100 and 0001 are 0, 1, 2 and 3, 4,
    # 1 away. AP of the first: ranks 1 and 3; of the second: rank 3 of order 0000, 1100, 1110.
    assert none.map == pytest.approx(((1 + 2 / 3) / 2 + 1 / 3) / 2)
    # At d <= 2 four of six pairs match; of the pairs without a common label (0, 1110) and
    # (1, 1100), (1, 0000) two.
    rates = {each.among: (each.rate, each.pairs) for each in found.false_matches}
    assert rates == {
        "random codes": (11 / 16, None),
        "other items": (4 / 6, 6),
        "items that share no label": (2 / 3, 3),
    }


def test_copies_are_no_false_matches(tmp_path):
    """Two groups of two: of each query one item is a copy, and two are of the other group."""
    for name, left in (("a-0", 255), ("a-1", 250), ("b-0", 0), ("b-1", 255)):
        pixels = np.full((8, 8, 3), left, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    data = FolderDataModule(
        str(tmp_path), size=8, train="all", query="all", database="all", relevance="group",
        group=r"(\w)-\d",
    )  # fmt: skip
    brighter = CodeFunction(lambda images: images[:, 0, :, 0] > 127)
    found = measure(Victim(brighter), data, transforms=["flip"], threshold=0)
    (_, others) = found.false_matches
    # b-1 has the code of both of a; b-0 that of none.
    assert (others.among, others.rate, others.pairs) == ("items of other groups", 4 / 8, 8)


def test_means_and_errors_as_a_loop_computes_them():
    data = SamplePhotos(n_train=2, n_query=12, n_database=20, size=16)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 24))
    found = measure(Victim(network), data, transforms=["jpeg", "contrast"], threshold=2)
    assert [(r.transform, r.strength) for r in found.rows[1:]] == [
        (name, strength) for name in ("jpeg", "contrast") for strength in TRANSFORMS[name].strengths
    ]
    for row in found.rows:
        distances = [d for d, count in row.distances for _ in range(count)]
        mean, error, flips, detected = statistics(distances, 2, 24)
        assert row.n == len(distances) == 12
        assert row.distance == pytest.approx(mean)
        assert row.distance_se == pytest.approx(error)
        assert row.bit_flip_rate == pytest.approx(flips)
        assert row.detection_rate == pytest.approx(detected)
    assert found.rows[10].distance > 0


def test_a_query_is_no_false_match_of_itself(tmp_path):
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    data = FolderDataModule(str(tmp_path), size=8)
    brighter = CodeFunction(lambda images: images[:, 0, :, 0] > 127)
    found = measure(Victim(brighter), data, transforms=["flip"], threshold=0)
    (_, other) = found.false_matches
    assert (other.among, other.rate, other.pairs) == ("other items", 0.0, 12)
    assert {row.map for row in found.rows} == {None}
    assert found.ranking is None


@pytest.mark.parametrize(("threshold", "bits"), [(0, 8), (3, 12), (12, 12)])
def test_random_codes_match_as_often_as_all_pairs_do(threshold, bits):
    assert random_match_rate(threshold, bits) == random_matches(threshold, bits)


def test_rates_and_thresholds_of_known_hashes():
    assert [default_threshold(k) for k in (8, 16, 32, 64, 256)] == [0, 1, 3, 7, 31]
    assert random_match_rate(10, 64) == pytest.approx(binomial_false_positives(10, 64), rel=1e-4)
    # P(X <= 31) of 256 fair coins is below 1e-36: floats of a sum from the other end have no such.
    assert 0 < random_match_rate(31, 256) < 1e-30


@pytest.mark.parametrize("threshold", [-1, 25])
def test_a_threshold_that_no_codes_have_is_refused(threshold):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 24))
    data = SamplePhotos(n_train=2, n_query=2, n_database=2, size=16)
    with pytest.raises(ValueError, match=f"threshold must be from 0 to 24.*got {threshold}"):
        measure(Victim(network, bits=24), data, threshold=threshold)
    with pytest.raises(ValueError, match=f"threshold must be from 0 to .*got {threshold}"):
        measure(Victim(network), data, transforms=["flip"], threshold=threshold)


def test_the_verb_writes_numbers_a_picture_and_a_table(with_victim, capsys):
    line = ["robustness", *SMALL_DATA, "--transforms=[flip, text]", "--n_queries=6",
            "--trainer.accelerator=cpu", "--name=a/b"]  # fmt: skip
    assert main(line) == 0
    folder = with_victim / "runs" / "robustness" / "a" / "b" / "version_0"
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "runs/robustness/a/b/version_0/robustness.json"
    content = json.loads((folder / "robustness.json").read_text())
    assert (content["schema"], content["transforms"]) == (1, "1")
    assert content["data"]["n_query"] == 6
    assert content["threshold"] == default_threshold(content["bits"])
    assert [row["transform"] for row in content["rows"]] == ["none", *["flip"] * 2, *["text"] * 4]
    assert "detected at d <= 3 of 32 bits, 6 queries of sample-photos" in " ".join(printed.split())
    assert Image.open(folder / "robustness.png").size[0] > 300
    assert main([*line, "--quiet"]) == 0
    again = (folder.parent / "version_1" / "robustness.json").read_text()
    assert again == (folder / "robustness.json").read_text()
    assert main([*line, "--quiet", "--seed=1"]) == 0
    other = json.loads((folder.parent / "version_2" / "robustness.json").read_text())
    assert other["rows"] != content["rows"]
    assert capsys.readouterr().out.count("\n") == 2  # of --quiet, the paths


def test_the_picture_and_the_table_hold_every_strength(rows_of_two):
    victim = Victim(CodeFunction(left_brighter), name="$x$ [red]")
    found = measure(victim, rows_of_two, transforms=["flip", "brightness"], threshold=2)
    axes = robustness_figure(found).axes[0]
    cells = [text.get_text() for text in axes.texts]
    assert cells[:2] == ["horizontal\n0 %", "vertical\n50 %"]
    assert cells[2:4] == ["0.9\n100 %", "1.1\n100 %"]
    assert len(cells) == 8
    rates = axes.images[0].get_array()
    assert rates.shape == (2, 6)
    assert rates[0, :2].tolist() == [0.0, 0.5]
    assert axes.get_title(loc="left").startswith(r"\$x\$ [red]: detected at d <= 2 of 4 bits")
    table = robustness_table(found)
    assert table.columns[0]._cells[:3] == ["none", "flip", "axis"]
    assert table.row_count == 9
    assert table.columns[2]._cells[2] == "3.00(100)"
