"""Everything that ran code of others, tried again: only ``--trust`` runs it."""

import json
import re
import shlex
import sys
from contextlib import suppress
from pathlib import Path

import jsonargparse
import pytest
import torch
import yaml
from lightning_fabric.strategies.launchers.subprocess_script import _basic_subprocess_cmd
from PIL import EpsImagePlugin
from torch import nn

from lightning_hash.__main__ import main
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.encode import encode
from lightning_hash.commands.transfer import _data
from lightning_hash.data.pictures import read_picture
from lightning_hash.models.build import build_network
from lightning_hash.modules import AttackModule, HashModule
from lightning_hash.sweeps import read_plan
from lightning_hash.sweeps.command import command_of
from lightning_hash.utils.trust import UntrustedError, is_trusted, trusting
from lightning_hash.victims import as_victim, load_foreign, load_victim
from tests.helpers.training import TINY, module, trainer

PARTS = "tests.conftest"
FIT = ["fit", "--trainer.accelerator=cpu"]
ATTACK = ["attack", "--trainer.accelerator=cpu"]
LAMBDA = "pytorch_lightning.callbacks.LambdaCallback"
PROCESS = "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with a module of a stranger's, which leaves a mark when it is imported or called."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    mark = f"open({str(tmp_path / 'mark')!r}, 'a').close()"
    Path("stranger.py").write_text(
        f"{mark}\nimport torch\n\n\nclass Net(torch.nn.Linear):\n    def __init__(self, bits=8):\n"
        "        super().__init__(12, bits)\n\n    def forward(self, x):\n"
        "        return super().forward(x.flatten(1))\n\n\n"
        f"def make(*args, **options):\n    {mark}\n    return Net()\n"
    )
    yield tmp_path
    sys.modules.pop("stranger", None)


def ran():
    return Path("mark").exists()


def said_by(line, capsys):
    """Return the last line on stderr of a command that failed."""
    try:
        status = main(line)
    except SystemExit as error:
        status = error.code
    assert status in (1, 2)
    return capsys.readouterr().err.strip().splitlines()[-1]


def refused(line, capsys, *words):
    said = said_by(line, capsys)
    assert not ran(), said
    assert said.startswith("error: "), said
    for word in ("--trust", *words):
        assert word in said
    return said


