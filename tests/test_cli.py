import importlib
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
import yaml
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LightningCLI
from safetensors.torch import load_file
from torchvision.io import decode_image

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands import transfer
from lightning_hash.commands.cli import HashCLI
from lightning_hash.commands.table import VERBS
from lightning_hash.data import SamplePhotos
from lightning_hash.results.rows import read_results
from lightning_hash.victims.resolve import DEFAULT_VICTIM
from tests.helpers.commands import SMALL_ATTACK, SMALL_DATA

ROOT = Path(lightning_hash.__file__).parent.parent
# Those of clips: tests/data/test_sample_clips.py; those without training: tests/test_untrained.py.
ELSEWHERE = re.compile("video|^(pca|itq|lsh)$")
FITS = [p for p in sorted((ROOT / "configs/fit").glob("*.yaml")) if not ELSEWHERE.search(p.stem)]


@pytest.fixture(scope="module")
def workplace(trained, tmp_path_factory):
    """A folder with the small victim, for the attacks of this file."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(trained / "checkpoints", folder / "checkpoints")
    return folder


@pytest.fixture
def there(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    return workplace


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lightning_hash {lightning_hash.__version__}\n"


def test_help_has_a_line_for_every_verb(capsys):
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert main([]) == 2
    assert capsys.readouterr().out == printed
    for verb in (
        "demo", "fit", "test", "encode", "attack", "check-data", "score", "sweep", "transfer",
        "report", "leaderboard", "audit", "search", "robustness", "smallest",
    ):  # fmt: skip
        assert re.search(rf"^  {verb} +{re.escape(VERBS[verb].help)}$", printed, re.MULTILINE)
    assert len(VERBS) == 15


@pytest.mark.parametrize("verb", ["demo", "score", "report", "sweep", "leaderboard"])
def test_help_of_verbs_on_files(capsys, verb):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"lightning_hash {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "offer"),
    [
        ("atack", "did you mean attack?"),
        ("chek-data", "did you mean check-data?"),
        ("reprot", "did you mean report?"),
        ("--config", f"there are: {', '.join(VERBS)}"),
    ],
)
def test_a_word_that_is_no_verb(capsys, word, offer):
    assert main([word, "--name=x"]) == 2
    said = capsys.readouterr()
    assert said.err == f"error: {word!r} is no verb; {offer}\n"
    assert said.out == ""


def imported_by(code):
    """Return what a new interpreter has imported after some lines."""
    answer = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return set(answer.stdout.splitlines()[-1].split())


HEAVY = {"torch", "pytorch_lightning", "lightning_fabric", "jsonargparse", "rich", "numpy"}


@pytest.mark.parametrize(
    "code",
    [
        "import lightning_hash; dir(lightning_hash)",
        "from lightning_hash.__main__ import main; main([])",
        "from lightning_hash.__main__ import main; main(['--help'])",
        "from lightning_hash.__main__ import main; main(['-V'])",
        "from lightning_hash.__main__ import main; main(['swep'])",
        "from lightning_hash.__main__ import main; main(['attack', '--help'])",
        "from lightning_hash.__main__ import main; main(['transfer', '-h'])",
    ],
)
def test_what_needs_no_torch_answers_without_it(code):
    assert not imported_by(code) & HEAVY


@pytest.mark.parametrize("verb", ["report", "score", "sweep", "leaderboard"])
def test_verbs_on_files_import_no_lightning(verb):
    modules = imported_by(f"import lightning_hash.commands.{verb}")
    assert not modules & {"pytorch_lightning", "lightning", "lightning_fabric"}
    assert verb not in ("sweep", "leaderboard") or not modules & {"torch", "matplotlib"}


def test_public_names():
    assert sorted(dir(lightning_hash)) == sorted(
        ["attack", "Attacked", "encode", "score", "load_victim", "HashModule", "AttackModule",
         "HashTrainer", "push_to_hub", "report", "audit", "AuditCard", "search", "smallest",
         "__version__"]
    )  # fmt: skip
    for name in dir(lightning_hash):
        assert getattr(lightning_hash, name) is not None
    assert lightning_hash.HashTrainer.__name__ == "HashTrainer"
    assert lightning_hash.encode.__module__ == "lightning_hash.commands.encode"
    with pytest.raises(AttributeError, match="no attribute 'recall'"):
        lightning_hash.recall  # noqa: B018


def test_each_verb_has_what_the_table_says():
    for name, verb in VERBS.items():
        module = importlib.import_module(verb.module)
        assert callable(getattr(module, verb.function)), name
        if verb.model:
            package, _, kind = verb.model.rpartition(".")
            assert issubclass(getattr(importlib.import_module(package), kind), LightningModule)
            assert callable(module.trainer_options)
    assert VERBS["test"].defaults["ckpt_path"] == DEFAULT_VICTIM


def test_console_script():
    script = Path(sys.executable).parent / "lightning_hash"
    if not script.exists():
        pytest.skip("the package is not installed beside this interpreter")
    answer = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert lightning_hash.__version__ in answer.stdout


class BuiltError(Exception):
    pass


def parser_of(verb, monkeypatch):
    """Return the parser that a verb's arguments are read with."""

    def stop(self, parser, args):
        raise BuiltError(parser)

    monkeypatch.setattr(LightningCLI, "parse_arguments", stop)
    if verb == "transfer":
        return transfer.make_parser()
    with pytest.raises(BuiltError) as built:
        HashCLI(verb, [])
    return built.value.args[0]


