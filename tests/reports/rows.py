"""Result rows made by hand."""

import copy

from lightning_hash.results.rows import ResultRow

# Where the short names of the tests stand in a row; any dotted path may be given as well.
PLACES = {
    "epsilon": "attack.budget.epsilon", "epsilon_space": "attack.budget.space",
    "threshold": "attack.objective.threshold", "lr": "attack.step.lr",
    "iterations": "attack.iterations", "seed": "attack.seed", "n_t": "attack.targets.n_t",
    "target_rule": "attack.targets.rule", "start_seed": "attack.start_seed",
    "victim_sha256": "victim.sha256", "backbone": "victim.backbone", "bits": "victim.bits",
    "loss": "victim.loss", "dataset": "data.dataset", "input_shape": "data.input_shape",
    "n_query": "data.n_query", "n_database": "data.n_database",
    "list_sha256_query": "data.sha256.query", "target_database": "data.target_database",
    "top_k": "ranking.top_k", "normalizer": "ranking.normalizer", "ties": "ranking.ties",
    "seconds": "run.seconds", "devices": "run.devices",
}  # fmt: skip
LH = "lightning_hash.attacks."
TARGETED = ("p2p", "dhta", "feature", "cgat-targeted")
OBJECTIVES = {
    "hag": "HAG", "hag-star": "HAG", "dhta": "AnchorCode", "p2p": "AnchorCode",
    "feature": "TargetFeatures", "cgat": "CentreCode", "cgat-targeted": "CentreCode",
}  # fmt: skip
SGD = {
    "class": "torch.optim.SGD", "lr": 0.0077, "momentum": 0.9, "dampening": 0, "weight_decay": 0,
    "nesterov": False, "maximize": False, "foreach": None,
}  # fmt: skip


def settings(name):
    """Return the mapping of an attack; ``anchor`` is the ceiling."""
    targets = {
        "class": f"{LH}TargetChoice", "n_t": 9, "rule": "different", "seed": 0, "file": None,
    }  # fmt: skip
    if name == "anchor":
        return {"name": "anchor", "targets": targets}
    objective = {"class": f"{LH}{OBJECTIVES.get(name, 'Noise')}"}
    if objective["class"].endswith("HAG"):
        objective["threshold"] = 0.5
    return {
        "name": name, "targeted": name in TARGETED, "objective": objective,
        "reference": {"class": f"{LH}CleanLogits"},
        "step": None if name == "noise" else dict(SGD),
        "perturbation": {"class": f"{LH}PerQuery"},
        "budget": {"class": f"{LH}LInf", "epsilon": 10 / 255, "space": "pixel"},
        "alpha": None, "inputs": None, "start_seed": None, "stop_finished": False,
        "targets": targets, "iterations": 0 if name == "noise" else 100, "seed": 0,
    }  # fmt: skip


def row(**changes):
    """Make a row of ``attack`` (none: clean queries), its fields or values at paths changed."""
    name = changes.pop("attack", "hag")
    given = {
        "metric": "map", "value": 0.5, "n": 100, "iteration": 0 if name == "noise" else 100,
        "quantized": False, "attack": None if name == "none" else settings(name),
        "victim": {
            "name": "best.ckpt", "sha256": "a", "backbone": "convnet", "bits": 32,
            "loss": "PairwiseLoss",
        },
        "data": {
            "dataset": "photos", "seed": 0, "input_shape": [3, 64, 64],
            "sha256": {"train": "t", "query": "q", "database": "d", "open_set": None},
            "n_query": 100, "n_database": 3000, "database_codes": None,
            "target_database": "database",
        },
        "ranking": {
            "relevance": "shares a label", "top_k": 1000, "normalizer": "retrieved",
            "empty": "zero", "ties": "expected", "precision_n": 100,
        },
        "run": {"kernels": "float32", "devices": "1 x cpu", "seconds": 1.25},
    }  # fmt: skip
    frames = changes.pop("frames", None)
    if frames is not None and given["attack"] is not None:
        given["attack"]["perturbation"] = {"class": f"{LH}ChosenFrames", "count": frames}
    for path, value in changes.items():
        _set(given, PLACES.get(path, path), value)
    if "n" not in changes:
        given["n"] = min(given["n"], given["data"].get("n_query") or given["n"])
    return ResultRow(**copy.deepcopy(given))


def _set(given, path, value):
    *keys, last = path.split(".")
    for key in keys:
        given = given.get(key)
        if given is None:
            return  # clean queries have no attack, the ceiling has no budget
    if last != "threshold" or last in given:  # that of HAG alone
        given[last] = value


def run(attack, value, **changes):
    return [
        row(metric="map", attack="none", iteration=0, value=0.9, **changes),
        row(metric="t_map", attack="none", iteration=0, value=0.1, **changes),
        row(metric="t_map", attack="anchor", iteration=0, value=0.95, **changes),
        row(attack=attack, value=0.9, iteration=0, **changes),
        row(attack=attack, value=value, **changes),
        row(attack=attack, value=value + 0.01, quantized=True, **changes),
        row(attack=attack, metric="t_map", value=min(1.0, value + 0.2), **changes),
    ]
