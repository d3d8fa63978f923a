"""Options that a user gave and a verb cannot obey, and what a checkpoint says against them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lightning_hash.__main__ import main
from lightning_hash.commands.given import UNUSED, check_command_line, check_network
from tests.helpers.commands import SHORT_FIT, SMALL_ATTACK, SMALL_DATA

CPU = ["--trainer.accelerator=cpu"]
FIT = ["fit", *SMALL_DATA, *SHORT_FIT, "--trainer.enable_progress_bar=false", "--name=demo"]
LAST = "--ckpt_path=checkpoints/demo/last.ckpt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.backbone=alexnet"], 'its model.backbone is "convnet", .* is "alexnet"'),
        (["--model.bits=64"], "its model.bits is 32, --model.bits is 64; leave --model.bits out"),
        (["--config=other.yaml"], "its model.bits is 32, --model.bits is 64"),
        (
            ["--model.backbone={class_path: a.B}"],
            'its model.backbone is "convnet", .* is {"class_p',
        ),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "test"])
def test_the_network_is_the_checkpoints(with_victim, capsys, verb, arguments, message):
    Path("other.yaml").write_text("model: {bits: 64}")
    line = [*FIT, LAST] if verb == "fit" else ["test", *SMALL_DATA, *CPU]
    assert main([*line, *arguments]) == 1
    assert re.search(f"checkpoints/demo/[a-z]+.ckpt: {message}", capsys.readouterr().err)


def test_what_is_the_same_may_be_said(with_victim):
    Path("same.yaml").write_text(yaml.safe_dump({"model": {"backbone": "convnet", "bits": 32}}))
    assert main(["test", *SMALL_DATA, *CPU, "--config=same.yaml", "--model.bits=32"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.loss=HashNetLoss"], "its model.loss.class is '.*PairwiseLoss', .*HashNetLoss"),
        (["--model.optimizer=SGD"], "its model.optimizer.class is 'torch.optim.AdamW', .*SGD"),
        (["--model.optimizer.lr=0.1"], "its model.optimizer.lr is 0.003, this run's is 0.1"),
        (["--model.lr_scheduler=null"], "its lr_scheduler.class is '.*OneCycle', this run's is No"),
        (["--trainer.max_epochs=4"], "max_epochs is 2, this run's is 4, and lr_scheduler depends"),
        (["--data.batch_size=12"], "its data.global_batch is 100, this run's is 12"),
        (["--data.n_train=90"], "its data.sha256.train is "),
        (["--seed_everything=3"], "its seed is 0, this run's is 3"),
        (["--trainer.gradient_clip_val=1.0"], "its trainer.gradient_clip_val is None, .* is 1.0"),
    ],
)
def test_a_training_goes_on_as_it_began(with_victim, capsys, arguments, message):
    before = Path("checkpoints/demo/last.ckpt").read_bytes()
    assert main([*FIT, LAST, *arguments]) == 1
    assert re.search(f"belongs to another training: .*{message}", capsys.readouterr().err)
    assert Path("checkpoints/demo/last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_the_same_command_goes_on(with_victim):
    assert main([*FIT, LAST, "--model.bits=32"]) == 0


@pytest.mark.parametrize(
    ("verb", "option"),
    [(verb, option) for verb, options in UNUSED.items() for option in options],
)
def test_options_that_change_nothing_are_refused(capsys, verb, option):
    """Before anything is read: the value does not matter."""
    assert main([verb, f"--{option}=1"]) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(rf"error: --{re.escape(option)} changes nothing in {verb}: .*\n", said)


def test_a_shared_perturbation_reads_the_batch_size(with_victim, monkeypatch, capsys):
    """It learns on batches of training items."""
    Path("shared.py").write_text(
        "from lightning_hash.attacks import PerQuery\n"
        "class Shared(PerQuery):\n    shared = True\n"
        "class Own(PerQuery):\n    pass\n"
    )
    monkeypatch.syspath_prepend(".")
    for name, refused in (("Shared", False), ("Own", True)):
        line = ["attack", "--trust", f"--model.perturbation=shared.{name}"]
        line += ["--data.batch_size=7"]
        # Whatever stands behind the check: the run itself is refused.
        assert main([*line, *SMALL_DATA, *CPU, "--trainer.max_steps=1"]) == 1
        said = capsys.readouterr().err
        assert ("--data.batch_size changes nothing" in said) == refused
        assert ("trainer.max_steps = 1" in said) != refused


@pytest.mark.parametrize("option", ["max_epochs", "max_steps", "limit_train_batches"])
def test_a_training_of_nothing_is_refused(tmp_path, monkeypatch, capsys, option):
    monkeypatch.chdir(tmp_path)
    line = ["fit", *SMALL_DATA, *CPU, "--model.backbone=convnet", "--model.lr_scheduler=null"]
    assert main([*line, f"--trainer.{option}=0"]) == 1
    # A fraction is said as it was read.
    said = capsys.readouterr().err
    assert re.search(rf"trainer\.{option} = 0(\.0)?: nothing would be trained", said)


def test_forms_of_such_options():
    for arguments in (["--data.batch_size", "5"], ["--data.init_args.batch_size=5"]):
        with pytest.raises(ValueError, match=r"batches of queries and database are data\.eval_"):
            check_command_line("test", arguments)
    with pytest.raises(ValueError, match=r"--model\.loss\.alpha changes nothing in test"):
        check_command_line("test", ["--model.loss.init_args.alpha=5"])
    check_command_line("test", ["--data.eval_batch_size=5", "--model.ranking.top_k=3"])
    check_command_line("fit", ["--data.batch_size=5", "--model.loss=CSQLoss"])


@pytest.mark.parametrize(
    "options",
    [
        ["--model.step=SGD", "--model.step.lr=0.1"],
        ["--model.alpha.values=[1.0]", "--model.alpha.starts=[0.0]"],
        ["--model.inputs=DiverseInputs"],
        ["--model.stop_finished=true"],
        ["--model.start_seed=0"],
        ["--config=overlay/suite.yaml"],
    ],
)
def test_noise_has_no_iterations_to_change(with_victim, capsys, options):
    assert main(["attack", "--config=attack/noise.yaml", *options, *SMALL_ATTACK]) == 1
    name = "step" if "suite" in options[0] else options[0].split(".")[1].partition("=")[0]
    said = rf"model\.{name}.*: objective noise is not iterated"
    assert re.search(said, capsys.readouterr().err)


@pytest.mark.slow
def test_noise_below_an_overlay_whose_step_is_taken_back(with_victim):
    configs = ["--config=attack/noise.yaml", "--config=overlay/suite.yaml", "--model.step=null"]
    assert main(["attack", *configs, *SMALL_ATTACK, "--trainer.enable_progress_bar=false"]) == 0


def test_noise_has_nothing_to_go_on_from(with_victim, capsys):
    options = ["--config=attack/noise.yaml", *SMALL_ATTACK, "--ckpt_path=last"]
    assert main(["attack", *options]) == 1
    assert "ckpt_path: objective noise is not iterated" in capsys.readouterr().err


def test_a_test_is_of_the_victim_of_its_name(with_victim, capsys):
    """It tested checkpoints/demo/best.ckpt whatever the name."""
    assert main(["test", *SMALL_DATA, *CPU, "--name=mine"]) == 1
    assert "checkpoints/mine/best.ckpt does not exist" in capsys.readouterr().err
    shutil.move("checkpoints/demo", "elsewhere/mine")
    assert main(["test", *SMALL_DATA, *CPU, "--name=mine", "--checkpoints=elsewhere"]) == 0
    assert capsys.readouterr().out.strip().endswith("elsewhere/mine/best.ckpt")


def test_rows_of_a_text_file_and_others(with_victim, capsys):
    line = ["encode", *SMALL_DATA, *CPU, "--output=codes.npy", "--form=signs"]
    assert main(line) == 1
    assert "form signs is one of a .txt, output is codes.npy" in capsys.readouterr().err


def test_barebones_has_no_numbers(with_victim, capsys):
    for verb in ("fit", "test", "attack"):
        assert main([verb, *SMALL_DATA, *CPU, "--trainer.barebones=true"]) == 1
        assert "trainer.barebones = True: nothing is logged" in capsys.readouterr().err


@pytest.mark.slow
def test_time_that_is_over_ends_with_1(with_victim, capsys):
    line = [*SMALL_ATTACK, "--trainer.max_time=00:00:00:00", "--trainer.max_epochs=6"]
    with pytest.warns(UserWarning, match="stopped after iteration 0 of 6"):
        assert main(["attack", *line, "--trainer.enable_progress_bar=false"]) == 1
    assert "error: the attack was stopped after iteration 0 of 6" in capsys.readouterr().err
    assert list(Path("runs/attack").rglob("results.json"))


def test_a_training_without_time_ends_with_1(with_victim, capsys):
    line = ["--trainer.max_time=00:00:00:00", "--trainer.enable_progress_bar=false", "--name=short"]
    with pytest.warns(
        UserWarning, match="a best.ckpt of this name, where there is one, is of anot"
    ):
        assert main(["fit", *SMALL_DATA, *SHORT_FIT, *line]) == 1
    assert "error: the training was stopped by max_time in epoch" in capsys.readouterr().err


def test_weights_that_a_checkpoint_began_with():
    saved = {"backbone": "convnet", "bits": 8, "weights": "a.pth"}
    given = {"model.weights": "b.pth"}
    with pytest.raises(ValueError, match=r'its model\.weights is "a\.pth", .* is "b\.pth"'):
        check_network(given, {"weights": "b.pth"}, saved, "last.ckpt")
    check_network({"model.weights": "a.pth"}, {"weights": "a.pth"}, saved, "last.ckpt")
    check_network({}, {"weights": None, "bits": 32}, saved, "last.ckpt")


def test_a_verb_without_options_of_data_takes_the_demos(with_victim, capsys):
    """The parser requires data; what the user gave is read without defaults."""
    assert main(["fit", LAST, "--model.bits=64"]) == 1
    assert "its model.bits is 32, --model.bits is 64" in capsys.readouterr().err
