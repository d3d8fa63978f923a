import pytest
import yaml

from lightning_hash.sweeps import read_plan

RUNS = {
    "victim": {
        "verb": "fit",
        "options": {"model.bits": "{bits}", "model.backbone": "{backbone}"},
        "values": {"backbone": "convnet"},
    },
    "hag": {
        "verb": "attack",
        "options": {"model.victim": "@{victim}", "model.seed": "{seed}", "model.epsilon": "8/255"},
        "values": {"victim": "victim", "seed": 0},
    },
    "transfer": {
        "verb": "transfer",
        "options": {
            "perturbations": "{sources}",
            "victims": ["@victim bits=16", "@victim bits=32 backbone=vgg11"],
        },
    },
}


def plan(tmp_path, *entries, runs=RUNS, scale="full", **more):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({"runs": runs, "full": list(entries), **more}, sort_keys=False))
    return read_plan([path], scale)


def test_lists_multiply_and_needs_come_first_and_once(tmp_path):
    runs = plan(tmp_path, {"run": "hag", "bits": [16, 32], "seed": [0, 1]})
    assert [run.title for run in runs] == [
        "victim bits=16", "hag bits=16 seed=0", "hag bits=16 seed=1", "victim bits=32",
        "hag bits=32 seed=0", "hag bits=32 seed=1",
    ]  # fmt: skip
    assert runs[2].options["model.victim"].digest == runs[0].digest
    assert runs[5].options["model.victim"].digest == runs[3].digest
    assert runs[5].configuration["options"]["model"] == {
        "victim": {"run": runs[3].digest}, "seed": 1, "epsilon": "8/255",
    }  # fmt: skip


def test_runs_of_one_configuration_are_one_run_whoever_asks(tmp_path):
    twice = [{"run": "hag", "bits": [16]}, {"run": "hag", "bits": 16, "seed": 0}]
    assert [run.verb for run in plan(tmp_path, *twice)] == ["fit", "attack"]
    (tmp_path / "again").mkdir()
    plan(tmp_path / "again", {"run": "hag", "bits": [16, 32], "backbone": "convnet"})
    both = read_plan([tmp_path / "sweep.yaml", tmp_path / "again" / "sweep.yaml"], "full")
    assert len(both) == 4


def test_references_change_values_for_themselves_and_what_they_need(tmp_path):
    runs = plan(
        tmp_path,
        {"run": "transfer", "seed": 3,
         "sources": [["@hag bits=16", "@hag bits=64 backbone=vgg11"], ["@hag bits=16"]]},
    )  # fmt: skip
    transfers = [run for run in runs if run.verb == "transfer"]
    attacks = transfers[0].options["perturbations"]
    assert [attack.options["model.victim"].options for attack in attacks] == [
        {"model.bits": 16, "model.backbone": "convnet"},
        {"model.bits": 64, "model.backbone": "vgg11"},
    ]
    assert {attack.options["model.seed"] for attack in attacks} == {3}
    assert [victim.options["model.bits"] for victim in transfers[0].options["victims"]] == [16, 32]
    assert len(transfers[1].options["perturbations"]) == 1
    assert len(runs) == 3 + 2 + 2
    order = [run.digest for run in runs]
    for run in runs:
        assert all(order.index(need.digest) < order.index(run.digest) for need in run.needs)


def test_several_runs_and_a_file_of_runs_by_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for scale, bits in (("full", 64), ("demo", 8)):
        runs = {"a": {"verb": "fit", "options": {"model.bits": bits}}, "b": {"verb": "attack"}}
        (tmp_path / f"{scale}.yaml").write_text(yaml.safe_dump(runs))
    options = {"runs": "{scale}.yaml", "demo": [{"run": "a"}]}
    assert [run.verb for run in plan(tmp_path, {"run": ["a", "b"]}, **options)] == ["fit", "attack"]
    (run,) = plan(tmp_path, {"run": "a"}, scale="demo", **options)
    assert run.options == {"model.bits": 8}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"run": "hag", "bits": []}, r"full, entry 1: bits is an empty list"),
        ({"run": "hag"}, "run victim has no value of bits; give one beside run: victim"),
        ({"run": "hag", "bits": 8, "bit": 8}, r"has \{bit\}; they have: backbone, bits, seed, vic"),
        ({"run": "hog", "bits": 8}, "there is no run 'hog'; there are: victim, hag, transfer"),
        ({"bits": 8}, r"must be a mapping with a key run, got \{'bits': 8\}"),
        ({"run": "transfer", "sources": [["@hag bit=8"]]}, "no value of bits"),
        ({"run": "transfer", "sources": [["@hag bits=8 bit=8"]]}, r"@hag bits=8 bit=8: .*\{bit\}"),
    ],
)
def test_entries_that_are_wrong(tmp_path, entry, message):
    with pytest.raises(ValueError, match=message):
        plan(tmp_path, entry)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ful": []}, "unknown key 'ful'; known are runs, full, demo"),
        ({"full": []}, r"full must be a list of at least one entry, got \[\]"),
        ({"runs": {}}, "runs must be a mapping of names and runs, or the path of one"),
        ({"runs": {"a": {"verb": "fight"}}}, "runs, a: verb must be one of fit, attack, transfer"),
        ({"runs": {"a": {"verb": "fit", "opt": {}}}}, "runs, a: unknown key 'opt'"),
        ({"runs": {"a": {"verb": "fit", "config": "x"}}}, r"runs, a: config must be .*, got 'x'"),
        ({"runs": {"a": {"verb": "fit", "config": 3}}}, r"runs, a: config must be a list .*got 3"),
        ({"runs": {"a": {"verb": "fit", "options": [1]}}}, r"options must be a mapping .*\[1\]"),
        ({"runs": {"a": {"verb": "fit", "values": None}}}, "runs, a: values must be a mapping"),
        ({"runs": {"a": {"verb": "fit", "options": {"x": "@a"}}}}, "run a needs itself: a needs a"),
    ],
)
def test_files_that_are_wrong(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        plan(tmp_path, {"run": "a"}, **change)


def test_files_that_are_no_sweeps(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.yaml does not exist"):
        read_plan([tmp_path / "absent.yaml"], "full")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ValueError, match=r"list\.yaml must be a mapping, got list"):
        read_plan([tmp_path / "list.yaml"], "full")
    (tmp_path / "torn.yaml").write_text("full: [")
    with pytest.raises(ValueError, match=r"torn\.yaml is no YAML"):
        read_plan([tmp_path / "torn.yaml"], "full")