@pytest.mark.parametrize(
    "line",
    [
        *([*FIT, f"--{option}=stranger.Net"] for option in (
            "model.loss", "model.optimizer", "model.lr_scheduler", "data", "trainer.logger",
            "trainer.plugins", "trainer.callbacks", "model.loss.help", "data.help",
        )),
        *([*ATTACK, f"--model.{option}={{class_path: stranger.Net}}"] for option in (
            "objective", "reference", "step", "perturbation", "budget", "alpha", "inputs",
            "targets", "victim",
        )),
        [*FIT, "--model.metrics=[{class_path: stranger.Net}]"],
        [*FIT, "--model.backbone={class_path: stranger.Net}"],
        [*FIT, f"--trainer.callbacks=[{{class_path: {LAMBDA}, init_args: {{setup: "
         "stranger.make}}]"],
        ["test", "--model.backbone={class_path: stranger.Net}", "--ckpt_path=a.ckpt"],
        ["encode", "--model.victim={source: 'stranger:make'}"],
        ["encode", "--model.victim=[{source: 'stranger:make'}]"],
        [*FIT, "--model.loss=lightning_hash.modules.AttackModule",
         "--model.loss.victim={source: 'stranger:make'}"],
        ["check-data", "--data=stranger.Net"],
    ],
)  # fmt: skip
def test_a_class_path_or_function_on_the_command_line(line, there, capsys):
    assert "stranger" in refused(line, capsys)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("lightning_hash.sweeps.local.subprocess.Popen", "subprocess.Popen"),
        ("pytorch_lightning.callbacks.model_checkpoint.os.system", "posix.system"),
        ("torch.nn.functional.torch.load", "torch.serialization.load"),
        ("torch.jit.load", "torch.jit.load"),
        ("os.system", "os.system"),
        (PROCESS, PROCESS),
    ],
)
def test_what_libraries_import_or_can_start_is_not_offered(path, found, there, capsys):
    refused([*FIT, f"--model.loss={{class_path: {path}, init_args: {{f: x}}}}"], capsys, found)
    refused([*ATTACK, f"--model.step={path}"], capsys, found)
    # Whatever may be anything is not built.
    refused(
        [*ATTACK, f"--model.victim={{class_path: {path}, init_args: {{entrypoint: touch, args: "
         "[mark], env: {}, stdout: null, stderr: null, local_rank_id: 0}}"], capsys, path,
    )  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"loss": {"class_path": "stranger.Net"}}},
        {"model": {"backbone": {"class_path": "stranger.Net"}}},
        {"data": "stranger.Net"},
        {"trainer": {"callbacks": [{"class_path": "stranger.Net"}]}},
        {"trainer": {"strategy": {"class_path": "stranger.Net"}}},
        {"trainer": {"profiler": {"class_path": "stranger.Net"}}},
        {"trainer": {"accelerator": {"class_path": "stranger.Net"}}},
        {"trainer": {"strategy": {
            "class_path": "pytorch_lightning.strategies.DDPStrategy",
            "init_args": {"ddp_comm_hook": "stranger.make"},
        }}},
        {"trust": True},
        {"model": {"victim": {"source": "stranger:make", "trust": True}}},
    ],
)  # fmt: skip
def test_a_config_of_others(content, there, capsys):
    Path("theirs.yaml").write_text(yaml.safe_dump(content))
    refused([*FIT, "--config=theirs.yaml"], capsys)


def test_a_config_cannot_grant_it(there, capsys):
    options = "--model.victim={source: 'stranger:make', trust: true}"
    assert "trust is no option of a file" in refused([*ATTACK, options], capsys)
    assert "takes no value" in refused([*ATTACK, "--trust=true"], capsys)
    with pytest.raises(ValueError, match="trust is no option of a file"):
        as_victim({"source": "stranger:make", "trust": True})
    assert not ran()


def test_yaml_tags_run_nothing(there, capsys):
    tag = "!!python/object/apply:stranger.make []"
    Path("theirs.yaml").write_text(f"model: {tag}\n")
    assert "no YAML" in said_by([*FIT, "--config=theirs.yaml"], capsys)
    Path("inner.yaml").write_text(f"class_path: {tag}\n")
    said_by([*FIT, "--model.loss=inner.yaml"], capsys)
    assert not ran()


def test_with_trust_it_runs(there, blobs):
    with pytest.raises(UntrustedError, match="is a function, which is run"):
        as_victim({"source": "stranger:make"})
    assert not ran()
    assert as_victim({"source": "stranger:make"}, trust=True).bits is None
    assert ran()
    with pytest.raises(UntrustedError, match=r"'stranger\.Net' is not of lightning_hash\.models"):
        HashModule({"class_path": "stranger.Net"}, 8)
    with trusting():
        assert type(HashModule({"class_path": "stranger.Net"}, 8).network).__name__ == "Net"
    with pytest.raises(UntrustedError):
        encode({"source": f"{PARTS}:TinyNet"}, blobs, "query", accelerator="cpu")
    found = encode(
        {"source": f"{PARTS}:TinyNet", "preprocess": "none"}, blobs, "query", accelerator="cpu",
        trust=True,
    )  # fmt: skip
    assert found.codes.shape == (13, 8)


def test_the_flag_reaches_the_parser_and_is_over_behind_it(there, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*FIT, "--trust", "--model.loss=stranger.Net", "--print_config"])
    assert stopped.value.code == 0
    assert ran()
    assert "class_path: stranger.Net" in capsys.readouterr().out
    assert not is_trusted()
    Path("mark").unlink()
    sys.modules.pop("stranger")
    refused([*FIT, "--model.loss=stranger.Net"], capsys)


