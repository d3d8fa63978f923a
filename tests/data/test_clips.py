"""Clips from files: videos, folders of frames, arrays; their lengths, splits and faults."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.data import FolderDataModule, ListDataModule
from lightning_hash.data.augment import FlipShift
from lightning_hash.data.check import check_data
from lightning_hash.data.clips import ClipReading, _upright, frame_files
from lightning_hash.data.split_data import SplitData
from lightning_hash.data.table import Table
from lightning_hash.results.rows import read_results
from tests.helpers.clips import pictures, write_classes, write_frames, write_video

SPLITS = {
    "train": "4 per class from all", "query": "2 per class from all", "database": "rest of all",
}  # fmt: skip


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    top = tmp_path_factory.mktemp("clips")
    write_classes(top)
    return top


def folder(top, **options):
    return FolderDataModule(str(top), **{**SPLITS, "frames": 6, "size": 32, **options})


def one(tmp_path, name, **options):
    """Return the data set of a list that names one clip."""
    (tmp_path / "all.txt").write_text(f"{name} 1 0\n")
    splits = dict.fromkeys(("train", "query", "database"), "all")
    data = ListDataModule(str(tmp_path), **splits, **{"frames": 4, "size": 32, **options})
    data.setup("fit")
    return data.train_set


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.npy", "a", "a.mkv"])
def test_every_kind_of_file_gives_the_frames(name, tmp_path):
    """Frames are put through the same transform; videos are lossy, but only just."""
    clip = pictures(9, (200, 40, 40), size=(32, 32))
    if name == "a":
        write_frames(tmp_path / name, clip)
    elif name.endswith(".npy"):
        np.save(tmp_path / name, clip)
    else:
        write_video(tmp_path / name, clip)
    found, labels, index, length = one(tmp_path, name, frames=4, stride=2)[0]
    expected = torch.from_numpy(clip[[0, 2, 4, 6]]).permute(0, 3, 1, 2) / 255
    assert (found.shape, labels.tolist(), index, length) == ((4, 3, 32, 32), [1, 0], 0, 4)
    assert (found - expected).abs().mean() < (0.02 if name in ("a.mp4", "a.avi", "a.mkv") else 1e-6)


def test_short_clips_are_padded_or_begin_anew(tmp_path):
    clip = pictures(3, (200, 40, 40), size=(32, 32))
    np.save(tmp_path / "a.npy", clip)
    padded, _, _, length = one(tmp_path, "a.npy", frames=5)[0]
    assert length == 3
    assert (padded[3:] == 0).all()
    repeated, *rest = one(tmp_path, "a.npy", frames=5, short="repeat")[0]
    assert len(rest) == 2
    torch.testing.assert_close(repeated, padded[[0, 1, 2, 0, 1]])


def test_frames_are_upright():
    """As telephones write them: the picture lies, and the file says by how much to turn it."""

    class Lying:
        rotation = 90  # counterclockwise

        def to_image(self):
            picture = Image.new("RGB", (4, 2))
            picture.putpixel((3, 0), (255, 0, 0))  # top right goes to the top left
            return picture

    turned = _upright(Lying())
    assert turned.size == (2, 4)
    assert turned.getpixel((0, 0)) == (255, 0, 0)


def test_the_recordings_of_jhmdb():
    """One film with two actions is one recording."""
    config = Path(lightning_hash.__file__).parent.parent / "configs/data/jhmdb_recordings.yaml"
    pattern = yaml.safe_load(config.read_text())["data"]["init_args"]["group"]
    paths = [
        "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0",
        "sit/50_FIRST_DATES_sit_f_cm_np1_fr_med_24",
        "stand/50_FIRST_DATES_stand_u_cm_np1_fr_med_3.avi",
        "shoot_ball/KELVIN_shoot_ball_u_cm_np1_ba_med_2",
        "golf/golf_golf_f_nm_np1_ri_med_0",
    ]
    table = Table(paths, np.ones((5, 1), np.uint8), "list").grouped(pattern)
    assert table.groups == ["April_09", "50_FIRST_DATES", "50_FIRST_DATES", "KELVIN", "golf"]


def test_frames_are_ordered_by_number(tmp_path):
    write_frames(tmp_path / "a", pictures(12, (200, 40, 40)))
    (tmp_path / "a" / "notes.txt").write_text("no frame")
    assert [file.name for file in frame_files(tmp_path / "a")] == [f"{n}.png" for n in range(1, 13)]


def test_folders_of_all_kinds(classes):
    data = folder(classes)
    data.setup("fit")
    assert [len(data.dataset(split)) for split in ("train", "query", "database")] == [12, 6, 18]
    assert data.class_names == ["blue", "green", "red"]
    assert data.input_shape == (6, 3, 32, 32)
    items = [data.dataset(s)[i] for s in data.splits for i in range(len(data.dataset(s)))]
    assert {item[3] for item in items} == {4, 5, 6}  # files have 4 to 7 frames, 6 are taken
    assert all((item[0][item[3] :] == 0).all() and (item[0][: item[3]] > 0).any() for item in items)


def test_fingerprints_tell_how_clips_are_read(classes):
    prints = []
    for options in ({}, {"stride": 2}, {"short": "repeat"}):
        data = folder(classes, **options)
        data.setup("fit")
        prints.append(data.input_fingerprints("query"))
    assert len({str(p) for p in prints}) == 3
    assert len({p["file_sizes_sha256"] for p in prints}) == 1


def test_a_changed_frame_changes_the_fingerprint(tmp_path):
    write_frames(tmp_path / "a", pictures(4, (200, 40, 40)))
    before = one(tmp_path, "a").sizes_sha256()
    Image.new("RGB", (9, 9)).save(tmp_path / "a" / "3.png")
    assert one(tmp_path, "a").sizes_sha256() != before


def test_batches_travel_as_bytes_with_their_lengths(classes):
    data = folder(classes, eval_batch_size=4)
    split = SplitData(data, ["query"])
    split.setup("predict")
    clips, labels, index, lengths = next(iter(split.predict_dataloader()[0]))
    assert (clips.dtype, clips.shape, index.tolist()) == (
        torch.uint8,
        (4, 6, 3, 32, 32),
        [0, 1, 2, 3],
    )
    scaled, _, _, kept = split.on_after_batch_transfer([clips, labels, index, lengths], 0)
    assert torch.equal(kept, lengths)
    torch.testing.assert_close(scaled[1], data.query_set[1][0])


@pytest.mark.parametrize("group", [r"v_(\w+_g\d+)_c", r"_(g\d+)_c"])
def test_recordings_stay_together(classes, group):
    """Draws by groups: no two splits share a recording, even one that has several classes."""
    splits = {"train": "2 groups per class from all", "query": "1 group per class from all"}
    data = folder(classes, **splits, group=group)
    data.setup("fit")
    groups = {split: data.dataset(split).table.groups for split in data.splits}
    assert [len(groups[split]) for split in ("train", "query", "database")] == [12, 6, 18]
    assert not set(groups["train"]) & set(groups["query"])
    assert not (set(groups["train"]) | set(groups["query"])) & set(groups["database"])
    assert data.labels_of("query").sum(dim=0).tolist() == [2, 2, 2]
    names = {finding.what for finding in check_data(data).findings}
    assert not any("recording" in name for name in names)


def test_a_check_tells_recordings_that_are_in_two_splits(classes):
    data = folder(classes, group=r"v_(\w+_g\d+)_c")
    check = check_data(data)
    assert not check.wrong
    found = {(f.split, f.what): f.count for f in check.findings}
    assert found["query", "of a recording that is in the database set too"] > 0
    assert found["train", "fewer frames than asked for"] > 0


def test_flip_and_shift_move_a_clip_as_one():
    clips = torch.rand(2, 1, 3, 20, 20).expand(-1, 5, -1, -1, -1)
    found = FlipShift()(clips)
    assert found.shape == clips.shape
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert not torch.equal(found[:, 0], clips[:, 0])


def test_faults_are_named(classes, tmp_path):
    clip = pictures(40, (200, 40, 40), size=(64, 48))
    write_video(tmp_path / "whole.avi", clip)
    whole = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "torn.avi").write_bytes(whole[: len(whole) // 2])
    write_video(tmp_path / "whole.mp4", clip)
    (tmp_path / "torn.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:3000])
    (tmp_path / "empty.mp4").write_bytes(b"")
    np.save(tmp_path / "float.npy", clip / 255)
    np.save(tmp_path / "flat.npy", clip[0])
    np.save(tmp_path / "none.npy", clip[:0])
    write_frames(tmp_path / "frames", clip[:3])
    (tmp_path / "frames" / "2.png").write_bytes(b"no picture")
    (tmp_path / "hollow").mkdir()
    for name, message in {
        "torn.avi": r"torn.avi cannot be read \(it ends after \d+ of 40 frames: truncated\?\)",
        "torn.mp4": "torn.mp4 cannot be read",
        "empty.mp4": "empty.mp4 cannot be read",
        "float.npy": r"uint8 \(T, H, W, 3\), got float64 \(40, 48, 64, 3\)",
        "flat.npy": r"uint8 \(T, H, W, 3\), got uint8 \(48, 64, 3\)",
        "none.npy": "it has no frame",
        "frames": "frames cannot be read",
        "hollow": "it has no frame",
    }.items():
        with pytest.raises(ValueError, match=message) as raised:
            one(tmp_path, name, frames=40)[0]
        assert f"{tmp_path / 'all.txt'}:1" in str(raised.value)
        assert "on_bad_image: skip" in str(raised.value)
    with pytest.raises(FileNotFoundError, match=r"all.txt:1: clip .*gone.mp4 does not exist"):
        one(tmp_path, "gone.mp4")[0]


def test_bad_clips_are_left_out(tmp_path):
    write_classes(tmp_path, per_class=8)
    (tmp_path / "red" / "v_red_g00_c00.mp4").write_bytes(b"torn")
    data = folder(tmp_path, train="1 per class from all", query="1 per class from all",
                  on_bad_image="skip")  # fmt: skip
    with pytest.warns(UserWarning, match="1 of .* items left out"):
        data.setup("fit")
    assert data.n_skipped == 1


def test_wrong_options(classes):
    for options, message in (
        ({"frames": 0}, "frames and stride must be at least 1, got 0 and 1"),
        ({"short": "cut"}, "short must be 'pad' or 'repeat', got 'cut'"),
        ({"frames": None, "stride": 3}, "stride and short go with frames"),
    ):
        with pytest.raises(ValueError, match=message):
            folder(classes, **options)
    with pytest.raises(ValueError, match="draws of groups need `group`"):
        folder(classes, query="1 group per class from all").setup("fit")
    with pytest.raises(ValueError, match="does not match"):
        folder(classes, group=r"clip(\d+)").setup("fit")
    with pytest.raises(ValueError, match=r"group must be a regular expression, got 'v_\('"):
        folder(classes, group="v_(")
    folder(classes, group=r"v_(\w+)_g(\d+)(x)?").setup("fit")  # a group that is not there
    with pytest.raises(ValueError, match=r"4 groups asked for, .*, blue has 3 that no other"):
        folder(classes, train="4 groups per class from all", query="3 groups per class from all",
               group=r"_(\w+_g\d+)_c").setup("fit")  # fmt: skip
    assert ClipReading(4, 3).chosen == slice(0, 12, 3)


def test_check_data_by_the_command(classes, capsys):
    options = [f"--data.{name}={value}" for name, value in SPLITS.items()]
    command = ["check-data", "--data=FolderDataModule", f"--data.folder={classes}"]
    assert main([*command, "--data.frames=6", *options]) == 0
    assert "fewer frames than asked" in capsys.readouterr().out.replace("\n", " ")


def test_videos_without_frames_are_no_images(tmp_path):
    (tmp_path / "red").mkdir()
    write_video(tmp_path / "red" / "a.mp4", pictures(3, (200, 40, 40)))
    with pytest.raises(ValueError, match=r"red has no images .*for clips give frames"):
        FolderDataModule(str(tmp_path)).setup("fit")


@pytest.mark.slow
def test_files_go_through_every_command(classes, tmp_path, monkeypatch, capsys):
    """Train on videos, frames and arrays of several lengths, encode, test, attack, transfer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit.yaml").write_text(yaml.safe_dump({"model": {
        "backbone": {
            "class_path": "lightning_hash.models.VideoNetwork",
            "init_args": {"frames": "convnet", "hidden": 8, "train_frames": True},
        },
        "bits": 8, "ranking": {"top_k": None},
    }}))  # fmt: skip
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({
        "data": {
            "class_path": "FolderDataModule",
            "init_args": {"folder": str(classes), **SPLITS, "frames": 6, "size": 24,
                          "batch_size": 4, "num_workers": 1},
        },
    }))  # fmt: skip
    other = (tmp_path / "data.yaml").read_text().replace("size: 24", "size: 24\n    stride: 2")
    (tmp_path / "stride.yaml").write_text(other)
    data, quiet = ["--config=data.yaml"], ["--trainer.accelerator=cpu"]
    quiet.append("--trainer.enable_progress_bar=false")
    fit = ["fit", "--config=fit.yaml", *data, "--trainer.max_epochs=1", "--name=v"]
    assert main([*fit, *quiet]) == 0
    victim = "checkpoints/v/best.ckpt"
    encode = ["encode", f"--model.victim={victim}", *data, "--output=codes.safetensors"]
    assert main([*encode, "--compare=5", "--trainer.accelerator=cpu"]) == 0
    test = ["test", "--config=fit.yaml", *data, f"--ckpt_path={victim}"]
    assert main([*test, "--codes=codes.safetensors", *quiet]) == 0
    attack = ["attack", f"--model.victim={victim}", *data, "--model.targets.init_args.n_t=3"]
    attack += ["--model.objective=AnchorCode", "--trainer.max_epochs=3", "--model.n_queries=null"]
    attack += ["--model.ranking.top_k=null", "--model.batch_size=4", "--codes=codes.safetensors"]
    assert main([*attack, *quiet, "--name=all"]) == 0
    for name, count in (("two", 2), ("one", 1)):
        some = ["--model.perturbation=ChosenFrames", f"--model.perturbation.count={count}"]
        assert main([*attack, *quiet, *some, f"--name={name}"]) == 0
    rows = {
        name: read_results(Path(f"runs/attack/{name}/version_0/results.json"))
        for name in ("all", "two", "one")
    }
    assert all(row.data["input_shape"] == [6, 3, 24, 24] for row in rows["all"])
    counts = [{r.get("attack.perturbation.count") for r in rows[n] if r.is_attack} for n in rows]
    assert counts == [{None}, {2}, {1}]
    source = folder(classes, size=24)
    source.setup("fit")
    lengths = [source.query_set[index][3] for index in range(6)]
    assert min(lengths) < 6
    for index, length in enumerate(lengths):  # padding is no frame that can be sent
        sent = Path(f"runs/attack/all/version_0/images/{index:06d}")
        assert len(list(sent.iterdir())) == length
    command = ["transfer", "--perturbations", "runs/attack/all", "--victims", victim]
    assert main([*command, "--accelerator=cpu"]) == 0
    moved = read_results(Path("runs/transfer/transfer/version_0/results.json"))
    for metric in ("map", "t_map", "perceptibility", "linf"):
        own, other = (
            [r.value for r in group if (r.metric, r.name, r.iteration) == (metric, "dhta", 3)]
            for group in (rows["all"], moved)
        )
        assert own == pytest.approx(other, abs=1e-6), metric
    assert main([*command, "--accelerator=cpu", "--data=stride.yaml"]) == 1
    assert "their inputs_sha256" in capsys.readouterr().err
    again = [*attack, *quiet, "--data.stride=2", "--ckpt_path=last", "--name=all"]
    again.remove("--codes=codes.safetensors")
    assert main(again) == 1
    assert "belongs to another attack: its data.inputs_sha256" in capsys.readouterr().err
    assert main(["report", "runs"]) == 0
    figures = {path.name for path in Path("runs/report/figures").glob("*.png")}
    assert {"frames.png", "dhta_fig9.png"} <= figures
