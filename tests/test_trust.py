"""Everything that ran code of others, tried again: only ``--trust`` runs it."""

import json
import os
import pickle
import re
import shlex
import shutil
import sys
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import jsonargparse
import pytest
import torch
import yaml
from lightning_fabric.strategies.launchers.subprocess_script import _basic_subprocess_cmd
from PIL import EpsImagePlugin
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torchvision.models._utils import IntermediateLayerGetter

from lightning_hash.__main__ import main
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.encode import encode
from lightning_hash.commands.fit import check_checkpoint_to_go_on, run_fit
from lightning_hash.commands.run_place import merge_callbacks, place_of_run
from lightning_hash.commands.transfer import _data
from lightning_hash.data.pictures import picture_formats, read_picture
from lightning_hash.data.split_data import SplitData
from lightning_hash.engine.checkpoint_io import WholeCheckpointIO
from lightning_hash.models.build import build_network
from lightning_hash.modules import AttackModule, HashModule
from lightning_hash.modules.encoder import Encoder
from lightning_hash.sweeps import read_plan
from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.record import begin, complete
from lightning_hash.utils.checkpoint_places import forget_strange_places
from lightning_hash.utils.plain_load import load_plain
from lightning_hash.utils.trust import UntrustedError, is_trusted, trusting
from lightning_hash.utils.whole_file import PART, remove_parts
from lightning_hash.victims import Kernels, as_victim, load_foreign, load_victim
from tests.helpers.exported import Disguised
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
        ("pytorch_lightning.callbacks.model_checkpoint.os.system", "model_checkpoint.os.system"),
        ("torch.nn.functional.torch.load", "torch.nn.functional.torch.load"),
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


IO = "lightning_fabric.plugins.io.torch_io.TorchCheckpointIO"
FUNCTIONS = {  # what libraries that may be named define, and no class
    f"{IO}.load_checkpoint": {"self": None, "path": "evil.pth", "weights_only": False},
    f"{IO}.save_checkpoint": {"self": None, "path": "mark", "checkpoint": {"a": 1}},
    f"{IO}.remove_checkpoint": {"self": None, "path": "kept"},
    "pytorch_lightning.plugins.io.TorchCheckpointIO.load_checkpoint": {
        "self": None, "path": "evil.pth", "weights_only": False,
    },
    "torch.nn.attention._fa4._fa4_import_module": {"module_path": "stranger"},
    "torchvision.models.get_model": {"name": "alexnet"},
    "torchvision.models._api.load_state_dict_from_url.__call__": {},
    "torch.nn.Module.__subclasses__": {},
    "torch.nn.__builtins__.get": {},
    "torch.nn.modules.module._global_forward_hooks.update": {},
    "torchvision.models.feature_extraction.create_feature_extractor": {},
}  # fmt: skip
PLACES = {
    "a hook": ("fit", lambda part: {"trainer": {"callbacks": [
        {"class_path": LAMBDA, "init_args": {"setup": part}}]}}),
    "the optimizer": ("fit", lambda part: {"model": {"optimizer": part}}),
    "the schedule": ("fit", lambda part: {"model": {"lr_scheduler": part}}),
    "a transform": ("fit", lambda part: {"model": {"loss": {
        "class_path": "torchvision.transforms.v2.Lambda", "init_args": {"lambd": part}}}}),
    "a layer": ("fit", lambda part: {"model": {"loss": {
        "class_path": "torch.nn.TransformerEncoderLayer",
        "init_args": {"d_model": 4, "nhead": 1, "activation": part}}}}),
    "the strategy": ("fit", lambda part: {"trainer": {"strategy": {
        "class_path": "pytorch_lightning.strategies.DDPStrategy",
        "init_args": {"ddp_comm_hook": part}}}}),
    "the budget": ("attack", lambda part: {"model": {"budget": part}}),
    "the step": ("attack", lambda part: {"model": {"step": part}}),
    "the perturbation": ("attack", lambda part: {"model": {"perturbation": part}}),
}  # fmt: skip


def leave_evil():
    class Evil:
        def __reduce__(self):
            return open, ("mark", "w")

    torch.save(Evil(), "evil.pth")
    Path("kept").mkdir()
    Path("kept/photo.png").write_text("")


