"""Our checkpoints on a hub: pushed, pulled, and refused in one line."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from jsonargparse import Namespace
from safetensors.torch import load_file, save_file

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.codes.code_files import read_codes
from lightning_hash.commands.inputs import inputs_of_victim
from lightning_hash.commands.push import _card, write_hub_files
from lightning_hash.results.tables import format_epsilon
from lightning_hash.victims import as_victim, load_foreign, load_victim
from tests.helpers.commands import SMALL_ATTACK, SMALL_DATA
from tests.helpers.fake_hub import COMMIT, hub_in, uploads_to
from tests.reports.rows import row

hub = pytest.importorskip("huggingface_hub", reason="pip install '.[hub]'")
SOURCE = "hf-hub:somebody/small"


@pytest.fixture(scope="session")
def demo_victim(trained):
    return trained / "checkpoints/demo/best.ckpt"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory, demo_victim):
    """A folder that is a hub, with the demo's victim in it."""
    top = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        create_repo, upload_folder = uploads_to(top)
        patch.setattr(hub, "create_repo", create_repo)
        patch.setattr(hub, "upload_folder", upload_folder)
        source = lightning_hash.push_to_hub(demo_victim, "somebody/small")
    assert source == SOURCE
    return top


@pytest.fixture
def there(pushed, tmp_path, monkeypatch):
    """A copy of that hub behind a server, a cache of one's own, and what was asked."""
    top = shutil.copytree(pushed, tmp_path / "hub")
    real = hub.hf_hub_download
    with hub_in(top) as (address, asked):
        cached = partial(real, endpoint=address, cache_dir=tmp_path / "cache")
        monkeypatch.setattr(hub, "hf_hub_download", cached)
        yield top / "somebody/small", asked


def refusal(source=SOURCE, error=ValueError, **options):
    with pytest.raises(error, match=rf"^(victim {source}|backbone: )") as raised:
        load_foreign(source, **options)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_pushed_and_pulled_it_is_the_same_victim(there, demo_victim):
    own, theirs = load_victim(demo_victim), load_foreign(SOURCE)
    assert theirs.sha256 == own.sha256
    assert (theirs.backbone, theirs.bits, theirs.loss) == (own.backbone, own.bits, own.loss)
    assert theirs.selected_on == own.selected_on == "validation"
    assert theirs.name == f"{SOURCE}@{COMMIT}"
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(theirs(images), own(images))
    assert load_foreign(f"{SOURCE}@v1", bits=own.bits).sha256 == own.sha256
    assert as_victim(SOURCE).name == theirs.name


def test_what_a_backbone_of_timm_was_trained_on_is_pushed(tmp_path, demo_victim):
    """Beside the network's name: what it is built of, and the size of its inputs."""
    content = torch.load(demo_victim, weights_only=True)
    more = {"architecture": None, "inputs": {"size": 64, "interpolation": "bicubic"}}
    content["lightning_hash"] |= more
    torch.save(content, tmp_path / "own.ckpt")
    write_hub_files(tmp_path / "own.ckpt", tmp_path / "hub", "somebody/small")
    entry = json.loads((tmp_path / "hub" / "config.json").read_text())["lightning_hash"]
    assert entry["inputs"] == more["inputs"]
    assert "architecture" not in entry
    described = {**more, "architecture": {"architecture": "test_vit"}}
    content["lightning_hash"] |= described
    torch.save(content, tmp_path / "own.ckpt")
    write_hub_files(tmp_path / "own.ckpt", tmp_path / "hub", "somebody/small")
    entry = json.loads((tmp_path / "hub" / "config.json").read_text())["lightning_hash"]
    assert entry["architecture"] == described["architecture"]


def change_entry(place, **changes):
    content = json.loads((place / "config.json").read_text())
    content["lightning_hash"].update(changes)
    (place / "config.json").write_text(json.dumps(content))


def test_the_hub_says_what_a_victim_was_trained_with(there):
    change_entry(there[0], inputs={"size": 96, "interpolation": "bicubic"})
    who = {"source": f"as victim {SOURCE} was trained with"}
    expected = {"size": 96, "interpolation": "bicubic", **who}
    assert inputs_of_victim(SOURCE) == inputs_of_victim({"source": SOURCE}) == expected
    assert inputs_of_victim(["absent.ckpt", Namespace(source=SOURCE)]) == expected
    assert {path.rpartition("/")[2] for path in there[1]} == {"config.json"}
    there[1].clear()
    assert inputs_of_victim({"source": SOURCE, "backbone": "convnet"}) == {}
    assert there[1] == []
    assert inputs_of_victim("hf-hub:somebody/other") == inputs_of_victim("hf-hub:a") == {}


def test_a_hub_that_says_nothing_of_the_inputs_or_nonsense(there, tmp_path):
    assert inputs_of_victim(SOURCE) == {}
    change_entry(there[0], inputs={"size": "96"})
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ValueError, match=rf"^victim {SOURCE}: inputs cannot be .*; push it again$"):
        inputs_of_victim(SOURCE)