def test_settings_of_the_parser_are_given_back():
    before = dict(jsonargparse._common.parsing_settings)
    with checked_class_paths():
        assert jsonargparse._common.parsing_settings != before
    assert jsonargparse._common.parsing_settings == before
    with trusting(), checked_class_paths():
        assert jsonargparse._common.parsing_settings == before


class Writes(nn.Module):
    """As in the forward of a stranger's script."""

    def forward(self, inputs):
        torch.save(inputs, "mark")
        return inputs.flatten(1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["a.ts", "a.torchscript", "a.pt", "a.pth", "a.bin"])
def test_torchscript_under_any_name(name, there):
    torch.jit.script(Writes()).save(name)
    with pytest.raises(UntrustedError, match=r"is TorchScript, a program .* give --trust"):
        load_foreign(name, preprocess="none")
    with pytest.raises(UntrustedError):
        run_attack(trainer(there, 1), AttackModule({"source": name}), None)
    assert not ran()
    load_foreign(name, preprocess="none", trust=True)(torch.rand(2, 3, 2, 2))
    assert ran()


BACKBONES = [
    {"class_path": "stranger.Net"},
    {"class_path": "lightning_hash.modules.AttackModule",
     "init_args": {"victim": {"source": "stranger:make"}}},
    {"class_path": "lightning_hash.modules.Encoder",
     "init_args": {"victim": {"source": "stranger:make"}}},
    {"class_path": "lightning_hash.sweeps.local.subprocess.Popen", "init_args": {"args": "touch"}},
    {"class_path": "torch.distributed.nn.RemoteModule"},
    {"class_path": "os.abort"},
]  # fmt: skip


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_network_of_a_checkpoint(backbone, there, blobs, capsys):
    run = trainer(there, 1)
    run.fit(module(), datamodule=blobs)
    run.save_checkpoint("honest.ckpt")
    content = torch.load("honest.ckpt", weights_only=True)
    content["lightning_hash"]["backbone"] = content["hyper_parameters"]["backbone"] = backbone
    torch.save(content, "theirs.ckpt")
    with pytest.raises(UntrustedError, match=re.escape(backbone["class_path"])):
        load_victim("theirs.ckpt")
    with pytest.raises(UntrustedError):
        HashModule.load_from_checkpoint("theirs.ckpt", weights_only=True)
    refused(["attack", "--model.victim=theirs.ckpt"], capsys)
    refused(["test", "--ckpt_path=theirs.ckpt"], capsys)
    refused(["fit", "--ckpt_path=theirs.ckpt"], capsys)


def test_a_checkpoint_describes_its_network_and_no_more(there, blobs, capsys):
    run = trainer(there, 1)
    run.fit(module(), datamodule=blobs)
    run.save_checkpoint("honest.ckpt")
    content = torch.load("honest.ckpt", weights_only=True)
    content["hyper_parameters"] |= {
        "loss": {"class_path": "stranger.Net"}, "bits": 8,
        "optimizer": {"class_path": "stranger.make"},
    }  # fmt: skip
    torch.save(content, "theirs.ckpt")
    refused(["test", "--ckpt_path=theirs.ckpt"], capsys, TINY["class_path"])
    with trusting():
        assert load_victim("theirs.ckpt").bits == 8
    assert not ran()


def test_networks_that_are_offered_need_none():
    for path in ("torch.nn.Linear", "torchvision.models.ShuffleNetV2"):
        with pytest.raises(ValueError, match="init_args do not fit"):  # they were imported
            build_network({"class_path": path, "init_args": {"unknown": 1}}, 8)