@pytest.mark.parametrize("verb", ["fit", "test", "encode", "attack", "transfer"])
def test_help_shows_what_the_parser_takes(verb, monkeypatch, capsys):
    """The one is read from the source, the other made by jsonargparse from the classes."""
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert VERBS[verb].help in printed
    shown = set(re.findall(r"^  --(\S+)", printed, re.MULTILINE))
    plain = " ".join(printed.split())
    sections = {"trainer", "model", "model.ranking", "help"}  # which take a YAML as well
    taken = set()
    for action in parser_of(verb, monkeypatch)._actions:
        names = [name[2:] for name in action.option_strings if name.startswith("--")]
        names = [n for n in names if n not in sections and not n.endswith((".help", "+"))]
        taken.update(names)
        for name in names:
            if isinstance(action.default, (int, float)) or action.default in ("auto", "runs"):
                described = plain.partition(f" --{name} ")[2].partition(" --")[0]
                assert f"(default: {action.default})" in described
    assert shown == taken


def test_help_of_check_data(capsys):
    assert main(["check-data", "-h"]) == 0
    printed = capsys.readouterr().out
    assert set(re.findall(r"^  --(\S+)", printed, re.MULTILINE)) == {
        "config", "print_config", "data", "json",
    }  # fmt: skip


def test_fit_leaves_best_and_last_and_can_be_tested(there, capsys):
    assert {p.name for p in (there / "checkpoints" / "demo").iterdir()} == {
        "best.ckpt",
        "last.ckpt",
    }
    checkpoint = torch.load(there / "checkpoints" / "demo" / "best.ckpt", weights_only=True)
    assert checkpoint["lightning_hash"]["bits"] == 32
    assert main(["test", *SMALL_DATA, "--trainer.accelerator=cpu"]) == 0
    assert re.search(r"test/map\s+│\s+0\.\d{4}", capsys.readouterr().out)


def test_variables_of_the_environment_change_no_option(monkeypatch, capsys):
    monkeypatch.setenv("JSONARGPARSE_DEFAULT_ENV", "true")
    monkeypatch.setenv("PL_TRAINER__MAX_EPOCHS", "7")
    with pytest.raises(SystemExit, match="0"):
        main(["fit", "--print_config"])
    printed = capsys.readouterr()
    assert "\n  max_epochs: 40\n" in printed.out
    assert "JSONARGPARSE_DEFAULT_ENV is passed over: options come from" in printed.err


