"""What images retrieve: by the verb and from Python."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.v2.functional import to_pil_image

import lightning_hash
from lightning_hash import encode, search
from lightning_hash.__main__ import main
from lightning_hash.codes.code_files import read_codes
from lightning_hash.commands.table import VERBS
from lightning_hash.data import FolderDataModule, SamplePhotos
from lightning_hash.data.image_reading import ImageReading
from lightning_hash.reports.search_answer import DRAWN
from lightning_hash.reports.search_picture import CHANGED, KEPT, Tile, search_figure, short
from lightning_hash.victims.resolve import DEFAULT_VICTIM
from tests.reference.search import nearest

SMALL = {"n_train": 20, "n_query": 6, "n_database": 40}


class Corners(nn.Module):
    """Eight bits: whether each of eight pixels is brighter than its channel's middle."""

    def forward(self, images):
        corners = [images[:, c, y, x] for c in (0, 1) for y in (0, -1) for x in (0, -1)]
        return torch.stack(corners, dim=1) - 0.5


@pytest.fixture
def photos(tmp_path):
    """Ten pictures of 8 x 8, and the codes that the corners give them."""
    random = np.random.default_rng(0)
    for number in range(10):
        folder = tmp_path / "photos" / ("cat" if number < 5 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    place = str(tmp_path / "photos")
    data = FolderDataModule(place, train="all", query="all", database="all", size=8)
    path = tmp_path / "db.safetensors"
    encode(Corners(), data, "database", str(path), accelerator="cpu")
    return tmp_path


def test_an_image_of_the_database_retrieves_itself(photos):
    found = search(Corners(), [photos / "photos"], photos / "db.safetensors", accelerator="cpu")
    own = read_codes(photos / "db.safetensors")
    assert torch.equal(found.codes, own.codes)
    assert [pair[0] for pair in map(found.pairs, range(10))] == [(0, row) for row in range(10)]
    expected = nearest(own.codes.tolist(), own.codes.tolist(), 10)
    assert [found.pairs(number) for number in range(10)] == expected
    assert found.from_first(3) == expected[0][[row for _, row in expected[0]].index(3)][0]


def test_one_path_is_enough(photos):
    for path in (photos / "photos/cat/3.png", str(photos / "photos/cat/3.png")):
        found = search(Corners(), path, photos / "db.safetensors", accelerator="cpu")
        assert found.distances[:, 0].tolist() == [0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": np.zeros((2, 3, 8, 8), np.float32)}, "got ndarray; give torch.from_numpy"),
        ({"images": [torch.zeros(3, 8, 8), "a.png"]}, "got list of Tensor and str; give"),
        ({"codes": np.ones((3, 8))}, "codes must be the path of a file .*, got ndarray; give"),
    ],
)
def test_what_is_of_another_type_is_named(change, said):
    given = {"images": torch.zeros(2, 3, 8, 8), "codes": torch.ones(3, 8), **change}
    with pytest.raises(TypeError, match=said):
        search(Corners(), **given, accelerator="cpu")


def test_codes_may_be_tensors_sets_or_files_of_others(photos):
    own = read_codes(photos / "db.safetensors")
    np.save(photos / "alone.npy", np.packbits(own.codes.numpy() > 0, axis=1))
    rows = (own.codes.numpy() + 1) // 2
    np.savetxt(photos / "bits.txt", np.hstack([own.labels.numpy(), rows]), fmt="%d")
    image, reading = [photos / "photos" / "dog" / "7.png"], ImageReading(8)
    answers = [
        search(Corners(), image, codes, top_k=4, reading=reading, accelerator="cpu").pairs(0)
        for codes in (own, own.codes, str(photos / "bits.txt"))
    ]
    with pytest.warns(UserWarning, match="packed bits, 8 a code"):
        alone = search(Corners(), image, photos / "alone.npy", top_k=4, reading=reading,
                       accelerator="cpu")  # fmt: skip
    assert answers == [alone.pairs(0)] * 3
    assert answers[0][0] == (0, 7)
    assert alone.database.labels.shape == (10, 0)


def test_victims_without_gradient_search_too():
    brighter = lightning_hash.victims.CodeFunction(lambda x: x.reshape(len(x), -1)[:, :8] > 127)
    images = torch.rand(4, 3, 4, 4)
    found = search(brighter, images, torch.ones(2, 8), top_k=1, accelerator="cpu")
    levels = (images * 255).round().movedim(1, -1).reshape(4, -1)[:, :8]
    assert found.distances.flatten().tolist() == (levels <= 127).sum(dim=1).tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(192, 4))}, "8 bits, the victim makes 4"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(192, 8))}, "victim_sha256 is"),
        ({"reading": ImageReading(16)}, "size, resize and interpolation must be those of the code"),
        ({"images": torch.rand(2, 3, 8, 8) * 2}, "images must be .* in \\[0, 1\\]"),
        ({"images": torch.zeros(0, 3, 8, 8)}, "at least one, got"),
        ({"top_k": 0}, "top_k must be a positive whole number, got 0"),
        ({"codes": torch.ones(3, 8), "images": "files"}, "size must be given"),
    ],
)
def test_what_does_not_go_together_is_refused(photos, change, said):
    options = {"model": Corners(), "codes": photos / "db.safetensors", "images": "files", **change}
    if isinstance(options["images"], str):
        options["images"] = [photos / "photos" / "cat"]
    with pytest.raises(ValueError, match=said):
        search(accelerator="cpu", **options)


