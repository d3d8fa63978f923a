"""The README's own commands and snippets, on less data and over fewer iterations."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import lightning_hash
from lightning_hash import data
from lightning_hash.__main__ import main
from lightning_hash.sweeps import read_plan
from lightning_hash.victims import load_foreign
from tests.helpers.clips import write_classes

ROOT = Path(lightning_hash.__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for language, block in BLOCKS
    if language == ""
    for line in block.splitlines()
    if line.startswith("python -m lightning_hash ")
]
SNIPPETS = [block for language, block in BLOCKS if language == "python"]
SMALL = ["--data.n_train=100", "--data.n_query=20", "--data.n_database=200"]
SHORT = {
    # The networks of the examples are large and their weights a download.
    "fit": ["--trainer.max_epochs=1", "--model.backbone=convnet", "--model.weights=null"],
    "attack": ["--trainer.max_epochs=2", "--model.n_queries=5"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    for kind, colour in (("cat", (200, 90, 20)), ("dog", (20, 90, 200)), ("owl", (60, 60, 60))):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(40):
            picture = Image.new("RGB", (40, 30), (*colour[:2], colour[2] + number))
            picture.save(folder / "photos" / kind / f"{number}.png")
    write_classes(folder / "videos", per_class=40)
    return folder


@pytest.mark.slow
def test_commands_run_one_after_the_other(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        arguments = shlex.split(command)[3:]
        own = "--data.folder" in arguments
        if own:  # 40 pictures of each class are fewer than the default draws
            arguments += ["--data.train=20 per class from all"]
        small = [] if own else SMALL
        if arguments[0] in ("check-data", "score", "sweep", "report"):
            small = []
        elif arguments[0] == "transfer":
            small = ["--accelerator", "cpu"]
        else:
            short = SHORT.get(arguments[0], [])
            if "configs/fit/demo_video.yaml" in arguments:  # a network of its own
                short = [option for option in short if not option.startswith("--model")]
            small = [*small, *short, "--trainer.accelerator=cpu"]
        if "--trainer.devices" in arguments:  # several processes have a test of their own
            arguments[arguments.index("--trainer.devices") + 1] = "1"
        assert main([*arguments, *small]) == 0, command
        last = capsys.readouterr().out.strip().splitlines()[-1]
        if arguments[0] == "check-data":  # of the clips most have fewer frames than 16
            assert last == "nothing wrong" or "--data.frames" in arguments
        elif arguments[0] == "encode":
            assert Path(arguments[arguments.index("--output") + 1]).exists()
        elif arguments[0] == "sweep":
            assert "--name" in last or Path("submit.sh").exists()
        elif arguments[0] == "report":
            assert Path(last.split(": ")[1]).exists()
        elif arguments[0] != "score":
            assert Path(last).exists()


def test_snippet_of_average_precision_gives_what_its_comment_says():
    code = SNIPPETS[0].replace("average_precision(\n", "answer = average_precision(\n")
    names: dict[str, object] = {}
    exec(code, names)
    said = re.search(r"# (tensor\(.*\))$", code.strip()).group(1)
    assert repr(names["answer"]) == said


def test_snippet_of_an_attack_in_two_lines():
    names: dict[str, object] = {}
    exec(SNIPPETS[1], names)
    found = names["found"]
    assert found.adversarial.shape == (4, 3, 64, 64)
    assert found.codes.shape == (4, 48)


def test_snippet_of_an_attack(with_victim, monkeypatch):
    small = lambda: data_class(n_train=100, n_query=20, n_database=200)  # noqa: E731
    data_class = data.SamplePhotos
    monkeypatch.setattr(data, "SamplePhotos", small)
    code = (
        SNIPPETS[2]
        .replace("max_epochs=100", "max_epochs=2")
        .replace("AnchorCode(),", "AnchorCode(), n_queries=5,")
    )
    names: dict[str, object] = {}
    exec(code, names)
    assert names["images"].shape == (5, 3, 64, 64)
    assert names["images"].dtype == torch.uint8


def test_every_file_that_the_readme_names_exists():
    named = set(re.findall(r"`?((?:configs|docs)/[\w./]+\.(?:yaml|png|md))", README))
    assert len(named) >= 8
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_yaml_of_ones_own_lists_victim_and_sweep(folder, monkeypatch):
    blocks = [yaml.safe_load(block) for language, block in BLOCKS if language == "yaml"]
    lists = next(block["data"] for block in blocks if "data" in block)
    module = getattr(data, lists["class_path"])(**lists["init_args"])
    assert module.choices["query"].count == 2100
    sweep = next(block for block in blocks if "runs" in block)
    (folder / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    monkeypatch.chdir(folder)
    assert len(read_plan([Path("sweep.yaml")], "full")) == 2 * 3 + 2 * 2 * 3
    victims = [block["model"]["victim"] for block in blocks if "victim" in block.get("model", {})]
    parameters = inspect.signature(load_foreign).parameters
    assert victims
    assert set(victims[0]) <= set(parameters)
