"""The program on the pretended GPU: nothing mixes devices, and iterations wait for nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu_check.commands import LOSSES, PRESETS, VERBS
from tests.pretended_gpu.commands import EPOCHS

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each check saw, in a process of its own."""
    found = tmp_path_factory.mktemp("pretended") / "seen.json"
    run = subprocess.run(
        [sys.executable, "-m", "tests.pretended_gpu", str(found)], cwd=ROOT, capture_output=True,
        text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]

    def look(name):
        each = json.loads(found.read_text())[name]
        assert "error" not in each, each["error"]
        return each

    return look


@pytest.mark.parametrize("name", LOSSES)
def test_a_training_step_waits_for_nothing(seen, name):
    waits_only_at_the_end_of_an_epoch(seen(f"loss {name}"))


def waits_only_at_the_end_of_an_epoch(found):
    assert found["operations"] > 100  # steps were seen
    assert (found["first"], found["step"]) == ({}, {})
    (place, waits), *others = found["between"].items()
    assert (others, waits) == ([], EPOCHS - 3)
    assert "hash_module.py" in place  # whether a loss was not finite


def test_a_step_with_a_bank_waits_once(seen):
    found = seen("loss HashNetLoss with a bank")
    (place, waits), *others = found["step"].items()
    assert (others, waits) == ([], 4 * (EPOCHS - 1))
    assert "code_bank.py" in place


@pytest.mark.parametrize("preset", PRESETS)
def test_an_iteration_waits_for_nothing(seen, preset):
    found = seen(f"preset {preset}")
    assert found["devices"] == ["1 x cuda"]
    assert (found["step"], found["between"]) == ({}, {})
    if preset != "noise":
        # An iteration was seen. SS-TUAA passes delta as well and compares all layers, APGD keeps
        # the best of each query, NES asks 21 times.
        most = {"universal_targeted": 400, "apgd": 300, "apgd_l2": 300, "apgd_targeted": 300}
        assert 50 < found["operations"] < {**most, "nes": 1500}.get(preset, 200)


def test_a_hash_layer_is_computed_and_trained_on_frozen_features(seen):
    found = seen("head")
    assert found["moved"] > 0.01
    assert found["step"] == {}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs(seen, verb):
    seen(f"verb {verb}")


@pytest.mark.parametrize("kind", ["folder", "clips"])
def test_other_data_waits_for_nothing(seen, kind):
    waits_only_at_the_end_of_an_epoch(seen(f"data {kind}, fit"))
    attack = seen(f"data {kind}, attack")
    assert (attack["devices"], attack["step"], attack["between"]) == (["1 x cuda"], {}, {})


@pytest.mark.parametrize(
    "name",
    [
        "data clips, attack on frames", "data photographs, targeted", "inputs diverse",
        "inputs stop_finished",
    ],
)  # fmt: skip
def test_parts_of_an_attack_wait_for_nothing(seen, name):
    found = seen(name)
    assert (found["devices"], found["step"], found["between"]) == (["1 x cuda"], {}, {})


def test_queries_known_late_to_be_finished_end_where_the_cpus_do(seen):
    found = seen("finished queries")
    assert found["differ"] == 0
    assert any(found["done"])
    assert found["done"] == found["done on CPU"]


@pytest.mark.parametrize(
    "name", ["HammingMAP", "HammingMAP by index", "TargetedHammingMAP", "HammingPrecision"]
)
def test_a_metric_is_the_cpus(seen, name):
    (there, value), (here, expected) = seen(f"metric {name}")["values"]
    assert (there, here) == ("cuda", "cpu")
    assert 0 < expected < 1
    assert value == pytest.approx(expected, abs=1e-12)


def test_8_bit_levels_are_the_cpus(seen):
    assert seen("levels") == {"differ": 0, "of a number": 126}


def test_a_model_on_the_device_comes_back_as_it_was(seen):
    assert seen("python attack") == {"model": ["cuda"], "same": True, "found": "cpu"}


@pytest.mark.parametrize("name", ["attack", "clips", "encoder", "evaluator"])
def test_a_benchmark_runs(seen, name):
    found = seen(f"benchmark {name}")
    if name == "attack":
        assert all(seconds > 0 for seconds in found["seconds"])
        assert found["waits"] == {}
    if name == "encoder":
        assert len(found) == 3  # the bare model, in TF32 too, and encode


@pytest.mark.parametrize("exported", ["here", "there"])
def test_exported_programs_run_where_they_are_used(seen, exported):
    found = seen("exported programs")[exported]
    assert (found["devices"], found["after"]) == ("1 x cuda", "cpu")
    assert (found["step"], found["between"]) == ({}, {})
    assert found["moved"] > 0


def test_branches_of_an_exported_program_run_on_the_device(seen):
    found = seen("exported branches")
    assert found["device"] == "cuda"
    assert found["differ"] < 1e-6


@pytest.mark.parametrize("kernels", ["float32", "auto", "fastest"])
@pytest.mark.parametrize("share", ["backward", "half", "forward"])
def test_memory_that_runs_out_halves_the_batch(seen, share, kernels):
    found = seen(f"memory {share}, {kernels}")
    # The fastest kernels are another processor's own: with less memory than those of the peak.
    assert found["halved"] >= (0 if kernels == "fastest" else 1)
    assert (found["halved"] == 0) == (found["at_a_time"] is None)
    assert found["differ"] <= 1e-6
    assert found["left"] == 0
    if found["at_a_time"] is not None:  # parts add up gradients of the whole batch: four queries
        assert found["at_a_time"] >= (found["fit"] - 4) / 2


def test_memory_may_run_out_while_kernels_are_chosen(seen):
    assert seen("memory half, fastest chosen then")["differ"] <= 1e-6