def test_logits_that_are_no_numbers_are_named():
    class Broken(nn.Module):
        def forward(self, images):
            return torch.where(images.flatten(1) > 0.9, torch.nan, images.flatten(1))

    images = torch.zeros(3, 3, 2, 2)
    images[1, 0, 0, 0] = 1
    with pytest.raises(ValueError, match="not finite for 1 images, first image 2"):
        search(Broken(), images, torch.ones(2, 12), accelerator="cpu")


def test_the_verb_prints_json_and_a_table_and_draws(with_victim, capsys):
    data = SamplePhotos(**SMALL)
    encode(DEFAULT_VICTIM, data, "database", "db.safetensors", accelerator="cpu")
    for number in range(2):
        to_pil_image(data.query_set.image(number)).save(f"{number}.png")
    line = ["search", "--codes=db.safetensors", "0.png", "1.png", "--accelerator=cpu",
            "--top_k=3"]  # fmt: skip
    capsys.readouterr()
    assert main([*line, "--format=json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    own = read_codes(with_victim / "db.safetensors")
    codes = encode(DEFAULT_VICTIM, data, "query", accelerator="cpu").codes
    expected = nearest(codes[:2].tolist(), own.codes.tolist(), 3)
    assert (answer["items"], answer["bits"]) == (40, own.bits)
    for image, pairs in zip(answer["images"], expected, strict=True):
        assert [(r["distance"], r["item"]) for r in image["results"]] == pairs
        assert [r["rank"] for r in image["results"]] == [1, 2, 3]
    first = answer["images"][0]
    assert int(first["code"], 16) == int("".join("01"[int(b > 0)] for b in codes[0]), 2)
    apart = int((codes[0] != codes[1]).sum())
    assert [i["distance_to_first_image"] for i in answer["images"]] == [0, apart]
    options = [f"--data.{name}={value}" for name, value in SMALL.items()]
    assert main([*line, "--data=SamplePhotos", *options, "--picture=out/p.png"]) == 0
    printed = capsys.readouterr().out
    assert f"{apart} of {own.bits} bits from the first" in printed
    name = data.class_names[int(own.labels[expected[0][0][1]].argmax())]
    assert name in printed
    assert printed.splitlines()[-1] == "out/p.png"
    assert Image.open("out/p.png").size[0] > 300
    with pytest.raises(ValueError, match="made with something else: list_sha256"):
        _other_data(with_victim)


@pytest.fixture
def trained_at_16(with_victim):
    """The demo's victim, as if its network had been trained at 16 pixels, and codes of others."""
    content = torch.load(DEFAULT_VICTIM, weights_only=True)
    content["lightning_hash"]["inputs"] = {"size": 16, "interpolation": "nearest"}
    torch.save(content, with_victim / "small.ckpt")
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(image).save(with_victim / "0.png")
    bits = content["lightning_hash"]["bits"]
    np.save(with_victim / "db.npy", np.random.default_rng(1).choice([-1, 1], (30, bits)))
    return with_victim


def test_where_the_codes_say_nothing_the_victim_says_how_images_are_read(
    trained_at_16, capsys, caplog
):
    line = ["search", "--codes=db.npy", "--accelerator=cpu", "--format=json", "0.png"]
    victim = "--model.victim=small.ckpt"
    assert main([*line, victim]) == 0
    code = json.loads(capsys.readouterr().out)["images"][0]["code"]
    said = "images: --size 16 --interpolation nearest, as victim small.ckpt was trained with"
    assert said in caplog.text
    caplog.clear()
    assert main([*line, victim, "--size=16", "--interpolation=nearest"]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["code"] == code
    assert "trained with" not in caplog.text
    assert main([*line, victim, "--size=32"]) == 0
    assert json.loads(capsys.readouterr().out)["images"][0]["code"] != code
    assert main([*line, f"--model.victim={DEFAULT_VICTIM}"]) == 1
    assert "neither the codes nor the victim say" in capsys.readouterr().err


def test_keep_aspect_stands_alone_or_takes_a_value(trained_at_16, capsys):
    Image.radial_gradient("L").convert("RGB").resize((40, 20)).crop((0, 0, 40, 18)).save("wide.png")

    def code(*given):
        line = ["--codes=db.npy", "--accelerator=cpu", "--format=json", "--model.victim=small.ckpt"]
        assert main(["search", *given, *line, "--size=16"]) == 0
        return json.loads(capsys.readouterr().out)["images"][0]["code"]

    (trained_at_16 / "keep.yaml").write_text("keep_aspect: true\n")
    kept = code("--keep_aspect", "wide.png")
    assert code("wide.png", "--keep_aspect", "true") == code("wide.png", "--keep_aspect") == kept
    assert code("--keep_aspect=true", "wide.png") == code("--config=keep.yaml", "wide.png") == kept
    plain = code("wide.png")
    assert plain != kept
    assert code("--keep_aspect", "false", "wide.png") == plain
    assert code("--config=keep.yaml", "wide.png", "--keep_aspect=false") == plain


def test_data_take_their_size_from_the_codes_and_else_from_the_victim(
    trained_at_16, capsys, caplog
):
    photos = trained_at_16 / "photos"
    photos.mkdir()
    for number in range(3):
        Image.new("RGB", (20, 20), (number * 90, 60, 0)).save(photos / f"{number}.png")
    data = ["--data=FolderDataModule", "--data.folder=photos", "--data.database=all"]
    on = ["--model.victim=small.ckpt", *data]
    small = ["--data.size=24", "--output=own.safetensors", "--trainer.accelerator=cpu"]
    assert main(["encode", *on, *small]) == 0
    line = ["search", *on, "--accelerator=cpu", "--format=json", "photos/1.png"]
    capsys.readouterr()
    assert main([*line, "--codes=own.safetensors"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["images"][0]["results"][0]["distance"] == 0
    assert "--data.size 24 --data.interpolation nearest, as the codes say" in caplog.text
    assert main([*line, "--codes=own.safetensors", "--data.size=32"]) == 1
    assert "must be those of the codes" in capsys.readouterr().err
    np.save("three.npy", np.load("db.npy")[:3])
    assert main([*line, "--codes=three.npy"]) == 0
    said = "--data.size 16 --data.interpolation nearest, as victim small.ckpt was trained with"
    assert said in caplog.text


def _other_data(folder):
    from lightning_hash.reports.search_answer import Items

    other = SamplePhotos(**{**SMALL, "seed": 1})
    other.setup("predict")
    Items(read_codes(folder / "db.safetensors"), other)


def test_the_picture_marks_what_the_first_image_retrieves_too():
    image = np.zeros((2, 2, 3))
    rows = [
        (Tile(image, "clean"), [Tile(image, "d = 0"), Tile(None, "d = 1")]),
        (Tile(image, "adversarial"), [Tile(image, "d = 2", True), Tile(None, "d = 2", False)]),
    ]
    figure = search_figure(rows, "db")
    assert len(figure.axes) == 6
    frames = [axes.spines["top"].get_edgecolor()[:3] for axes in figure.axes]
    colours = [tuple(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)) for c in (KEPT, CHANGED)]
    assert frames[4:] == colours
    assert [axes.get_xlabel() for axes in figure.axes][3] == "adversarial"
    assert [t.get_text() for t in figure.axes[2].texts] == ["no image"]
    assert short("x" * 30) == f"...{'x' * 19}"


def test_a_picture_shows_the_items_files(photos):
    from lightning_hash.reports.search_answer import Items, answer_rows

    own, files = read_codes(photos / "db.safetensors"), sorted((photos / "photos").rglob("*.png"))
    found = search(Corners(), files, own, top_k=2, accelerator="cpu")
    rows = answer_rows(files, found, Items(own, root=photos / "photos"))
    first = found.pairs(0)[0][1]
    assert np.array_equal(rows[0][1][0].image, np.array(Image.open(files[first])))
    assert rows[0][1][0].caption == f"d = 0\n{own.paths[first]}"
    assert rows[0][1][0].kept is None
    assert rows[1][1][0].kept == (found.pairs(1)[0][1] in [row for _, row in found.pairs(0)])
    assert all(t.image is None for _, tiles in answer_rows(files, found, Items(own)) for t in tiles)
    assert len(answer_rows(files * 3, search(Corners(), files * 3, own), Items(own))) == DRAWN


def test_the_help_shows_what_stands_behind_the_verb(capsys):
    assert main(["search", "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: lightning_hash search IMAGE ... [options]")
    assert VERBS["search"].options["model.victim"].default == DEFAULT_VICTIM


def test_texts_of_others_command_no_terminal_and_no_picture(photos):
    from dataclasses import replace

    from rich.console import Console

    from lightning_hash.reports.search_answer import Items, answer_rows, answer_table

    own = read_codes(photos / "db.safetensors")
    paths = ("\x1b[31mred", "$x^2$", "[bold]b\n", *own.paths[3:])
    items = Items(replace(own, paths=paths))
    files = sorted((photos / "photos").rglob("*.png"))[:3]
    found = search(Corners(), files, own, top_k=1, accelerator="cpu")
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(answer_table(files, found, items, "[red]db"))
    printed = console.export_text()
    assert "\\x1b[31mred" in printed
    assert "[bold]b\\n" in printed
    assert "[red]db" in printed
    labels = [
        axes.get_xlabel() for axes in search_figure(answer_rows(files, found, items), "a").axes
    ]
    assert "d = 0\n\\\\x1b[31mred".replace("\\\\", "\\") in labels
    assert "d = 0\n\\$x^2\\$" in labels