@pytest.mark.slow
def test_verbs_take_the_size_of_the_hub(there, tmp_path, monkeypatch, caplog):
    """The demo's data are of 64 pixels; what the user says holds."""
    monkeypatch.chdir(tmp_path)
    change_entry(there[0], inputs={"size": 48, "interpolation": None})
    on = [f"--model.victim={SOURCE}", *SMALL_DATA, "--trainer.accelerator=cpu"]
    assert main(["encode", *on, "--output=codes.safetensors"]) == 0
    assert (
        read_codes(tmp_path / "codes.safetensors")
        .made_with["inputs"]
        .startswith("SamplePhotos (3, 48, 48)")
    )
    assert f"data: --data.size 48, as victim {SOURCE} was trained with" in caplog.text
    caplog.clear()
    assert main(["encode", *on, "--data.size=32", "--output=own.safetensors"]) == 0
    assert (
        read_codes(tmp_path / "own.safetensors")
        .made_with["inputs"]
        .startswith("SamplePhotos (3, 32, 32)")
    )
    assert "trained with" not in caplog.text
    assert main(["robustness", *on, "--transforms=[flip]", "--n_queries=2"]) == 0
    (path,) = tmp_path.rglob("robustness.json")
    assert json.loads(path.read_text())["data"]["input_shape"] == [3, 48, 48]


def test_both_files_are_of_one_commit(there):
    load_foreign(SOURCE)
    files = {path.rpartition("/")[2]: path.split("/")[4] for path in there[1]}
    assert files == {"config.json": "main", "model.safetensors": COMMIT}


def without_network(monkeypatch, offline):
    """Let nobody answer, or let huggingface_hub be told not to ask; return the cache."""
    cached = hub.hf_hub_download
    cache = cached.keywords["cache_dir"]
    gone = partial(cached.func, endpoint="http://127.0.0.1:9", cache_dir=cache)
    monkeypatch.setattr(hub, "hf_hub_download", gone)
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", offline)
    return cache


@pytest.mark.parametrize("offline", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_is_cached_needs_no_network(there, monkeypatch, offline):
    first = load_foreign(SOURCE).sha256
    cache = without_network(monkeypatch, offline)
    assert load_foreign(SOURCE).sha256 == first
    shutil.rmtree(cache)
    said = refusal(error=FileNotFoundError)
    assert "config.json is not in the cache, and the hub cannot be reached" in said


@pytest.mark.slow
def test_a_process_that_has_imported_nothing_of_the_hub():
    """Its package has no ``errors`` before somebody imports it."""
    code = "from lightning_hash.victims import load_foreign; load_foreign('hf-hub:a/b')"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "absent"}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    said = ended.stderr.splitlines()[-1]
    assert said.startswith("FileNotFoundError: victim hf-hub:a/b: config.json is not in the cache")


def test_what_is_not_there(there):
    said = refusal("hf-hub:somebody/other", FileNotFoundError)
    assert "there is no such repository, or a private one" in said
    assert "no revision v9" in refusal(f"{SOURCE}@v9", FileNotFoundError)
    (there[0] / "model.safetensors").unlink()
    assert "has no model.safetensors, so that it is no model of" in refusal(error=FileNotFoundError)


@pytest.mark.parametrize(
    "source",
    ["hf-hub:small", "hf-hub:a/b/c", "hf-hub:../b", "hf-hub:a/../b", "hf-hub:", "hf-hub:a/ b"],
)
def test_names_that_are_none(source):
    with pytest.raises(ValueError, match="a repository of the hub is owner/name, got"):
        load_foreign(source)


def test_options_of_models_of_others(there):
    assert "backbone goes with models of others" in refusal(backbone="resnet18")
    assert "preprocess goes with models of others" in refusal(preprocess="none")
    assert "output goes with models of others" in refusal(output="codes")
    assert "head goes with an ONNX file" in refusal(head="a.safetensors")
    bits = load_foreign(SOURCE).bits
    assert f"bits = 7, the network has {bits}" in refusal(bits=7)


def entry(**changes):
    def change(place):
        content = json.loads((place / "config.json").read_text())
        content["lightning_hash"].update(changes)
        (place / "config.json").write_text(json.dumps(content))

    return change


def weights(change_state):
    def change(place):
        state = load_file(place / "model.safetensors")
        change_state(state)
        save_file(state, place / "model.safetensors")

    return change


def first(state):
    return next(name for name, value in state.items() if value.is_floating_point())


CHANGES = {
    "config.json is no JSON": lambda place: (place / "config.json").write_text("{"),
    "config.json is not one of lightning_hash": lambda place: (place / "config.json").write_text(
        "[]"
    ),
    "checkpoint of kind 'attack', not 'victim'": entry(kind="attack"),
    "has format version 99": entry(version=99),
    "bits cannot be 'x'": entry(bits="x"),
    "do not fit convnet of 7 bits": entry(bits=7),
    "is not of lightning_hash.models": entry(backbone={"class_path": "os.system"}),
    "model.safetensors is no safetensors file": lambda place: (
        place / "model.safetensors"
    ).write_bytes(b"\x80\x04."),
    "not finite": weights(lambda state: state[first(state)].fill_(float("nan"))),
    "is missing": weights(lambda state: state.pop(first(state))),
    "has no place there": weights(lambda state: state.update(more=torch.ones(2))),
}