def test_test_takes_the_bits_from_the_checkpoint(there, tmp_path):
    options = [*SMALL_DATA, "--trainer.accelerator=cpu", "--name=other"]
    assert main(["fit", *options, "--model.bits=12", "--trainer.max_epochs=1"]) == 0
    assert main(["test", *options, "--ckpt_path=checkpoints/other/last.ckpt"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("config", FITS, ids=lambda path: path.stem)
def test_every_fit_config(there, config):
    options = [*SMALL_DATA, "--trainer.accelerator=cpu", "--trainer.max_epochs=1"]
    small = ["--model.backbone=convnet", f"--name={config.stem}"]
    assert main(["fit", "--config", str(config), *options, *small]) == 0
    checkpoint = torch.load(f"checkpoints/{config.stem}/last.ckpt", weights_only=True)
    entry, group = checkpoint["lightning_hash"], checkpoint["optimizer_states"][0]["param_groups"]
    rate, momentum, decay, loss, bits, steps = {  # 95 items, since 5 validate
        "hag": (0.001, 0.9, 0.0, "PairwiseLoss", 48, 4),
        "dhta": (0.01, 0.9, 5e-4, "PairwiseLoss", 48, 4),
        "hashnet": (0.003, 0.9, 5e-4, "HashNetLoss", 48, 3),
        "dpsh": (0.05, 0.0, 1e-5, "DPSHLoss", 48, 1),
        "dch": (0.01, 0.9, 5e-4, "DCHLoss", 48, 1),
        "csq": (0.001, None, 0.0, "CSQLoss", 64, 2),
        "greedyhash": (0.001, 0.9, 5e-4, "GreedyHashLoss", 48, 3),
        "orthohash": (0.0001, None, 5e-4, "OrthoHashLoss", 64, 1),
        "dpn": (0.0001, 0.9, 5e-4, "DPNLoss", 64, 1),
        "hyp2": (0.02, 0.9, 5e-4, "HyP2Loss", 48, 1),
        "dtsh": (0.0045, 0.0, 5.556e-5, "DTSHLoss", 48, 1),
        "dsh": (0.001, 0.9, 0.004, "DSHLoss", 12, 1),
        "mdshc": (1e-5, 0, 1e-5, "CSQLoss", 16, 2),
        "idhn": (0.001, None, 0.0, "IDHNLoss", 48, 1),
        "bihalf": (0.0001, None, 5e-4, "BiHalfLoss", 64, 2),
        "dsdh": (0.02, 0.0, 2.5e-4, "DSDHLoss", 48, 1),
    }[config.stem]
    starts = [each.get("initial_lr", each["lr"]) for each in (group[0], group[-1])]
    assert (starts[-1], group[-1].get("momentum")) == (rate, momentum)
    assert group[-1]["weight_decay"] == decay
    scale = {"hashnet": 0.1, "dch": 0.1, "csq": 0.01, "orthohash": 0.1, "hyp2": 0.5, "idhn": 0.01}
    assert len(group) == 1 + (config.stem in scale)  # of what is frozen there is none
    assert starts[0] == pytest.approx(rate * scale.get(config.stem, 1))
    fallen = {
        "hashnet": 0.5**4, "dpsh": 0.1**2, "csq": 0.7**8, "greedyhash": 0.1, "orthohash": 0.1,
        "dpn": 0.1, "hyp2": 0.5**9, "dtsh": 0.6667**4, "dsh": 0.1**2, "idhn": 0.5**6, "bihalf": 0.1,
        "dsdh": 1e-4,
    }  # fmt: skip
    assert group[-1]["lr"] == pytest.approx(rate * fallen.get(config.stem, 1))
    assert (entry["loss"], entry["bits"], checkpoint["global_step"]) == (loss, bits, steps)
    assert ("code_bank" in checkpoint) == (config.stem in ("dpsh", "dsdh"))


def test_loss_by_name_and_a_test_that_names_none(there):
    """The classes come from the data; what the loss keeps for each is no part of the victim."""
    options = [*SMALL_DATA, "--trainer.accelerator=cpu", "--name=greedy"]
    assert main(["fit", *options, "--model.loss=GreedyHashLoss", "--trainer.max_epochs=1"]) == 0
    assert main(["test", *options, "--ckpt_path=checkpoints/greedy/last.ckpt"]) == 0
    checkpoint = torch.load("checkpoints/greedy/last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]["loss.classifier.weight"].shape == (10, 32)


def test_options_of_the_default_optimizer_do_not_pass_over_to_another(there):
    options = [*SMALL_DATA, "--trainer.accelerator=cpu", "--trainer.max_epochs=1", "--name=sgd"]
    assert main(["fit", *options, "--model.optimizer=SGD", "--model.optimizer.lr=0.01"]) == 0
    checkpoint = torch.load("checkpoints/sgd/last.ckpt", weights_only=True)
    group = checkpoint["optimizer_states"][0]["param_groups"][0]
    assert group["weight_decay"] == 0
    text = Path("runs/fit/sgd/version_0/config.yaml").read_text()
    assert "class_path: torch.optim.SGD" in text


class OtherData(SamplePhotos):
    """Data of a user's, with defaults of their own."""

    name = "other"

    def __init__(self, n_query: int = 30, n_database: int = 210, batch_size: int = 7) -> None:
        super().__init__(n_train=70, n_query=n_query, n_database=n_database, batch_size=batch_size)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["argument", "config"])
def test_options_of_the_demo_data_do_not_pass_over_to_the_users_data(there, tmp_path, form):
    path = f"{__name__}.OtherData"
    config = tmp_path / "data.yaml"
    config.write_text(f"data:\n  class_path: {path}\n  init_args: {{n_query: 25}}\n")
    given = [f"--data={path}", "--data.n_query=25"]
    options = given if form == "argument" else ["--config", str(config)]
    common = ["--trust", "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]
    common += [f"--name=other-{form}"]
    assert main(["fit", *options, *common]) == 0
    checkpoint = torch.load(f"checkpoints/other-{form}/last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 10  # 70 items in batches of 7
    small = ["--model.n_queries=5", f"--model.victim=checkpoints/other-{form}/best.ckpt"]
    assert main(["attack", *options, *common, *small]) == 0
    rows = read_results(Path(f"runs/attack/other-{form}/version_0/results.json"))
    found = {(row.get("data.dataset"), row.get("data.n_database")) for row in rows}
    assert found == {("other", 210)}


@pytest.mark.slow
def test_default_step_goes_as_far_as_the_papers_in_the_iterations_there_are(there):
    """100 short steps would make any model look robust."""
    rates = {}
    for iterations in (1, 4):
        options = [f"--trainer.max_epochs={iterations}", f"--name=default/{iterations}"]
        assert main(["attack", *options, *SMALL_ATTACK]) == 0
        results = there / f"runs/attack/default/{iterations}/version_0/results.json"
        step = read_results(results)[0].get("attack.step")
        assert (step["class"], step["momentum"]) == ("torch.optim.SGD", 0.9)
        rates[iterations] = step["lr"] * iterations
    assert rates[1] == pytest.approx(2000 * 500 / 255**2)
    assert rates[4] == pytest.approx(2000 * 500 / 255**2)


def test_run_folder(there, capsys):
    assert main(["attack", "--trainer.max_epochs=4", *SMALL_ATTACK, "--name=folder"]) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert folder == Path("runs/attack/folder/version_0")
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.yaml", "results.json", "perturbations.safetensors", "codes.safetensors",
        "targets.json", "images", "strips", "checkpoints",
    }  # fmt: skip
    assert any(name.startswith("events.out.tfevents") for name in names)
    perturbations = load_file(folder / "perturbations.safetensors")
    codes = load_file(folder / "codes.safetensors")
    assert perturbations["perturbation"].shape == (8, 3, 64, 64)
    assert torch.equal(perturbations["index"], codes["index"])
    images = sorted((folder / "images").iterdir())
    assert [int(p.stem) for p in images] == perturbations["index"].tolist()
    assert decode_image(str(images[0])).shape == (3, 64, 64)
    assert len(list((folder / "strips").iterdir())) == 6
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 3


@pytest.mark.slow
def test_tensorboard_has_scalars_and_images(there):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = ["--trainer.log_every_n_steps=2", "--model.evaluate_at=[0,2]", "--name=board"]
    assert main(["attack", "--trainer.max_epochs=6", *SMALL_ATTACK, *options]) == 0
    board = EventAccumulator("runs/attack/board/version_0")
    board.Reload()
    steps = {tag: [e.step for e in board.Scalars(tag)] for tag in board.Tags()["scalars"]}
    assert steps["attack/loss"] == [0, 2, 4, 5]
    assert steps["attack/alpha"] == [0, 2, 4, 5]
    assert steps["attack/map"] == [0, 2]
    assert steps["attack/t_map"] == [0, 2]
    assert "final_8bit/map" in steps
    images = board.Tags()["images"]
    assert "attack/clean_perturbation_adversarial" in images
    assert sum(tag.startswith("retrieval/") for tag in images) == 6


@pytest.mark.slow
def test_resume_from_the_command_line(there):
    options = [*SMALL_ATTACK, "--trainer.max_epochs=6", "--checkpoint_every=4"]
    assert main(["attack", *options, "--name=whole"]) == 0
    checkpoint = "runs/attack/whole/version_0/checkpoints/last.ckpt"
    assert main(["attack", *options, "--name=resumed", f"--ckpt_path={checkpoint}"]) == 0
    whole, resumed = (
        load_file(f"runs/attack/{name}/version_0/perturbations.safetensors")["perturbation"]
        for name in ("whole", "resumed")
    )
    assert torch.equal(whole, resumed)


@pytest.mark.slow
def test_targets_of_a_run_can_be_given_to_another(there):
    assert main(["attack", "--trainer.max_epochs=1", *SMALL_ATTACK, "--name=first"]) == 0
    given = "--model.targets.init_args.file=runs/attack/first/version_0/targets.json"
    options = ["--model.targets.init_args.seed=9", given, "--name=second"]
    assert main(["attack", "--trainer.max_epochs=1", *SMALL_ATTACK, *options]) == 0
    first, second = (
        json.loads(Path(f"runs/attack/{name}/version_0/targets.json").read_text())
        for name in ("first", "second")
    )
    assert first == second


class Mark:
    def __reduce__(self):
        return (open, ("executed.txt", "w"))


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("absent.ckpt", r"absent\.ckpt does not exist; make it with: python -m lightning_hash fit"),
        ("code.ckpt", "pickled code"),
        ("truncated.ckpt", "is truncated or no checkpoint"),
        ("foreign.ckpt", "is not a checkpoint of lightning_hash"),
        ("text.ckpt", "is truncated or no checkpoint"),
        ("attack.ckpt", "is a checkpoint of kind 'attack', not 'victim'"),
    ],
)
def test_victims_that_are_none(there, capsys, victim, message):
    good = (there / "checkpoints" / "demo" / "best.ckpt").read_bytes()
    Path("truncated.ckpt").write_bytes(good[: len(good) // 2])
    Path("code.ckpt").write_bytes(pickle.dumps({"state_dict": Mark()}))
    torch.save({"state_dict": {"a": torch.zeros(1)}}, "foreign.ckpt")
    Path("text.ckpt").write_text("hello")
    torch.save({"state_dict": {}, "lightning_hash": {"kind": "attack"}}, "attack.ckpt")
    assert main(["attack", f"--model.victim={victim}", *SMALL_DATA]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not Path("executed.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--model.backbone=resnet19"], "did you mean 'resnet18'"),
        (["fit", "--model.bits=0"], "bits must be at least 1, got 0"),
        (["fit", "--model.loss=CSQLoss", "--model.loss.num_classes=3"], "num_classes = 3, the mod"),
        (["fit", "--model.loss=CSQLoss", "--model.code_bank=true"], "code_bank goes with a loss"),
        (["fit", "--model.ranking.top_k=0"], "top_k must be a positive whole number"),
        (["attack", "--model.epsilon=0"], "epsilon must be in"),
        (["attack", "--model.epsilon=-0.1"], "epsilon must be in"),
        (["attack", "--model.epsilon=8"], "write '8.*/255'"),
        (["attack", "--trainer.max_epochs=0"], "must be at least 1, got 0"),
        (["attack", "--model.n_queries=0"], "n_queries must be at least 1"),
        (["attack", "--model.targets.n_t=500", "--model.objective=AnchorCode"], "n_t = 500"),
        (["attack", "--config=configs/attack/hog.yaml"], r"hog\.yaml does not exist"),
        (["test", "--ckpt_path=absent.ckpt"], r"victim absent\.ckpt does not exist"),
    ],
)  # fmt: skip
def test_bad_options(there, capsys, arguments, message):
    small = {"fit": SMALL_DATA, "test": SMALL_DATA, "attack": SMALL_ATTACK}[arguments[0]]
    size = [] if "--config=" in arguments[-1] else [o for o in small if o[:17] not in arguments[1]]
    assert main([*arguments, *size]) == 1
    assert re.search(message, capsys.readouterr().err)


def parsed(verb, *arguments):
    """Return what a command line comes to."""
    with redirect_stdout(io.StringIO()) as printed, pytest.raises(SystemExit, match="0"):
        main([verb, *arguments, "--print_config"])
    return yaml.safe_load(printed.getvalue())


@pytest.mark.parametrize("form", ["option", "long option", "json", "file"])
@pytest.mark.parametrize("kind", ["torch.optim.SGD", "lightning_hash.attacks.SignStep"])
def test_a_rate_may_be_a_fraction(tmp_path, kind, form):
    content = {"class_path": kind, "init_args": {"lr": "500/65025"}}
    config = tmp_path / "a.yaml"
    config.write_text(yaml.safe_dump({"model": {"step": content}}))
    step = f"--model.step={kind}"
    arguments = {
        "option": [step, "--model.step.lr=500/65025"],
        "long option": [step, "--model.step.init_args.lr", "500/65025"],
        "json": [f"--model.step={json.dumps(content)}"],
        "file": ["--config", str(config)],
    }[form]
    found = parsed("attack", *arguments)["model"]["step"]
    assert found["class_path"] == kind
    assert found["init_args"]["lr"] == 500 / 255**2


def test_rates_of_a_fit_and_those_that_are_no_fractions():
    found = parsed("fit", "--model.optimizer=SGD", "--model.optimizer.lr=1/100")["model"]
    assert found["optimizer"]["init_args"]["lr"] == 0.01
    found = parsed("fit", "--model.optimizer=SGD", "--model.optimizer.lr=2")["model"]
    assert found["optimizer"]["init_args"]["lr"] == 2.0
    found = parsed("fit", "--model.optimizer=SGD")["model"]
    assert found["optimizer"]["init_args"]["lr"] == 0.001
    found = parsed("attack", "--model.epsilon=8/255")["model"]  # its own parameter may be a text
    assert found["epsilon"] == "8/255"


@pytest.mark.parametrize("wrong", ["1/x", "1/0", "inf", "[1]"])
@pytest.mark.parametrize("option", ["--model.step", "--model.optimizer"])
def test_a_wrong_rate_is_named_in_one_line(capsys, option, wrong):
    verb = "fit" if "optimizer" in option else "attack"
    with pytest.raises(SystemExit, match="2"):
        main([verb, f"{option}=SGD", f"{option}.lr={wrong}"])
    rule = "must be a finite number or a fraction such as '1/255'"
    assert re.fullmatch(rf"error: {option}\.lr {rule}, got .*\n", capsys.readouterr().err)


def test_unknown_objective_is_refused_by_the_parser(there, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["attack", "--model.objective=HOG"])
    assert "HOG" in capsys.readouterr().err


def test_a_run_folder_that_cannot_be_written_to(there, capsys):
    Path("occupied").write_text("a file, not a folder")
    status = main(["attack", "--trainer.max_epochs=1", *SMALL_ATTACK, "--runs=occupied"])
    assert status == 1
    assert re.search("occupied", capsys.readouterr().err)


def test_a_reader_that_has_read_enough_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_hash", "attack", "--help"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    assert process.wait() == 128 + 13
    assert process.stderr.read() == b""
