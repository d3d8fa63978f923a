"""Embedded clips."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torchvision.transforms.v2.functional import pil_to_tensor

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.data.sample_clips import ClipJitter, SampleClips
from lightning_hash.data.sample_photos import PHOTOGRAPHS
from lightning_hash.results.rows import read_results

SMALL = {"n_train": 30, "n_query": 20, "n_database": 40, "frames": 5, "size": 16}


def made(**options):
    data = SampleClips(**{**SMALL, **options})
    data.setup("fit")
    return data


def test_clips():
    data = made()
    clip, labels, index = data.database_set[3]
    assert clip.shape == (5, 3, 16, 16)
    assert (int(labels.sum()), index) == (1, 3)
    assert torch.stack([data.query_set[i][1] for i in range(20)]).sum(dim=0).tolist() == [2] * 10
    assert data.fingerprints() == made().fingerprints()
    assert data.fingerprints() != made(seed=1).fingerprints()


def test_windows_move_steadily_between_their_two_boxes():
    """Of five frames the first and last are the boxes' own, the third is half-way."""
    data = made()
    photographs = [data._photograph(file) for file in PHOTOGRAPHS.values()]
    for index, (first, last) in enumerate(data.database_set.sources):
        assert first.photograph == last.photograph
        half = [round((a + b) / 2) for a, b in zip(box(first), box(last), strict=True)]
        clip = data.database_set.image(index)
        for frame, (left, top, side) in ((0, box(first)), (2, half), (4, box(last))):
            cut = photographs[first.photograph].crop((left, top, left + side, top + side))
            expected = pil_to_tensor(cut.resize((16, 16), Image.Resampling.BILINEAR))
            assert torch.equal(clip[frame], expected)


def box(crop):
    return crop.left, crop.top, crop.side