@pytest.mark.parametrize("path", FUNCTIONS)
@pytest.mark.parametrize("place", ["a hook", "the step"])
def test_no_function_of_a_library_is_a_class_path(place, path, there, capsys):
    """jsonargparse calls a function of any name with what the config says."""
    leave_evil()
    verb, content = PLACES[place]
    for part in ({"class_path": path, "init_args": FUNCTIONS[path]}, path):
        Path("c.yaml").write_text(yaml.safe_dump(content(part)))
        said = said_by([verb, "--config=c.yaml", "--trainer.accelerator=cpu"], capsys)
        assert not ran(), said
        assert Path("kept/photo.png").is_file()
        assert said.startswith("error: "), said


@pytest.mark.parametrize("place", PLACES)
def test_no_option_takes_a_function_of_a_library(place, there, capsys):
    leave_evil()
    verb, content = PLACES[place]
    path = f"{IO}.load_checkpoint"
    part = {"class_path": path, "init_args": FUNCTIONS[path]}
    Path("c.yaml").write_text(yaml.safe_dump(content(part)))
    refused([verb, "--config=c.yaml", "--trainer.accelerator=cpu"], capsys, path)


def test_a_sweep_names_no_function_either(there, capsys):
    leave_evil()
    path = f"{IO}.load_checkpoint"
    part = {"class_path": path, "init_args": FUNCTIONS[path]}
    Path("c.yaml").write_text(yaml.safe_dump(PLACES["a hook"][1](part)))
    run = {"verb": "fit", "name": "a", "configs": ["c.yaml"]}
    Path("sweep.yaml").write_text(yaml.safe_dump({"runs": [run]}))
    main(["sweep", "sweep.yaml"])
    assert not ran()


def test_names_of_layers_are_written_into_no_code(there):
    """torch.fx and torch.compile make Python of the names of layers."""
    evil = 'a|(", exec("import stranger"))#'
    network = nn.ModuleDict({evil: nn.Conv2d(3, 4, 1)})
    victim = as_victim(IntermediateLayerGetter(network, {evil: "o"}))
    for kernels in (Kernels(folded=True), Kernels(compiled=True)):
        with pytest.raises(ValueError, match="layers must have plain names"):
            kernels.of(victim)
    assert not ran()


def saver(folder="ck", **options):
    given = {"filename": "best", "monitor": "val/map", "mode": "max", **options}
    return ModelCheckpoint(folder, **given)


STATES = {  # what a checkpoint may say of the file that Lightning deletes next
    "all": lambda at: {
        "best_k_models": {at: torch.tensor(-1.0)}, "kth_best_model_path": at,
        "kth_value": torch.tensor(-1.0), "best_model_path": at,
        "best_model_score": torch.tensor(-1.0), "last_model_path": at,
    },
    "the last": lambda at: {"last_model_path": at},
    "the best": lambda at: {"best_model_path": at},
}  # fmt: skip
STRANGE = (
    "ck/../photos", "ck/../photo.png", "ck/link/photo.ckpt", "ck/linked.ckpt", "ck/photo.png",
    "local::file://{there}/photos", "file:{there}/photos", "file://{there}/photos", "photos",
)  # fmt: skip


@pytest.mark.parametrize("said", STATES)
@pytest.mark.parametrize("options", [{"save_last": True}, {"monitor": None}])
def test_a_checkpoint_deletes_nothing_of_ours(said, options, there, blobs):
    """Its callbacks' states name files, which Lightning deletes once there are better ones."""
    run = {"max_epochs": 1, "enable_checkpointing": True}
    trainer(there, callbacks=[saver(**options)], **run).fit(module(), blobs)
    content = torch.load("ck/best.ckpt", weights_only=True)
    files = ("photos/a.png", "photo.png", "far/photo.ckpt", "ck/photo.png")
    for name in files:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("")
    Path("ck/link").symlink_to(there / "far")
    Path("ck/linked.ckpt").symlink_to(there / "far/photo.ckpt")
    (name,) = (name for name in content["callbacks"] if name.startswith("ModelCheckpoint"))
    for place in STRANGE:
        at = place.format(there=there)
        at = at if ":" in at else str(there / at)
        state = {**content["callbacks"][name], **STATES[said](at)}
        if said != "all":
            del state["best_k_models"]
        bad = {**content, "callbacks": {name: state}}
        forget_strange_places(bad, [saver(**options)])
        assert at not in json.dumps(bad["callbacks"], default=str)
    bad = {**content, "callbacks": {name: {**content["callbacks"][name], **STATES[said](at)}}}
    torch.save(bad, "evil.ckpt")
    again = trainer(there, callbacks=[saver(**options)], **{**run, "max_epochs": 3})
    again.fit(module(), blobs, ckpt_path="evil.ckpt", weights_only=True)
    assert all(Path(name).is_file() for name in files)


