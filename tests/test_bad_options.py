"""What a person is told who mistypes an option or a config: one line, ours, with the names."""

import shlex

import pytest
import yaml

from lightning_hash.__main__ import main
from lightning_hash.commands.places import named
from lightning_hash.commands.trainer_values import check_trainer_values
from tests.bad_input.options import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    prepare(place)
    return place


@pytest.fixture
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def run(line, capsys):
    """Return the exit status and what stands on stderr."""
    capsys.readouterr()
    try:
        status = main(shlex.split(line))
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr().err


def printed(line, capsys):
    """Return the options that a command line comes to."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main([*shlex.split(line), "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


OTHERS = "--model.victim.source w.pth --model.victim.bits 16"


@pytest.mark.parametrize(
    ("line", "victim"),
    [
        (f"attack {OTHERS}", {"source": "w.pth", "bits": 16}),
        (f"encode --output x.npy {OTHERS}", {"source": "w.pth", "bits": 16}),
        (
            f"attack {OTHERS} "
            "--model.victim.preprocess.mean [.5] --model.victim.preprocess.std=[1]",
            {"source": "w.pth", "bits": 16, "preprocess": {"mean": [0.5], "std": [1]}},
        ),
        ("attack --config known.yaml --model.victim.bits 16", {"source": "k.pth", "bits": 16}),
        ("attack --config known.yaml --model.victim a.ckpt", "a.ckpt"),
        ("attack --model.victim+ a.ckpt --model.victim+=b.ckpt", ["a.ckpt", "b.ckpt"]),
        ("attack --config listed.yaml --model.victim+=c.ckpt", ["a.ckpt", "b.ckpt", "c.ckpt"]),
        (
            "attack --config path.yaml --model.victim+=b.ckpt",
            ["checkpoints/demo/best.ckpt", "b.ckpt"],
        ),
        (
            "attack --model.victim a.ckpt '--model.victim+={source: w.pth}' --model.victim.bits=16",
            ["a.ckpt", {"source": "w.pth", "bits": 16}],
        ),
        ("attack --model.victim=[a.ckpt,b.ckpt]", ["a.ckpt", "b.ckpt"]),
        ("attack", "checkpoints/demo/best.ckpt"),
    ],
)
def test_a_victim_part_by_part(tmp_path, monkeypatch, capsys, line, victim):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known.yaml").write_text("model: {victim: {source: k.pth, bits: 8}}")
    (tmp_path / "listed.yaml").write_text("model: {victim: [a.ckpt, b.ckpt]}")
    (tmp_path / "path.yaml").write_text("model: {victim: checkpoints/demo/best.ckpt}")
    assert printed(line, capsys)["model"]["victim"] == victim


def test_other_mappings_part_by_part(capsys):
    sources = "--data ListDataModule --data.folder x --data.sources.all.images a.txt "
    sources += "--data.sources.all.labels b.txt --data.sources.test c.txt"
    found = {"all": {"images": "a.txt", "labels": "b.txt"}, "test": "c.txt"}
    for verb in ("fit", "check-data"):
        assert printed(f"{verb} {sources}", capsys)["data"]["init_args"]["sources"] == found
    backbone = "--model.backbone.class_path a.Net --model.backbone.init_args.width 3"
    expected = {"class_path": "a.Net", "init_args": {"width": 3}}
    assert printed(f"fit {backbone}", capsys)["model"]["backbone"] == expected


def test_parts_of_a_network_that_a_config_describes(capsys):
    line = "fit --config fit/orthohash.yaml --model.backbone.init_args.features resnet18"
    path = "lightning_hash.models.BatchNormNetwork"
    found = printed(line, capsys)["model"]["backbone"]
    assert found == {"class_path": path, "init_args": {"features": "resnet18"}}
    whole = f"fit --config fit/orthohash.yaml --model.backbone {{class_path: {path}}}"
    whole = whole.replace(" {", ' "{').replace("}", '}"')
    assert printed(whole, capsys)["model"]["backbone"] == {"class_path": path}
    named = "fit --config fit/orthohash.yaml --model.backbone convnet"
    assert printed(named, capsys)["model"]["backbone"] == "convnet"


def test_the_later_of_two_values_holds_but_lists_are_not_replaced(capsys):
    assert printed("fit --model.bits 8 --model.bits 16", capsys)["model"]["bits"] == 16


@pytest.mark.parametrize("value", [0, 0.0])
def test_a_limit_read_as_a_whole_number_or_not(value):
    check_trainer_values({"limit_train_batches": value, "devices": "1"})
    check_trainer_values({"limit_train_batches": 1, "devices": [0, 1], "overfit_batches": 3.0})
    with pytest.raises(ValueError, match=r"trainer\.limit_val_batches must be .*, got -1$"):
        check_trainer_values({"limit_val_batches": -1.0})


@pytest.mark.parametrize(
    "devices", [1, 4, -1, "1", "auto", "-1", "0,", "0,1", [3], "2"]
)  # fmt: skip
def test_devices_that_there_may_be(devices):
    check_trainer_values({"devices": devices})


def test_errors_take_the_names_that_options_were_given_by():
    where = {"model.bits": "a.yaml, line 2: model.bits", "data.seed": "--data.seed"}
    where |= {"model.seed": "--model.seed"}
    assert named("bits must be 3", where) == "a.yaml, line 2: model.bits must be 3"
    assert named("data.seed = 4: no", where) == "--data.seed = 4: no"
    assert named("seed must be 3", where) == "seed must be 3"  # of one of two
    assert named("no bits are left", where) == "no bits are left"
    assert named("n_t must be 3", where) == "n_t must be 3"
    assert named("Invalid learning rate: -1", {"model.step.lr": "--model.step.lr"}) == (
        "--model.step.lr is out of the range of this optimizer, got -1"
    )


def test_an_error_of_the_program_inside_a_part_keeps_its_traceback(there, monkeypatch):
    def broken(self, *_, **__):
        raise KeyError("a true mistake of the program")

    monkeypatch.setattr("lightning_hash.data.SamplePhotos.__init__", broken)
    with pytest.raises(KeyError, match="a true mistake"):
        main(["fit", "--trainer.max_epochs=1"])