def test_no_pixel_is_in_two_splits():
    data = made(n_train=200, n_query=200, n_database=200)
    seen = {}
    for split in ("train", "query", "database"):
        for sources in data.dataset(split).sources:
            for crop in sources:
                cell = (crop.photograph, crop.left // 96, crop.top // 96)
                assert (crop.left + crop.side - 1) // 96 == cell[1]
                assert (crop.top + crop.side - 1) // 96 == cell[2]
                assert seen.setdefault(cell, split) == split


def test_jitter_is_that_of_the_clip():
    frame = torch.rand(2, 1, 3, 6, 7)
    still = frame.expand(-1, 4, -1, -1, -1)
    found = ClipJitter(0.5, flip=0.5)(still)
    assert found.shape == still.shape
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert not torch.allclose(found[0, 0] / frame[0, 0], found[1, 0] / frame[1, 0])
    order = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(1, 4, 3, 2, 2) / 4
    torch.testing.assert_close(ClipJitter(0.0, flip=1.0)(order), order)


@pytest.mark.slow
def test_fit_and_attack_by_the_configs(tmp_path):
    small = [f"--data.{name}={value}" for name, value in SMALL.items()]
    folders = ["--runs", str(tmp_path / "runs"), "--trainer.enable_progress_bar=false"]
    fit = ["fit", "--config=configs/fit/demo_video.yaml", "--trainer.max_epochs=1", "--name=clips"]
    assert main([*fit, *small, *folders, "--checkpoints", str(tmp_path / "ck")]) == 0
    presets = ["--config=configs/attack/dhta.yaml", "--config=configs/overlay/demo_video.yaml"]
    victim = f"--model.victim={tmp_path}/ck/clips/best.ckpt"
    few = [
        "--trainer.max_epochs=3",
        "--model.targets.init_args.n_t=3",
        "--model.n_queries=7",
        "--model.batch_size=3",
    ]
    assert main(["attack", *presets, victim, *few, *small, *folders]) == 0
    (path,) = (tmp_path / "runs" / "attack").rglob("results.json")
    _look_at_pictures(path.parent)
    assert main(["report", str(tmp_path / "runs")]) == 0
    figures = tmp_path / "runs" / "report" / "figures"
    assert (figures / "dhta_fig9.png").is_file()
    assert not (figures / "frames.png").exists()  # one number of frames is no course
    rows = [row for row in read_results(path) if row.name == "dhta"]
    alpha = {"class": "lightning_hash.attacks.AlphaSchedule", "values": [0.1], "starts": [0.0]}
    step = {"class": "lightning_hash.attacks.SignStep", "lr": 1 / 255}
    assert all((row.attack["alpha"], row.attack["step"]) == (alpha, step) for row in rows)
    assert {row.ranking["top_k"] for row in rows} == {None}
    (change,) = {row.value for row in rows if row.metric == "linf" and row.iteration == 3
                 and not row.quantized}  # fmt: skip
    assert change == pytest.approx(3 / 255, abs=1e-6)


def _look_at_pictures(folder):
    """Frames that an adversary can send, films, strips, and the films in TensorBoard."""
    with safe_open(folder / "perturbations.safetensors", framework="pt") as file:
        index, change = file.get_tensor("index"), file.get_tensor("perturbation")
    data = made()
    assert len(list((folder / "images").iterdir())) == 7
    for row, query in enumerate(index.tolist()):
        files = sorted((folder / "images" / f"{query:06d}").iterdir())
        sent = torch.stack([pil_to_tensor(Image.open(file)) for file in files]) / 255
        clean = data.query_set[query][0]
        assert sent.shape == clean.shape
        torch.testing.assert_close(sent, clean + change[row], atol=0.51 / 255, rtol=0)
        assert not torch.equal(sent, clean)
    films = sorted((folder / "films").iterdir())
    assert len(films) == len(list((folder / "strips").iterdir())) == 6
    with Image.open(films[0]) as film:
        assert (film.n_frames, film.info["loop"]) == (5, 0)
        assert film.size == (3 * 16 + 4 * 2, 16 + 2 * 2)
    events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
    tags = events.Tags()["images"]
    assert {f"clip/{number}" for number in range(6)} <= set(tags)
    (shown,) = events.Images("clip/0")
    assert (shown.width, shown.height) == (56, 20)
    with Image.open(io.BytesIO(shown.encoded_image_string)) as film:
        assert film.n_frames == 5


def test_wrong_options():
    with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
        SampleClips(frames=1)


@pytest.mark.slow
def test_the_papers_recipes_on_embedded_clips(tmp_path, monkeypatch):
    """AlexNet's frames, cached features, the deep video loss; then the attack of DHTA 4.3."""
    monkeypatch.chdir(tmp_path)
    configs = Path(lightning_hash.__file__).parent.parent / "configs"
    small = ["--data.n_train=40", "--data.n_query=10", "--data.n_database=20", "--data.frames=3"]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"]
    fit = [
        "fit",
        f"--config={configs}/data/sample_clips.yaml",
        f"--config={configs}/fit/dhta_video.yaml",
        "--trainer.max_epochs=1",
        "--name=clips",
    ]
    assert main([*fit, "--model.bits=12", *small, *quiet]) == 0
    assert len(list(Path("runs/features").iterdir())) == 2  # training set and database
    attack = [
        "attack",
        f"--config={configs}/attack/p2p.yaml",
        f"--config={configs}/overlay/video.yaml",
    ]
    attack += ["--data=SampleClips", "--data.size=64", *small, "--model.n_queries=3"]
    attack += ["--model.victim=checkpoints/clips/best.ckpt", "--trainer.max_epochs=2"]
    assert main([*attack, *quiet]) == 0
    (path,) = Path("runs/attack").rglob("results.json")
    rows = [row for row in read_results(path) if row.name == "p2p"]
    found = [
        (
            row.get("attack.alpha.values"), row.get("ranking.top_k"), row.get("attack.step.lr"),
            row.get("victim.bits"), row.get("victim.backbone"), row.get("victim.loss"),
            row.get("data.input_shape"),
        )
        for row in rows
    ]  # fmt: skip
    expected = ([0.1], None, 1.0, 12, "alexnet-lstm", "DeepVideoLoss", [3, 3, 64, 64])
    assert all(each == expected for each in found)
