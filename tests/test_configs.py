"""Trainer recipes and attack presets: the program takes them and does what they say."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from pytorch_lightning.cli import LightningCLI

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands.cli import HashCLI
from lightning_hash.commands.configs import resolve_configs, with_data_class
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.modules import AttackModule
from lightning_hash.results.rows import read_results
from lightning_hash.utils.configs import find_config, find_configs
from lightning_hash.utils.trust import trusting

CONFIGS = Path(lightning_hash.__file__).parent.parent / "configs"
RECIPES = sorted(CONFIGS.glob("trainer/*.yaml"))


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("verb", ["fit", "attack"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipes(recipe, verb, monkeypatch, tmp_path):
    """The GPUs that a recipe asks for may be missing: look at what the Trainer would be given."""
    monkeypatch.chdir(tmp_path)
    given = {}

    def construct(self, **options):
        given.update({**self._get(self.config_init, "trainer"), **options})
        raise StoppedError

    monkeypatch.setattr(LightningCLI, "instantiate_trainer", construct)
    victim = ["--model.victim={source: tests.victims.test_foreign:make_small}"]
    arguments = [verb, "--config", str(recipe), *(victim if verb == "attack" else [])]
    with trusting(), pytest.raises(StoppedError):
        HashCLI(arguments[0], arguments[1:])
    for name, value in yaml.safe_load(recipe.read_text())["trainer"].items():
        assert given[name] == value
    several = recipe.stem in ("ddp", "slurm")
    assert isinstance(given["strategy"], QueryParallelStrategy) == (several and verb == "attack")


def test_recipes_are_all_there():
    assert [path.stem for path in RECIPES] == ["cpu", "ddp", "gpu", "slurm"]


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    small = ["--data.n_train=60", "--data.n_query=10", "--data.n_database=100"]
    arguments = ["fit", "--trainer.max_epochs=1", "--model.bits=8", *small]
    folders = ["--runs", str(folder / "runs"), "--checkpoints", str(folder / "checkpoints")]
    assert main([*arguments, *folders, "--trainer.logger=false"]) == 0
    return folder / "checkpoints" / "demo" / "best.ckpt"


LH = "lightning_hash.attacks."
HAG, PGD = ("torch.optim.SGD", 500 / 255**2, 0.9), ("torch.optim.SGD", 1.0, 0)
SIGN, MOMENTUM = (f"{LH}SignStep", 1 / 255, None), (f"{LH}MomentumSignStep", 1 / 255, 1.0)
TWO = (f"{LH}SignStep", 2 / 255, None)
APGD, SQUARE = (f"{LH}APGD", None, 0.75), (f"{LH}Square", None, None)
PATCH = (f"{LH}MomentumSignStep", 8 / 255, 1.0)
DIVERSE = {"class": f"{LH}DiverseInputs", "probability": 0.5, "smallest": 0.9, "seed": 0}
PRESETS = {  # the attack, epsilon, and the step's rule, rate and momentum
    "hag": ("hag", 10 / 255, HAG),
    "hag_star": ("hag-star", 10 / 255, HAG),
    "hag_code": ("hag-code", 10 / 255, ("torch.optim.SGD", 100 / 255**2, 0)),
    "dhta": ("dhta", 0.032, PGD),
    "dhta_code": ("dhta-code", 0.032, (f"{LH}NormalizedStep", 1.0, None)),
    "p2p": ("p2p", 0.032, PGD),
    "feature": ("feature", 0.032, SIGN),
    "feature_shift": ("feature-shift", 8 / 255, APGD),
    "noise": ("noise", 0.032, (None, None, None)),
    "cgat": ("cgat", 8 / 255, TWO),
    "cgat_targeted": ("cgat-targeted", 8 / 255, TWO),
    "saat": ("saat", 8 / 255, SIGN),
    "saat_targeted": ("saat-targeted", 8 / 255, SIGN),
    "apgd": ("hag", 8 / 255, APGD),
    "apgd_l2": ("hag", 0.5, APGD),
    "apgd_targeted": ("dhta", 8 / 255, APGD),
    "square": ("hinge", 8 / 255, SQUARE),
    "square_targeted": ("hinge-targeted", 8 / 255, SQUARE),
    "square_surrogate": ("hinge", 8 / 255, SQUARE),
    "signhunter": ("hinge", 8 / 255, (f"{LH}SignHunter", None, None)),
    "pta": ("pta", 0.03, (f"{LH}SignStep", 0.0015, None)),
    "pta_code": ("pta-code", 0.03, (f"{LH}AccumulatedSignStep", 0.0015, None)),
    "sdha": ("sdha", 8 / 255, ("torch.optim.Adam", 0.01, None)),
    "sdha_targeted": ("sdha-targeted", 8 / 255, ("torch.optim.Adam", 0.01, None)),
    "tha": ("tha", 8 / 255, SIGN),
    "candidate": ("candidate", 8 / 255, SIGN),
    "candidate_robrank": ("ca-plus", 8 / 255, (f"{LH}SignStep", 3 / 255, None)),
    "nes": ("hinge", 8 / 255, (f"{LH}NES", 0.001, 0.5)),
    "universal": ("universal", 10 / 255, MOMENTUM),
    "universal_li": ("universal-li", 10 / 255, MOMENTUM),
    "universal_targeted": ("universal-targeted", 10 / 255, ("torch.optim.Adam", 0.01, None)),
    "patch": ("patch", 1.0, PATCH),
    "patch_targeted": ("patch-targeted", 1.0, PATCH),
}
FRAGMENTS = {  # the preset below, what becomes of epsilon and of the step, and of the inputs
    "suite": ("dhta", 8 / 255, SIGN, None),
    "transferable": ("hag", 10 / 255, MOMENTUM, DIVERSE),
    "quick/sgd": ("hag_star", 10 / 255, ("torch.optim.SGD", 10_000 / 255**2, 0.9), None),
    "quick/sign": ("p2p", 0.032, SIGN, None),
}
CLIPS = ("demo_video", "video")  # go with a victim of clips: see tests/data/test_sample_clips.py
RUNS = [([name], *expected, None) for name, expected in PRESETS.items()]
RUNS += [
    ([below, name], PRESETS[below][0], *expected) for name, (below, *expected) in FRAGMENTS.items()
]


@pytest.mark.slow
@pytest.mark.parametrize(("presets", "attack", "epsilon", "step", "inputs"), RUNS)
def test_attack_presets_run(presets, attack, epsilon, step, inputs, victim, tmp_path):
    """Each preset and each fragment over one of them, for two iterations."""
    small = ["--data.n_train=60", "--data.n_query=10", "--data.n_database=100"]
    folders = ["overlay" if name in FRAGMENTS else "attack" for name in presets]
    configs = [f"--config={CONFIGS / f / n}.yaml" for f, n in zip(folders, presets, strict=True)]
    arguments = ["attack", *configs, f"--model.victim={victim}", *small]
    if attack != "noise":
        arguments.append("--trainer.max_epochs=2")
    arguments += [
        "--model.n_queries=4",
        "--model.kernels=float32",
        "--trainer.enable_progress_bar=false",
    ]
    if attack == "tha":
        arguments.append("--model.objective.steps=2")
    if presets[0].endswith("_surrogate"):
        arguments += [f"--model.surrogates={victim}", "--model.start.iterations=2"]
    candidates = presets[0].startswith("candidate")
    if candidates:  # queries vote: of ten of them none share a label
        arguments += ["--data.n_query=40", "--model.targets.n_t=1"]
    assert main([*arguments, "--runs", str(tmp_path), "--name", "x"]) == 0
    (found,) = tmp_path.rglob("results.json")
    rows = read_results(found)
    assert {row.name for row in rows} == {attack, "none", "anchor"}
    made = [row for row in rows if row.is_attack]
    assert {row.get("attack.budget.epsilon") for row in made} == {epsilon}
    rule, rate, momentum = step
    used = made[0].get("attack.step") or {"class": None}
    assert used["class"] == rule
    assert used.get("lr") == rate
    assert used.get("momentum") == momentum
    assert made[0].get("attack.inputs") == inputs
    ceilings = [row.metric for row in rows if row.name == "anchor"]
    ranked = ["hamming_to_anchor", "rank_percentile", "in_top_k"]
    assert ceilings == (ranked if candidates else ["t_map", "hamming_to_anchor"])


def test_a_run_without_a_logger_leaves_its_config_among_the_runs(victim):
    folder = victim.parent.parent.parent
    assert {path.name for path in folder.iterdir()} == {"runs", "checkpoints"}
    assert (folder / "runs" / "fit" / "demo" / "config.yaml").is_file()
    assert not Path("config.yaml").exists()


def names(folder):
    paths = (CONFIGS / folder).rglob("*.yaml")
    return {path.relative_to(CONFIGS / folder).with_suffix("").as_posix() for path in paths}


def test_attack_presets_are_all_run():
    assert names("attack") == set(PRESETS)
    assert names("overlay") == {*FRAGMENTS, *CLIPS}


def test_presets_write_rates_as_fractions():
    """A number that nobody recognises is a fraction that somebody has computed."""
    for path in CONFIGS.rglob("*.yaml"):
        assert not re.search(r"\d\.\d{6}", path.read_text()), path


def test_presets_do_not_repeat_defaults():
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(AttackModule).parameters.items()
        if name != "epsilon"  # part of each method, as its step is
    }
    for path in CONFIGS.glob("attack/*.yaml"):
        for name, value in yaml.safe_load(path.read_text())["model"].items():
            assert value != defaults.get(name, inspect.Parameter.empty), (path, name)


def test_a_config_of_the_working_directory_goes_before_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("attack/hag.yaml", "configs/attack/hag.yaml", CONFIGS / "attack" / "hag.yaml")
    for name in (*names, *(str(name).removesuffix(".yaml") for name in names)):
        assert find_config(name).resolve() == CONFIGS / "attack" / "hag.yaml"
    own = tmp_path / "attack" / "hag.yaml"
    own.parent.mkdir()
    own.write_text("model: {}")
    assert find_config("attack/hag.yaml").resolve() == own
    assert find_config("attack/hag").resolve() == own
    assert find_config("configs/attack/hag.yaml").resolve() == CONFIGS / "attack" / "hag.yaml"
    (tmp_path / "attack" / "hag").write_text("model: {}")  # the very path goes before a suffix
    assert find_config("attack/hag") == Path("attack/hag")


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("attack/hog.yaml", ["attack/hag.yaml", "attack/own.yaml"]),
        ("configs/trainer/tpu.yaml", ["trainer/cpu.yaml", "trainer/slurm.yaml"]),
        ("hog.yaml", ["attack/hag.yaml", "overlay/quick/sgd.yaml", "papers/runs/full.yaml"]),
        ("attack", ["attack/hag.yaml", "attack/saat.yaml"]),
        ("configs", ["attack/hag.yaml", "papers/hag_fig2.yaml"]),
        (".", ["attack/hag.yaml", "papers/hag_fig2.yaml"]),
        ("../hog", ["attack/hag.yaml", "papers/hag_fig2.yaml"]),
    ],
)
def test_a_config_that_is_not_there(tmp_path, monkeypatch, name, listed):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attack").mkdir()
    (tmp_path / "attack" / "own.yaml").write_text("")
    with pytest.raises(
        FileNotFoundError, match=rf"^config {re.escape(name)} does not exist; (did|there) "
    ) as error:
        find_config(name)
    there = str(error.value).partition("there are: ")[2].split(", ")
    assert set(listed) <= set(there)
    assert "cgat.yaml" not in there


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("dhta_code", "attack/dhta_code.yaml, "),
        ("quick/sgd", "overlay/quick/sgd.yaml, "),
        ("attack/dhtaa", "attack/dhta.yaml, attack/"),
    ],
)
def test_the_nearest_name_comes_first(name, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        find_config(name)
    assert str(error.value).partition("there are: ")[2].startswith(first)


@pytest.mark.parametrize(
    ("name", "first", "count"),
    [("papers", "dhta_fig10", 27), ("configs/papers/*.yaml", "dhta_fig10", 27),
     ("papers/hag_fig*", "hag_fig2", 6), ("papers/hag_fig2", "hag_fig2", 1), ("own", "b", 2)],
)  # fmt: skip
def test_sweep_files_by_folder_and_pattern(name, first, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    for own in ("c.yaml", "b.yaml", "a.txt"):
        (tmp_path / "own" / own).write_text("")
    found = find_configs(name)
    assert (found[0].stem, len(found)) == (first, count)
    with pytest.raises(FileNotFoundError, match=r"zzz/\* does not exist; there are: attack/apgd"):
        find_configs("zzz/*")


def test_an_absolute_path_is_no_preset(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.yaml does not exist; there are: none$"):
        find_config(tmp_path / "no.yaml")


def test_commands_take_presets_by_name():
    given = [
        "--config",
        "attack/hag.yaml",
        "-c",
        "overlay/suite.yaml",
        "--config=data/cifar10.yaml",
    ]
    found = resolve_configs([*given, "--name", "--config"])
    paths = [CONFIGS / name for name in ("attack/hag.yaml", "overlay/suite.yaml")]
    last = f"--config={CONFIGS / 'data' / 'cifar10.yaml'}"
    assert found == ["--config", str(paths[0]), "-c", str(paths[1]), last, "--name", "--config"]
    with pytest.raises(FileNotFoundError, match=r"attack/hog\.yaml does not exist"):
        resolve_configs(["--config=attack/hog.yaml"])


def test_an_option_holds_wherever_it_stands(capsys):
    """The presets have 64 and 48 bits; a config behind the option took its place without a word."""
    for arguments in (
        ["--model.bits=24", "--config", "fit/csq.yaml"],
        ["--config=fit/csq.yaml", "--model.bits=24"],
        ["--model.bits", "24", "-c", "fit/csq.yaml", "--config=fit/dch.yaml"],
    ):
        with pytest.raises(SystemExit, match="0"):
            HashCLI("fit", [*resolve_configs(arguments), "--print_config"])
        assert yaml.safe_load(capsys.readouterr().out)["model"]["bits"] == 24


BATCHES = {
    "hag": 24, "dhta": 24, "hashnet": 36, "csq": 64, "dch": 256, "dpsh": 128, "greedyhash": 32,
    "dhta_video": 100, "orthohash": 256, "dpn": 256, "hyp2": 100, "dtsh": 128, "dsh": 200,
    "mdshc": 64, "idhn": 128, "bihalf": 64, "dsdh": 128,
}  # fmt: skip


def test_recipes_have_the_batches_of_their_papers():
    found = {path.stem: yaml.safe_load(path.read_text()) for path in CONFIGS.glob("fit/*.yaml")}
    demo = found.pop("demo_video")
    assert demo["data"] == {"class_path": "lightning_hash.data.SampleClips"}
    assert all("data" not in found.pop(name) for name in ("pca", "itq", "lsh"))  # no training
    assert {name: recipe["data"] for name, recipe in found.items()} == {
        name: {"init_args": {"batch_size": size}} for name, size in BATCHES.items()
    }


@pytest.mark.parametrize("data", sorted(names("data")))
@pytest.mark.parametrize("recipe", BATCHES)
def test_a_recipes_batch_size_goes_with_all_data_in_any_order(recipe, data):
    """The class is one in both configs, so that the parser adds up their options."""
    pair = [str(CONFIGS / "fit" / f"{recipe}.yaml"), str(CONFIGS / "data" / f"{data}.yaml")]
    own = yaml.safe_load(Path(pair[1]).read_text())["data"]
    for configs in (pair, pair[::-1]):
        line = with_data_class(["--config", configs[0], f"--config={configs[1]}"])
        texts = [line[1], line[2].removeprefix("--config=")]
        texts = [Path(text).read_text() if text.endswith(".yaml") else text for text in texts]
        parts = [yaml.safe_load(text)["data"] for text in texts]
        assert {part["class_path"] for part in parts} == {own["class_path"]}
        merged = parts[0]["init_args"] | parts[1]["init_args"]
        assert merged == {**own["init_args"], "batch_size": BATCHES[recipe]}


@pytest.mark.parametrize(
    ("arguments", "batch_size", "size"),
    [
        (["--config=fit/hashnet.yaml", "--config=data/nuswide_hag.yaml"], 36, 224),
        (["--config", "data/nuswide_hag.yaml", "--config", "fit/hashnet.yaml"], 36, 224),
        (["--config=fit/csq.yaml", "--data=ListDataModule", "--data.folder=x"], 64, 224),
        (["--config=fit/dch.yaml", "--data.class_path", "ListDataModule", "--data.folder=x",
          "--data.batch_size=7"], 7, 224),
        (["--config=fit/dpsh.yaml"], 128, 64),
        (["--config=data/jhmdb.yaml", "--config=fit/dhta_video.yaml"], 100, 224),
    ],
)  # fmt: skip
def test_what_the_parser_makes_of_recipe_and_data(arguments, batch_size, size, capsys):
    with pytest.raises(SystemExit, match="0"):
        HashCLI("fit", [*resolve_configs(arguments), "--print_config"])
    options = yaml.safe_load(capsys.readouterr().out)["data"]["init_args"]
    assert (options["batch_size"], options["size"]) == (batch_size, size)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"model:\n  bits: [1,\n", r"config bad\.yaml is no YAML: line 3, "),
        (b"\xff\xfe", r"config bad\.yaml is no YAML: it has bytes that are no UTF-8 text"),
        (b"- 1", r"config bad\.yaml must be a mapping, got list"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "attack"])
def test_a_config_that_is_none_is_one_line(verb, content, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_bytes(content)
    assert main([verb, "--config", "bad.yaml"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert re.match(f"error: {message}", said)