def test_what_a_checkpoint_really_holds_is_looked_at(there, blobs):
    run = {"max_epochs": 1, "enable_checkpointing": True}
    trainer(there, callbacks=[saver()], **run).fit(module(), blobs)
    content = torch.load("ck/best.ckpt", weights_only=True)
    Path("photos").mkdir()
    (name,) = (name for name in content["callbacks"] if name.startswith("ModelCheckpoint"))
    state = {**content["callbacks"][name], **STATES["all"](str(there / "ck/../photos"))}
    hidden = Disguised(state, items=OrderedDict, get=OrderedDict, keys=OrderedDict)
    callbacks = Disguised({name: hidden}, items=OrderedDict, values=OrderedDict)
    torch.save({**content, "callbacks": callbacks}, "evil.ckpt")
    loaded = torch.load("evil.ckpt", weights_only=True)
    assert list(loaded["callbacks"].items()) == []  # the trick is a real one
    forget_strange_places(loaded, [saver()])
    assert "photos" not in repr(loaded["callbacks"])
    again = trainer(there, callbacks=[saver()], **{**run, "max_epochs": 3})
    again.fit(module(), blobs, ckpt_path="evil.ckpt", weights_only=True)
    assert Path("photos").is_dir()
    plain = WholeCheckpointIO().load_checkpoint("evil.ckpt", weights_only=True)
    assert type(plain["callbacks"]) is dict
    assert list(plain["callbacks"].items()) == [(name, plain["callbacks"][name])]
    torch.save({"a": OrderedDict}, "class.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="it holds"):
        load_plain("class.ckpt")


def test_an_own_checkpoint_is_remembered(there, blobs):
    run = {"max_epochs": 1, "enable_checkpointing": True}
    trainer(there, callbacks=[saver()], **run).fit(module(), blobs)
    content = torch.load("ck/best.ckpt", weights_only=True)
    before = repr(content["callbacks"])
    forget_strange_places(content, [saver()])
    assert repr(content["callbacks"]) == before
    assert str(there / "ck/best.ckpt") in before


@pytest.mark.parametrize("kind", ["file", "folder", "address"])
def test_no_checkpoint_is_found_that_nobody_has_named(kind, there, blobs, monkeypatch):
    """Under SLURM Lightning would take hpc_ckpt_1.ckpt of the Trainer's folder, pickles and all."""
    leave_evil()
    for name, value in (("NTASKS", 1), ("JOB_NAME", "job"), ("JOB_ID", 7), ("PROCID", 0),
                        ("LOCALID", 0), ("NODEID", 0)):  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    place = Path("hpc_ckpt_1.ckpt")
    place.mkdir() if kind == "folder" else shutil.copy("evil.pth", place)
    if kind == "folder":
        shutil.copy("evil.pth", place / ".metadata")
    root = f"file://{there}" if kind == "address" else there
    run = trainer(root)
    run.predict(Encoder(as_victim(module())), datamodule=SplitData(blobs, ("query",)),
                return_predictions=False)  # fmt: skip
    assert not ran()
    with pytest.raises(FileNotFoundError, match="hpc does not exist"):
        run_fit(trainer(there), module(), blobs, ckpt_path="hpc")


def test_a_sweep_removes_nothing_behind_a_link(there, capsys):
    Path("logs/version_0").mkdir(parents=True)
    Path("c.yaml").write_text(
        "runs: {a: {verb: fit, options: {model.bits: 8}}}\nfull: [{run: a}]\n"
    )
    (each,) = read_plan([Path("c.yaml")], "full")
    place = there / "root" / "checkpoints" / each.digest
    place.parent.mkdir(parents=True)
    place.symlink_to(there / "logs")
    for change in (begin, complete):
        with pytest.raises(ValueError, match="is a link that leads out of"):
            change(each, there / "root")
    assert Path("logs/version_0").is_dir()


@pytest.mark.parametrize("ending", ["log", "lock"])
@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_sweep_writes_through_no_link(there_is_one, ending, there, capsys):
    if there_is_one:
        Path("diary.txt").write_text("dear diary")
    Path("c.yaml").write_text(
        "runs: {a: {verb: fit, options: {model.bits: 0}}}\nfull: [{run: a}]\n"
    )
    (each,) = read_plan([Path("c.yaml")], "full")
    Path("root/sweep").mkdir(parents=True)
    Path(f"root/sweep/{each.digest}.{ending}").symlink_to(there / "diary.txt")
    assert main(["sweep", "c.yaml", "--runs", "root"]) == 1
    assert "is a link that leads out of" in capsys.readouterr().out
    assert Path("diary.txt").exists() == there_is_one
    assert not there_is_one or Path("diary.txt").read_text() == "dear diary"


def test_a_run_goes_into_no_linked_folder(there, capsys):
    Path("far").mkdir()
    for folder in ("runs/attack", "runs/fit", "checkpoints"):
        Path(folder).mkdir(parents=True)
        Path(f"{folder}/a").symlink_to(there / "far")
    assert "leads out of" in said_by(["fit", "--name=a", "--trainer.accelerator=cpu"], capsys)
    with pytest.raises(ValueError, match="leads out of"):
        place_of_run({"logger": None, "fast_dev_run": False}, "runs", "attack/a")
    assert list(Path("far").iterdir()) == []


@pytest.mark.parametrize("within", ["version_7", "checkpoints", "version_0/strips"])
def test_nothing_in_a_run_folder_leads_out(within, there, capsys):
    Path("far").mkdir()
    link = Path("runs/attack/a") / within
    link.parent.mkdir(parents=True)
    link.symlink_to(there / "far")
    for logger in (None, False):
        with pytest.raises(ValueError, match="leads out of"):
            place_of_run({"logger": logger, "fast_dev_run": False}, "runs", "attack/a")
    link.unlink()
    link.symlink_to(there / "runs/attack/a")  # within it
    place_of_run({"logger": None, "fast_dev_run": False}, "runs", "attack/a")
    Path("checkpoints/a").mkdir(parents=True)
    Path("checkpoints/a/best.ckpt").symlink_to(there / "far/best.ckpt")
    said = said_by(["fit", "--name=a", "--trainer.accelerator=cpu"], capsys)
    assert "checkpoints/a/best.ckpt is a link that leads out of" in said


def test_what_kills_have_left_is_removed_behind_no_link(there):
    Path("far").mkdir()
    old = Path(f"far/.photo.1{PART}")
    old.write_text("")
    os.utime(old, (0, 0))
    Path("ck").mkdir()
    Path("ck/link").symlink_to(there / "far")
    remove_parts(Path("ck"))
    assert old.exists()
    remove_parts(Path("far"))
    assert not old.exists()  # it would have been


def test_callbacks_write_into_their_folders(there, capsys):
    Path("settings.json").write_text("{}")
    spike = {"class_path": "pytorch_lightning.callbacks.SpikeDetection",
             "init_args": {"exclude_batches_path": "settings.json"}}  # fmt: skip
    Path("c.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [spike]}}))
    refused(["fit", "--config=c.yaml"], capsys, "SpikeDetection")
    assert Path("settings.json").read_text() == "{}"
    for name in (
        "../weights",
        "/weights",
        "a/../../weights",
        "{step:c}tmp{step:c}x",
        "{epoch:2c}",
        "{step].to.__doc__[78}x",
        "{step:{epoch}c}",
        "{step!r}",
    ):
        part = {"class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
                "init_args": {"dirpath": "ck", "filename": name}}  # fmt: skip
        Path("c.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": [part]}}))
        said = said_by(["fit", "--config=c.yaml"], capsys)
        assert "filename of ModelCheckpoint must stay below its folder" in said
    for name in ("best", "{epoch}-{val/map:.3f}", "a/{step:06d}"):
        merge_callbacks(
            {"callbacks": [ModelCheckpoint("ck", filename=name)], "enable_checkpointing": None,
             "enable_progress_bar": None}, [],
        )  # fmt: skip


def test_a_folder_of_shards_is_no_address(there, capsys):
    """Strategies unpickle its metadata; a folder may be called like an address."""
    Path("dcp:/ck").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="is a folder"):
        check_checkpoint_to_go_on("dcp://ck")
    leave_evil()
    with pytest.raises(ValueError, match="holds more than tensors and plain values"):
        check_checkpoint_to_go_on(f"file://{there / 'evil.pth'}")
    assert not ran()
    with pytest.raises(ValueError, match="cannot be read"):
        check_checkpoint_to_go_on(f"file://{there / 'none.ckpt'}")
    with pytest.raises(ValueError, match="download it and give the file"):
        check_checkpoint_to_go_on("https://127.0.0.1:9/alexnet.pth")


def test_pictures_hold_no_pictures_of_other_formats():
    """IPTC's reader opens what is in a file in any format, EPS among them."""
    assert not {"EPS", "IPTC", "PDF", "WMF", "GRIB", "FITS", "MCIDAS"} & set(picture_formats())
    assert {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"} <= set(picture_formats())