def test_a_run_folder_of_others(there, capsys):
    run = there / "runs" / "attack" / "hag" / "version_0"
    run.mkdir(parents=True)
    content = {"data": {"class_path": "stranger.Net"}, "model": {"victim": "stranger.Net"}}
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    row = {"attack": {"class": "stranger.Net", "name": "stranger.make"}, "victim": {}}
    (run / "results.json").write_text(json.dumps([row]))
    with pytest.raises(ValueError, match=r"config\.yaml: class path stranger\.Net .*--trust"):
        _data(run / "config.yaml")
    for line in (
        ["report", "runs", "--output", "out"],
        ["transfer", "--perturbations", str(run), "--victims", "a.ckpt"],
        ["attack", "--ckpt_path", str(run / "results.json")],
    ):
        with suppress(SystemExit):
            main(line)
    assert not ran()


def sweep(**options):
    content = {
        "runs": {"one": {"verb": "transfer", "options": options}}, "full": [{"run": "one"}],
    }  # fmt: skip
    Path("sweep.yaml").write_text(yaml.safe_dump(content))
    return ["sweep", "sweep.yaml", "--dry-run", "--runs=runs"]


@pytest.mark.parametrize(
    "options",
    [
        {"victims": ["a.ckpt"], "trust": []},
        {"victims": ["a.ckpt"], "trust": True},
    ],
)
def test_a_sweep_file_cannot_grant_it(options, there, capsys):
    said = said_by(sweep(**options), capsys)
    assert "--trust" in said


def test_a_value_of_a_sweep_is_no_option(there, capsys):
    assert main(sweep(victims=["{source: 'stranger:make'}", "--trust"])) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert "--trust" not in words
    assert "./--trust" in words


def test_a_sweep_hands_it_to_its_runs(there, capsys):
    line = sweep(victims=["a.ckpt"], perturbations=["runs/a"])
    assert main(line) == 0
    assert "--trust" not in capsys.readouterr().out
    assert main([*line, "--trust"]) == 0
    assert " transfer " in (out := capsys.readouterr().out)
    assert " --trust " in out
    assert main([*line[:2], "--runs=runs", "--slurm=submit.sh", "--trust"]) == 0
    assert " --trust " in Path("submit.sh").read_text()
    (run,) = read_plan([Path("sweep.yaml")], "full")
    assert command_of(run, Path("runs"), trust=True).count("--trust") == 1


def test_processes_that_lightning_starts_get_it(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lightning_hash", "attack", "--trust", "--config", "a.yaml"])
    assert "--trust" in _basic_subprocess_cmd()


def test_pictures_start_no_other_program(there, monkeypatch):
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *a, **k: started.append(a))
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    Path("photo.jpg").write_bytes(page)
    with pytest.raises(ValueError, match="no image that Pillow knows"):
        read_picture(Path("photo.jpg"))
    assert not started


MADE = "lightning_hash.victims.load_foreign"
GRANTS = {
    "a dotted key": {
        "class_path": MADE, "init_args": {"source": "stranger:make"}, "init_args.trust": True,
    },
    "a text of YAML": f"{{class_path: {MADE}, init_args: {{source: stranger:make, trust: true}}}}",
    "a config inside": "inner.yaml",
    "a name of another module": {
        "class_path": "lightning_hash.modules.attack_module.as_victim",
        "init_args": {"given": "stranger:make"},
    },
    "the top of the package": {
        "class_path": "lightning_hash.load_victim", "init_args": {"source": "stranger:make"},
    },
}  # fmt: skip


@pytest.mark.parametrize("how", GRANTS)
def test_a_part_that_is_a_function_of_ours_grants_nothing(how, there, capsys):
    """jsonargparse reads dotted keys, texts and inner configs behind the look at the file."""
    inner = {"class_path": MADE, "init_args": {"source": "stranger:make", "trust": True}}
    Path("inner.yaml").write_text(yaml.safe_dump(inner))
    Path("c.yaml").write_text(yaml.safe_dump({"model": {"loss": GRANTS[how]}}))
    said = said_by(["fit", "--config=c.yaml"], capsys)
    assert not ran(), said
    assert "trust" in said
