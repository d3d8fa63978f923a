"""Transfer of perturbations: the verb, and attacks on several victims."""

import json
import re
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightning_hash.__main__ import main
from lightning_hash.attacks import AnchorCode
from lightning_hash.commands.attack import run_attack
from lightning_hash.functional import mean_average_precision, sign_code
from lightning_hash.results.rows import read_results
from lightning_hash.results.runs import latest_version
from lightning_hash.victims.victim import load_victim
from tests.conftest import TinyNet
from tests.helpers.attacks import make, rows_of, trainer

pytestmark = pytest.mark.slow

SMALL = ["--data.n_train=60", "--data.n_query=20", "--data.n_database=150"]
QUIET = ["--trainer.enable_progress_bar=false", "--model.kernels=float32"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two victims, an attack on each of the same queries, and one of other queries."""
    root = tmp_path_factory.mktemp("transfer")
    folders = ["--runs", str(root / "runs"), "--checkpoints", str(root / "ck")]
    for bits in (8, 12):
        fit = ["fit", "--trainer.max_epochs=20", f"--model.bits={bits}", f"--name=v{bits}"]
        assert main([*fit, *SMALL, *folders, "--trainer.logger=false"]) == 0
    for name, bits, seed in (("a8", 8, 0), ("a12", 12, 0), ("other", 12, 1)):
        attack = ["attack", f"--model.victim={root}/ck/v{bits}/best.ckpt", f"--name={name}"]
        attack += ["--trainer.max_epochs=5", "--model.n_queries=6", f"--model.seed={seed}"]
        assert main([*attack, *SMALL, *QUIET, *folders[:2]]) == 0
    return root


def transfer(world, *arguments, name="t"):
    runs = ["--runs", str(world / "runs"), "--name", name]
    return main(["transfer", *arguments, *runs, "--accelerator", "cpu"])


def rows(world, name):
    (path,) = (world / "runs" / "transfer" / name).rglob("results.json")
    return read_results(path)


def test_a_name_stands_for_its_newest_finished_version(world, caplog):
    runs = world / "killed" / "a8"
    shutil.copytree(world / "runs/attack/a8/version_0", runs / "version_0")
    later = shutil.copytree(runs / "version_0", runs / "version_1")
    content = json.loads((later / "results.json").read_text())
    unfinished = [row for row in content if not row["quantized"]]
    (later / "results.json").write_text(json.dumps(unfinished))
    shutil.copytree(later, runs / "version_2")
    (runs / "version_2" / "perturbations.safetensors").unlink()
    (runs / "version_3").mkdir()
    assert latest_version(runs) == runs / "version_0"
    victim = str(world / "ck/v8/best.ckpt")
    assert transfer(world, "--perturbations", str(runs), "--victims", victim, name="k") == 0
    assert f"{runs}: version_0 is taken, later ones are not finished" in caplog.text
    shutil.copytree(runs / "version_0", runs / "version_10")
    assert latest_version(runs) == runs / "version_10"


def test_white_box_rows_are_those_of_the_attack(world):
    run, victim = world / "runs/attack/a8", world / "ck/v8/best.ckpt"
    assert transfer(world, "--perturbations", str(run), "--victims", str(victim), name="w") == 0
    found = rows(world, "w")
    attack = read_results(run / "version_0" / "results.json")
    for metric in ("map", "t_map", "hamming_to_clean", "perceptibility"):
        for quantized in (False, True):
            wanted = {"metric": metric, "quantized": quantized, "name": "hag"}
            (here,) = [r for r in found if all(getattr(r, k) == v for k, v in wanted.items())]
            there = [r for r in attack if all(getattr(r, k) == v for k, v in wanted.items())][-1]
            assert here.value == pytest.approx(there.value, abs=1e-6)
            assert here.iteration == 5
            assert here.transfer == {
                "sources": "convnet-8", "combination": "single", "restarts": None,
                "sha256": [here.get("victim.sha256")],
            }  # fmt: skip
            assert here.attack == there.attack
            assert (here.se, here.n, here.ranking) == (there.se, there.n, there.ranking)
    for path in ("objective.class", "step.lr", "budget.epsilon", "objective.threshold"):
        assert here.get(f"attack.{path}") is not None
    assert here.get("attack.iterations") == 5
    clean = [row for row in found if row.name == "none"]
    assert (clean[0].metric, clean[0].transfer) == ("map", None)


def test_combinations_on_another_victim(world, capsys):
    runs = [str(world / f"runs/attack/{name}") for name in ("a8", "a12")]
    victims = [str(world / f"ck/v{bits}/best.ckpt") for bits in (8, 12)]
    how = ["single", "sum", "clipped", "average"]
    assert transfer(
        world, "--perturbations", *runs, "--combination", *how, "--victims", *victims, name="c"
    ) == 0  # fmt: skip
    found = rows(world, "c")
    attacks = {
        (r.get("transfer.sources"), r.get("transfer.combination"))
        for r in found if r.name == "hag"
    }  # fmt: skip
    both = "convnet-8+convnet-12"
    assert attacks == {
        ("convnet-8", "single"), ("convnet-12", "single"),
        (both, "sum"), (both, "clipped"), (both, "average"),
    }  # fmt: skip
    assert len([r for r in found if r.name == "none" and r.metric == "map"]) == 2
    # MAP of the sum on the 12-bit victim, from the files alone.
    parts = [load_file(f"{run}/version_0/perturbations.safetensors") for run in runs]
    total = parts[0]["perturbation"] + parts[1]["perturbation"]
    code = load_victim(victims[1])
    data = _data()
    clean = torch.stack([data.query_set[int(i)][0] for i in parts[0]["index"]])
    labels = torch.stack([data.query_set[int(i)][1] for i in parts[0]["index"]])
    items = [data.database_set[i] for i in range(len(data.database_set))]
    images, database_labels = (torch.stack([item[k] for item in items]) for k in (0, 1))
    with torch.no_grad():
        queries = sign_code(code.network((clean + total).clamp(0, 1)))
        database = sign_code(code.network(images))
    expected = mean_average_precision(queries, database, labels, database_labels, top_k=1000)
    (row,) = [
        r for r in found
        if (r.metric, r.quantized) == ("map", False)
        and (r.get("transfer.combination"), r.get("victim.bits")) == ("sum", 12)
    ]  # fmt: skip
    assert row.value == pytest.approx(float(expected), abs=1e-6)
    assert row.get("attack.budget.epsilon") == pytest.approx(2 * 10 / 255)
    parts = row.get("transfer.parts")
    assert [part["run"].rpartition("attack/")[2] for part in parts] == [
        "a8/version_0", "a12/version_0",
    ]  # fmt: skip
    assert [part["sources"] for part in parts] == ["convnet-8", "convnet-12"]
    assert [(p["attack"]["seed"], p["iteration"]) for p in parts] == [(0, 5), (0, 5)]
    assert {p["attack"]["budget"]["epsilon"] for p in parts} == {10 / 255}
    printed = capsys.readouterr().out
    assert "convnet-8 (r1), ε 10/255" in printed
    assert "clip(r1 + r2), ε 10/255" in printed
    assert "r1 + r2, ε 20/255" in printed


def _data():
    from lightning_hash.data import SamplePhotos

    data = SamplePhotos(n_train=60, n_query=20, n_database=150)
    data.setup("predict")
    return data


@pytest.mark.parametrize(("objective", "metric"), [("HAG", "clean"), ("AnchorCode", "anchor")])
def test_the_best_of_restarts(world, objective, metric, capsys):
    victim, names = world / "ck/v12/best.ckpt", [f"{objective}{seed}" for seed in (1, 2, 3)]
    for seed, name in enumerate(names, 1):
        attack = ["attack", f"--model.objective={objective}", f"--name={name}"]
        attack += [f"--model.victim={victim}", f"--model.start_seed={seed}"]
        attack += ["--trainer.max_epochs=3", "--model.n_queries=20", "--model.epsilon=0.3"]
        assert main([*attack, *SMALL, *QUIET, "--runs", str(world / "runs")]) == 0
    runs = [str(world / f"runs/attack/{name}") for name in names]
    how = ["--combination", "single", "best", "--victims", str(victim)]
    assert transfer(world, "--perturbations", *runs, *how, name=f"best-{metric}") == 0
    found = [
        r for r in rows(world, f"best-{metric}")
        if r.metric == f"hamming_to_{metric}" and r.transfer and not r.quantized
    ]  # fmt: skip
    files = [load_file(f"{run}/version_0/perturbations.safetensors") for run in runs]
    reached = torch.stack([file["reached"] for file in files])
    bits = 12 * (reached if metric == "clean" else 1 - reached)
    alone = [row for row in found if row.get("transfer.combination") == "single"]
    single = [row.value for row in alone]
    assert [row.get("attack.start_seed") for row in alone] == [1, 2, 3]
    assert single == pytest.approx(bits.mean(dim=1).tolist(), abs=1e-5)
    (best,) = [row for row in found if row.get("transfer.combination") == "best"]
    assert (best.get("transfer.restarts"), best.get("attack.start_seed")) == (3, None)
    seeds = [part["attack"]["start_seed"] for part in best.get("transfer.parts")]
    assert seeds == [1, 2, 3]
    top = bits.amax(dim=0) if metric == "clean" else bits.amin(dim=0)
    assert best.value == pytest.approx(float(top.mean()), abs=1e-5)
    assert float(bits.std()) > 0  # there was something to choose from
    printed = capsys.readouterr().out
    assert "start 2" in printed
    assert "best of 3 on" in printed


def test_runs_that_do_not_go_together(world, capsys, tmp_path):
    victim = ["--victims", str(world / "ck/v8/best.ckpt")]
    runs = [str(world / "runs/attack/a8"), str(world / "runs/attack/other")]
    assert transfer(world, "--perturbations", *runs, "--combination", "sum", *victim) == 1
    assert "seed is 0 and 1" in capsys.readouterr().err
    config = tmp_path / "data.yaml"
    config.write_text(
        "data: {class_path: lightning_hash.data.SamplePhotos, init_args: {n_train: 60, "
        "n_query: 20, n_database: 140}}"
    )
    options = ["--perturbations", runs[0], "--data", str(config)]
    assert transfer(world, *options, *victim) == 1
    assert "are of other data: their sha256.database is" in capsys.readouterr().err
    assert transfer(world, "--perturbations", str(tmp_path), *victim) == 1
    assert "give the run folder of a finished attack" in capsys.readouterr().err


def torn(source, folder, name):
    """Copy a run and damage it."""
    run = folder / name
    shutil.copytree(source, run)
    path = run / "version_0" / "perturbations.safetensors"
    tensors = load_file(path)
    content = path.read_bytes()
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    if name == "empty":
        path.write_bytes(b"")
    elif name == "half":
        path.write_bytes(content[: len(content) // 2])
    elif name == "missing":
        path.unlink()
    elif name == "targets":
        (run / "version_0" / "targets.json").write_text('{"3": ')
    elif name == "nan":
        tensors["perturbation"][1] = torch.nan
        save_file(tensors, path, metadata)
    elif name == "none":
        save_file({key: value[:0] for key, value in tensors.items()}, path, metadata)
    elif name == "version":
        save_file(tensors, path, {"protocol": "{}"})
    return run


BAD = {
    "empty": "a truncated one", "half": "a truncated one", "missing": "does not exist",
    "targets": r"targets\.json is no JSON", "version": "its protocol",
    "nan": r"perturbations that are not finite, of the queries \[\d+\]",
    "none": "a perturbation for each query, at least one",
}  # fmt: skip


def test_bad_runs_are_named_and_left_out(world, tmp_path):
    good, victim = world / "runs/attack/a8", world / "ck/v8/best.ckpt"
    bad = [torn(good, tmp_path, name) for name in BAD]
    runs = ["--perturbations", *map(str, [bad[0], good, *bad[1:]])]
    how = ["--combination", "single", "sum"]
    with pytest.warns(UserWarning, match="left out") as warned:
        assert transfer(world, *runs, *how, "--victims", str(victim), name="bad") == 0
    said = [str(w.message) for w in warned if "left out" in str(w.message)]
    for name, message in BAD.items():
        assert [each for each in said if re.search(rf"/{name}/.*{message}", each)], name
    assert "left out: combination sum is one of all runs, of which some were left out" in said
    assert len(said) == len(BAD) + 1
    attacks = {row.get("transfer.combination") for row in rows(world, "bad") if row.name == "hag"}
    assert attacks == {"single"}


def test_nothing_but_bad_runs_is_an_error(world, tmp_path, capsys):
    good, victim = world / "runs/attack/a8", world / "ck/v8/best.ckpt"
    bad = torn(good, tmp_path, "half")
    assert transfer(world, "--perturbations", str(bad), "--victims", str(victim), name="b") == 1
    assert "a truncated one" in capsys.readouterr().err
    runs = ["--perturbations", str(bad), str(good), "--combination", "sum"]
    with pytest.warns(UserWarning, match="left out"):
        assert transfer(world, *runs, "--victims", str(victim), name="b") == 1
    assert "combination sum is one of all runs, of which some" in capsys.readouterr().err
    assert not (world / "runs" / "transfer" / "b").exists()


def test_a_config_that_is_torn_is_taken_from_another_run(world, tmp_path):
    first, good = tmp_path / "first", world / "runs/attack/a8"
    shutil.copytree(good, first)
    (first / "version_0" / "config.yaml").write_text("")
    runs = ["--perturbations", str(first), str(good)]
    with pytest.warns(UserWarning, match="left out: config .*first/.*config.yaml is empty"):
        assert transfer(world, *runs, "--victims", str(world / "ck/v8/best.ckpt"), name="f") == 0


def test_a_victim_that_is_none_is_found_before_the_others_are_scored(world, capsys):
    run, good = str(world / "runs/attack/a8"), str(world / "ck/v8/best.ckpt")
    line = ["--perturbations", run, "--victims", good, str(world / "ck/v9/best.ckpt")]
    assert transfer(world, *line, name="mistyped") == 1
    said = capsys.readouterr()
    assert "v9/best.ckpt does not exist" in said.err
    assert "Testing" not in said.out
    assert not (world / "runs" / "transfer" / "mistyped").exists()


def test_the_rows_of_a_victim_are_there_when_a_later_one_fails(world, monkeypatch):
    from lightning_hash.commands import transfer as verb

    score, seen = verb.run_transfer, []

    def fails(trainer, victim, *arguments):
        seen.append(victim.bits)
        if len(seen) == 2:
            raise ValueError("the second")
        return score(trainer, victim, *arguments)

    monkeypatch.setattr(verb, "run_transfer", fails)
    victims = [str(world / f"ck/v{bits}/best.ckpt") for bits in (8, 12)]
    line = ["--perturbations", str(world / "runs/attack/a8"), "--victims", *victims]
    assert transfer(world, *line, name="half") == 1
    assert {row.get("victim.bits") for row in rows(world, "half")} == {8}


def test_a_stopped_attack_is_transferred_as_what_it_is(world, tmp_path):
    attack = ["attack", f"--model.victim={world}/ck/v8/best.ckpt", "--name=stopped"]
    attack += ["--trainer.max_epochs=50", "--model.n_queries=4", "--trainer.max_time=00:00:00:00"]
    with pytest.warns(UserWarning, match="stopped after iteration 0 of 50"):
        assert main([*attack, *SMALL, *QUIET, "--runs", str(tmp_path)]) == 1
    run, victim = str(tmp_path / "attack/stopped"), str(world / "ck/v12/best.ckpt")
    assert transfer(world, "--perturbations", run, "--victims", victim, name="stopped") == 0
    found = [row for row in rows(world, "stopped") if row.is_attack]
    assert {(row.iteration, row.get("attack.iterations")) for row in found} == {(0, 50)}


def test_one_perturbation_on_two_victims(tmp_path, blobs):
    """The rows of each member are those of its own code, and the joint loss is the sum."""
    networks = [TinyNet(8), TinyNet(6)]
    networks[0].bits, networks[1].bits = 8, 6
    module = make([*networks], objective=AnchorCode(), n_queries=6)
    scores = run_attack(trainer(tmp_path, 6), module, blobs)
    outcome = scores.outcome().tensors
    assert outcome["codes"].shape == (6, 14)
    items = [blobs.database_set[i] for i in range(len(blobs.database_set))]
    images = torch.stack([torch.as_tensor(item[0]) for item in items])
    labels = torch.stack([torch.as_tensor(item[1]) for item in items])
    for network, part in zip(networks, (slice(0, 8), slice(8, 14)), strict=True):
        database = sign_code(network(images))
        expected = mean_average_precision(
            outcome["codes"][:, part], database, outcome["labels"], labels, top_k=20
        )
        found = rows_of(scores, metric="map", attack="dhta", quantized=False)
        found = [row for row in found if row["victim"]["bits"] == network.bits]
        assert found[-1]["value"] == pytest.approx(float(expected), abs=1e-6)
        assert found[-1]["transfer"]["combination"] == "joint"
        assert found[-1]["transfer"]["sources"].count("+") == 1
        assert json.dumps(found[-1]["victim"]["bits"]) == str(network.bits)