@pytest.mark.parametrize("words", CHANGES)
def test_files_that_are_wrong(there, words):
    CHANGES[words](there[0])
    assert words in refusal()


def test_the_card_and_the_config_name_no_place_of_this_machine(pushed, demo_victim):
    place = pushed / "somebody/small"
    assert sorted(path.name for path in place.iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    card = (place / "README.md").read_text()
    score = torch.load(demo_victim, weights_only=True)["callbacks"]
    (best,) = [each["current_score"] for each in score.values() if "current_score" in each]
    assert f"| validation | sample-photos | | val/map | {float(best):.4f} |" in card
    assert "| loss | PairwiseLoss |" in card
    assert "hf-hub:somebody/small" in card
    assert load_victim(demo_victim).sha256 in card
    for text in (card, (place / "config.json").read_text()):
        assert str(Path(demo_victim).parent) not in text
        assert "/tmp" not in text


@pytest.mark.slow
def test_a_run_goes_into_the_card(tmp_path, demo_victim, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["attack", *SMALL_ATTACK, "--trainer.max_epochs=2", "--name=a",
                 f"--model.victim={demo_victim}"]) == 0  # fmt: skip
    create_repo, upload_folder = uploads_to(tmp_path)
    monkeypatch.setattr(hub, "create_repo", create_repo)
    monkeypatch.setattr(hub, "upload_folder", upload_folder)
    run = tmp_path / "runs/attack/a"
    lightning_hash.push_to_hub(demo_victim, "a/b", run)
    rows = json.loads(next(run.rglob("results.json")).read_text())
    value = next(r["value"] for r in rows if r["metric"] == "map" and r["quantized"])
    card = (tmp_path / "a/b/README.md").read_text()
    assert (
        f"| hag, epsilon 10/255, 8-bit | sample-photos | {rows[0]['n']} | MAP | {value:.4f} |"
        in card
    )
    other = torch.load(demo_victim, weights_only=True)
    name = first(other["state_dict"])
    other["state_dict"][name] += 1
    torch.save(other, "other.ckpt")
    with pytest.raises(ValueError, match="give a run on this one"):
        lightning_hash.push_to_hub("other.ckpt", "a/b", run)


def test_a_card_has_the_last_iteration_of_each_attack(demo_victim):
    content = torch.load(demo_victim, weights_only=True)
    other = {"sources": "resnet18-8", "sha256": ["1"], "combination": "single", "restarts": 1}
    rows = [
        row(attack="none", value=0.9, iteration=0), row(value=0.5, iteration=1),
        row(value=0.25, iteration=2), row(value=0.26, iteration=2, quantized=True),
        row(value=0.75, iteration=5, transfer=other),
    ]  # fmt: skip
    card = list(_card(content, "1", "a/b", rows))
    table = card.index("| queries | data | n | metric | value |")
    name = f"hag, epsilon {format_epsilon(rows[1].get('attack.budget.epsilon'), None)}"
    data = f"{rows[0].data['dataset']} | {rows[0].n} | MAP"
    assert card[table + 3 : card.index("", table)] == [
        f"| clean | {data} | 0.9000 |",
        f"| {name} | {data} | 0.2500 |",
        f"| {name}, 8-bit | {data} | 0.2600 |",
        f"| {name.replace('hag', 'hag made on resnet18-8')} | {data} | 0.7500 |",
    ]


def test_a_card_of_a_computed_head_names_no_loss(demo_victim):
    content = torch.load(demo_victim, weights_only=True)
    entry = content["lightning_hash"]
    entry["settings"]["model"]["head"] = {"class": "lightning_hash.models.PCA", "rotate": True}
    trained = "\n".join(_card(content, "1", "a/b", []))
    assert "| loss | PairwiseLoss |" in trained
    assert '"loss": {' in trained
    entry["loss"] = "PCA"
    computed = "\n".join(_card(content, "1", "a/b", []))
    assert "| head | PCA |" in computed
    assert "loss" not in computed
    assert "optimizer" not in computed
    assert "loss" in entry["settings"]["model"]


def test_what_is_not_pushed(tmp_path, demo_victim, monkeypatch):
    with pytest.raises(ValueError, match="push_to_hub: a repository of the hub is owner/name"):
        lightning_hash.push_to_hub(demo_victim, "small")

    def create_repo(*_, **__):
        raise hub.errors.HFValidationError("401 Unauthorized\nmore")

    monkeypatch.setattr(hub, "create_repo", create_repo)
    with pytest.raises(ValueError, match=r"a/b was not pushed \(401 Unauthorized\); log in"):
        lightning_hash.push_to_hub(demo_victim, "a/b")
